"""Where the sampling points of deformable merging come to lie, over pictures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.statistics.in_step import check_run

# Of a cell, two by two.
POINTS = 4


def _lists(table: pa.Table, column: str, size: int, path: str | Path) -> np.ndarray:
    """A list column as float64 (B, size)."""
    lists = table[column].combine_chunks()
    if pc.any(pc.not_equal(lists.value_lengths(), size)).as_py():
        raise tables.mismatch(path, f"'{column}' has not {size} values in every row")
    return lists.flatten().to_numpy().astype(np.float64).reshape(len(table), size)


def _of_merging(table: pa.Table, path: str | Path) -> Iterator[dict[str, Any]]:
    """A row a sampling point of the merging whose rows of all pictures are given."""
    rows, columns = (table[name][0].as_py() for name in ("rows", "columns"))
    across = -(-columns // 2)
    size = POINTS * -(-rows // 2) * across
    down, right = (_lists(table, name, size, path) for name in ("down", "right"))
    length = np.hypot(down, right)
    found = {}
    for name, values in {"down": down, "right": right, "distance": length}.items():
        found[name] = values.mean(0)
        several = len(values) > 1
        spread = values.std(0, ddof=1) if several else np.full(size, np.nan)
        found[f"sd_{name}"] = spread
    for n in range(size):
        cell, point = divmod(n, POINTS)
        yield {
            "rows": rows,
            "columns": columns,
            "cell": cell,
            "point": point,
            "row": 2 * (cell // across) + point // 2,
            "column": 2 * (cell % across) + point % 2,
            **{name: values[n] for name, values in found.items()},
            "n_instances": len(table),
        }


def offset_table(
    runs: Sequence[Mapping[str, Any]],
    paths: Sequence[str | Path],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "offset_summary": a row a run, merging, cell and sampling point.

    ``runs`` holds the identity of each of ``paths``, tables of schema "offsets". Runs are
    not pooled: which way a point moves is another matter in every seed.
    """
    written = []
    for run, source in zip(runs, paths, strict=True):
        table = tables.read_table(source, "offsets")
        check_run(table, run, source)
        for merging in sorted(pc.unique(table["merging"]).to_pylist()):
            of_merging = table.filter(pc.equal(table["merging"], merging))
            written += [
                {**run, "merging": merging, **row}
                for row in _of_merging(of_merging, source)
            ]
    tables.write_rows(path, "offset_summary", written, provenance)
