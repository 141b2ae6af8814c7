"""Attention sparsity by normalizer: how many positions get any weight?"""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    grid_of_panels,
    legend_below,
    measured,
    models,
    points_by_normalizer,
)


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Share of positions in the support, mean over instances and seeds."""
    rows = measured(tables["summary"], "support_share", "attention")
    model_names = models(rows, order)
    figure, axes = grid_of_panels(1, len(order["datasets"]))
    for panel, dataset in zip(axes[0], order["datasets"], strict=True):
        points_by_normalizer(
            panel, rows[rows["dataset"] == dataset], order, model_names
        )
        panel.set_title(dataset)
    axes[0, 0].set_ylim(0, 1.05)
    axes[0, 0].set_ylabel("share of positions with weight")
    legend_below(figure, axes[0, 0])
    return figure, rows
