"""What the figures of the experiments share."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_axis, category_size, dodge
from attention_audit.figures.style import (
    Order,
    models,
    normalizers,
    series_style,
    with_model,
    without_zeros,
)

# Edges of the bins of the largest attention weight, as in Jain & Wallace 2019.
BINS = np.array([0, 0.25, 0.5, 0.75, 1.0])


def series_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    order: Order,
    column: str,
    labels: Mapping[str, str],
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Means with intervals, a position a normalizer and a series a value of ``column``.

    ``labels`` holds what each value is called, in order, and ``looks`` its colour and
    marker.
    """
    names = normalizers(rows, order)
    for i, (value, label) in enumerate(labels.items()):
        part = rows[rows[column] == value].set_index("normalizer").reindex(names)
        error_bars(
            axes,
            np.arange(len(names)) + dodge(i, len(labels)),
            part,
            linestyle="none",
            **looks[value],
            label=label,
            capsize=1.5,
            markersize=4,
        )
    category_axis(axes, names)


def pages_by_measure(
    rows: pd.DataFrame,
    order: Order,
    measures: Mapping[str, str],
    column: str,
    labels: Mapping[str, str],
    looks: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Figure]:
    """A row of panels a model and measure, a column a dataset, where these have numbers.

    ``rows`` are those of a summary with their model; ``measures`` holds the label of
    the y axis for each measure. Without ``looks`` the series have those of their places
    among ``labels``, which is then to be the same whatever the grid.
    """
    if looks is None:
        looks = {value: series_style(i) for i, value in enumerate(labels)}

    def fill(axes: Axes, line: tuple[str, str], dataset: str) -> None:
        measure, model = line
        part = rows[
            (rows["dataset"] == dataset)
            & (rows["model"] == model)
            & (rows["measure"] == measure)
        ]
        series_by_normalizer(axes, part, order, column, labels, looks)

    known = rows[rows["mean"].notna()]
    with_numbers = {*zip(known["measure"], known["model"], strict=True)}
    of_models = [(m, model) for m in measures for model in models(rows, order)]
    none = [
        measures[measure].replace("\n", " ")
        for measure in measures
        if measure in {*rows["measure"]} - {*known["measure"]}
    ]
    return panel_pages(
        [line for line in of_models if line in with_numbers],
        [name for name in order["datasets"] if name in {*known["dataset"]}],
        fill,
        title=lambda line, dataset: f"{dataset}, {line[1]}",
        y_label=lambda line, _: measures[line[0]],
        share_y="row",
        size=category_size(normalizers(rows, order), len(labels)),
        key=lambda axes: intervals_key(axes, rows),
        note=f"left out, not defined anywhere: {', '.join(none)}" if none else "",
    )


def pages_by_normalizer(
    rows: pd.DataFrame,
    order: Order,
    fill: Callable[[Axes, pd.DataFrame], None],
    *,
    x_label: str,
    y_label: str,
    **more: Any,
) -> Iterator[Figure]:
    """A row of panels a normalizer, a column a dataset and model.

    ``rows`` come with their model; ``fill(axes, rows)`` draws those of one panel.
    ``more`` goes to `panel_pages`.
    """

    def fill_cell(axes: Axes, normalizer: str, column: tuple[str, str]) -> None:
        dataset, model = column
        part = rows[
            (rows["dataset"] == dataset)
            & (rows["model"] == model)
            & (rows["normalizer"] == normalizer)
        ]
        fill(axes, part)

    return panel_pages(
        normalizers(rows, order),
        [(d, m) for d in order["datasets"] for m in models(rows, order)],
        fill_cell,
        title=lambda normalizer, column: f"{normalizer}\n{column[0]}, {column[1]}",
        x_label=x_label,
        y_label=lambda *_: y_label,
        share_x=True,
        **more,
    )


def point_pages(
    points: pd.DataFrame, order: Order, y_label: str, classes: bool
) -> Iterator[Figure]:
    """Values of instances against their largest weight: a row a normalizer.

    A column is a dataset and model. Colours and markers tell predicted classes apart
    where ``classes`` says so and outputs are classes; lines are medians within `BINS`.
    Normalizers are left out that change nothing, as uniform weights that are shuffled.
    """
    names = {name: name for name in order["normalizers"]}
    rows, note = without_zeros(with_model(points), "normalizer", names, "value")

    def fill(axes: Axes, part: pd.DataFrame) -> None:
        known = classes and part["predicted"].notna().all()
        groups = part.groupby("predicted") if known else [(0, part)]
        for value, group in groups:
            _scatter_with_medians(axes, group, int(value))
        axes.set_xlim(0, 1.02)

    def key(axes: Axes) -> None:
        for value in sorted(rows["predicted"].dropna().unique()):
            label = f"predicted class {int(value)}"
            axes.plot([], [], linestyle="", **series_style(int(value)), label=label)

    return pages_by_normalizer(
        rows,
        order,
        fill,
        x_label="largest attention weight",
        y_label=y_label,
        key=key if classes and rows["predicted"].notna().any() else None,
        note=note,
    )


def _scatter_with_medians(axes: Axes, group: pd.DataFrame, value: int) -> None:
    style = series_style(value)
    axes.plot(
        group["max_attention"],
        group["value"],
        linestyle="",
        **style,
        alpha=0.35,
        markersize=2.5,
        markeredgewidth=0,
    )
    bins = np.clip(np.digitize(group["max_attention"], BINS) - 1, 0, len(BINS) - 2)
    for index, median in group["value"].groupby(bins).median().items():
        axes.hlines(
            median, BINS[index], BINS[index + 1], color=style["color"], linewidth=1.6
        )
