"""Heads of self-attention: how far apart they are, and how sparse."""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    grid_of_panels,
    legend_below,
    points_by_normalizer,
    with_model,
)

LABELS = {
    "divergence": "JS divergence\nbetween heads (nats)",
    "sparsity": "share of zero weights",
    "null": "share of queries\nwithout weight",
}


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Diversity, sparsity and null rate of layers, means over instances and seeds."""
    summary = tables["head_summary"]
    rows = with_model(summary[summary["head"].isna()])
    rows = rows[rows["measure"].isin(LABELS)]
    rows = rows.assign(
        model=rows["model"] + ", layer " + (rows["layer"] + 1).astype(str)
    )
    # Only weights that may all be zero have anything to show there.
    without = rows["measure"] == "null"
    if not rows.loc[without, "mean"].any():
        rows = rows[~without]
    models = sorted(rows["model"].unique())
    shown = [measure for measure in LABELS if measure in set(rows["measure"])]
    figure, axes = grid_of_panels(
        len(shown), len(order["datasets"]), share_y="row", sharex=True
    )
    for line, measure in zip(axes, shown, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["measure"] == measure)]
            points_by_normalizer(panel, part, order, models)
        line[0].set_ylabel(LABELS[measure])
        if measure == "divergence":
            line[0].set_ylim(bottom=-0.02)
        else:
            line[0].set_ylim(-0.03, 1.03)
    for panel, dataset in zip(axes[0], order["datasets"], strict=True):
        panel.set_title(dataset)
    legend_below(figure, axes[0, 0], columns=2)
    return figure, rows
