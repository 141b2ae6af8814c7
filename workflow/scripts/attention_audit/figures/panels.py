"""Panels that several figures have: a position a normalizer, lines along sparsity."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from scipy.optimize import isotonic_regression

from attention_audit.figures.intervals import (
    error_bars,
    intervals_key,
    over_seeds,
    seed_bars,
)
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.style import (
    PAGE_WIDTH,
    PANEL,
    Order,
    method_style,
    models,
    normalizers,
    shortened,
)

# --- a position a normalizer ------------------------------------------------------


def category_size(names: Sequence[str], series: int) -> tuple[float, float]:
    """Width and height in inches of a panel with room for so many names and series."""
    apart = max(0.16, 0.05 * series)
    longest = max((len(shortened(name)) for name in names), default=0)
    below = 0.055 * longest * (1 if _upright(names) else math.sin(math.radians(35)))
    return (
        min(PAGE_WIDTH, max(PANEL[0], 0.6 + apart * len(names))),
        PANEL[1] + max(0, below - 0.45),
    )


def _upright(names: Sequence[str]) -> bool:
    return len(names) > 8


def category_axis(axes: Axes, names: Sequence[str]) -> None:
    """Names along x, slanted or upright so that they can be read."""
    axes.set_xticks(
        range(len(names)),
        [shortened(name) for name in names],
        rotation=90 if _upright(names) else 35,
        ha="center" if _upright(names) else "right",
    )
    axes.set_xlim(-0.5, max(len(names), 1) - 0.5)
    axes.grid(False, axis="x")


def dodge(index: int, count: int, width: float = 0.5) -> float:
    """Offset of series ``index`` of ``count`` around a category's position."""
    # Many series take most of the way to the next category.
    width = max(width, min(0.8, 0.1 * count))
    return 0.0 if count == 1 else width * (index / (count - 1) - 0.5)


# How a marker is drawn whose row has something in a column of the statistics, and what
# the legend calls it. A row with both is open.
MARKS = {
    "by_construction": (
        {"fillstyle": "bottom", "markerfacecoloralt": "white"},
        "half-filled: by construction",
    ),
    "note": ({"markerfacecolor": "white"}, "open: has a note in the table"),
}


def mark(
    axes: Axes, x: pd.Series | np.ndarray, rows: pd.DataFrame, style: Mapping[str, Any]
) -> list[Any]:
    """Draw `MARKS` over the markers at ``x`` and the means of ``rows``."""
    drawn = []
    for column, (fill, _) in MARKS.items():
        if column in rows and (marked := rows[column].notna()).any():
            means = rows["mean"][marked]
            look = {**style, **fill, "linestyle": "none", "zorder": 3}
            drawn += axes.plot(x[marked], means, **look)
    return drawn


def marks_key(rows: pd.DataFrame) -> Callable[[Axes], None]:
    """What draws the entries of the legend for the `MARKS` and intervals of ``rows``."""

    def key(axes: Axes) -> None:
        for column, (fill, label) in MARKS.items():
            if column in rows and rows[column].notna().any():
                # in the legend, error bars come behind lines
                axes.errorbar([], [], fmt="o", color="0.35", **fill, label=label)
        intervals_key(axes, rows)

    return key


