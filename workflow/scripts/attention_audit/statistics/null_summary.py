"""Queries that attend to nothing, over sentence pairs and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attention_audit.records import tables
from attention_audit.statistics.alignment_summary import CELL, linearized
from attention_audit.statistics.estimates import Settings, summarise
from attention_audit.statistics.frames import frames_by_cell


def null_table(
    runs: Sequence[Mapping[str, Any]],
    paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "null_summary": a row a cell, kind, layer and class of words.

    The share is over the queries of all heads of a layer and of all sentence pairs
    together; one without a layer or a class is over all of these.
    """
    frames = frames_by_cell(runs, paths, "null_queries")
    written = [
        row
        # what lends strength: classes to classes, and layers to layers
        for more in ([], ["layer"], ["word_class"], ["layer", "word_class"])
        for row in _rows(frames, ["kind", *more], settings)
    ]
    written.sort(
        key=lambda row: (
            *(row[name] for name in (*CELL, "kind")),
            -1 if row["layer"] is None else row["layer"],
            row["word_class"] or "",
        )
    )
    tables.write_rows(path, "null_summary", written, provenance)


def _rows(
    cells: Mapping[tuple, pd.DataFrame], keys: Sequence[str], settings: Settings
) -> Iterator[dict[str, Any]]:
    """A row a cell and value of ``keys``, over all queries that have it."""
    rows, matrices = [], []
    for cell, frame in cells.items():
        by_pair = frame.groupby([*keys, "instance_id", "seed"])[["null", "queries"]]
        wide = by_pair.sum().unstack("seed").astype(np.float64)
        for key, part in wide.groupby(level=keys):
            rows.append(
                {"layer": None, "word_class": None}
                | dict(zip(CELL, cell, strict=True))
                | dict(zip(keys, key, strict=True))
                | {"n_queries": int(part["queries"].iloc[:, 0].sum())}
            )
            sides = (part[name].to_numpy() for name in ("null", "queries"))
            matrices.append(linearized(*sides))
    for row, one in zip(rows, summarise(matrices, settings), strict=True):
        yield row | asdict(one)
