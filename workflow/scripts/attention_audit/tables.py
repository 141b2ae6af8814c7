"""Checked and atomic input and output of the tables in `schemas`.

Writing checks the rows against the table's schema and ends in a rename, so that a file
is whole or not there; page checksums let a reader notice a damaged one. Reading an
unexpected schema names the file, the column, what was expected and what was found.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.errors import AuditError
from attention_audit.schemas import SCHEMAS

METADATA_KEY = b"attention_audit"


def describe(schema: pa.Schema) -> str:
    """One line a column, for error messages."""
    return ", ".join(f"{f.name}: {f.type}" for f in schema)


def check_schema(found: pa.Schema, expected: pa.Schema, path: str | Path) -> None:
    """Raise an `AuditError` that names the first column in which the two differ."""
    missing = [name for name in expected.names if name not in found.names]
    if missing:
        raise AuditError(
            f"{path}: column '{missing[0]}' is missing; expected {describe(expected)}; "
            f"found {describe(found)}. Delete the file and run snakemake again to rebuild it."
        )
    extra = [name for name in found.names if name not in expected.names]
    if extra:
        raise AuditError(
            f"{path}: unexpected column '{extra[0]}'; expected {describe(expected)}. "
            "Delete the file and run snakemake again to rebuild it."
        )
    for field in expected:
        got = found.field(field.name).type
        if got != field.type:
            raise AuditError(
                f"{path}: column '{field.name}' should be {field.type}, found {got}. "
                "Delete the file and run snakemake again to rebuild it."
            )


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it when the block ends well.

    The suffix of ``path`` is kept, because writers choose a format by it. When the
    block raises, the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; results are as public as the umask says.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class TableWriter:
    """Writes rows of one schema, a batch at a time; see `open_table`."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, path: Path):
        self._writer, self._schema, self._path = writer, schema, path

    def write(self, columns: Mapping[str, Any] | pa.Table) -> None:
        """Append rows; scalars in ``columns`` are repeated for every row."""
        if isinstance(columns, pa.Table):
            check_schema(columns.schema, self._schema, self._path)
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
        lengths = {
            len(v) for v in columns.values() if not isinstance(v, (str, int, float))
        }
        if len(lengths) > 1:
            raise AuditError(f"{self._path}: columns of unequal lengths {lengths}")
        rows = lengths.pop() if lengths else 1
        arrays = []
        for field in self._schema:
            value = columns[field.name]
            if isinstance(value, (str, int, float)):
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
    schema metadata as JSON (see `attention_audit.provenance`).
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


@contextlib.contextmanager
def _damage_named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to build it.") from error
    except (pa.ArrowException, OSError) as error:
        raise AuditError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}). "
            "Delete it and run snakemake again to rebuild it."
        ) from error


def iterate_table(
    path: str | Path,
    schema: str | pa.Schema,
    batch_size: int = 1024,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """Yield a checked table in pieces of at most ``batch_size`` rows."""
    if isinstance(schema, str):
        schema = SCHEMAS[schema]
    with _damage_named(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        check_schema(file.schema_arrow, schema, path)
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
        check_schema(file.schema_arrow, schema, path)
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
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or damaged file is named."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to build it.") from error
    except ValueError as error:
        raise AuditError(
            f"{path}: not valid JSON ({error}). "
            "Delete it and run snakemake again to rebuild it."
        ) from error


def concatenate(tables: Iterable[pa.Table]) -> pa.Table:
    """One table out of pieces that share a schema."""
    return pa.concat_tables(tables)
