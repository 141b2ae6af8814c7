"""Checked and atomic input and output of the tables in `schemas`.

Writing checks the rows against the table's schema and ends in a rename, so that a file
is whole or not there; page checksums let a reader notice a damaged one, which is set
aside. Reading an unexpected schema names the file, the column, what was expected and
what was found, and leaves the file where it is.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import SCHEMAS

METADATA_KEY = b"attention_audit"

# What stands for a column in which every row has it.
_SCALARS = (str, int, float, type(None))


def describe(schema: pa.Schema) -> str:
    """One line a column, for error messages."""
    return ", ".join(f"{f.name}: {f.type}" for f in schema)


def schema_fault(
    found: pa.Schema, expected: pa.Schema, more: bool = False
) -> str | None:
    """The first column in which the two differ, in words; None where none does.

    ``more`` says whether there may be others than the expected ones.
    """
    missing = [name for name in expected.names if name not in found.names]
    if missing:
        return (
            f"column '{missing[0]}' is missing; expected {describe(expected)}; "
            f"found {describe(found)}"
        )
    extra = [name for name in found.names if name not in expected.names]
    if extra and not more:
        return f"unexpected column '{extra[0]}'; expected {describe(expected)}"
    for field in expected:
        got = found.field(field.name).type
        if got != field.type:
            return f"column '{field.name}' should be {field.type}, found {got}"
    return None


def mismatch(path: str | Path, fault: str) -> AuditError:
    """The error of a whole file that is not what its reader expects; it stays."""
    return AuditError(
        f"{path}: {fault}. The file stays as it is: name the one that was meant or, if "
        "it is this one, delete it and run snakemake again to rebuild it."
    )


def set_aside(path: str | Path, fault: str, suffix: str) -> AuditError:
    """Rename a damaged result, and return the error that says so.

    Damaged is what fails a checksum of its own or cannot be parsed, and nothing else:
    a file that does not fit another is a `mismatch`, and so is one that is called
    otherwise than what its reader reads, ``suffix``.

    Snakemake rebuilds a file that is not there, and trusts one that is, so that a
    damaged file has to be out of the way before the next run. It is renamed and not
    deleted: whoever wants to know what happened to it can look. For results of the
    pipeline only, never for a user's own file.
    """
    path = Path(path)
    if path.suffix != suffix:
        return mismatch(path, f"{fault}; read as a file {suffix}")
    aside = path.with_name(f"{path.name}.damaged")
    try:
        # A result may be a link into a store that checkouts share. There it must go
        # too, or it would come back.
        stored = path.resolve()
        stored.replace(stored.with_name(f"{stored.name}.damaged"))
        if path.is_symlink():
            path.unlink()
            aside = stored.with_name(f"{stored.name}.damaged")
        fix = f"It is now {aside.name}; run snakemake again to rebuild it."
    except OSError:
        fix = "Delete it and run snakemake again to rebuild it."
    return AuditError(f"{path}: {fault}. {fix}")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it when the block ends well.

    The suffix of ``path`` is kept, because writers choose a format by it. When the
    block raises, the temporary file is removed and ``path`` is left as it was. What a
    killed process leaves is overwritten by the next, as the name is always the same.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside ``path`` for what is not a result; removed at the end.

    What a killed process left there is removed at the start.
    """
    path = Path(path)
    folder = path.with_name(f".{path.stem}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class TableWriter:
    """Writes rows of one schema, a batch at a time; see `open_table`."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, path: Path):
        self._writer, self._schema, self._path = writer, schema, path

    def write(self, columns: Mapping[str, Any] | pa.Table) -> None:
        """Append rows; scalars in ``columns``, None too, are repeated for every row."""
        if isinstance(columns, pa.Table):
            if fault := schema_fault(columns.schema, self._schema):
                raise AuditError(f"{self._path}: {fault}")
            table = columns.select(self._schema.names)
        else:
            table = self._from_columns(columns)
        for field, column in zip(self._schema, table.columns, strict=True):
            if not field.nullable and column.null_count:
                raise AuditError(
                    f"{self._path}: column '{field.name}' must not hold nulls, "
                    f"found {column.null_count}"
                )
        self._writer.write_table(table.cast(self._schema))

    def _from_columns(self, columns: Mapping[str, Any]) -> pa.Table:
        names = set(self._schema.names)
        if set(columns) != names:
            raise AuditError(
                f"{self._path}: expected columns {sorted(names)}, got {sorted(columns)}"
            )
        lengths = {len(v) for v in columns.values() if not isinstance(v, _SCALARS)}
        if len(lengths) > 1:
            raise AuditError(f"{self._path}: columns of unequal lengths {lengths}")
        rows = lengths.pop() if lengths else 1
        arrays = []
        for field in self._schema:
            value = columns[field.name]
            if isinstance(value, _SCALARS):
                arrays.append(pa.repeat(pa.scalar(value, field.type), rows))
            else:
                arrays.append(pa.array(value, field.type))
        return pa.Table.from_arrays(
            arrays, schema=pa.schema([f.with_nullable(True) for f in self._schema])
        )


@contextlib.contextmanager
def open_table(
    path: str | Path, schema: str | pa.Schema, provenance: Mapping[str, Any]
) -> Iterator[TableWriter]:
    """Open a Parquet file for writing in batches; it appears whole or not at all.

    ``schema`` is a name in `SCHEMAS` or a schema; ``provenance`` goes into the
    schema metadata as JSON (see `attention_audit.records.provenance`).
    """
    if isinstance(schema, str):
        schema = SCHEMAS[schema]
    metadata = {METADATA_KEY: json.dumps(provenance, sort_keys=True)}
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema.with_metadata(metadata),
            compression="zstd",
            write_page_checksum=True,
        ) as writer,
    ):
        yield TableWriter(writer, schema, Path(path))


def write_table(
    path: str | Path,
    schema: str | pa.Schema,
    rows: Mapping[str, Any] | pa.Table,
    provenance: Mapping[str, Any],
) -> None:
    """Write one table at once; see `open_table`."""
    with open_table(path, schema, provenance) as table:
        table.write(rows)


def write_rows(
    path: str | Path,
    schema: str,
    rows: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> None:
    """Write dictionaries as a table, NaN as null."""
    columns = {
        field.name: pa.array(
            [row[field.name] for row in rows], field.type, from_pandas=True
        )
        for field in SCHEMAS[schema]
    }
    table = pa.table(columns, schema=SCHEMAS[schema])
    write_table(path, schema, table, provenance)


@contextlib.contextmanager
def _damage_named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to build it.") from error
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        # An error of the system, such as a lack of rights, has a number. It is no
        # damage of the file, and neither is what else Arrow raises: a lack of memory,
        # or of a codec.
        if getattr(error, "errno", None) is not None:
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        fault = f"not a whole Parquet file ({reason})"
        raise set_aside(path, fault, ".parquet") from error


def iterate_table(
    path: str | Path,
    schema: str | pa.Schema,
    batch_size: int = 1024,
    columns: Sequence[str] | None = None,
    more: bool = False,
) -> Iterator[pa.Table]:
    """Yield a checked table in pieces of at most ``batch_size`` rows.

    ``more`` says whether it may have columns that the schema lacks.
    """
    if isinstance(schema, str):
        schema = SCHEMAS[schema]
    with _damage_named(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        if fault := schema_fault(file.schema_arrow, schema, more):
            raise mismatch(path, fault)
        batches = file.iter_batches(batch_size, columns=columns)
        while True:
            with _damage_named(path):
                batch = next(batches, None)
            if batch is None:
                return
            yield pa.Table.from_batches([batch])


def read_table(
    path: str | Path,
    schema: str | pa.Schema,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read a whole table after checking its schema and page checksums."""
    if isinstance(schema, str):
        schema = SCHEMAS[schema]
    with (
        _damage_named(path),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        if fault := schema_fault(file.schema_arrow, schema):
            raise mismatch(path, fault)
        return file.read(columns=columns)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The provenance that a table carries; raises where it has none."""
    with _damage_named(path):
        metadata = pq.read_schema(path).metadata or {}
    if METADATA_KEY not in metadata:
        raise AuditError(
            f"{path}: carries no provenance; this pipeline did not make it"
        )
    return json.loads(metadata[METADATA_KEY])


def write_json(path: str | Path, value: Any) -> None:
    """Write sorted, indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or damaged file is named."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to build it.") from error
    except ValueError as error:
        raise set_aside(path, f"not valid JSON ({error})", ".json") from error
