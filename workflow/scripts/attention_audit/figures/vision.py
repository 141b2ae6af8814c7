"""What the repository keeps of the preset vision, for docs/vision.md; see `published`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attention_audit.figures.published import (
    CELL,
    Collected,
    Finished,
    Kept,
    means,
    run_tables,
    scores_table,
)
from attention_audit.statistics.controls import is_control
from attention_audit.statistics.plausibility import GOLD

VISION = "vision"

_FIGURES = (
    "task_cost",
    "task_speed",
    "sampling_offsets",
    "pictures",
    "agreement",
    "plausibility",
    "faithfulness",
    "decision_survival",
    "claims",
)

# What the page shows of the summaries, in its figures or its tables.
_OF_ATTENTION = ("sparsity", "kendall_tau_b")
_OF_INFLUENCE = ("coindexed_share", "influence_distance")
_OF_ERASURE = ("comprehensiveness", "sufficiency")


def _pictures(_: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """What the pictures of a data set are."""
    shape, gold = card["shape"], card["gold"]
    return {
        "n_height": shape["height"],
        "n_width": shape["width"],
        "n_channels": shape["channels"],
        "n_patch": card["reading"]["patch"],
        "marked": gold["share_of_pixels"]["test"] if gold else None,
    }


def _costs(one: Finished) -> pd.DataFrame:
    """What a model of each cell costs: the means over seeds."""
    rows = one.table("sizes").merge(one.table("speed"), on=[*CELL, "seed"])
    by_cell = rows.groupby(CELL)
    return by_cell.agg(
        n_parameters=("parameters", "mean"),
        n_multiply_adds=("multiply_adds", "mean"),
        decisions_per_second=("decisions_per_second", "mean"),
        slowest=("slowest", "min"),
        fastest=("fastest", "max"),
    ).reset_index()


def _offsets(one: Finished) -> pd.DataFrame:
    """How far deformable merging samples from where it did at first, by merging."""
    rows = one.table("offset_summary")
    keys = [*CELL, "merging"]
    by_seed = rows.groupby([*keys, "seed"], as_index=False)["distance"].mean()
    return (
        by_seed.groupby(keys)["distance"]
        .agg(mean="mean", lowest="min", highest="max", n_seeds="count")
        .reset_index()
    )


def _summary(one: Finished) -> pd.DataFrame:
    """Attention, what it agrees with, what it finds, and what hidden states owe to what."""
    rows = one.table("summary")
    attention = rows["subject"] == "attention"
    wanted = (
        (attention & rows["measure"].isin(_OF_ATTENTION))
        | rows["measure"].isin(_OF_INFLUENCE)
        | (rows["reference"] == GOLD)
    )
    return means(rows[wanted & ~rows["normalizer"].map(is_control)])


def _erasure(one: Finished) -> pd.DataFrame:
    """What the removal of the first patches of each ranking does to the output."""
    rows = one.table("explanation_summary")
    wanted = rows["measure"].isin(_OF_ERASURE) & rows["reference"].isna()
    return means(rows[wanted & ~rows["normalizer"].map(is_control)])


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    vision = by_role[VISION]
    found = run_tables(by_role)
    found.add_data(vision, _pictures)
    add = found.add_statistics
    add("scores", scores_table(vision), vision, "task")
    costs = [(vision, f"statistics/{name}.parquet") for name in ("sizes", "speed")]
    found.add("costs", _costs(vision), *costs)
    add("offsets", _offsets(vision), vision, "offset_summary")
    found.add_claims(vision.table("claims"), vision)
    add("summary", _summary(vision), vision, "summary")
    add("erasure", _erasure(vision), vision, "explanation_summary")
    return found


KEPT = Kept(
    roles={VISION: "vision"},
    figures={name: (VISION, name) for name in _FIGURES},
    tables=_tables,
    command="make vision",
)
