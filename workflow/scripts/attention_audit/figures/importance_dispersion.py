"""Dispersion of importance against that of attention."""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    grid_of_panels,
    legend_below,
    lines_by_sparsity,
    measured,
    models,
    title_over_names,
)


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Does sparse attention come with a sparse set of influential inputs?"""
    dispersion = measured(tables["summary"], "dispersion")
    of_attention = dispersion[dispersion["subject"] == "attention"]
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    rows = dispersion[dispersion["subject"] != "attention"].merge(
        of_attention[[*keys, "mean"]].rename(columns={"mean": "attention_dispersion"}),
        on=keys,
    )
    model_names = models(rows, order)
    figure, axes = grid_of_panels(len(model_names), len(order["datasets"]))
    for line, model in zip(axes, model_names, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
            panel.axline((0, 0), slope=1, color="grey", linewidth=0.8, linestyle=":")
            panel.set_xlim(0, 1.02)
            panel.set_ylim(0, 1.02)
            lines_by_sparsity(
                panel, part, "attention_dispersion", "subject", order["methods"]
            )
            title_over_names(panel, f"{dataset}, {model}", order["normalizers"])
        line[0].set_ylabel("dispersion of importance")
    for panel in axes[-1]:
        panel.set_xlabel("dispersion of attention")
    legend_below(figure, axes[0, 0], columns=2)
    return figure, rows
