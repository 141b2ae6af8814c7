"""Dispersion of importance against that of attention."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.panels import pages_by_sparsity
from attention_audit.figures.style import Order, measured


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

    def diagonal(axes: Axes, _: pd.DataFrame) -> None:
        axes.axline((0, 0), slope=1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)

    pages = pages_by_sparsity(
        rows,
        order,
        "attention_dispersion",
        "subject",
        diagonal,
        x_label="dispersion of attention",
        y_label="dispersion of importance",
    )
    return pages, rows
