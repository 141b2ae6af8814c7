"""Files of texts and labels, row by row: delimited, JSON, Parquet, labelled trees.

A row is read as it stands or is an error that names its place; none is skipped, merged
or split.
"""

import contextlib
import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.data.columns import class_name, require_column
from attention_audit.records.errors import AuditError

_BATCH = 1000  # rows of text held at once

# A stray quote makes a CSV reader take the rest of the file for one field; this
# turns that into an error. The longest text in 20 Newsgroups has 66,552 characters.
_LONGEST_FIELD = 1 << 24


@contextlib.contextmanager
def readable(where: str, fix: str, *faults: type[Exception]) -> Iterator[None]:
    """Turn a fault of a file, or one of ``faults``, into an `AuditError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, *faults) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). {fix}"
        ) from error


def text_lines(stream: IO[bytes], where: str, newline: str) -> Iterator[str]:
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


def delimited_rows(
    stream: IO[bytes], where: str, delimiter: str, skip_after_header: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, fields), the header first, all of one length.

    Blank lines are no rows. A quote is an ordinary character between tabs. A carriage
    return alone ends rows only where it ends the header, since it may be part of a text.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    line = ""
    # The walrus keeps the line that the reader took last.
    lines = (line := read for read in text_lines(stream, where, newline=""))
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


def cells_of(
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
        require_column(where, column, key, header)
    positions = [header.index(column) for column in columns]
    for line, fields in rows:
        yield f"{where}, line {line}", [fields[position] for position in positions]


# A place, and the values of the columns that the source names under some keys.
_Records = Iterator[tuple[str, list[Any]]]
_Source = Mapping[str, Any]
_Keys = Sequence[str]


def _csv_records(
    stream: IO[bytes], where: str, source: _Source, keys: _Keys
) -> _Records:
    rows = delimited_rows(stream, where, source["delimiter"], 0)
    yield from cells_of(rows, where, {key: source[key] for key in keys})


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

    lines = text_lines(stream, where, newline="\n")
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


def _json_records(
    stream: IO[bytes], where: str, source: _Source, keys: _Keys
) -> _Records:
    shown = ", ".join(f'"{source[key]}": ...' for key in keys)
    for place, value in _json_values(stream, where):
        if not isinstance(value, dict):
            raise AuditError(
                f"{place}: found {type(value).__name__} {str(value)[:40]!r}, expected an "
                f"object such as {{{shown}}}."
            )
        for key in keys:
            require_column(place, source[key], key, list(value))
        yield place, [value[source[key]] for key in keys]


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """The names that `datasets` leaves in a Parquet file that it writes, if any."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = stored.get("info", {}).get("features", {}).get(column, {})
    return feature["names"] if feature.get("_type") == "ClassLabel" else None


def _parquet_records(
    stream: IO[bytes], where: str, source: _Source, keys: _Keys
) -> _Records:
    columns = {key: source[key] for key in keys}
    with pq.ParquetFile(stream, page_checksum_verification=True) as file:
        for key, column in columns.items():
            require_column(where, column, key, file.schema_arrow.names)
        names = [_class_names(file.schema_arrow, column) for column in columns.values()]
        row = 0
        for batch in file.iter_batches(
            _BATCH, columns=list(dict.fromkeys(columns.values()))
        ):
            # Not every value of Arrow has a counterpart in Python: years, text.
            with readable(where, "Check its values.", ValueError, OverflowError):
                values = [batch[column].to_pylist() for column in columns.values()]
            for found in zip(*values, strict=True):
                yield f"{where}, row {row}", list(map(class_name, found, names))
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


def _tree_records(
    stream: IO[bytes], where: str, source: _Source, keys: _Keys
) -> _Records:
    """Sentences and the labels of their roots, which no column names."""
    for number, line in enumerate(text_lines(stream, where, newline="\n"), 1):
        if not line.strip():
            continue
        try:
            text, label = _sentence(line)
        except ValueError as error:
            raise AuditError(
                f"{where}, line {number}: not a labelled tree ({error}). Expected one a "
                'line, such as "(3 (2 A) (4 triumph))".'
            ) from error
        yield f"{where}, line {number}", [text, label]


FORMATS: dict[str, Callable[[IO[bytes], str, _Source, _Keys], _Records]] = {
    "csv": _csv_records,
    "json": _json_records,
    "parquet": _parquet_records,
    "trees": _tree_records,
}

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
}
