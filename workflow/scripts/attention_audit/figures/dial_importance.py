"""Dispersion of importance over inputs along the dial from dense to sparse attention."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.dial import (
    dial_axis,
    dial_key,
    lines_of,
    on_dial,
    pages_of_lines,
    panel_of,
    placed,
    points_on_dial,
)
from attention_audit.figures.style import Order, measured

ATTENTION = {"color": "0.55", "linestyle": ":", "linewidth": 1.2}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Does a sparser attention come with a sparser set of influential inputs?"""
    summary = tables["summary"]
    inputs = [m for m in order["methods"] if m not in order["hidden_methods"]]
    found = measured(summary, "dispersion")
    rows = on_dial(found[found["subject"].isin(inputs)], summary)

    lines = lines_of(rows, order, "subject")

    def fill(axes: Axes, line: tuple[str, str], dataset: str) -> None:
        dial_axis(axes, rows[rows["dataset"] == dataset])
        part = panel_of(rows, "subject", line, dataset)
        attention = placed(axes, part)
        attention = attention[~attention["aside"]]
        even = attention["attention_dispersion"]
        axes.plot(attention["x"], even, **ATTENTION, label="of attention")
        points_on_dial(axes, part, order)
        axes.set_ylim(0, 1.05)

    key = dial_key(rows, order, {})
    return pages_of_lines(lines, order, fill, "dispersion", "of", key), rows
