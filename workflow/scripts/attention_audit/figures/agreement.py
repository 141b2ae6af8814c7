"""Agreement of attention with importance, as attention gets sparser."""

from collections.abc import Iterator, Sequence

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
    series_style,
)


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Kendall tau-b with input and with hidden-state importance, by sparsity."""
    agreement = measured(tables["summary"], "kendall_tau_b", "attention")
    sparsity = measured(tables["summary"], "sparsity", "attention")
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    rows = agreement.merge(
        sparsity[[*keys, "mean"]].rename(columns={"mean": "sparsity"}), on=keys
    )

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        lines_by_sparsity(axes, part, "sparsity", "reference", order)
        _open_markers(axes, part[part["note"].notna()], order["methods"])
        axes.axhline(0, color="black", linewidth=0.6)

    pages = panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        title_pad=names_height(order["normalizers"]),
        y_label=lambda model: "Kendall's τ-b with attention",
        x_label="sparsity: share of zero weights",
        size=names_size(order["normalizers"], len(order["methods"])),
        legend_columns=2,
    )
    return pages, rows


def _open_markers(axes: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """Open the markers of rows with a note, over those that are there."""
    for i, method in enumerate(methods):
        part = rows[rows["reference"] == method]
        axes.plot(
            part["sparsity"],
            part["mean"],
            linestyle="none",
            markerfacecolor="white",
            zorder=3,
            **series_style(i),
        )
