"""The contract between stages: table schemas, checked and atomic input and output.

Every Parquet table of the pipeline has its schema here. Writing checks the rows
against it and ends in a rename, so that a file either is whole or is not there;
page checksums let a reader notice a damaged file. Reading an unexpected schema
names the file, the column, what was expected and what was found.
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

METADATA_KEY = b"attention_audit"

# The identity of a run, carried by every table that belongs to one.
RUN_COLUMNS = ("dataset", "encoder", "scorer", "normalizer", "seed")

_RUN_FIELDS = [
    pa.field("dataset", pa.string(), nullable=False),
    pa.field("encoder", pa.string(), nullable=False),
    pa.field("scorer", pa.string(), nullable=False),
    pa.field("normalizer", pa.string(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
]


def _schema(*fields: tuple, run: bool = True) -> pa.Schema:
    """A schema from (name, type[, nullable]) triples, after the run's identity."""
    own = [
        pa.field(name, type_, nullable=bool(nullable))
        for name, type_, *nullable in fields
    ]
    return pa.schema((_RUN_FIELDS if run else []) + own)


_floats = pa.list_(pa.float32())
_NULLABLE = True

SCHEMAS: dict[str, pa.Schema] = {
    # fetch: what a hub data set looked like at the pinned revision
    "documents": _schema(
        ("split", pa.string()),
        ("text", pa.string(), _NULLABLE),
        ("label", pa.string(), _NULLABLE),
        run=False,
    ),
    # prepare
    "examples": _schema(
        ("dataset", pa.string()),
        ("instance_id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("token_ids", pa.list_(pa.int32())),
        ("label", pa.int32()),
        ("length", pa.int32()),
        run=False,
    ),
    "vocabulary": _schema(
        ("dataset", pa.string()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("count", pa.int64()),
        # the pretrained vector; null without one
        ("vector", _floats, _NULLABLE),
        run=False,
    ),
    # train
    "history": _schema(
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("dev_loss", pa.float64()),
        ("dev_accuracy", pa.float64()),
        ("dev_macro_f1", pa.float64()),
        ("best", pa.bool_()),
    ),
    # attribute: a row an instance, lists as long as the input
    "attention": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("label", pa.int32()),
        ("predicted", pa.int32()),
        ("probabilities", _floats),
        ("attention", _floats),
        ("support", pa.int32()),
        ("entropy", pa.float32()),
    ),
    "importance": _schema(
        ("method", pa.string()),
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("importance", _floats),
    ),
    "influence": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # one value a hidden state
        ("dispersion", _floats),
        ("coindexed_share", _floats),
        ("coindexed_rank", pa.list_(pa.int32())),
        # (hidden state, input) norms; kept for a few instances only
        ("matrix", pa.list_(_floats), _NULLABLE),
    ),
    # explain: experiments that intervene, a row an instance and variant of it; null
    # where the experiment cannot be made
    "permutation": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        # which positions exchange their weights
        ("kind", pa.string()),
        ("difference", pa.float64(), _NULLABLE),
    ),
    "adversarial": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        ("constraint", pa.string()),
        ("found", pa.bool_()),
        ("divergence", pa.float64(), _NULLABLE),
        ("output_difference", pa.float64()),
        # the farthest weights, or the model's own where none were found
        ("attention", _floats),
    ),
    "flips": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        ("support", pa.int32()),
        ("order", pa.string()),
        # weights removed when the decision flips; the whole support where it stands
        ("removed", pa.float64(), _NULLABLE),
    ),
    "erasure": _schema(
        ("instance_id", pa.string()),
        ("length", pa.int32()),
        # what ranks the tokens
        ("subject", pa.string()),
        # one value a share of tokens
        ("comprehensiveness", _floats),
        ("sufficiency", _floats),
    ),
    "seed_variance": _schema(
        ("instance_id", pa.string()),
        ("other_seed", pa.int64()),
        ("divergence", pa.float64(), _NULLABLE),
    ),
    # measure: a row an (instance, measure); null where the measure is undefined
    "measures": _schema(
        ("instance_id", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("value", pa.float64(), _NULLABLE),
    ),
    # compare: over instances and seeds; null where undefined
    "summary": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("mean", pa.float64(), _NULLABLE),
        ("low", pa.float64(), _NULLABLE),
        ("high", pa.float64(), _NULLABLE),
        ("sd_instances", pa.float64(), _NULLABLE),
        ("sd_seeds", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        ("n_undefined", pa.int64()),
        run=False,
    ),
    "comparison": _schema(
        ("dataset", pa.string()),
        ("encoder", pa.string()),
        ("scorer", pa.string()),
        ("normalizer", pa.string()),
        ("baseline", pa.string()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("difference", pa.float64(), _NULLABLE),
        ("low", pa.float64(), _NULLABLE),
        ("high", pa.float64(), _NULLABLE),
        ("seed_low", pa.float64(), _NULLABLE),
        ("seed_high", pa.float64(), _NULLABLE),
        ("p", pa.float64(), _NULLABLE),
        ("p_corrected", pa.float64(), _NULLABLE),
        ("correction", pa.string()),
        ("rank_biserial", pa.float64(), _NULLABLE),
        ("cohens_d", pa.float64(), _NULLABLE),
        ("n_instances", pa.int64()),
        ("n_seeds", pa.int64()),
        run=False,
    ),
    # explain: the instances of all runs, for figures that show them
    "explanation_points": _schema(
        ("instance_id", pa.string()),
        ("predicted", pa.int32()),
        ("max_attention", pa.float64()),
        ("measure", pa.string()),
        ("subject", pa.string()),
        ("reference", pa.string(), _NULLABLE),
        ("value", pa.float64(), _NULLABLE),
    ),
    "task": _schema(
        # null for what belongs to the run as a whole
        ("split", pa.string(), _NULLABLE),
        ("metric", pa.string()),
        ("value", pa.float64(), _NULLABLE),
    ),
}
# Statistics over the experiments have the form of those over the measures.
SCHEMAS["explanation_summary"] = SCHEMAS["summary"]
SCHEMAS["explanation_comparison"] = SCHEMAS["comparison"]


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
