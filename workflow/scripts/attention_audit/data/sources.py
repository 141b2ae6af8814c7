"""Where data comes from: pinned packages, the hub, local files.

Every source is read as a stream of `Document`, so that memory does not grow with the
size of a data set (one JSON list is the exception).
"""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from attention_audit.data.archives import open_member
from attention_audit.data.columns import (
    Spans,
    as_label,
    as_rationale,
    as_text,
    check_class,
    class_name,
    clean_label,
    fold,
    label_mapping,
    require_column,
)
from attention_audit.data.formats import (
    FORMATS,
    SUFFIXES,
    cells_of,
    delimited_rows,
    readable,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

_BATCH = 1000  # rows of text held at once
_SHOWN = 10  # values that an error message lists at most


class Document(NamedTuple):
    """One text of a source, before any cleaning.

    ``split`` is "train", "dev" or "test" where the source has its own splits and
    "all" where it has none; ``text`` or ``label`` is None where the source has none.
    """

    split: str
    text: str | None
    label: str | None


class MarkedDocument(NamedTuple):
    """A `Document` of a source that may say what somebody marked in it."""

    split: str
    text: str | None
    label: str | None
    rationale: Spans | None


def _document_keys(source: Mapping[str, Any]) -> list[str]:
    """The keys of a source, the hub's or local, that name columns."""
    marked = source.get("rationale") is not None
    return ["text", "label", *(["rationale"] if marked else [])]


def _cells(source: Mapping[str, Any], where: str, values: Sequence[Any]) -> list[Any]:
    """What a row of these columns holds: text and label, and what is marked."""
    text = as_text(values[0], where, source["text"])
    found = [text, as_label(values[1], where, source["label"])]
    for marks in values[2:]:
        found.append(as_rationale(marks, text, where, source["rationale"]))
    return found


def some_rows(rows: Iterator[tuple], where: str) -> Iterator[tuple]:
    """Pass rows on; an `AuditError` where there is none."""
    first = next(rows, None)
    if first is None:
        raise AuditError(f"{where}: holds no rows. Name another file or split.")
    yield first
    yield from rows


# ---------------------------------------------------------------- the hub


def hub_records(
    source: Mapping[str, Any], split: str, columns: Mapping[str, str]
) -> Iterator[tuple[str, list[Any]]]:
    """Yield (where, values of ``columns``) of a split of the hub, row by row.

    ``columns`` leads from keys of the source to columns. A ClassLabel comes out as its
    name. Raises `AuditError` without network, and where the split or a column is missing.
    """
    # Imported here because it takes seconds, and most data sets come from files.
    import datasets

    where = (
        f"hub data set {source['path']} at revision {source['revision']}, "
        f"split '{split}'"
    )
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
        features = rows.features or {}
        names = [
            getattr(features.get(column), "names", None) for column in columns.values()
        ]
        for row in rows:
            for key, column in columns.items():
                require_column(where, column, key, list(row))
            found = [row[column] for column in columns.values()]
            yield where, list(map(class_name, found, names))
    except expected as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). Check the "
            "network, and source.path, name, revision and splits; where there is no "
            "network use an archive or local files."
        ) from error


def _hub_stream(source: Mapping[str, Any], split: str) -> Iterator[tuple]:
    """Yield text, label and what is marked of the rows of a split of the hub."""
    columns = {key: source[key] for key in _document_keys(source)}
    for where, values in hub_records(source, split, columns):
        text, label, *marks = _cells(source, where, values)
        yield text, label, marks[0] if marks else None


