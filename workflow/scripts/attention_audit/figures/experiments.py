"""What the figures of the experiments share."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    MARKERS,
    PALETTE,
    Order,
    category_axis,
    dodge,
    grid_of_panels,
    interval_errors,
    legend_below,
    models,
    with_model,
)

# Edges of the bins of the largest attention weight, as in Jain & Wallace 2019.
BINS = np.array([0, 0.25, 0.5, 0.75, 1.0])


def series_by_normalizer(
    axes: Axes, rows: pd.DataFrame, order: Order, column: str, labels: Mapping[str, str]
) -> None:
    """Means with intervals, a position a normalizer and a series a value of ``column``.

    ``labels`` holds what each value is called, in order.
    """
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    for i, (value, label) in enumerate(labels.items()):
        part = rows[rows[column] == value].set_index("normalizer").reindex(names)
        axes.errorbar(
            np.arange(len(names)) + dodge(i, len(labels)),
            part["mean"],
            yerr=interval_errors(part),
            fmt=MARKERS[i % len(MARKERS)],
            color=PALETTE[i % len(PALETTE)],
            label=label,
            capsize=1.5,
            markersize=4,
        )
    category_axis(axes, names)


def panels_by_measure(
    rows: pd.DataFrame,
    order: Order,
    measures: Mapping[str, str],
    column: str,
    labels: Mapping[str, str],
) -> Figure:
    """A row of panels a model and measure, a column a dataset.

    ``rows`` are those of a summary with their model; ``measures`` holds the label of
    the y axis for each measure.
    """
    lines = [(m, measure) for measure in measures for m in models(rows, order)]
    figure, axes = grid_of_panels(len(lines), len(order["datasets"]), share_y="row")
    for line, (model, measure) in zip(axes, lines, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[
                (rows["dataset"] == dataset)
                & (rows["model"] == model)
                & (rows["measure"] == measure)
            ]
            series_by_normalizer(panel, part, order, column, labels)
            panel.set_title(f"{dataset}, {model}")
        line[0].set_ylabel(measures[measure])
    legend_below(figure, axes[0, 0])
    return figure


def panels_by_normalizer(
    rows: pd.DataFrame, order: Order, x_label: str, y_label: str
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A row of panels a normalizer, a column a dataset and model; and the rows of each.

    ``rows`` come with their model.
    """
    columns = [(d, m) for d in order["datasets"] for m in models(rows, order)]
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    figure, axes = grid_of_panels(len(names), len(columns), sharex=True)
    panels = []
    for line, normalizer in zip(axes, names, strict=True):
        for panel, (dataset, model) in zip(line, columns, strict=True):
            part = rows[
                (rows["dataset"] == dataset)
                & (rows["model"] == model)
                & (rows["normalizer"] == normalizer)
            ]
            panel.set_title(f"{normalizer}\n{dataset}, {model}")
            panels.append((panel, part))
        line[0].set_ylabel(y_label)
    for panel in axes[-1]:
        panel.set_xlabel(x_label)
    return figure, panels


def point_panels(
    points: pd.DataFrame, order: Order, y_label: str, classes: bool
) -> Figure:
    """Values of instances against their largest weight: a row a normalizer.

    A column is a dataset and model. Colours tell predicted classes apart where
    ``classes`` says so; lines are medians within `BINS`.
    """
    rows = with_model(points)
    figure, panels = panels_by_normalizer(
        rows, order, "largest attention weight", y_label
    )
    for panel, part in panels:
        groups = part.groupby("predicted") if classes else [(0, part)]
        for value, group in groups:
            _scatter_with_medians(panel, group, int(value), classes)
        panel.set_xlim(0, 1.02)
    if classes:
        _class_legend(figure, sorted(rows["predicted"].unique()))
    return figure


def _scatter_with_medians(
    panel: Axes, group: pd.DataFrame, value: int, classes: bool
) -> None:
    color = PALETTE[value % len(PALETTE)]
    marker = MARKERS[value % len(MARKERS)] if classes else "o"
    panel.plot(
        group["max_attention"],
        group["value"],
        marker,
        color=color,
        alpha=0.35,
        markersize=2.5,
        markeredgewidth=0,
    )
    bins = np.clip(np.digitize(group["max_attention"], BINS) - 1, 0, len(BINS) - 2)
    for index, median in group["value"].groupby(bins).median().items():
        panel.hlines(median, BINS[index], BINS[index + 1], color=color, linewidth=1.6)


def _class_legend(figure: Figure, values: Sequence[int]) -> None:
    handles = [
        figure.axes[0].plot(
            [],
            [],
            MARKERS[v % len(MARKERS)],
            color=PALETTE[v % len(PALETTE)],
            label=f"predicted class {v}",
        )[0]
        for v in values[: len(MARKERS)]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
