"""The rows that decide a claim: of finished tables, or from the measures of the runs.

A row names a cell and what it is about, and has an estimate with what is known of it.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attention_audit.statistics.estimates import (
    Compared,
    Interval,
    Settings,
    intervals,
    of_pairs,
)
from attention_audit.statistics.matrices import GROUP_COLUMNS, Key, Matrix, groups
from attention_audit.statistics.random_effects import Floats, moments
from attention_audit.statistics.reaction_summary import matrices_of

CELL = (*GROUP_COLUMNS, "normalizer")

_KEY = ("measure", "subject", "reference")

# What a row says of itself and a pooled row of all of them, where they agree.
ABOUT = ("measure", "subject", "reference", "less")

KNOWN = (
    *("estimate", "low", "high", "interval_over", "interval_method"),
    *("standard_error", "df"),
)


# What tables about reactions have in the place of a measure and of instances.
_OF_REACTIONS = {"metric": "measure", "n_recordings": "n_instances"}


def matching(rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows that have one of the names in every column."""
    for column, names in where.items():
        rows = rows[rows[column].isin(names)]
    return rows


# --- of finished tables -------------------------------------------------------------


def of_table(claim: Mapping[str, Any], rows: pd.DataFrame) -> list[dict]:
    """The rows of a finished table that decide a claim."""
    value = "difference" if "difference" in rows else "mean"
    named = {value: "estimate"} | _OF_REACTIONS
    found = matching(rows, claim["where"]).rename(columns=named)
    # what tables lack that are of one thing, and of nothing by construction
    lacking = ("subject", "reference", "by_construction")
    found = found.assign(
        less=found.get("baseline"), **{column: found.get(column) for column in lacking}
    )
    remarks = ["n_instances", "n_seeds", "note", "by_construction"]
    found = found[[*CELL, *ABOUT, *KNOWN, *remarks]].astype(object)
    return found.where(found.notna(), None).to_dict("records")


def of_runs(
    claim: Mapping[str, Any], rows: pd.DataFrame, settings: Settings
) -> list[dict]:
    """The rows of a claim about scores: a value a run, or its difference from another.

    A score is one number a run, of a fixed set of texts: what is sampled is seeds. A
    difference between encoders or scorers is a row of the first of them.
    """
    where, less = claim["where"], claim["less"]
    about = [c for c in ("guide", "split", "metric") if c in rows]
    scores = matching(rows, where).assign(less=None)
    if less:
        kept = [c for c in about if c not in less]
        others = matching(rows, {**{c: where[c] for c in kept if c in where}, **less})
        keys = [*(c for c in CELL if c not in less), "seed", *kept]
        scores = scores.merge(others, on=keys, suffixes=("", "_less"))
        scores["less"] = ""
        for column in less:
            scores["less"] += f", {column} " + scores[f"{column}_less"]
        scores["less"] = scores["less"].str.removeprefix(", ")
        scores["value"] = scores["value"] - scores["value_less"]
    found = []
    keys = [*CELL, *about, "less"]
    for named, part in scores.groupby(keys, dropna=False, sort=True):
        row = dict(zip(keys, named, strict=True))
        values = part.sort_values("seed")["value"].to_numpy(dtype=np.float64)
        (interval,) = intervals([moments(values[:, None])], settings)
        found.append(
            {column: row[column] for column in CELL}
            | {
                "measure": row["metric"],
                "subject": row.get("guide"),
                "reference": None,
                "less": row["less"] if less else None,
            }
            | _of_interval(interval)
            | {
                "interval_over": "seeds" if interval.interval_over else None,
                "n_instances": None,
                "n_seeds": int((~np.isnan(values)).sum()),
                "note": "over seeds alone, of one set of test texts",
                "by_construction": None,
            }
        )
    return found


def of_reactions(
    claim: Mapping[str, Any], scores: str | Path, settings: Settings
) -> list[dict]:
    """The rows of a claim about differences of scores, of a table "reaction_scores".

    They are paired by recording, reaction and seed, and cells of a metric lend each other
    strength. A row is named as the first of the two.
    """
    where, less = claim["where"], claim["less"]
    matrices = matrices_of(scores)

    def chosen(names: Mapping[str, Sequence[str]]) -> list:
        return [
            key
            for key in matrices
            if all(getattr(key, c) in allowed for c, allowed in names.items())
        ]

    pairs = [
        (one, other)
        for one, other in itertools.product(chosen(where), chosen({**where, **less}))
        if one != other
        and all(
            a == b or c in less for c, a, b in zip(one._fields, one, other, strict=True)
        )
    ]
    compared = []
    for one, other in pairs:
        a, b, recordings = matrices[one].less(matrices[other])
        compared.append(Compared.of(a, b, clusters=recordings))
    pools: dict[tuple, list[int]] = {}
    for i, (one, other) in enumerate(pairs):
        pools.setdefault((one.metric, one.subject, other.subject), []).append(i)
    rows: dict[int, dict] = {}
    for members in pools.values():
        known = intervals([compared[i].moments for i in members], settings)
        for i, interval in zip(members, known, strict=True):
            one, other = pairs[i]
            found = compared[i].comparison(interval, np.nan, settings.confidence)
            rows[i] = (
                {column: getattr(one, column) for column in CELL}
                | {
                    "measure": one.metric,
                    "subject": one.subject,
                    "reference": None,
                    "less": _difference_of(one._asdict(), other._asdict()),
                }
                | _of_interval(interval)
                | {
                    "n_instances": found.n_clusters,
                    "n_seeds": found.n_seeds,
                    "note": found.note,
                    "by_construction": None,
                }
            )
    return [rows[i] for i in range(len(pairs))]


