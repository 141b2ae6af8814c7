"""What the zeros of attention do to agreement by themselves, and what remains."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.intervals import error_bars
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import (
    category_axis,
    category_size,
    dodge,
    mark,
    marks_key,
)
from attention_audit.figures.style import (
    Order,
    method_style,
    models,
    normalizers,
    with_model,
)
from attention_audit.statistics.controls import by_cut

# How the mean of a part of the difference is drawn, and what the legend calls it.
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "cut": (
        {"marker": "_", "markersize": 7, "linewidth": 0.8, "alpha": 0.6},
        "dash: the cut alone, less the reference",
    ),
    "beyond_cut": ({}, "marker: the normalizer, less the cut"),
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Differences in Kendall's tau-b with input importance, of the cut and beyond it."""
    comparison = tables["comparison"]
    methods = [m for m in order["methods"] if m not in order["hidden_methods"]]
    rows = comparison[
        (comparison["measure"] == "kendall_tau_b")
        & (comparison["subject"] == "attention")
        & comparison["reference"].isin(methods)
        & comparison["contrast"].isin(PARTS)
    ]
    # both parts stand at the normalizer that is cut to
    rows = with_model(rows.rename(columns={"difference": "mean"}))
    rows["normalizer"] = rows["normalizer"].replace(by_cut(comparison))
    names = normalizers(rows, order)

    def fill(axes: Axes, model: str, dataset: str) -> None:
        axes.axhline(0, color="black", linewidth=0.6)
        panel = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        for i, method in enumerate(methods):
            for j, (part, (look, _)) in enumerate(PARTS.items()):
                cell = panel[
                    (panel["reference"] == method) & (panel["contrast"] == part)
                ]
                # the two of a method stand closer together than to those of the next
                shift = dodge(i, len(methods), 0.5) + 0.3 * (j - 0.5) / len(methods)
                x = np.array([names.index(n) + shift for n in cell["normalizer"]])
                style = {**method_style(method, order), "markersize": 5, **look}
                error_bars(
                    axes,
                    x,
                    cell,
                    **style,
                    linestyle="none",
                    capsize=0 if look else 2,
                    label="" if look else method.replace("_", " "),
                )
                if not look:
                    mark(axes, x, cell, style)
        category_axis(axes, names)

    def key(axes: Axes) -> None:
        for look, label in PARTS.values():
            style = {"color": "0.35", "marker": "o", **look, "label": label}
            axes.plot([], [], linestyle="none", **style)
        marks_key(rows[rows["contrast"] == "beyond_cut"])(axes)

    pages = panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        y_label=lambda *_: "difference in\nKendall's τ-b",
        size=category_size(names, 2 * len(methods)),
        key=key,
        legend_columns=2,
    )
    return pages, rows