def points_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    order: Order,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Means with intervals, a position a normalizer and a series a model.

    ``looks`` holds the colour and marker of each model, in order.
    """
    names = normalizers(rows, order)
    for i, (model, style) in enumerate(looks.items()):
        part = rows[rows["model"] == model].set_index("normalizer").reindex(names)
        x = np.arange(len(names)) + dodge(i, len(looks), 0.3)
        style = {**style, "markersize": 5 if len(looks) <= 4 else 3.5}
        error_bars(axes, x, part, linestyle="none", **style, label=model, capsize=2)
        mark(axes, x, part, style)
    category_axis(axes, names)


def scores_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    names: Sequence[str],
    style: Mapping[str, Any],
    shift: float,
    label: str,
    confidence: float,
) -> None:
    """One series: the value of every run as a dot, their means as open markers.

    The means have intervals over seeds.
    """
    axes.plot(
        # a list, for a cell that the grid leaves out has no numbers to add to
        [names.index(name) + shift for name in rows["normalizer"]],
        rows["value"],
        ".",
        color=style["color"],
        alpha=0.6,
        markersize=3,
    )
    x = np.arange(len(names)) + shift
    means = over_seeds(rows, "normalizer", confidence).reindex(names)
    seed_bars(axes, x, means, style["color"])
    axes.plot(
        x,
        means["mean"],
        style["marker"],
        color=style["color"],
        markerfacecolor="none",
        label=label,
    )


def scores_of_models(
    axes: Axes,
    rows: pd.DataFrame,
    order: Order,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    """The scores of runs, a position a normalizer and a series a model, as `looks` are."""
    names = normalizers(rows, order)
    for i, (model, style) in enumerate(looks.items()):
        series = rows[rows["model"] == model]
        shift = dodge(i, len(looks), 0.3)
        confidence = order["confidence"]
        scores_by_normalizer(axes, series, names, style, shift, model, confidence)
    category_axis(axes, names)


# --- lines along sparsity ---------------------------------------------------------


def names_size(names: Sequence[str], series: int) -> tuple[float, float]:
    """Width and height in inches of a panel with so many lines and names over it."""
    # More lines than a few want room in both directions; two panels still fit a page.
    scale = min(PAGE_WIDTH / 2 / PANEL[0], max(1.0, series / 6))
    # the names of default normalizers are in the height of a panel but for this
    above = 0.35 + max(0, names_height(names) - names_height(["sparsegen"])) / 72
    return (
        min(PAGE_WIDTH, max(PANEL[0] * scale, 0.5 + 0.1 * len(names))),
        PANEL[1] * scale + above,
    )


def names_height(names: Sequence[str]) -> float:
    """Points between a panel and its title, with the names of `lines_by_sparsity`."""
    # the gap below the names, and letters 4 wide
    return 9 + 4 * max(len(shortened(name)) for name in names)


# Points between the markers of neighbouring methods at one x, and at most in all.
_APART = 2.5
_APART_IN_ALL = 24


def lines_by_sparsity(
    axes: Axes, rows: pd.DataFrame, x: str, series: str, order: Order
) -> None:
    """Means with intervals along ``x``, a line a method.

    Methods of hidden states are dashed; the normalizer of each x stands over the panel.
    Methods stand side by side, a few points from their x, so that equal means do not
    hide each other. What is undefined, as the agreement of uniform weights, interrupts
    no line; how a marker is filled says what its row has to say, see `MARKS`.
    """
    rows = rows.dropna(subset=["mean", x])
    methods = order["methods"]
    step = min(_APART, _APART_IN_ALL / max(1, len(methods) - 1))
    for i, name in enumerate(methods):
        part = rows[rows[series] == name].sort_values(x)
        style = method_style(name, order)
        style["markersize"] = 5 if len(methods) <= 6 else 3.5
        drawn = error_bars(
            axes,
            part[x],
            part,
            **style,
            linestyle="--" if name in order["hidden_methods"] else "-",
            label=name.replace("_", " "),
            capsize=2,
        )
        drawn += mark(axes, part[x], part, style)
        aside = ScaledTranslation(
            step * (i - (len(methods) - 1) / 2) / 72, 0, axes.figure.dpi_scale_trans
        )
        # Only now, for the limits of the axes are those of the numbers.
        for artist in drawn:
            artist.set_transform(axes.transData + aside)
    axes.margins(x=0.08)  # room for it
    _names_above(axes, rows[[x, "normalizer"]].drop_duplicates())


def pages_by_sparsity(
    rows: pd.DataFrame,
    order: Order,
    x: str,
    series: str,
    behind: Callable[[Axes, pd.DataFrame], None],
    *,
    x_label: str,
    y_label: str,
) -> Iterator[Figure]:
    """`lines_by_sparsity`, a row of panels a model and a column a dataset.

    ``behind`` draws what each panel has behind its lines, from the panel's rows.
    """

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        if part.empty:  # a cell that the grid leaves out
            return
        behind(axes, part)
        lines_by_sparsity(axes, part, x, series, order)

    return panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        title_pad=names_height(order["normalizers"]),
        y_label=lambda *_: y_label,
        x_label=x_label,
        size=names_size(order["normalizers"], len(order["methods"])),
        key=marks_key(rows),
        legend_columns=2,
    )


# Inches: the least distance of two names over a panel, and theirs from it.
_NAME_GAP = 0.143
_NAME_RISE = 0.138


def _names_above(axes: Axes, named: pd.DataFrame) -> None:
    """Write names over a panel, upright, each tied to its x and clear of the others.

    ``named`` has two columns: x, within the limits of the axes, and the name.
    """
    if named.empty:  # nothing is defined of a cell
        return
    rows, columns = axes.get_subplotspec().get_gridspec().get_geometry()
    width, height = axes.figure.get_size_inches() / (columns, rows)
    named = named.sort_values(list(named.columns))
    positions, names = named.iloc[:, 0].to_numpy(), named.iloc[:, 1].tolist()
    low, high = axes.get_xlim()
    fractions = (positions - low) / (high - low)
    # The nearest positions in this order that keep the gap and stay over the panel.
    steps = np.arange(len(names)) * min(_NAME_GAP / width, 1 / max(1, len(names) - 1))
    spread = isotonic_regression(fractions - steps).x.clip(0, 1 - steps[-1]) + steps
    for position, fraction, name in zip(positions, spread, names, strict=True):
        axes.annotate(
            shortened(name),
            (position, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(fraction, 1 + _NAME_RISE / height),
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=6.5,
            color="0.35",
            arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5, "shrinkB": 0},
        )
