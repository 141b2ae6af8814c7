"""Scores of reactions by how moments are sampled and by normalizer, beside floors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.counts import counted
from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import dodge
from attention_audit.figures.style import (
    PAGE_WIDTH,
    PANEL,
    Order,
    models,
    normalizer_style,
    normalizers,
    shortened,
    with_model,
)

LABELS = {
    "pearson": "Pearson correlation",
    "concordance": "concordance",
    "average_precision": "average precision\nof events",
}
# What has seen no moment, and its line.
FLOORS = {
    "base_rate": ("base rate at that time", "-."),
    "last_seconds": ("mean of the last seconds", "--"),
}
# Samplings whose names stand side by side, at most, and inches of one of these.
_SIDE_BY_SIDE = 4
_NAMED = 1.4


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Means with intervals: a row a metric, a column a model, a place a sampling."""
    summary = tables["reaction_summary"]
    floors = summary[summary["normalizer"].isna()].assign(model=None)
    rows = with_model(summary[summary["normalizer"].notna()])
    names = normalizers(rows, order)
    sampled = [name for name in order["datasets"] if name in set(rows["dataset"])]

    upright = len(sampled) > _SIDE_BY_SIDE

    def fill(axes: Axes, metric: str, model: str) -> None:
        part = rows[(rows["metric"] == metric) & (rows["model"] == model)]
        for i, name in enumerate(names):
            own = part[part["normalizer"] == name].set_index("dataset").reindex(sampled)
            error_bars(
                axes,
                np.arange(len(sampled)) + dodge(i, len(names), 0.6),
                own,
                linestyle="none",
                **normalizer_style(name, order),
                label=name,
                capsize=1.5,
                markersize=4 if len(names) <= 6 else 3,
            )
        for place, dataset in enumerate(sampled):
            beside = floors[
                (floors["dataset"] == dataset) & (floors["metric"] == metric)
            ]
            for floor, (label, line) in FLOORS.items():
                for mean in beside.loc[beside["subject"] == floor, "mean"]:
                    axes.hlines(
                        mean,
                        place - 0.45,
                        place + 0.45,
                        color="0.35",
                        linestyle=line,
                        linewidth=0.9,
                        label=label,
                    )
        told = [_sampling(part[part["dataset"] == name], name) for name in sampled]
        axes.set_xticks(
            range(len(sampled)), told, fontsize=6.5, rotation=90 if upright else 0
        )
        axes.set_xlim(-0.5, max(len(sampled), 1) - 0.5)
        axes.grid(False, axis="x")

    metrics = [name for name in LABELS if name in set(rows["metric"])]
    apart = max(0.45 if upright else _NAMED, 0.07 * len(names))
    pages = panel_pages(
        metrics,
        models(rows, order),
        fill,
        title=lambda _, model: model,
        y_label=lambda metric, _: LABELS[metric],
        share_y="row",
        size=(
            min(PAGE_WIDTH, max(PANEL[0], 0.6 + apart * len(sampled))),
            PANEL[1] + (1.2 if upright else 0.3),
        ),
        key=lambda axes: intervals_key(axes, rows),
    )
    return pages, pd.concat([rows, floors])


def _sampling(rows: pd.DataFrame, dataset: str) -> str:
    """A data set in words: how it samples moments, and how many recordings are scored."""
    lines = [shortened(dataset)]
    if len(rows):
        one = rows.iloc[0]
        side = "" if one["side"] == "past" else f" {one['side']} sides"
        lines.append(f"{one['rate']:g} a second over {one['span']:g} s{side}")
        counts = sorted({*rows["n_recordings"]})
        seeds = sorted({*rows["n_seeds"]})
        told = (
            counted(counts[0], counts[-1], "recording"),
            counted(seeds[0], seeds[-1], "seed"),
        )
        lines.append(f"n = {', '.join(told)}")
    return "\n".join(lines)
