"""Task score by normalizer: does sparsity cost accuracy?"""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    category_axis,
    dodge,
    grid_of_panels,
    legend_below,
    models,
    scores_by_normalizer,
    with_model,
)


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Test macro F1 of every run, and its mean over seeds."""
    task = with_model(tables["task"])
    rows = task[(task["split"] == "test") & (task["metric"] == "macro_f1")]
    model_names = models(rows, order)
    figure, axes = grid_of_panels(1, len(order["datasets"]), share_y=False)
    for panel, dataset in zip(axes[0], order["datasets"], strict=True):
        part = rows[rows["dataset"] == dataset]
        names = [n for n in order["normalizers"] if n in set(part["normalizer"])]
        for i, model in enumerate(model_names):
            series = part[part["model"] == model]
            shift = dodge(i, len(model_names), 0.3)
            scores_by_normalizer(panel, series, names, i, shift, model)
        category_axis(panel, names)
        panel.set_title(dataset)
    axes[0, 0].set_ylabel("test macro F1")
    legend_below(figure, axes[0, 0])
    return figure, rows
