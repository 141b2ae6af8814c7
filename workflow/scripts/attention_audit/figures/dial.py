"""What the figures along the dial from dense to sparse attention share."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.intervals import error_bars
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import mark, marks_key
from attention_audit.figures.style import (
    PAGE_WIDTH,
    PANEL,
    Order,
    measured,
    models,
    normalizer_style,
    normalizers,
    shortened,
)

X_LABEL = "share of weights above 0"

# Line styles of encoders, which tell them apart in grey print too.
_LINES = ("-", "--", "-.", ":")
# Inches of a panel beside others: a row of four keeps its letters on a printed page.
_SMALL = (PAGE_WIDTH / 4, 1.6)
# Letters of a name beside or over such a panel.
LETTERS = 19
# Of the axis: between markers at one x, and from the densest and sparsest to its ends.
_APART, _MARGIN = 0.05, 0.12
# Ticks of a decade, the finest first of which there are no more than so many.
_TICKS = (((1, 0.7, 0.5, 0.3, 0.2), 5), ((1, 0.5, 0.2), 7), ((1,), 9))
# Lines and what is cut, beside the normalizers, which have the colours.
GREY = "0.4"


def on_dial(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """``rows`` of a summary with what their attention is like, where it has any weight.

    ``support``, ``support_low`` and ``support_high`` are the share of positions that get
    weight, 1 less the sparsity, with its interval. The axis is logarithmic, for it is
    in how few positions are left that sparse normalizers differ. Dense weights are told
    apart by ``attention_dispersion``.
    """
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    columns = {"mean": "support", "low": "support_low", "high": "support_high"}
    support = measured(summary, "support_share", "attention")
    support = support[[*keys, *columns]].rename(columns=columns)
    spread = measured(summary, "dispersion", "attention")[[*keys, "mean"]]
    spread = spread.rename(columns={"mean": "attention_dispersion"})
    rows = rows.merge(support, on=keys).merge(spread, on=keys, how="left")
    return rows[rows["support"] > 0].reset_index(drop=True)


def lines_of(rows: pd.DataFrame, order: Order, column: str) -> list[tuple[str, str]]:
    """A line of panels a method, by ``column``, and model: those in ``rows``, in order."""
    found = set(zip(rows[column], rows["model"], strict=True))
    pairs = [(m, model) for m in order["methods"] for model in models(rows, order)]
    return [pair for pair in pairs if pair in found]


def panel_of(
    rows: pd.DataFrame, column: str, line: tuple[str, str], dataset: str
) -> pd.DataFrame:
    """The rows of a panel in a line of `lines_of`."""
    method, model = line
    return rows[
        (rows["dataset"] == dataset)
        & (rows[column] == method)
        & (rows["model"] == model)
    ]


def pages_of_lines(
    lines: Sequence[tuple[str, str]],
    order: Order,
    fill: Callable[[Axes, tuple[str, str], str], None],
    measure: str,
    of: str,
    key: Callable[[Axes], None],
) -> Iterator[Figure]:
    """Pages of panels, a line of `lines_of` by data sets.

    y is ``measure``, and ``of`` ties it to the method, as in "τ-b with". Of a single data set the lines stand side by side, and what they are over them.
    """
    alone = len(order["datasets"]) == 1

    def title(line: tuple[str, str], dataset: str) -> str:
        name = shortened(dataset, LETTERS)
        return f"{name}, {_line_label(line, ', ')}" if alone else name

    return panel_pages(
        lines,
        order["datasets"],
        fill,
        title=title,
        title_once=not alone,
        y_label=lambda line, _: (
            measure if alone else _line_label(line, f"\n{measure} {of}\n")
        ),
        x_label=X_LABEL,
        size=panel_size(order, len(lines)),
        key=key,
        legend_columns=5,
    )


def _line_label(line: tuple[str, str], between: str) -> str:
    method, model = line
    names = (shortened(name, LETTERS) for name in (model, method.replace("_", " ")))
    return between.join(names)


def panel_size(order: Order, lines: int) -> tuple[float, float]:
    """Width and height in inches of a panel: one alone, or in one line, is larger.

    Below it stands a legend of one width, and within its height.
    """
    return (
        _SMALL[0] if len(order["datasets"]) > 1 else PANEL[0],
        _SMALL[1] if lines > 1 else PANEL[1],
    )


def dial_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """From dense, on the left, to the sparsest of ``rows``."""
    sparsest = min(rows["support"].min(), 0.5) if len(rows) else 0.5
    margin = sparsest**-_MARGIN
    axes.set_xscale("log")
    axes.set_xlim(margin, sparsest / margin)
    for steps, most in _TICKS:
        ticks = [step * 10.0**-k for k in range(9) for step in steps]
        ticks = [tick for tick in ticks if tick >= sparsest / margin]
        if len(ticks) <= most:
            break
    axes.set_xticks(ticks, [f"{tick:g}".removeprefix("0") for tick in ticks])
    axes.minorticks_off()


def placed(axes: Axes, rows: pd.DataFrame) -> pd.DataFrame:
    """The defined ``rows`` of a model from dense to sparse, with their ``x``.

    Of those with equal support, as uniform weights and softmax, the least even stands at
    it and the others side by side before it. The limits of the axis have to be set.
    """
    rows = rows.dropna(subset=["mean"])
    by = ["support", "attention_dispersion"]
    rows = rows.sort_values(by, ascending=False, kind="stable")
    left, right = axes.get_xlim()
    before = rows.groupby(rows["support"].round(6)).cumcount(ascending=False)
    x = rows["support"] * (left / right) ** (_APART * before)
    return rows.assign(x=x, aside=before > 0)


def points_on_dial(
    axes: Axes, rows: pd.DataFrame, order: Order, line: str = "-"
) -> None:
    """The means of a model with intervals of both axes, and a line from dense to sparse.

    What is undefined, as the agreement of uniform weights, interrupts no line, and what
    stands aside is not on it.
    """
    rows = placed(axes, rows)
    if rows.empty:
        return
    on = rows[~rows["aside"]]
    axes.plot(on["x"], on["mean"], line, color=GREY, linewidth=0.8, alpha=0.6)
    x = rows["x"].to_numpy()
    low, high = rows["support_low"], rows["support_high"]
    # an interval without width may miss its mean by rounding
    across = np.maximum([rows["support"] - low, high - rows["support"]], 0)
    for i, name in enumerate(rows["normalizer"]):
        look = normalizer_style(name, order) | {"markersize": 4.5}
        bars = look | {"linestyle": "none", "elinewidth": 0.7}
        error_bars(axes, x[[i]], rows.iloc[[i]], across[:, [i]], **bars)
        mark(axes, x[[i]], rows.iloc[[i]], look)


def dial_key(
    rows: pd.DataFrame, order: Order, encoders: Mapping[str, str]
) -> Callable[[Axes], None]:
    """What draws the entries of the legend, ``encoders`` with their line styles."""

    def key(axes: Axes) -> None:
        for encoder, line in encoders.items():
            axes.plot([], [], line, color=GREY, label=encoder)
        for name in normalizers(rows.dropna(subset=["mean"]), order):
            look = normalizer_style(name, order) | {"markersize": 4.5}
            axes.plot([], [], **look, linestyle="none", label=name)
        marks_key(rows)(axes)

    return key


def encoder_lines(rows: pd.DataFrame, order: Order) -> dict[str, str]:
    """The line style of each encoder in ``rows``."""
    found = set(rows["encoder"])
    names = [name for name in order["encoders"] if name in found]
    return {name: _LINES[i % len(_LINES)] for i, name in enumerate(names)}
