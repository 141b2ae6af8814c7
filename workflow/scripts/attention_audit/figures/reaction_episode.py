"""Minutes of a recording: what is predicted and what is true, with attention under it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from attention_audit.figures.pages import MAX_PAGES, legend_below, without_numbers
from attention_audit.figures.style import (
    PAGE_WIDTH,
    Order,
    models,
    normalizer_style,
    shortened,
    with_model,
)

# Seconds that are shown, from the middle of a recording.
EXCERPT = 300
# The most data sets side by side, and strips below each other, of a page.
_COLUMNS = 2
_STRIPS = 4
# Inches: width of a column, heights of the curves and of a strip.
_WIDTH, _CURVES, _STRIP = PAGE_WIDTH / 2, 1.5, 0.85
_LETTERS = 20
# Black is the largest weight of a strip, and at least so many times an equal one: what is
# nearly even shall not look large.
_BLACK = 5
# Beside the colours of normalizers, for grey print.
_LINES = ("-", "--", "-.", ":")

_PAGE = ["recording", "reaction", "model"]


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Pages a recording, reaction and model: curves, and below them a strip a normalizer.

    A column is a data set: a way to sample the same recording.
    """
    rows = _middle(with_model(tables["reaction_episodes"]))
    datasets = [name for name in order["datasets"] if name in set(rows["dataset"])]
    wanted = itertools.product(
        sorted(rows["recording"].unique()),
        sorted(rows["reaction"].unique()),
        models(rows, order),
    )
    by_page = {key: part for key, part in rows.groupby(_PAGE)}
    pages = []
    for key in wanted:
        part = by_page.get(key)
        if part is None:
            continue
        shown = [name for name in datasets if name in set(part["dataset"])]
        names = [n for n in order["normalizers"] if n in set(part["normalizer"])]
        pages += [
            (part, of_datasets, of_names)
            for of_datasets in _runs(shown, _COLUMNS)
            for of_names in _runs(names, _STRIPS)
        ]
    rows = rows.drop(columns="model")
    if not pages:
        return iter([without_numbers()]), rows
    return (_page(*page, order) for page in pages[:MAX_PAGES]), rows


def _runs(names: Sequence[str], at_most: int) -> list[Sequence[str]]:
    return [names[i : i + at_most] for i in range(0, len(names), at_most)]


def _middle(rows: pd.DataFrame) -> pd.DataFrame:
    """The `EXCERPT` in the middle of every recording, whatever happens there."""
    seconds = rows.groupby("recording")["second"]
    first, last = seconds.transform("min"), seconds.transform("max")
    start = np.maximum(first, (first + last + 1 - EXCERPT) // 2)
    return rows[(rows["second"] >= start) & (rows["second"] < start + EXCERPT)]


def _page(
    rows: pd.DataFrame, datasets: Sequence[str], names: Sequence[str], order: Order
) -> Figure:
    """One page of a recording, reaction and model."""
    figure, axes = plt.subplots(
        1 + len(names),
        len(datasets),
        figsize=(_WIDTH * len(datasets), _CURVES + _STRIP * len(names) + 0.9),
        height_ratios=[_CURVES, *[_STRIP] * len(names)],
        squeeze=False,
        sharex="col",
        layout="constrained",
    )
    for dataset, (curves, *strips) in zip(datasets, axes.T, strict=True):
        own = rows[rows["dataset"] == dataset]
        of_runs = {
            name: part.sort_values("second")
            for name, part in own.groupby("normalizer")
            if name in names
        }
        _draw_curves(curves, own, of_runs, names, order)
        # over the events
        curves.set_title(shortened(dataset, 2 * _LETTERS), pad=10)
        for name, strip in zip(names, strips, strict=True):
            if name in of_runs:
                black = _draw_strip(strip, of_runs[name])
                strip.set_title(
                    f"{shortened(name, _LETTERS)} (black: {black:.2g})",
                    fontsize=7,
                    loc="left",
                    pad=2,
                )
            else:
                strip.set_axis_off()
    for strip in axes[-1]:
        strip.set_xlabel("minutes from the start")
    axes[0, 0].set_ylabel(shortened(rows["reaction"].iloc[0], _LETTERS))
    for strip in axes[1:, 0]:
        strip.set_ylabel("seconds\nback", fontsize=7)
    legend_below(figure, 2 + len(names))
    recording, model = (
        shortened(rows[name].iloc[0], 2 * _LETTERS) for name in ("recording", "model")
    )
    figure.suptitle(f"{recording}, {model}", fontsize=8)
    return figure


def _draw_curves(
    axes: Axes,
    rows: pd.DataFrame,
    of_runs: Mapping[str, pd.DataFrame],
    names: Sequence[str],
    order: Order,
) -> None:
    """What is true, filled, with its events over it, and a line a normalizer."""
    true = rows.drop_duplicates("second").sort_values("second")
    minutes = _minutes(true)
    axes.fill_between(minutes, true["target"], color="0.82", linewidth=0, label="true")
    happened = true["event"].eq(True).to_numpy()
    axes.plot(
        minutes[happened],
        np.full(happened.sum(), 1.04),
        "|",
        color="black",
        markersize=4,
        markeredgewidth=0.7,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        label="event" if happened.any() else None,
    )
    for name, line in zip(names, _LINES, strict=False):
        if name in of_runs:
            own = of_runs[name]
            color = normalizer_style(name, order)["color"]
            look = {"color": color, "linestyle": line, "linewidth": 1.0, "label": name}
            axes.plot(_minutes(own), own["output"], **look)
    axes.set_ylim(bottom=0)


def _minutes(rows: pd.DataFrame) -> np.ndarray:
    # the middle of a second
    return (rows["second"].to_numpy() + 0.5) / 60


def _draw_strip(axes: Axes, rows: pd.DataFrame) -> float:
    """Weights by the second of the decision and by how far back they lie; which is black."""
    times = np.unique(np.concatenate(rows["times"].to_list()))
    seconds = np.arange(rows["second"].min(), rows["second"].max() + 1)
    weights = np.zeros((len(times), len(seconds)))
    for second, at, own in zip(
        rows["second"], rows["times"], rows["attention"], strict=True
    ):
        weights[np.searchsorted(times, at), second - seconds[0]] = own
    black = min(1.0, max(weights.max(), _BLACK / len(times)))
    half = np.diff(times).min() / 2 if len(times) > 1 else 0.5
    axes.imshow(
        weights,
        # weak weights are seen too
        norm=PowerNorm(0.5, vmin=0, vmax=black),
        cmap="Greys",
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        extent=(
            seconds[0] / 60,
            (seconds[-1] + 1) / 60,
            # seconds back, the decision itself at the bottom
            -times[0] + half,
            -times[-1] - half,
        ),
    )
    axes.set_ylim(-times[-1] - half, -times[0] + half)
    axes.grid(False)
    return black
