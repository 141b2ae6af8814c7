"""The rows that decide a claim: of finished tables, or from the measures of the runs.

A row names a cell and what it is about, and has an estimate with what is known of it.
"""

from collections.abc import Iterator, Mapping, Sequence
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

CELL = (*GROUP_COLUMNS, "normalizer")

# What a row says of itself and a pooled row of all of them, where they agree.
ABOUT = ("measure", "subject", "reference", "less")

KNOWN = (
    *("estimate", "low", "high", "interval_over", "interval_method"),
    *("standard_error", "df"),
)


def matching(rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows that have one of the names in every column."""
    for column, names in where.items():
        rows = rows[rows[column].isin(names)]
    return rows


# --- of finished tables -------------------------------------------------------------


def of_table(claim: Mapping[str, Any], rows: pd.DataFrame) -> list[dict]:
    """The rows of a finished table that decide a claim."""
    value = "difference" if "difference" in rows else "mean"
    found = matching(rows, claim["where"]).rename(columns={value: "estimate"})
    found = found.assign(less=found.get("baseline"))
    remarks = ["n_instances", "n_seeds", "note", "by_construction"]
    found = found[[*CELL, *ABOUT, *KNOWN, *remarks]].astype(object)
    return found.where(found.notna(), None).to_dict("records")


def of_runs(
    claim: Mapping[str, Any], rows: pd.DataFrame, settings: Settings
) -> list[dict]:
    """The rows of a claim about scores: a value a run, or its difference from another.

    A score is one number a run, of a fixed set of texts: what is sampled is seeds.
    """
    where, less = claim["where"], claim["less"]
    about = [c for c in ("guide", "split", "metric") if c in rows]
    scores = matching(rows, where).assign(less=None)
    if less:
        kept = [c for c in about if c not in less]
        others = matching(rows, {**{c: where[c] for c in kept if c in where}, **less})
        keys = [*CELL, "seed", *kept]
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


def _difference(
    key: Key, other: Key, measures: Mapping[Key, Matrix]
) -> tuple[Compared, bool]:
    """One measure less another of the same runs, and whether over pairs of seeds."""
    *sides_of_both, clusters = measures[key].paired(measures[other])
    values = dict(zip((key, other), sides_of_both, strict=True))
    pairs = any(map(of_pairs, values))
    if pairs:
        # where one side has no value the other has no pair
        defined = ~np.isnan(values[key] - values[other])
        values = {
            k: v if of_pairs(k) else as_pairs(np.where(defined, v, np.nan))
            for k, v in values.items()
        }
    return Compared.of(values[key], values[other], pairs, clusters), pairs


def of_measures(
    claims: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, object]],
    paths: Sequence[str | Path],
    examples: Mapping[str, str | Path],
    settings: Settings,
) -> dict[str, list[dict]]:
    """For claims about differences within a cell, their rows, from the runs' measures."""
    columns = ("measure", "subject", "reference")
    found: dict[tuple[str, Key, Key], list[tuple[dict, Compared, bool]]] = {}
    for group, normalizers in groups(runs, paths, (), examples):
        for normalizer, measures in normalizers.items():
            cell = dict(zip(CELL, (*group, normalizer), strict=True))
            for claim in claims:
                for key, other in _pairs_of_keys(claim, cell, columns, measures):
                    about = dict(zip(columns, key, strict=True))
                    less = ", ".join(
                        f"{c} {o}"
                        for c, k, o in zip(columns, key, other, strict=True)
                        if k != o
                    )
                    found.setdefault((claim["claim"], key, other), []).append(
                        (
                            cell | about | {"less": less},
                            *_difference(key, other, measures),
                        )
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


def _pairs_of_keys(
    claim: Mapping[str, Any],
    cell: Mapping[str, str],
    columns: Sequence[str],
    measures: Mapping[Key, Matrix],
) -> Iterator[tuple[Key, Key]]:
    """Keys of a cell that a claim names, each with those that are taken off it."""
    where, less = claim["where"], claim["less"]
    if any(cell[c] not in where[c] for c in CELL if c in where):
        return

    def named(key: Key, names: Mapping[str, Sequence[str]]) -> bool:
        return all(
            k in names[c] for c, k in zip(columns, key, strict=True) if c in names
        )

    for key in measures:
        if not named(key, where):
            continue
        for other in measures:
            kept = (c not in less for c in columns)
            same = all(
                k == o for k, o, as_is in zip(key, other, kept, strict=True) if as_is
            )
            if same and named(other, less):
                yield key, other


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
