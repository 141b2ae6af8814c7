"""Scores of models without context that are given attention."""

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

GUIDES = {
    "learned": "own attention",
    "uniform": "uniform",
    "attention": "attention of the run",
    "adversary": "attention of its adversary",
}


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Test macro F1 of every guided model, and its mean over seeds."""
    scores = with_model(tables["diagnostics"])
    rows = scores[(scores["split"] == "test") & (scores["metric"] == "macro_f1")]
    model_names = models(rows, order)
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    figure, axes = grid_of_panels(
        len(model_names), len(order["datasets"]), share_y=False
    )
    for line, model in zip(axes, model_names, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
            for i, (guide, label) in enumerate(GUIDES.items()):
                series = part[part["guide"] == guide]
                if series.empty:  # not among the guides of the config
                    continue
                shift = dodge(i, len(GUIDES))
                scores_by_normalizer(panel, series, names, i, shift, label)
            category_axis(panel, names)
            panel.set_title(f"{dataset}\nguides from {model}")
        line[0].set_ylabel("test macro F1")
    legend_below(figure, axes[0, 0])
    return figure, rows.drop(columns="model")
