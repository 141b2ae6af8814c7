"""What the repository keeps of the preset vision, for docs/vision.md; see `published`."""

from collections.abc import Mapping, Sequence

import pandas as pd

from attention_audit.figures.published import (
    CELL,
    Collected,
    Finished,
    Kept,
    claims_tables,
    means,
    run_tables,
    scores_table,
)
from attention_audit.records.tables import read_json
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

# What sentences and tables of the page show of the summaries.
_OF_ATTENTION = ("sparsity", "support_share", "dispersion")
_OF_INFLUENCE = ("coindexed_share", "coindexed_top", "influence_distance")
_OF_ERASURE = ("comprehensiveness", "sufficiency")


def _data(one: Finished, names: Sequence[str]) -> pd.DataFrame:
    """What the pictures of each data set are, from the cards."""
    rows = []
    for name in names:
        card = read_json(one.folder / f"data/{name}/card.json")
        sizes = {split: sum(card["counts"][split].values()) for split in card["counts"]}
        marked = card["gold"]["share_of_pixels"]["test"] if card["gold"] else None
        rows.append(
            {"dataset": name}
            | {f"n_{split}": sizes[split] for split in ("train", "dev", "test")}
            | {"n_classes": len(card["label_names"])}
            | {f"n_{side}": card["shape"][side] for side in ("height", "width")}
            | {"n_channels": card["shape"]["channels"]}
            | {"n_patch": card["reading"]["patch"], "marked": marked}
        )
    return pd.DataFrame(rows)


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
        (attention & rows["measure"].isin([*_OF_ATTENTION, "kendall_tau_b"]))
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
    names = vision.datasets()
    cards = [(vision, f"data/{name}/card.json") for name in names]
    found.add("data", _data(vision, names), *cards)
    add = found.add_statistics
    add("scores", scores_table(vision), vision, "task")
    costs = [(vision, f"statistics/{name}.parquet") for name in ("sizes", "speed")]
    found.add("costs", _costs(vision), *costs)
    add("offsets", _offsets(vision), vision, "offset_summary")
    over, cells = claims_tables(vision.table("claims"))
    add("claims", over, vision, "claims")
    add("claim_cells", cells, vision, "claims")
    add("summary", _summary(vision), vision, "summary")
    add("erasure", _erasure(vision), vision, "explanation_summary")
    return found


KEPT = Kept(
    roles={VISION: "vision"},
    figures={name: (VISION, name) for name in _FIGURES},
    tables=_tables,
    command="make vision",
)
