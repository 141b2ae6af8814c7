"""Sentence pairs: gold, attention and importances side by side, normalizer by normalizer."""

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import MAX_PAGES, fitted, without_numbers
from attention_audit.figures.style import (
    PAGE_WIDTH,
    PALETTE,
    Order,
    shortened,
    with_model,
)

# Inches of a word along either side, and of the words beside a row of matrices.
_SIDE = 0.15
_WORDS = 0.9
# Letters of a word, and of a name over or beside a matrix.
_LETTERS = 12
# Weights from none to one.
_COLOURS = "Greys"
_GOLD = PALETTE[1]
# What stands beside gold, and below it, at most.
_SUBJECTS = 5
_NORMALIZERS = 8


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Pages a sentence pair and model: normalizers by gold, attention and importances.

    Of each cell the model with the smallest seed.
    """
    rows = with_model(tables["alignment_examples"])
    first = rows.groupby(["dataset", "model", "normalizer"])["seed"].transform("min")
    rows = rows[rows["seed"] == first]
    pages = []
    for dataset in order["datasets"]:
        of_dataset = rows[rows["dataset"] == dataset]
        for pair in sorted(of_dataset["instance_id"].unique()):
            of_pair = of_dataset[of_dataset["instance_id"] == pair]
            for model in sorted(of_pair["model"].unique()):
                part = of_pair[of_pair["model"] == model]
                names = [n for n in order["normalizers"] if n in {*part["normalizer"]}]
                pages += [
                    (part, names[start : start + _NORMALIZERS])
                    for start in range(0, len(names), _NORMALIZERS)
                ]
    if not pages:
        return iter([without_numbers()]), rows
    return (_page(*page, order) for page in pages[:MAX_PAGES]), rows


def _page(rows: pd.DataFrame, names: Sequence[str], order: Order) -> Figure:
    """One page of a sentence pair and model: a line a normalizer."""
    present = {*rows["subject"]}
    subjects = [s for s in ("attention", *order["methods"]) if s in present]
    subjects = subjects[:_SUBJECTS]
    found = rows.set_index(["normalizer", "subject"]).sort_index()
    words = rows.iloc[0]
    source, target = words["source_tokens"], words["target_tokens"]
    width, height = _SIDE * max(len(source), 6), _SIDE * len(target)
    columns = 1 + len(subjects)
    scale = min(1.0, PAGE_WIDTH / (_WORDS + (width + 0.1) * columns))
    figure, axes = plt.subplots(
        len(names),
        columns,
        figsize=(
            _WORDS + scale * (width + 0.1) * columns,
            _WORDS + 0.5 + scale * (height + 0.15) * len(names),
        ),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    shape = len(target), len(source)
    sure, possible = (
        np.array(words[name], dtype=bool).reshape(shape)
        for name in ("sure", "possible")
    )
    for name, panels in zip(names, axes, strict=True):
        _matrix(panels[0], 0.5 * sure, sure, possible)
        panels[0].set_yticks(range(shape[0]), [shortened(w, _LETTERS) for w in target])
        for panel, subject in zip(panels[1:], subjects, strict=True):
            if (name, subject) not in found.index:
                panel.axis("off")
                continue
            weights = np.array(found.loc[(name, subject), "weights"]).reshape(shape)
            _matrix(panel, weights, sure, possible)
        panels[1].set_ylabel(shortened(name), fontsize=7)
    for panel in axes[-1]:
        panel.set_xticks(
            range(shape[1]), [shortened(w, _LETTERS) for w in source], rotation=90
        )
    for panel, subject in zip(axes[0], ("gold", *subjects), strict=True):
        panel.set_title(fitted(subject.replace("_", " "), scale * width), fontsize=7)
    dataset, model, pair = (
        shortened(words[name], 2 * _LETTERS)
        for name in ("dataset", "model", "instance_id")
    )
    figure.suptitle(f"{dataset}, {model}: {pair}", fontsize=8)
    return figure


def _matrix(
    axes: Axes, weights: np.ndarray, sure: np.ndarray, possible: np.ndarray
) -> None:
    """Weights in grey, links of gold as squares on them: sure ones whole, others dotted."""
    axes.imshow(weights, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto")
    axes.tick_params(labelsize=6, length=0)
    axes.grid(False)
    for links, style in ((sure, "-"), (possible & ~sure, ":")):
        for t, s in np.argwhere(links):
            axes.add_patch(
                plt.Rectangle(
                    (s - 0.42, t - 0.42),
                    0.84,
                    0.84,
                    fill=False,
                    edgecolor=_GOLD,
                    linestyle=style,
                    linewidth=1.1,
                )
            )
