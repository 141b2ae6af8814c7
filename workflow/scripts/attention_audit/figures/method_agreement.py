"""How far every two methods rank the positions of a decision alike, attention among them."""

import itertools
from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from attention_audit.figures.pages import (
    MAX_COLUMNS,
    fitted,
    panel_pages,
    without_numbers,
)
from attention_audit.figures.style import (
    Order,
    measured,
    models,
    normalizers,
    shortened,
)

# Red below 0 and blue above, for all kinds of colour vision; the numbers say which.
_COLOURS = "RdBu"
_UNDEFINED = "0.88"
_LETTERS = 6
# Inches of a cell, and the least of a panel.
_CELL = (0.27, 0.17)
_LEAST = 1.4
# What is appended to a number that has something in a column, and what the legend says.
_SIGNS = {
    "by_construction": ("*", "* in part by construction"),
    "note": ("°", "° has a note in the table"),
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Mean Kendall's tau-b of every two: pages a data set, a panel a model and normalizer."""
    subjects = [*order["methods"], "attention"]
    rows = measured(tables["summary"], "kendall_tau_b")
    rows = rows[rows["subject"].isin(subjects) & rows["reference"].isin(subjects)]
    if rows.empty:
        return iter([without_numbers()]), rows
    cells = dict(iter(rows.groupby(["dataset", "model", "normalizer"])))
    pages = (
        _pages(dataset, subjects, rows[rows["dataset"] == dataset], cells, order)
        for dataset in order["datasets"]
        if dataset in set(rows["dataset"])
    )
    return itertools.chain.from_iterable(pages), rows


def _pages(
    dataset: str,
    subjects: Sequence[str],
    rows: pd.DataFrame,
    cells: dict[tuple[str, str, str], pd.DataFrame],
    order: Order,
) -> Iterator[Figure]:
    """The pages of one data set, whose ``rows`` ``cells`` holds by panel."""
    names = normalizers(rows, order)
    # The last has no column and the first no row: what is held against itself says nothing.
    across, up = (max(_LEAST, side * (len(subjects) - 1)) for side in _CELL)
    labels = 0.055 * max(len(shortened(name)) for name in subjects)
    signs = [said for column, (_, said) in _SIGNS.items() if rows[column].notna().any()]

    def fill(axes: Axes, model: str, normalizer: str) -> None:
        # Some methods do not apply to every encoder.
        own = rows[rows["model"] == model]
        shown = {*own["subject"], *own["reference"]}
        present = [name for name in subjects if name in shown]
        _matrix(axes, cells.get((dataset, model, normalizer)), present)

    def title(model: str, normalizer: str) -> str:
        said = _counts(cells.get((dataset, model, normalizer)))
        # over the matrix, and not its names
        return fitted(f"{dataset}, {model}\n{normalizer}{said}", across)

    lines = max(
        title(model, name).count("\n")
        for model in models(rows, order)
        for name in names
    )

    def key(axes: Axes) -> None:
        for said in signs:
            axes.plot([], [], linestyle="none", label=said)

    return panel_pages(
        models(rows, order),
        names,
        fill,
        title=title,
        y_label=lambda *_: "",
        share_y="row",
        size=(
            across + 0.3 + labels / min(len(names), MAX_COLUMNS),
            up + 0.35 + 0.15 * lines + labels,
        ),
        key=key,
    )


def _counts(part: pd.DataFrame | None) -> str:
    """A line that says of how many instances the numbers of a panel are means."""
    if part is None:
        return ""
    fewest, most = part["n_instances"].min(), part["n_instances"].max()
    return f"\nn = {fewest}" if fewest == most else f"\nn = {fewest} to {most}"


def _matrix(axes: Axes, part: pd.DataFrame | None, subjects: Sequence[str]) -> None:
    """A cell a pair, of a later subject in a row and an earlier one in a column."""
    of_row = {name: i for i, name in enumerate(subjects[1:])}
    of_column = {name: i for i, name in enumerate(subjects[:-1])}
    values = np.full((len(of_row), len(of_column)), np.nan)
    for row in () if part is None else part.itertuples():
        # attention is the subject of its pairs, and the last in the order
        column, line = sorted((row.subject, row.reference), key=subjects.index)
        place = of_row[line], of_column[column]
        values[place] = row.mean
        if np.isnan(row.mean):
            continue
        said = "".join(
            sign
            for column, (sign, _) in _SIGNS.items()
            if not pd.isna(getattr(row, column))
        )
        text = axes.text(
            place[1],
            place[0],
            # without a sign of what rounds to none
            f"{round(row.mean, 2) + 0.0:.2f}".replace("0.", ".") + said,
            ha="center",
            va="center",
            fontsize=_LETTERS,
            color="white" if abs(row.mean) > 0.4 else "black",
        )
        # It lies within its cell: to ask each for its size takes longer than to draw it.
        text.set_in_layout(False)
    # Most are small, and so are told apart by their roots.
    colours = mpl.colormaps[_COLOURS]((np.sign(values) * np.abs(values) ** 0.5 + 1) / 2)
    colours[np.isnan(values)] = to_rgba(_UNDEFINED)
    colours[np.triu_indices_from(values, 1)] = to_rgba("white")
    axes.imshow(colours, aspect="auto")
    axes.set_xticks(
        range(len(of_column)), [shortened(name) for name in of_column], rotation=90
    )
    axes.set_yticks(range(len(of_row)), [shortened(name) for name in of_row])
    axes.tick_params(length=0, labelsize=6)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
