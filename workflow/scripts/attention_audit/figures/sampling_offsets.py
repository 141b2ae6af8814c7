"""Sampling points of deformable merging: where they come to lie, and how far that varies."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.style import (
    PALETTE,
    Order,
    models,
    normalizers,
    shortened,
    with_model,
)

# The points of a cell, in their order.
POINTS = ("upper left", "upper right", "lower left", "lower right")
_COLOURS = [PALETTE[i] for i in (0, 1, 2, 4)]
# Inches of a panel, and letters of a name beside it.
_SIZE = (2.3, 2.6)
_LETTERS = 20
# How far points are drawn to have moved at most, in tokens: they stay near their cell.
_REACH = 1.3


def magnification(rows: pd.DataFrame) -> int:
    """How many times larger shifts are drawn: 1 to 9, 10, 20 and so on.

    So that 19 of 20 points, with what they vary, stay within `_REACH`.
    """
    spread = rows[["sd_down", "sd_right"]].fillna(0).max(axis=1)
    far = (np.hypot(rows["down"], rows["right"]) + spread).quantile(0.95)
    if not far or far > _REACH:
        return 1
    fits = _REACH / far
    digit = 10 ** math.floor(math.log10(fits))
    return int(fits // digit * digit)


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Mean shifts of the sampling points: mergings by normalizers.

    Of each cell the model with the smallest seed, for which way a point moves is another
    matter in every seed. What models share that differ in their normalizer is drawn on one
    scale.
    """
    rows = with_model(tables["offset_summary"])
    first = rows.groupby(["dataset", "model", "normalizer"])["seed"].transform("min")
    rows = rows[rows["seed"] == first]
    line = ["dataset", "model", "merging"]
    alike = {key: part for key, part in rows.groupby(line)}
    factors = {key: magnification(part) for key, part in alike.items()}
    rows = rows.assign(
        magnified=[
            factors[key] for key in rows[line].itertuples(index=False, name=None)
        ]
    )
    parts = {key: part for key, part in rows.groupby([*line, "normalizer"])}
    lines = [
        (dataset, model, merging)
        for dataset in order["datasets"]
        for model in models(rows, order)
        for merging in sorted(rows["merging"].unique())
        if (dataset, model, merging) in factors
    ]

    def title(line: tuple, normalizer: str) -> str:
        name = shortened(normalizer)
        part = parts.get((*line, normalizer))
        if part is None:
            return name
        shift = f"shifts of {part['distance'].mean():.2g} tokens on average"
        return f"{name}\n{shift}\ndrawn {factors[line]} times as long"

    def y_label(line: tuple, _: str) -> str:
        dataset, model, merging = line
        size = alike[line].iloc[0]
        return (
            f"{shortened(dataset, _LETTERS)}, {shortened(model, _LETTERS)}\n"
            f"merging {merging + 1}: {size['rows']} x {size['columns']} tokens"
        )

    def fill(axes: Axes, line: tuple, normalizer: str) -> None:
        part = parts.get((*line, normalizer))
        if part is None:
            axes.set_axis_off()
        else:
            _points(axes, part, factors[line])

    pages = panel_pages(
        lines,
        normalizers(rows, order),
        fill,
        title=title,
        y_label=y_label,
        share_y=False,
        size=_SIZE,
    )
    return pages, rows


def _points(axes: Axes, rows: pd.DataFrame, factor: int) -> None:
    """The grid of tokens in its cells, and from where to where each point moves."""
    height, width = rows["rows"].iloc[0], rows["columns"].iloc[0]
    down, across = -(-height // 2), -(-width // 2)
    edges = {"color": "0.75", "linewidth": 0.8, "zorder": 0}
    right, below = 2 * across - 0.5, 2 * down - 0.5
    axes.hlines(np.arange(-0.5, below + 1, 2), -0.5, right, **edges)
    axes.vlines(np.arange(-0.5, right + 1, 2), -0.5, below, **edges)
    rest, moved = rows[["column", "row"]], rows[["right", "down"]].to_numpy() * factor
    axes.scatter(*rest.to_numpy().T, s=6, facecolor="white", edgecolor="0.6", zorder=1)
    for point, (name, colour) in enumerate(zip(POINTS, _COLOURS, strict=True)):
        own = (rows["point"] == point).to_numpy()
        start, shift = rest[own].to_numpy(), moved[own]
        axes.quiver(
            *start.T,
            *shift.T,
            color=colour,
            label=name,
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.008,
            zorder=3,
        )
        # as wide as twice a standard deviation over pictures
        widths, heights = (
            2 * factor * rows.loc[own, ["sd_right", "sd_down"]].fillna(0).T.to_numpy()
        )
        axes.add_collection(
            EllipseCollection(
                widths,
                heights,
                np.zeros(own.sum()),
                units="xy",
                offsets=start + shift,
                transOffset=axes.transData,
                facecolor=colour,
                alpha=0.35,
                zorder=2,
            )
        )
    axes.set_xlim(-_REACH, 2 * across - 1 + _REACH)
    axes.set_ylim(2 * down - 1 + _REACH, -_REACH)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(0, width, max(1, width // 8)))
    axes.set_yticks(range(0, height, max(1, height // 8)))
