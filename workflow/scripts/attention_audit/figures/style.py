"""Palette, names and series of all figures."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns

from attention_audit.statistics.controls import is_control

mpl.use("agg")

# An axis of the grid to its names in the order of the figures, in "slots" what ties colours
# to names (`catalogue.slots`), and in "looks" the colour and marker of each normalizer.
Order = Mapping[str, Any]

# Seaborn's palette for the colour-blind; every use of a colour also has a marker or a
# line style of its own, so that the figures survive grey print.
PALETTE = sns.color_palette("colorblind")
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
# Inches: a column of a paper in two, and the width and height of its text.
COLUMN, PAGE_WIDTH, PAGE_HEIGHT = 3.3, 6.9, 9.0
PANEL = (PAGE_WIDTH / 3, 2.2)  # inches, width and height of the smallest panel

# Letters of a name that are shown, of a category or of a series.
MAX_NAME = 24
MAX_LABEL = 48

RC = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "figure.dpi": 110,
    # pages are drawn one after the other, and each is closed
    "figure.max_open_warning": 0,
    "font.size": 8,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 5,
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
    "savefig.dpi": 300,
    "savefig.pad_inches": 0.02,
    # names inside an SVG or PDF must not depend on a random draw
    "svg.hashsalt": "attention-audit",
    # a name with a dollar sign is no formula
    "text.parse_math": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
mpl.rcParams.update(RC)


def series_style(index: int, variant: int = 0) -> dict[str, Any]:
    """Colour and marker of a series: no two of the first 100 have both in common.

    Variants of a series share its colour, which is lighter where markers run out.
    """
    # Stepping through both lists at once meets one pair in ten; a shift the others.
    shift = index // math.lcm(len(PALETTE), len(MARKERS))
    # 3 shares no factor with the number of markers, so that a step meets all of them,
    # and the variants of neighbours have few in common.
    place = index + shift + 3 * variant
    white = 1 - 0.6 ** (variant // len(MARKERS))
    color = PALETTE[index % len(PALETTE)]
    return {
        "color": tuple(c + white * (1 - c) for c in color) if white else color,
        "marker": MARKERS[place % len(MARKERS)],
    }


def method_style(name: str, order: Order) -> dict[str, Any]:
    """Colour and marker of a method, which stay as they are when others come."""
    return series_style(order["slots"]["methods"][name])


def normalizer_style(name: str, order: Order) -> dict[str, Any]:
    """Colour and marker of a normalizer: the same in all figures of all grids."""
    return dict(order["looks"][name])


def model_looks(
    rows: pd.DataFrame, order: Order, part: int = 0, parts: int = 1
) -> dict[str, dict[str, Any]]:
    """Colour and marker of every model in ``rows``, or of one of its parts, in order.

    The colour is the encoder's. They stay as they are when other models come.
    """
    found = rows.drop_duplicates("model").set_index("model")
    slots = order["slots"]
    return {
        model: series_style(
            slots["encoders"][found.loc[model, "encoder"]],
            slots["scorers"][found.loc[model, "scorer"]] * parts + part,
        )
        for model in models(rows, order)
    }


def shortened(name: str, letters: int = MAX_NAME) -> str:
    """A name with its middle left out where it has more than ``letters``."""
    if len(name) <= letters:
        return name
    tail = (letters - 1) // 2
    return f"{name[: letters - 1 - tail]}…{name[len(name) - tail :]}"


def with_model(rows: pd.DataFrame) -> pd.DataFrame:
    """Add ``model``: the encoder, with its scorer where the grid has several."""
    several = rows["scorer"].nunique() > 1
    label = rows["encoder"] + (", " + rows["scorer"] if several else "")
    return rows.assign(model=label)


def models(rows: pd.DataFrame, order: Order) -> list[str]:
    """The models in ``rows`` in the order of the config."""
    encoders, scorers = (
        {name: i for i, name in enumerate(order[axis])}
        for axis in ("encoders", "scorers")
    )
    found = rows[["model", "encoder", "scorer"]].drop_duplicates()
    keys = zip(
        found["encoder"].map(encoders),
        found["scorer"].map(scorers),
        found["model"],
        strict=True,
    )
    return [model for *_, model in sorted(keys)]


def normalizers(rows: pd.DataFrame, order: Order) -> list[str]:
    """The normalizers in ``rows`` in the order of the figures."""
    found = set(rows["normalizer"])
    return [name for name in order["normalizers"] if name in found]


def without_zeros(
    rows: pd.DataFrame, column: str, labels: Mapping[str, str], value: str = "mean"
) -> tuple[pd.DataFrame, str]:
    """The rows of what differs from zero somewhere, and what has been left out, in words.

    A panel of zeros shows nothing. ``labels`` holds what the values of ``column`` are
    called; if all are zero all stay.
    """
    moved = rows[rows[value].fillna(0) != 0][column].unique()
    none = [name for name in labels if name in set(rows[column]) - {*moved}]
    if not len(moved) or not none:
        return rows, ""
    said = f"left out, zero everywhere: {', '.join(labels[name] for name in none)}"
    return rows[rows[column].isin(moved)], said


def measured(
    summary: pd.DataFrame,
    measure: str,
    subject: str | None = None,
    reference: str | None = None,
    controls: bool = False,
) -> pd.DataFrame:
    """The rows of a summary for one measure, with their model; ``controls`` if wanted."""
    rows = summary[summary["measure"] == measure]
    if not controls:
        rows = rows[~rows["normalizer"].map(is_control).astype(bool)]
    if subject is not None:
        rows = rows[rows["subject"] == subject]
    if reference is not None:
        rows = rows[rows["reference"] == reference]
    return with_model(rows)
