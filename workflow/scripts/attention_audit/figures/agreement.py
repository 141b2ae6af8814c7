"""Agreement of attention with importance, as attention gets sparser."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    MARKERS,
    PALETTE,
    Order,
    grid_of_panels,
    legend_below,
    lines_by_sparsity,
    measured,
    models,
    title_over_names,
)


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Kendall tau-b with input and with hidden-state importance, by sparsity."""
    agreement = measured(tables["summary"], "kendall_tau_b", "attention")
    sparsity = measured(tables["summary"], "sparsity", "attention")
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    rows = agreement.merge(
        sparsity[[*keys, "mean"]].rename(columns={"mean": "sparsity"}), on=keys
    )
    model_names = models(rows, order)
    figure, axes = grid_of_panels(len(model_names), len(order["datasets"]))
    for line, model in zip(axes, model_names, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
            lines_by_sparsity(panel, part, "sparsity", "reference", order["methods"])
            _open_markers(panel, part[part["note"].notna()], order["methods"])
            panel.axhline(0, color="black", linewidth=0.6)
            title_over_names(panel, f"{dataset}, {model}", order["normalizers"])
        line[0].set_ylabel("Kendall $\\tau_b$ with attention")
    for panel in axes[-1]:
        panel.set_xlabel("sparsity: share of zero weights")
    legend_below(figure, axes[0, 0], columns=2)
    return figure, rows


def _open_markers(panel: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """Open the markers of rows with a note, over those that are there."""
    for i, method in enumerate(methods):
        part = rows[rows["reference"] == method]
        panel.plot(
            part["sparsity"],
            part["mean"],
            MARKERS[i % len(MARKERS)],
            color=PALETTE[i % len(PALETTE)],
            markerfacecolor="white",
            zorder=3,
        )
