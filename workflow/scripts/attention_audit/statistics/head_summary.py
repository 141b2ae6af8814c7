"""Heads over instances and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attention_audit.records import tables
from attention_audit.statistics.estimates import Settings, summarise
from attention_audit.statistics.frames import frames_by_cell
from attention_audit.statistics.matrices import cluster_ids, cluster_places

CELL = ["dataset", "encoder", "scorer", "normalizer"]
MEASURES = ["sparsity", "support", "null", "entropy", "divergence"]


def head_table(
    runs: Sequence[Mapping[str, object]],
    paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
    examples: Mapping[str, str | Path],
) -> None:
    """Write the table "head_summary": a row a cell, kind of attention, layer, head and
    measure.

    ``runs`` holds the identity of each of ``paths``, tables of schema "heads", and
    ``examples`` by data set the table that says what its instances share. A row
    without a head is about its layer: the mean over the heads of an instance, which for
    ``divergence`` is the Jensen-Shannon divergence between them.
    """
    shared = {name: cluster_ids(source) for name, source in examples.items()}
    clusters: dict[tuple[str, bool], list] = {}
    rows: dict[tuple[str, bool], list[dict]] = {}
    matrices: dict[tuple[str, bool], list] = {}
    for cell, frame in frames_by_cell(runs, paths, "heads").items():
        layers, values = ["kind", "layer"], ["instance_id", "seed"]
        of_heads = frame.set_index([*layers, "head", *values])[MEASURES]
        of_layers = frame.groupby([*layers, *values])[MEASURES].mean()
        groups = {
            **{key: part for key, part in of_heads.groupby([*layers, "head"])},
            **{(*key, None): part for key, part in of_layers.groupby(layers)},
        }
        for (attention, layer, head), part in groups.items():
            for measure in MEASURES:
                values = part[measure].groupby(["instance_id", "seed"]).first()
                # heads lend strength to heads, and layers to layers
                kind = (measure, head is None)
                matrix = values.unstack("seed")
                matrices.setdefault(kind, []).append(matrix.to_numpy())
                clusters.setdefault(kind, []).append(
                    cluster_places(matrix.index, shared[cell[0]], examples[cell[0]])
                )
                rows.setdefault(kind, []).append(
                    dict(zip(CELL, cell, strict=True))
                    | {"kind": attention, "layer": layer, "head": head}
                    | {"measure": measure}
                )
    written = [
        row | asdict(summary)
        for kind in rows
        for row, summary in zip(
            rows[kind],
            summarise(matrices[kind], settings, clusters=clusters[kind]),
            strict=True,
        )
    ]
    written.sort(key=_place)
    tables.write_rows(path, "head_summary", written, provenance)


def _place(row: Mapping[str, Any]) -> tuple:
    """Where a row stands: heads before their layers, measures in their order."""
    cell = tuple(row[column] for column in CELL)
    head = row["head"]
    return (
        *cell,
        head is None,
        row["kind"],
        row["layer"],
        -1 if head is None else head,
        MEASURES.index(row["measure"]),
    )
