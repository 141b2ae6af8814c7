"""Whether a claim is supported, contradicted or undecided, a cell and over all cells.

A rule is a bound and a side. Interval, degrees of freedom and hence both one-sided tests
come from the model of the statistics (`random_effects`): a claim is supported where its
opposite is rejected, contradicted where the claim is. Each side is corrected over the
cells of a claim, so that neither verdict is false in any of them more often than promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

from attention_audit.records import tables
from attention_audit.statistics.estimates import (
    MIN_SEEDS,
    Settings,
    joined,
)
from attention_audit.statistics.evidence import (
    ABOUT,
    CELL,
    KNOWN,
    of_measures,
    of_reactions,
    of_runs,
    of_table,
)
from attention_audit.statistics.families import correct
from attention_audit.statistics.random_effects import Floats, t_interval

VERDICTS = ("supported", "contradicted", "undecided")
NOT_TESTED = "not tested"

# The tables that claims are about, by name, for a job depends on the schemas that it names.
_WITH_A_ROW_A_RUN = ("task", "diagnostics")

_READ = (
    *("summary", "comparison", "explanation_summary", "explanation_comparison"),
    *("alignment_comparison", "reaction_summary", "reaction_comparison"),
    *_WITH_A_ROW_A_RUN,
)

# --- one estimate against a bound -------------------------------------------------


def sides(
    rule: Mapping[str, float], estimate: Floats, standard_error: Floats, df: Floats
) -> tuple[Floats, Floats]:
    """One-sided p values against the claim's opposite, and against the claim.

    ``rule`` maps below, above, within or outside to a bound. How far an estimate is on
    the claim's side of it, in standard errors, is Student's t at the bound. The first
    is small where the claim holds for sure ("within": Schuirmann's two tests).
    """
    ((side, bound),) = rule.items()
    distance = {
        "below": bound - estimate,
        "above": estimate - bound,
        "within": bound - np.abs(estimate),
        "outside": np.abs(estimate) - bound,
    }[side]
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(distance == 0, 0, np.divide(distance, standard_error))
    return t.sf(statistic, df), t.sf(-statistic, df)


def decided(
    p_opposite: Floats, p_claim: Floats, settings: Settings
) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Corrected p values of the cells of a claim, and their verdicts.

    Either side is corrected over the cells, at half of ``1 - confidence``, so that a
    single cell is decided where its interval lies on one side of the bound. p values
    are doubled for it, and that of the nearer verdict is returned; NaN stays NaN.
    """
    corrected = np.stack(
        [
            correct(np.minimum(2 * p, 1), settings.correction)
            for p in (p_opposite, p_claim)
        ]
    )
    p = corrected.min(axis=0)
    verdicts = np.full(p.shape, "undecided", dtype=object)
    for name, side in zip(VERDICTS, corrected, strict=False):
        verdicts[side < 1 - settings.confidence] = name
    return p, verdicts


# --- over the cells ---------------------------------------------------------------


def pooled(
    estimates: Floats, standard_errors: Floats, df: Floats, datasets: Sequence[str]
) -> tuple[float, float, float]:
    """The mean over cells, its standard error and degrees of freedom.

    Cells are fixed and weigh the same. Those of a data set share its texts and, where
    they are compared with one normalizer, its runs: by how much is not known, and their
    errors are taken to be one and the same, which no dependence exceeds. Those of
    different data sets are independent. With C cells of standard error s and d degrees
    of freedom the variance is the sum over data sets of (sum of s / C)²; that of a data
    set is known with (sum of s / sum of s / sqrt(d))² degrees of freedom, and their sum
    with Satterthwaite's.
    """
    count = len(estimates)
    parts = pd.DataFrame(
        {"s": standard_errors / count, "spread": standard_errors / count / np.sqrt(df)}
    )
    parts = parts.groupby(np.asarray(datasets), sort=True).sum()
    variance = float((parts["s"] ** 2).sum())
    # of a data set, s⁴ / d
    unknown = float((parts["s"] ** 2 * parts["spread"] ** 2).sum())
    found = variance**2 / unknown if unknown > 0 else np.inf
    return float(np.mean(estimates)), float(np.sqrt(variance)), found


# --- the table ----------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """Where the rows of claims are: in ``finished`` tables, by name, or in the
    ``measures`` of the ``runs`` of the grid, by the table that summarises these. Of the
    differences of "reaction_summary" they are in ``finished`` "reaction_scores".
    ``examples`` says, by data set, what instances share."""

    finished: Mapping[str, str | Path]
    runs: Sequence[Mapping[str, object]]
    measures: Mapping[str, Sequence[str | Path]]
    examples: Mapping[str, str | Path] = field(default_factory=dict)


def claims_table(
    claims: Sequence[Mapping[str, Any]],
    sources: Sources,
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
) -> None:
    """Write the table "claims": of each claim a row over all cells, and one a cell.

    ``claims`` are those of `claims.resolved`.
    """
    read = {
        name: tables.read_table(sources.finished[name], name).to_pandas()
        for name in _READ
        if name in sources.finished
    }
    within: dict[str, list[dict]] = {}
    for name, paths in sources.measures.items():
        asked = [c for c in claims if _reads_measures(c) and c["table"] == name]
        within |= of_measures(asked, sources.runs, paths, sources.examples, settings)
    written = []
    for claim in claims:
        if claim["lacks"]:
            rows = []
        elif claim["claim"] in within:
            rows = within[claim["claim"]]
        elif claim["table"] == "reaction_summary" and claim["less"]:
            rows = of_reactions(claim, sources.finished["reaction_scores"], settings)
        elif claim["table"] in _WITH_A_ROW_A_RUN:
            rows = of_runs(claim, read[claim["table"]], settings)
        else:
            rows = of_table(claim, read[claim["table"]])
        written += judged(claim, rows, settings)
    tables.write_rows(path, "claims", written, provenance)


def _reads_measures(claim: Mapping[str, Any]) -> bool:
    of_measures = ("summary", "explanation_summary")
    return not claim["lacks"] and claim["less"] and claim["table"] in of_measures


def judged(
    claim: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], settings: Settings
) -> list[dict[str, Any]]:
    """The row of a claim over all cells, and behind it that of each cell.

    Cells that agree by construction are left out, and so are those without a value. Of
    the others, those with fewer than `MIN_SEEDS` seeds are undecided whatever their
    interval, and count in no mean that is tested.
    """
    ((side, bound),) = claim["rule"].items()
    head = {
        "claim": claim["claim"],
        "source": claim["source"],
        "text": claim["text"],
        "rule": f"{side} {bound:g}",
        "side": side,
        "bound": bound,
        "holds": claim["holds"],
        "evidence": f"statistics/{claim['table']}.parquet",
        "figure": claim["figure"],
    }
    built = [row for row in rows if row["by_construction"] is not None]
    known = [
        row
        for row in rows
        if row["by_construction"] is None and not _missing(row["estimate"])
    ]
    left_out = f"{len(built)} left out, by construction" if built else None
    cells = _judged_cells(claim, known, settings)
    if not cells:
        why = claim["lacks"] or left_out or "no row of this grid is about it"
        return [head | _of_all([]) | {"verdict": NOT_TESTED, "note": why}]
    over = _over_cells(claim, cells, settings)
    over["note"] = joined(over["note"], left_out)
    return [head | _of_all(cells) | over, *(head | cell for cell in cells)]


def _missing(value: Any) -> bool:
    return value is None or np.isnan(value)


def _tested(row: Mapping[str, Any]) -> bool:
    return row["n_seeds"] >= MIN_SEEDS and not _missing(row["standard_error"])


def _judged_cells(
    claim: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], settings: Settings
) -> list[dict[str, Any]]:
    known = np.array(
        [
            [
                row[c] if _tested(row) else np.nan
                for c in ("estimate", "standard_error", "df")
            ]
            for row in rows
        ],
        dtype=np.float64,
    ).reshape(-1, 3)
    against = sides(claim["rule"], *known.T)
    p = np.minimum(2 * np.minimum(*against), 1)
    corrected, verdicts = decided(*against, settings)
    counts = dict.fromkeys(("n_cells", *map("n_{}".format, VERDICTS)))
    return [
        {key: value for key, value in row.items() if key != "by_construction"}
        | counts
        | {
            "p": p[i],
            "p_corrected": corrected[i],
            "verdict": verdicts[i],
            "note": joined(
                row["note"], None if _tested(row) else "too few seeds for a test"
            ),
        }
        for i, row in enumerate(rows)
    ]


def _of_all(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the cells have in common, and how many of each verdict there are."""
    about = {}
    for column in ABOUT:
        named = {cell[column] for cell in cells}
        about[column] = named.pop() if len(named) == 1 else None
    smallest = {
        column: min((c[column] for c in cells if c[column] is not None), default=None)
        for column in ("n_instances", "n_seeds")
    }
    return (
        dict.fromkeys((*CELL, *KNOWN, "p", "p_corrected"))
        | about
        | smallest
        | {"n_cells": len(cells)}
        | {f"n_{v}": sum(cell["verdict"] == v for cell in cells) for v in VERDICTS}
    )


def _over_cells(
    claim: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], settings: Settings
) -> dict[str, Any]:
    """Estimate and verdict over all cells: of their mean, or of whether any will do."""
    tested = [cell for cell in cells if _tested(cell)]
    if not tested:
        return {
            "estimate": float(np.mean([cell["estimate"] for cell in cells])),
            "verdict": "undecided",
            "note": "too few seeds for a test",
        }
    note = None
    if len(tested) < len(cells):
        note = f"{len(cells) - len(tested)} with too few seeds for a test left out"
    known = (
        np.array([cell[c] for cell in tested], dtype=np.float64)
        for c in ("estimate", "standard_error", "df")
    )
    estimate, error, df = pooled(*known, [cell["dataset"] for cell in tested])
    low, high = t_interval(estimate, error**2, df, settings.confidence)
    over = {
        "estimate": estimate,
        "low": float(low),
        "high": float(high),
        "interval_over": " or ".join(sorted({c["interval_over"] for c in tested})),
        "interval_method": "pooled",
        "standard_error": error,
        "df": df,
    }
    if claim["holds"] == "somewhere":
        return over | {"verdict": _anywhere(claim, tested, settings), "note": note}
    against = np.array(sides(claim["rule"], estimate, error, df))
    p = float(min(2 * against.min(), 1))
    verdict = "undecided"
    if p < 1 - settings.confidence:
        verdict = VERDICTS[int(against.argmin())]
    return over | {"p": p, "p_corrected": p, "verdict": verdict, "note": note}


def _anywhere(
    claim: Mapping[str, Any], tested: Sequence[Mapping[str, Any]], settings: Settings
) -> str:
    """The verdict on a claim that some cell will do for.

    One cell that supports it after correction is enough. All have to contradict it, each
    by itself (Berger 1982), for it to be contradicted.
    """
    if any(cell["verdict"] == "supported" for cell in tested):
        return "supported"
    known = (
        np.array([cell[c] for cell in tested], dtype=np.float64)
        for c in ("estimate", "standard_error", "df")
    )
    _, p_claim = sides(claim["rule"], *known)
    return (
        "contradicted" if (2 * p_claim < 1 - settings.confidence).all() else "undecided"
    )