def in_batches(rows: Iterator[tuple], size: int) -> Iterator[list[tuple]]:
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
    ``revision``, ``splits`` (ours to the hub's), ``text``, ``label`` and ``rationale`` or None (columns).
    Raises `AuditError` without network, and where a split or column is missing.
    """
    with tables.open_table(path, "documents", provenance) as table:
        for split, theirs in source["splits"].items():
            rows = some_rows(
                _hub_stream(source, theirs), f"{source['path']}, split '{theirs}'"
            )
            for batch in in_batches(rows, _BATCH):
                texts, labels, rationales = zip(*batch, strict=True)
                table.write(
                    {
                        "split": split,
                        "text": texts,
                        "label": labels,
                        "rationale": rationales,
                    }
                )


# ---------------------------------------------------------------- by kind
# Split, text, label, and what is marked where the source names a column of it.
_Rows = Iterator[tuple]


def _archive_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    path = files["archive"]
    conditions = {c: clean_label(value) for c, value in source["where"].items()}
    wanted = {"text": source["text"], "label": source["label"]}
    wanted |= {f"where.{column}": column for column in conditions}
    matched = False
    seen: dict[str, set[str]] = {column: set() for column in conditions}
    for split, member in source["files"].items():
        where = f"{path}, file '{member}'"
        with open_member(path, member) as stream:
            rows = delimited_rows(
                stream, where, source["delimiter"], source["skip_after_header"]
            )
            for place, cells in some_rows(cells_of(rows, where, wanted), where):
                text, label, *others = cells
                found = dict(zip(conditions, map(clean_label, others), strict=True))
                for column, value in found.items():
                    if len(seen[column]) < _SHOWN:
                        seen[column].add(value)
                if found == conditions:
                    matched = True
                    yield split, text, as_label(label, place, source["label"])
    if conditions and not matched:
        values = "; ".join(f"{c}: {', '.join(sorted(v))}" for c, v in seen.items())
        raise AuditError(
            f"{path}: no row matches source.where {conditions}; found {values}."
        )


def _hub_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    for table in tables.iterate_table(files["documents"], "documents", _BATCH):
        names = ("split", *_document_keys(source))
        columns = (table[name].to_pylist() for name in names)
        yield from zip(*columns, strict=True)


def local_records(
    source: Mapping[str, Any], files: Mapping[str, Path], keys: Sequence[str]
) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield (split, place, values of the columns that ``source`` names under ``keys``).

    ``files`` are delimited, JSON or Parquet, a file a split; see `formats`.
    """
    for split, path in files.items():
        path = Path(path)
        packed = path.suffix.lower() == ".gz"
        suffix = (path.with_suffix("") if packed else path).suffix.lower()
        kind = source["format"] or SUFFIXES.get(suffix)
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
            readable(where, "Check the file and source.format."),
            (gzip.open if packed else open)(path, "rb") as stream,
        ):
            records = FORMATS[kind](stream, where, settings, keys)
            for place, values in some_rows(records, where):
                yield split, place, values


def _local_rows(source: Mapping[str, Any], files: Mapping[str, Path]) -> _Rows:
    keys = _document_keys(source)
    for split, place, values in local_records(source, files, keys):
        if len(values) < len(keys):
            raise AuditError(
                f"{place}: a labelled tree has no column '{source['rationale']}' "
                "(source.rationale). Leave it out."
            )
        yield split, *_cells(source, place, values)


READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Path]], _Rows]] = {
    "archive": _archive_rows,
    "hub": _hub_rows,
    "local": _local_rows,
}


def read_documents(
    source: Mapping[str, Any], files: Mapping[str, Path]
) -> Iterator[Document | MarkedDocument]:
    """Stream the documents of a data set, in the order of its files.

    They are `MarkedDocument` where ``source`` names a column of rationales.

    ``source`` is a data set's ``source`` with all defaults filled in. ``files`` holds
    the files that it needs: {"archive": wheel} for kind archive, {"documents": what
    `fetch_hub` wrote} for hub, {split: path} for local.

    Labels are compared as strings, without white space around them (`clean_label`),
    and come out as class names after the mapping ``labels``. Rows that ``where`` or
    ``labels`` does not name belong to another data set and are left out; rows without
    any label are kept with label None. At most a batch of rows is held, or one JSON
    list. Raises `AuditError` for a missing or damaged file, a row that is not like the
    others, a missing column, a condition or mapped label that no row has, labels that
    differ in case or the like alone (`fold`) unless ``labels`` names both, and,
    without ``labels``, scores and lists in their place (`check_class`).
    """
    labels = label_mapping(source["labels"])
    unused = dict(labels)
    seen: set[str] = set()
    alike = {fold(label): label for label in labels}
    paths = ", ".join(map(str, files.values()))
    for split, text, label, *marks in READERS[source["kind"]](source, files):
        if label is not None and label not in labels:
            other = alike.get(fold(label), label)
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
        elif label is not None and fold(label) not in alike:
            alike[fold(label)] = label
            where = f"{paths}, column '{source['label']}'"
            check_class(label, alike.values(), where)
        if marks:
            yield MarkedDocument(split, text, label, *marks)
        else:
            yield Document(split, text, label)
    if unused:
        raise AuditError(
            f"{paths}: no row has the label '{next(iter(unused))}' of source.labels; "
            f"labels found: {', '.join(sorted(seen)) or 'none'}."
        )
