"""Palette, labels and shared axes of all figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from attention_audit.tables import atomic_path

mpl.use("agg")

Order = Mapping[str, Sequence[str]]

# Seaborn's palette for the colour-blind; every use of a colour also has a marker or a
# line style of its own, so that the figures survive grey print.
PALETTE = sns.color_palette("colorblind")
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
PANEL = (2.6, 2.3)  # inches, width and height of one panel

RC = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 110,
    "font.size": 8,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 5,
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
    # names inside an SVG or PDF must not depend on a random draw
    "svg.hashsalt": "attention-audit",
}
mpl.rcParams.update(RC)


def with_model(rows: pd.DataFrame) -> pd.DataFrame:
    """Add ``model``: the encoder, with its scorer where the grid has several."""
    several = rows["scorer"].nunique() > 1
    label = rows["encoder"] + (", " + rows["scorer"] if several else "")
    return rows.assign(model=label)


def models(rows: pd.DataFrame, order: Order) -> list[str]:
    """The models in ``rows`` in the order of the config."""
    rank = {name: i for i, name in enumerate([*order["encoders"], *order["scorers"]])}
    found = rows[["model", "encoder", "scorer"]].drop_duplicates()
    keys = zip(
        found["encoder"].map(rank),
        found["scorer"].map(rank),
        found["model"],
        strict=True,
    )
    return [model for *_, model in sorted(keys)]


def measured(
    summary: pd.DataFrame,
    measure: str,
    subject: str | None = None,
    reference: str | None = None,
) -> pd.DataFrame:
    """The rows of a summary for one measure, with their model."""
    rows = summary[summary["measure"] == measure]
    if subject is not None:
        rows = rows[rows["subject"] == subject]
    if reference is not None:
        rows = rows[rows["reference"] == reference]
    return with_model(rows)


def grid_of_panels(
    n_rows: int, n_columns: int, share_y: bool | str = True, **more: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of ``n_rows`` by ``n_columns`` panels of one size; axes (rows, columns)."""
    return plt.subplots(
        n_rows,
        n_columns,
        figsize=(PANEL[0] * n_columns, PANEL[1] * n_rows),
        squeeze=False,
        sharey=share_y,
        layout="constrained",
        **more,
    )


def dodge(index: int, count: int, width: float = 0.5) -> float:
    """Offset of series ``index`` of ``count`` around a category's position."""
    return 0.0 if count == 1 else width * (index / (count - 1) - 0.5)


def category_axis(axes: Axes, names: Sequence[str]) -> None:
    """Names along x, slanted so that they can be read."""
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.grid(False, axis="x")


def points_by_normalizer(
    axes: Axes, rows: pd.DataFrame, order: Order, model_names: Sequence[str]
) -> None:
    """Means with intervals, a position a normalizer and a series a model."""
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    for i, model in enumerate(model_names):
        part = rows[rows["model"] == model].set_index("normalizer").reindex(names)
        x = np.arange(len(names)) + dodge(i, len(model_names), 0.3)
        axes.errorbar(
            x,
            part["mean"],
            yerr=interval_errors(part),
            fmt=MARKERS[i],
            color=PALETTE[i],
            label=model,
            capsize=2,
        )
    category_axis(axes, names)


def scores_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    names: Sequence[str],
    index: int,
    shift: float,
    label: str,
) -> None:
    """Series ``index``: the value of every run as a dot, their means as open markers."""
    axes.plot(
        # a list, for a cell that the grid leaves out has no numbers to add to
        [names.index(name) + shift for name in rows["normalizer"]],
        rows["value"],
        ".",
        color=PALETTE[index],
        alpha=0.6,
        markersize=3,
    )
    axes.plot(
        np.arange(len(names)) + shift,
        rows.groupby("normalizer")["value"].mean().reindex(names),
        MARKERS[index],
        color=PALETTE[index],
        markerfacecolor="none",
        label=label,
    )


def interval_errors(rows: pd.DataFrame) -> np.ndarray:
    """Distances (2, rows) from the mean to the ends of its interval, as errorbar wants."""
    # A percentile interval need not contain the mean; a bar cannot be negative.
    return np.maximum([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], 0)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend for all panels, under them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(columns, len(labels))
    )


def save_figure(figure: Figure, paths: Mapping[str, str | Path]) -> None:
    """Write ``paths["png"]`` and ``paths["pdf"]``, each atomically.

    Dates and random names are left out, so that the same numbers give the same bytes.
    """
    # matplotlib stamps a PDF with the date unless told otherwise
    dateless = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {}}
    for kind, metadata in dateless.items():
        with atomic_path(paths[kind]) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
    plt.close(figure)


def lines_by_sparsity(
    axes: Axes, rows: pd.DataFrame, x: str, series: str, names: Sequence[str]
) -> None:
    """Means with intervals along ``x``, a line a method.

    Methods of hidden states are dashed; the normalizer of each x stands over the panel.
    What is undefined, as the agreement of uniform weights, interrupts no line.
    """
    rows = rows[rows["mean"].notna()]
    for i, name in enumerate(names):
        part = rows[rows[series] == name].sort_values(x)
        axes.errorbar(
            part[x],
            part["mean"],
            yerr=interval_errors(part),
            marker=MARKERS[i % len(MARKERS)],
            linestyle="--" if name.startswith("hidden") else "-",
            color=PALETTE[i % len(PALETTE)],
            label=name.replace("_", " "),
            capsize=2,
        )
    _names_above(axes, rows[[x, "normalizer"]].drop_duplicates())


# Least distance of two names over a panel, of its width.
_NAME_GAP = 0.055


def _names_above(axes: Axes, named: pd.DataFrame) -> None:
    """Write names over a panel, upright, each tied to its x and clear of the others.

    ``named`` has two columns: x, within the limits of the axes, and the name.
    """
    if named.empty:  # a cell that the grid leaves out
        return
    named = named.sort_values(list(named.columns))
    positions, names = named.iloc[:, 0].to_numpy(), named.iloc[:, 1].tolist()
    low, high = axes.get_xlim()
    fractions = (positions - low) / (high - low)
    # The nearest positions in this order that keep the gap and stay over the panel.
    steps = np.arange(len(names)) * min(_NAME_GAP, 1 / max(1, len(names) - 1))
    spread = isotonic_regression(fractions - steps).x.clip(0, 1 - steps[-1]) + steps
    for position, fraction, name in zip(positions, spread, names, strict=True):
        axes.annotate(
            name,
            (position, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(fraction, 1.06),
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=5.5,
            color="0.35",
            arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5, "shrinkB": 0},
        )


def title_over_names(axes: Axes, title: str, names: Sequence[str]) -> None:
    """A panel's title, above the names that `lines_by_sparsity` writes."""
    # points: the gap below the names, and letters 3.4 wide
    axes.set_title(title, pad=9 + 3.4 * max(map(len, names)))
