"""Tables of runs as data frames, by cell of the grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.in_step import check_run


def frames_by_cell(
    runs: Sequence[Mapping[str, object]], paths: Sequence[str | Path], schema: str
) -> dict[tuple, pd.DataFrame]:
    """The rows of the tables of runs, those of all seeds of a cell together, cells sorted.

    ``runs`` holds the identity of each of ``paths``. Cells without any row are left out.
    """
    found: dict[tuple, list[pd.DataFrame]] = {}
    for run, path in zip(runs, paths, strict=True):
        table = tables.read_table(path, schema)
        check_run(table, run, path)
        if len(table):
            cell = tuple(run[column] for column in RUN_COLUMNS[:-1])
            found.setdefault(cell, []).append(table.to_pandas())
    return {cell: pd.concat(found[cell]) for cell in sorted(found)}
