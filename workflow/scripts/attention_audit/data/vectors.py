"""Pretrained word vectors, as a stream of (word, vector), from archives and files."""

import functools
import unicodedata
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.data.archives import open_member
from attention_audit.data.formats import readable, text_lines
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

_BATCH = 1000  # rows of a table of vectors held at once
_BLOCK_BYTES = 1 << 22  # of a matrix of vectors held at once


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
    with open_member(path, member) as stream:
        # Parquet is read from its end, so the whole member is needed at once.
        packed = pa.py_buffer(stream.read())
    with (
        readable(where, "Check vectors.index."),
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
    with open_member(path, vectors["matrix"]) as stream:
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
    with readable(str(path), "Check the file."), path.open("rb") as stream:
        for number, line in enumerate(text_lines(stream, str(path), newline="\n"), 1):
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
        readable(str(path), "Check the file."),
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
VECTORS: dict[str, Callable[[Mapping[str, Any], Path, Container[str]], _Vectors]] = {
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
    yield from VECTORS[vectors["kind"]](vectors, Path(path), words)