def _difference_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What the other of two is named where they differ."""
    return ", ".join(f"{c} {o}" for c, o in other.items() if o != one[c])


# --- from the measures of the runs --------------------------------------------------


def as_pairs(values: Floats) -> Floats:
    """The mean of a seed's value and every other's, as a mean over its pairs (I, S).

    What stands against pairs of seeds has to be a mean over the same pairs: the mean
    over seeds is the same, and the jackknife over pairs gives back the variance that
    the values have as they are.
    """
    present = ~np.isnan(values)
    n = present.sum(axis=1, keepdims=True)
    total = np.where(present, values, 0).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (values + (total - values) / (n - 1)) / 2


@dataclass(frozen=True)
class _Measured:
    """One measure in one cell; ``named`` is both, by column."""

    named: dict[str, str | None]
    key: Key
    matrix: Matrix


def _difference(one: _Measured, other: _Measured) -> tuple[Compared, bool]:
    """One measure less another, and whether over pairs of seeds."""
    *sides, clusters = one.matrix.paired(other.matrix)
    over_pairs = [of_pairs(side.key) for side in (one, other)]
    pairs = any(over_pairs)
    if pairs:
        # where one side has no value the other has no pair
        defined = ~np.isnan(sides[0] - sides[1])
        sides = [
            values if already else as_pairs(np.where(defined, values, np.nan))
            for values, already in zip(sides, over_pairs, strict=True)
        ]
    return Compared.of(*sides, pairs, clusters), pairs


def of_measures(
    claims: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, object]],
    paths: Sequence[str | Path],
    examples: Mapping[str, str | Path],
    settings: Settings,
) -> dict[str, list[dict]]:
    """For claims about differences, within a cell or between two, their rows.

    They are made from the runs' measures. The row of a difference between cells names the
    first. Data sets that are compared have instances in common, by their ids.
    """
    together = {
        name
        for claim in claims
        if "dataset" in claim["less"]
        for name in (*claim["where"]["dataset"], *claim["less"]["dataset"])
        if name in examples
    }
    found: dict[tuple[str, Key, Key], list[tuple[dict, Compared, bool]]] = {}
    for claim, one, other in _pairs(
        claims, groups(runs, paths, (), examples, sorted(together))
    ):
        less = _difference_of(one.named, other.named)
        found.setdefault((claim, one.key, other.key), []).append(
            (one.named | {"less": less}, *_difference(one, other))
        )
    rows: dict[str, list[dict]] = {claim["claim"]: [] for claim in claims}
    for (name, *_), cells in found.items():
        pairs = cells[0][2]
        known = intervals([one.moments for _, one, _ in cells], settings, pairs)
        for (row, one, _), interval in zip(cells, known, strict=True):
            compared = one.comparison(interval, np.nan, settings.confidence)
            rows[name].append(
                row
                | _of_interval(interval)
                | {
                    "n_instances": compared.n_instances,
                    "n_seeds": compared.n_seeds,
                    "note": compared.note,
                    "by_construction": None,
                }
            )
    return rows


def _pairs(
    claims: Sequence[Mapping[str, Any]],
    measured: Iterable[tuple[tuple[str, ...], dict[str, dict[Key, Matrix]]]],
) -> Iterator[tuple[str, _Measured, _Measured]]:
    """What each claim names, and what is taken off it, wherever both are there.

    ``measured`` is what `groups` yields. Of a claim between cells, all that it names is
    kept until the last group; of one within a cell, nothing.
    """
    between: dict[str, tuple[list[_Measured], list[_Measured]]] = {}
    for group, normalizers in measured:
        for normalizer, measures in normalizers.items():
            cell = dict(zip(CELL, (*group, normalizer), strict=True))
            of_cell = [
                _Measured(cell | dict(zip(_KEY, key, strict=True)), key, matrix)
                for key, matrix in measures.items()
            ]
            for claim in claims:
                sides = _sides(claim, of_cell)
                if {*CELL} & claim["less"].keys():
                    kept = between.setdefault(claim["claim"], ([], []))
                    for all_of_side, side in zip(kept, sides, strict=True):
                        all_of_side += side
                else:
                    yield from _matched(claim, *sides)
    for claim in claims:
        if claim["claim"] in between:
            yield from _matched(claim, *between[claim["claim"]])


def _sides(
    claim: Mapping[str, Any], measured: Sequence[_Measured]
) -> tuple[list[_Measured], list[_Measured]]:
    """What a claim names, and what it would have taken off."""

    def named(names: Mapping[str, Sequence[str]]) -> list[_Measured]:
        return [
            one
            for one in measured
            if all(one.named[c] in allowed for c, allowed in names.items())
        ]

    return named(claim["where"]), named({**claim["where"], **claim["less"]})


def _matched(
    claim: Mapping[str, Any], ones: Iterable[_Measured], others: Iterable[_Measured]
) -> Iterator[tuple[str, _Measured, _Measured]]:
    """Pairs that differ in nothing but the columns of ``less``."""
    shared = [c for c in (*CELL, *_KEY) if c not in claim["less"]]
    for one, other in itertools.product(ones, others):
        if one is not other and all(one.named[c] == other.named[c] for c in shared):
            yield claim["claim"], one, other


def _of_interval(interval: Interval) -> dict[str, Any]:
    """The columns of an estimate and what is known of it."""
    return {
        "estimate": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "interval_over": interval.interval_over,
        "interval_method": interval.interval_method,
        "standard_error": interval.standard_error,
        "df": interval.df,
    }
