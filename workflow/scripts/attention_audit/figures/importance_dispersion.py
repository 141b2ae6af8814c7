"""Dispersion of importance against that of attention."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    lines_by_sparsity,
    measured,
    models,
    names_height,
    names_size,
    panel_pages,
)


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Does sparse attention come with a sparse set of influential inputs?"""
    dispersion = measured(tables["summary"], "dispersion")
    of_attention = dispersion[dispersion["subject"] == "attention"]
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    rows = dispersion[dispersion["subject"] != "attention"].merge(
        of_attention[[*keys, "mean"]].rename(columns={"mean": "attention_dispersion"}),
        on=keys,
    )

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        axes.axline((0, 0), slope=1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        lines_by_sparsity(axes, part, "attention_dispersion", "subject", order)

    pages = panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        title_pad=names_height(order["normalizers"]),
        y_label=lambda model: "dispersion of importance",
        x_label="dispersion of attention",
        size=names_size(order["normalizers"], len(order["methods"])),
        legend_columns=2,
    )
    return pages, rows
