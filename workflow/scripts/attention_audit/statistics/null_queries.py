"""Queries that attend to nothing, by the class of their words.

A query of the encoder is a source word. One of the decoder, or of its attention to the
source, is the step that predicts a target word, which has the class of the source word
that people are sure it is linked to, the first of several; `UNALIGNED` where it is linked
to none, and `END` where the step predicts the end. Sentence pairs without classes or
links are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attention_audit.records import tables
from attention_audit.records.decision_ids import parts
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.alignment_summary import CELL, linearized
from attention_audit.statistics.distributions import Mask
from attention_audit.statistics.estimates import Settings, summarise
from attention_audit.statistics.in_step import check_run

UNALIGNED, END = "unaligned", "end"
ENCODER = "encoder"


def word_classes(path: str | Path) -> dict[str, tuple[list[str], list[str]]]:
    """The classes of the queries of a split's pairs: source words (S), steps (T + 1)."""
    columns = ["instance_id", "target_length", "sure", "source_classes"]
    found = {}
    for table in tables.iterate_table(path, "sentence_pairs", columns=columns):
        for row in table.to_pylist():
            if row["sure"] is None or row["source_classes"] is None:
                continue
            first: dict[int, int] = {}
            for link in row["sure"]:
                target, source = link["target"], link["source"]
                first[target] = min(source, first.get(target, source))
            steps = [
                row["source_classes"][first[t]] if t in first else UNALIGNED
                for t in range(row["target_length"])
            ]
            found[row["instance_id"]] = row["source_classes"], [*steps, END]
    return found


def write_null_queries(
    table: TableWriter,
    run: Mapping[str, Any],
    kind: str,
    layer: int,
    instance_ids: Sequence[str],
    nothing: Mask,
    classes: Mapping[str, tuple[list[str], list[str]]],
) -> None:
    """Count the queries of a layer that attend to nothing: ``nothing`` (R, nh, q).

    ``instance_ids`` (R,) are decisions of the sentence pairs, ``classes`` theirs.
    """
    rows: dict[str, list] = {
        name: [] for name in ("instance_id", "head", "word_class", "queries", "null")
    }
    for instance, of_pair in zip(instance_ids, nothing, strict=True):
        pair, _ = parts(instance)
        if pair not in classes:
            continue
        own = classes[pair][0 if kind == ENCODER else 1]
        names, places = np.unique(own, return_inverse=True)
        met = np.bincount(places)
        for head, of_head in enumerate(of_pair[:, : len(own)]):
            rows["instance_id"] += [pair] * len(names)
            rows["head"] += [head] * len(names)
            rows["word_class"] += names.tolist()
            rows["queries"] += met.tolist()
            rows["null"] += np.bincount(places, of_head).astype(int).tolist()
    if rows["head"]:
        table.write({**run, "kind": kind, "layer": layer, **rows})


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
    cells: dict[tuple, list[pd.DataFrame]] = {}
    for run, source in zip(runs, paths, strict=True):
        table = tables.read_table(source, "null_queries")
        check_run(table, run, source)
        cell = tuple(run[column] for column in CELL)
        if len(table):
            cells.setdefault(cell, []).append(table.to_pandas())
    frames = {cell: pd.concat(cells[cell]) for cell in sorted(cells)}
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
