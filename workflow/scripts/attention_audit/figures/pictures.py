"""Pictures with attention and importance laid over: normalizers by what is shown."""

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import MAX_PAGES, fitted
from attention_audit.figures.style import (
    PAGE_HEIGHT,
    PAGE_WIDTH,
    Order,
    shortened,
    with_model,
)

# Inches of a picture beside others, at most, and of a line of pictures with its words.
_SIDE = 1.05
# Letters of a name beside a line, and over a column.
_LETTERS = 14
# Weights from none to the largest of a picture, over the picture in grey.
_COLOURS = "magma"
_OPACITY = 0.72
_LINE = 1.2 * _SIDE
# Lines of a page, and what is laid over a picture at most.
_LINES = int(PAGE_HEIGHT / _LINE)
_SUBJECTS = 9


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Pages a data set and model: pictures by normalizers, and what each model uses.

    Of each cell the model with the smallest seed. Weights of a picture are on a scale of
    their own, from 0 to the largest.
    """
    rows = with_model(tables["picture_examples"])
    first = rows.groupby(["dataset", "model", "normalizer"])["seed"].transform("min")
    rows = rows[rows["seed"] == first]
    pages = []
    for dataset in order["datasets"]:
        of_dataset = rows[rows["dataset"] == dataset]
        for model in sorted(of_dataset["model"].unique()):
            part = of_dataset[of_dataset["model"] == model]
            present = {*part["normalizer"]}
            lines = [
                (instance, name)
                for instance in sorted(part["instance_id"].unique())
                for name in order["normalizers"]
                if name in present
            ]
            pages += [
                (part, lines[start : start + _LINES])
                for start in range(0, len(lines), _LINES)
            ]
    return (_page(*page, order) for page in pages[:MAX_PAGES]), rows


def _page(rows: pd.DataFrame, lines: Sequence[tuple[str, str]], order: Order) -> Figure:
    """One page of a data set and model: a line a picture and normalizer."""
    of_subjects = {*rows["subject"]}
    subjects = [s for s in ("attention", *order["methods"]) if s in of_subjects]
    subjects = subjects[:_SUBJECTS]
    found = rows.set_index(["instance_id", "normalizer", "subject"]).sort_index()
    columns = 1 + len(subjects)
    side = min(_SIDE, PAGE_WIDTH / columns)
    figure, axes = plt.subplots(
        len(lines),
        columns,
        figsize=(side * columns, _LINE * len(lines)),
        squeeze=False,
        layout="constrained",
    )
    for (instance, normalizer), panels in zip(lines, axes, strict=True):
        for panel in panels:
            panel.set_xticks([])
            panel.set_yticks([])
        shown = found.loc[(instance, normalizer)]
        for panel, subject in zip(panels[1:], subjects, strict=True):
            if subject in shown.index:
                _lay_over(panel, shown.loc[subject])
        row = shown.iloc[0]
        panels[0].imshow(_pixels(row))
        panels[0].set_ylabel(shortened(normalizer, _LETTERS), fontsize=7)
        label, predicted = (
            shortened(row[name], _LETTERS) for name in ("label", "predicted")
        )
        panels[0].set_xlabel(f"{label},\nread as {predicted}", fontsize=6)
    for panel, subject in zip(axes[0], ("picture", *subjects), strict=True):
        words = shortened(subject, 2 * _LETTERS).replace("_", " ")
        panel.set_title(fitted(words, side), fontsize=7)
    dataset, model = (
        shortened(rows[name].iloc[0], 2 * _LETTERS) for name in ("dataset", "model")
    )
    figure.suptitle(f"{dataset}, {model}", fontsize=8)
    return figure


def _pixels(row: pd.Series) -> np.ndarray:
    """(height, width, 3) uint8."""
    shape = row["height"], row["width"], row["channels"]
    pixels = np.array(row["pixels"], dtype=np.uint8).reshape(shape)
    return pixels.repeat(3 // shape[-1], axis=-1)


def _lay_over(axes: Axes, row: pd.Series) -> None:
    """Patches by their weights, over the picture in grey."""
    weights = np.array(row["weights"]).reshape(row["rows"], row["columns"])
    side = row["height"] // row["rows"]
    axes.imshow(_pixels(row).mean(-1), cmap="gray", vmin=0, vmax=255)
    axes.imshow(
        weights.repeat(side, 0).repeat(side, 1),
        cmap=_COLOURS,
        vmin=0,
        vmax=weights.max() or 1.0,
        alpha=_OPACITY,
    )
