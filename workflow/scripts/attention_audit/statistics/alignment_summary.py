"""Alignment over sentence pairs and seeds: error rate, precision, recall, F1.

These are ratios of sums over all sentence pairs of a seed, averaged over seeds; average
precision is a mean over pairs. What is sampled is pairs and seeds, as elsewhere. A ratio
R = sum(a) / sum(b) of a seed is the mean over its pairs i of

    u_i = R + (a_i - R b_i) / mean(b)

and to first order its variance is that of this mean (Cochran 1977, sec. 2.11), so that
u, pairs by seeds, is a matrix as any other, and intervals and tests are those of
`estimates`. F1, of precision and recall, is taken to first order in both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from attention_audit.records import tables
from attention_audit.statistics.alignment import COUNTS, Counts
from attention_audit.statistics.alignment_counts import HEAD, RANKING
from attention_audit.statistics.estimates import (
    Compared,
    Settings,
    intervals,
    smallest_effect,
    summarise,
)
from attention_audit.statistics.families import correct_families
from attention_audit.statistics.frames import frames_by_cell
from attention_audit.statistics.measures import ALIGNMENT_MEASURES
from attention_audit.statistics.random_effects import Floats

CELL = ["dataset", "encoder", "scorer", "normalizer"]
# What is made of the heads of the layers below the attention of the audits: the mean of
# their figures, by layer and of all, and of each seed the one that was best on dev.
MEAN_HEAD, BEST_HEAD = "mean_head", "best_head"
# Differences that are corrected together have these in common.
FAMILIES = ("measure", "subject", "step", "links")

_KEYS = ["subject", "layer", "head", "step", "links"]
_VALUES = [*COUNTS, "average_precision", "on_dev"]


class Key(NamedTuple):
    """What was held against gold: None where a part does not apply."""

    subject: str
    layer: int | None
    head: int | None
    step: str | None
    links: str


class Matrix(NamedTuple):
    """Values (I, S) of one measure of a cell, by the ids and seeds of both axes."""

    pairs: Sequence[str]
    seeds: Sequence[int]
    values: Floats

    def paired(self, other: "Matrix") -> tuple[Floats, Floats]:
        """The values of both for the sentence pairs and seeds that both have."""
        frames = [pd.DataFrame(m.values, m.pairs, m.seeds) for m in (self, other)]
        a, b = frames[0].align(frames[1], join="inner")
        return a.to_numpy(), b.to_numpy()


# ---------------------------------------------------------------- ratios of sums


def linearized(above: Floats, below: Floats) -> Floats:
    """u (I, S), whose means over I are the ratios of the sums of both, (I, S) each.

    NaN where a value is, and in a seed whose denominators are all 0.
    """
    defined = ~np.isnan(above + below)
    n = defined.sum(0)
    a, b = (np.where(defined, values, 0).sum(0) for values in (above, below))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = a / b
        return ratio + (above - ratio * below) * n / b


def corpus_measures(counts: Counts) -> dict[str, Floats]:
    """The error rate, precision, recall and F1 of counts (I, S), as `linearized` is."""
    right = counts.found_sure + counts.found_possible
    precision = linearized(counts.found_possible, counts.found)
    recall = linearized(counts.found_sure, counts.sure)
    p, r = (_column_means(values) for values in (precision, recall))
    with np.errstate(invalid="ignore", divide="ignore"):
        total = p + r
        f1 = 2 * p * r / total
        f1 = f1 + 2 * (r**2 * (precision - p) + p**2 * (recall - r)) / total**2
    # nothing right: 0 in every sample as this one
    f1 = np.where(total == 0, 0.0, f1)
    return {
        "error_rate": 1 - linearized(right, counts.found + counts.sure),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def _column_means(values: Floats) -> Floats:
    """Means over the first axis of what is defined; NaN where nothing is."""
    return _means(values, 0)


def _means(values: Floats, axis: int) -> Floats:
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis) / defined.sum(axis)


# ---------------------------------------------------------------- cells


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value


def _by_key(frame: pd.DataFrame) -> Iterator[tuple[Key, pd.DataFrame]]:
    """What was held against gold in a cell, and its values: pairs by (value, seed)."""
    wide = frame.set_index([*_KEYS, "instance_id", "seed"])[_VALUES].unstack("seed")
    wide = wide.astype(np.float64)
    for key, part in wide.groupby(level=_KEYS, dropna=False, sort=True):
        subject, layer, head, step, links = (_none(name) for name in key)
        numbers = (None if n is None else int(n) for n in (layer, head))
        yield Key(subject, *numbers, step, links), part.droplevel(_KEYS)


def matrices_of(frame: pd.DataFrame) -> dict[tuple[Key, str], Matrix]:
    """The matrices of a cell, by what was held against gold and measure.

    ``frame`` holds rows of the table "alignment" of all seeds of the cell.
    """
    found: dict[tuple[Key, str], Matrix] = {}
    on_dev: dict[Key, Floats] = {}
    for key, part in _by_key(frame):
        pairs, seeds = list(part.index), list(part["found"].columns)
        values = {name: part[name].to_numpy() for name in _VALUES}
        if key.links == RANKING:
            measures = {"average_precision": values["average_precision"]}
        else:
            measures = corpus_measures(Counts(*(values[n] for n in COUNTS)))
        for measure, matrix in measures.items():
            found[key, measure] = Matrix(pairs, seeds, matrix)
        on_dev[key] = _column_means(values["on_dev"])
    return found | _of_heads(found, on_dev)


def _of_heads(
    found: Mapping[tuple[Key, str], Matrix], on_dev: Mapping[Key, Floats]
) -> dict[tuple[Key, str], Matrix]:
    """The same of all heads together: means by layer, of all, and the best on dev."""
    groups: dict[tuple[Key, str], list[tuple[Key, Matrix]]] = {}
    for (key, measure), matrix in found.items():
        if key.subject == HEAD:
            for layer in (key.layer, None):
                mean = key._replace(subject=MEAN_HEAD, layer=layer, head=None)
                groups.setdefault((mean, measure), []).append((key, matrix))
    made = {}
    for (mean, measure), heads in groups.items():
        first = heads[0][1]
        values = np.stack([matrix.values for _, matrix in heads])  # (heads, I, S)
        made[mean, measure] = first._replace(values=_means(values, 0))
        if mean.layer is None:
            chosen = _best(np.stack([on_dev[key] for key, _ in heads]), measure)
            best = np.where(
                chosen < 0, np.nan, values[chosen, :, np.arange(len(chosen))].T
            )
            key = mean._replace(subject=BEST_HEAD)
            made[key, measure] = first._replace(values=best)
    return made


def _best(on_dev: Floats, measure: str) -> np.ndarray:
    """Of each seed of ``on_dev`` (heads, S) the best head, the first of equals.

    -1 where nobody aligned the dev pairs.
    """
    loss = -on_dev if measure == "average_precision" else on_dev
    loss = np.where(np.isnan(loss), np.inf, loss)
    return np.where(np.isinf(loss).all(0), -1, loss.argmin(0))


def _cells(
    runs: Sequence[Mapping[str, Any]], paths: Sequence[str | Path]
) -> dict[tuple, dict[tuple[Key, str], Matrix]]:
    """The matrices of every cell of the grid, in order."""
    frames = frames_by_cell(runs, paths, "alignment")
    return {cell: matrices_of(frame) for cell, frame in frames.items()}


def _floors(paths: Mapping[str, str | Path]) -> dict[tuple, dict]:
    """The same of the floors of each data set, which have no seeds."""
    found = {}
    for dataset, path in sorted(paths.items()):
        frame = tables.read_table(path, "alignment_floors").to_pandas()
        if len(frame):
            without = dict.fromkeys(("layer", "head", "step"))
            found[dataset, None, None, None] = matrices_of(
                frame.assign(seed=0, **without)
            )
    return found


# ---------------------------------------------------------------- tables


def _order(key: Key, measure: str, methods: Sequence[str]) -> tuple:
    places = {name: i for i, name in enumerate(methods)}
    rank = -1 if key.subject == "attention" else places.get(key.subject, len(places))

    def number(value: int | None) -> int:
        return -1 if value is None else value

    return (
        rank,
        key.subject,
        number(key.layer),
        number(key.head),
        key.step or "",
        key.links,
        ALIGNMENT_MEASURES.index(measure),
    )


def _in_order(
    matrices: Mapping[tuple[Key, str], Matrix], methods: Sequence[str]
) -> list[tuple[Key, str]]:
    return sorted(matrices, key=lambda place: _order(*place, methods))


def alignment_tables(
    runs: Sequence[Mapping[str, Any]],
    paths: Sequence[str | Path],
    floors: Mapping[str, str | Path],
    methods: Sequence[str],
    settings: Settings,
    provenance: Mapping[str, Any],
    summary: str | Path,
    comparison: str | Path,
) -> None:
    """Write the tables "alignment_summary" and "alignment_comparison".

    ``runs`` holds the identity of each of ``paths``, tables of schema "alignment", and
    ``floors`` by data set those of schema "alignment_floors". Cells of a measure lend each
    other strength as in `inference`; floors lend none.
    """
    cells = _cells(runs, paths)
    tables.write_rows(
        summary,
        "alignment_summary",
        _summary_rows(cells | _floors(floors), methods, settings),
        provenance,
    )
    tables.write_rows(
        comparison,
        "alignment_comparison",
        _comparison_rows(cells, methods, settings),
        provenance,
    )


def _pool(cell: tuple, key: Key, measure: str) -> tuple:
    """What lends each other strength: the same question of all cells, and of all heads."""
    floor = cell[-1] is None
    return floor, key._replace(layer=key.layer is None, head=None), measure


def _summary_rows(
    cells: Mapping[tuple, Mapping[tuple[Key, str], Matrix]],
    methods: Sequence[str],
    settings: Settings,
) -> list[dict[str, Any]]:
    places = [
        (cell, *place, matrices[place])
        for cell, matrices in cells.items()
        for place in _in_order(matrices, methods)
    ]
    pools: dict[tuple, list[int]] = {}
    for i, (cell, key, measure, _) in enumerate(places):
        pools.setdefault(_pool(cell, key, measure), []).append(i)
    rows: list[dict[str, Any]] = [{} for _ in places]
    for members in pools.values():
        known = summarise([places[i][-1].values for i in members], settings)
        for i, one in zip(members, known, strict=True):
            cell, key, measure, _ = places[i]
            rows[i] = (
                dict(zip(CELL, cell, strict=True))
                | key._asdict()
                | {"measure": measure}
                | asdict(one)
            )
    return rows


def _comparison_rows(
    cells: Mapping[tuple, Mapping[tuple[Key, str], Matrix]],
    methods: Sequence[str],
    settings: Settings,
) -> list[dict[str, Any]]:
    """Each normalizer less the reference, of what both models have."""
    rows, found = [], []
    for cell, matrices in cells.items():
        baseline = cells.get((*cell[:-1], settings.reference), {})
        if cell[-1] == settings.reference:
            continue
        for key, measure in _in_order(matrices, methods):
            # a head is another in every model
            if key.layer is None and (key, measure) in baseline:
                rows.append(
                    dict(zip(CELL, cell, strict=True))
                    | {"baseline": settings.reference, "measure": measure}
                    | key._asdict()
                    | {"correction": settings.correction}
                )
                sides = matrices[key, measure].paired(baseline[key, measure])
                found.append(Compared.of(*sides))
    pools: dict[tuple, list[int]] = {}
    for i, row in enumerate(rows):
        pools.setdefault(tuple(row[name] for name in FAMILIES), []).append(i)
    for members in pools.values():
        known = intervals([found[i].moments for i in members], settings)
        for i, interval in zip(members, known, strict=True):
            smallest = smallest_effect(rows[i]["measure"], settings)
            one = found[i].comparison(interval, smallest, settings.confidence)
            rows[i] |= asdict(one)
    correct_families(rows, replace(settings, families=FAMILIES))
    return rows
