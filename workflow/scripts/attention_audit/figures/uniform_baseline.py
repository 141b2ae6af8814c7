"""What attention adds to a model whose weights are held uniform."""

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
    """Accuracy on the audited texts less that with uniform weights, with intervals."""
    rows = measured(tables["explanation_summary"], "gain", reference="uniform")
    model_names = models(rows, order)
    figure, axes = grid_of_panels(1, len(order["datasets"]))
    for panel, dataset in zip(axes[0], order["datasets"], strict=True):
        part = rows[rows["dataset"] == dataset]
        points_by_normalizer(panel, part, order, model_names)
        panel.axhline(0, color="black", linewidth=0.6)
        panel.set_title(dataset)
    axes[0, 0].set_ylabel("gain in accuracy\nover uniform weights")
    legend_below(figure, axes[0, 0])
    return figure, rows
