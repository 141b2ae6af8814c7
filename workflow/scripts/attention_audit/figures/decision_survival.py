"""How many decisions stand as more and more weights are removed."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.decision_flips import ORDERS
from attention_audit.figures.experiments import pages_by_normalizer
from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.style import Order, measured, series_style


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Survival curves, which end at the decisions that never flip."""
    summary = tables["explanation_summary"]
    rows = measured(summary, "decision_stands")
    # without_0.25 -> 0.25
    shares = rows["reference"].str.removeprefix("without_").astype(float)
    ends = measured(summary, "flip_never").assign(removed=1.0)
    rows = pd.concat([rows.assign(removed=shares), ends], ignore_index=True)

    def fill(axes: Axes, part: pd.DataFrame) -> None:
        for i, name in enumerate(ORDERS):
            points = part[part["subject"] == name].sort_values("removed")
            style = series_style(i) | {"capsize": 1.5, "markersize": 4}
            error_bars(axes, points["removed"], points, **style)

    def key(axes: Axes) -> None:
        intervals_key(axes, rows)
        for i, label in enumerate(ORDERS.values()):
            axes.plot([], [], **series_style(i), label=label)

    pages = pages_by_normalizer(
        rows,
        order,
        fill,
        x_label="weights removed (share of the support)",
        y_label="decisions that stand",
        key=key,
    )
    return pages, rows
