"""Palette, labels, axes and pages of all figures."""

import itertools
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from scipy.optimize import isotonic_regression

from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.records.tables import atomic_path
from attention_audit.statistics.controls import is_control

mpl.use("agg")

# An axis of the grid to its names in the order of the config, and in "slots" what ties
# colours to names (`catalogue.slots`).
Order = Mapping[str, Any]

# Seaborn's palette for the colour-blind; every use of a colour also has a marker or a
# line style of its own, so that the figures survive grey print.
PALETTE = sns.color_palette("colorblind")
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
PANEL = (2.6, 2.3)  # inches, width and height of the smallest panel

# The most that a page holds, so that it can be read at the width of a screen.
MAX_COLUMNS = 6
MAX_LINES = 6
PAGE_WIDTH = MAX_COLUMNS * PANEL[0]
PAGE_HEIGHT = 20.0
# The most pages that are drawn: a picture takes seconds, and nobody reads more.
MAX_PAGES = 12

# Letters of a name that are shown, of a category or of a series.
MAX_NAME = 24
MAX_LABEL = 48

RC = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 110,
    # pages are drawn one after the other, and each is closed
    "figure.max_open_warning": 0,
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
    # a name with a dollar sign is no formula
    "text.parse_math": False,
}
mpl.rcParams.update(RC)


# --- names and series -------------------------------------------------------------


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
    """The normalizers in ``rows`` in the order of the config."""
    found = set(rows["normalizer"])
    return [name for name in order["normalizers"] if name in found]


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


# --- pages ------------------------------------------------------------------------


def panel_pages(
    lines: Sequence[Any],
    columns: Sequence[Any],
    fill: Callable[[Axes, Any, Any], None],
    *,
    title: Callable[[Any, Any], str],
    y_label: Callable[[Any], str],
    x_label: str = "",
    share_y: bool | str = True,
    share_x: bool = False,
    size: tuple[float, float] = PANEL,
    title_pad: float | None = None,
    title_once: bool = False,
    key: Callable[[Axes], None] | None = None,
    legend_columns: int = 4,
) -> Iterator[Figure]:
    """Yield pages of panels of one size, a row a line and a column a column.

    ``fill(axes, line, column)`` draws one panel. Columns that do not fit side by side
    go on below, lines that do not fit on a page on the next; past `MAX_PAGES` no more
    are drawn, which every page says. What carries a label goes into one legend under
    the panels, and so does what ``key`` draws into the first one for it.

    Args:
        size: width and height of a panel in inches, see `category_size`.
        title_pad: points between a panel and its title.
        title_once: whether the titles stand over the first line only.
    """
    width, height = size
    titles = {(n, c): title(n, c) for n in lines for c in columns}
    # Titles that had to be broken take their room from no panel.
    broken = [fitted(t, width).count("\n") - t.count("\n") for t in titles.values()]
    height += 0.15 * max(broken, default=0)
    n_lines = max(1, min(MAX_LINES, int(PAGE_HEIGHT / height)))
    n_columns = max(1, min(MAX_COLUMNS, int(PAGE_WIDTH / width)))
    pages = _pages(lines, columns, n_lines, n_columns)
    if not pages:
        yield _without_numbers()
    for number, page in enumerate(pages[:MAX_PAGES], start=1):
        n_columns = max(len(across) for _, across, _ in page)
        figure, axes = plt.subplots(
            len(page),
            n_columns,
            figsize=(width * n_columns, height * len(page)),
            squeeze=False,
            sharex=share_x,
            sharey=share_y,
            layout="constrained",
        )
        for panels, (line, across, first) in zip(axes, page, strict=True):
            for panel, column in zip(panels, across, strict=False):
                fill(panel, line, column)
                if first or not title_once:
                    text = fitted(titles[line, column], width)
                    panel.set_title(text, pad=title_pad)
            for panel in panels[len(across) :]:
                panel.remove()
            panels[0].set_ylabel(y_label(line))
        for column in range(n_columns):
            below = [r for r, (_, across, _) in enumerate(page) if column < len(across)]
            axes[below[-1], column].set_xlabel(x_label)
            axes[below[-1], column].tick_params(labelbottom=True)
        if key is not None:
            key(axes[0, 0])
        legend_below(figure, legend_columns)
        if len(pages) > 1:
            figure.suptitle(_place(number, len(pages)), fontsize=8, color="0.35")
        yield figure


def _even(items: Sequence[Any], at_most: int) -> list[Sequence[Any]]:
    """Runs of neighbours, as few as can be and of about one length."""
    count = -(-len(items) // at_most)
    edges = [round(i * len(items) / count) for i in range(count + 1)] if count else []
    return [items[a:b] for a, b in itertools.pairwise(edges)]


def _pages(
    lines: Sequence[Any], columns: Sequence[Any], n_lines: int, n_columns: int
) -> list[list[tuple[Any, Sequence[Any], bool]]]:
    """Pages of rows of panels: a line, its columns, and whether a block starts there."""
    pages: list[list[tuple[Any, Sequence[Any], bool]]] = []
    for across in _even(columns, n_columns):
        for block in _even(lines, n_lines):
            if not pages or len(pages[-1]) + len(block) > n_lines:
                pages.append([])
            pages[-1] += [(line, across, i == 0) for i, line in enumerate(block)]
    return pages


def _place(number: int, count: int) -> str:
    if count <= MAX_PAGES:
        return f"Page {number} of {count}; the PDF holds all"
    return (
        f"Page {number} of {count}; the PDF holds the first {MAX_PAGES}, the table "
        "beside it the numbers of all"
    )


def _without_numbers() -> Figure:
    figure = plt.figure(figsize=(PANEL[0] * 2, PANEL[1] / 2))
    figure.text(
        0.5, 0.5, "No run of this grid has numbers to show here", ha="center", size=9
    )
    return figure


def fitted(title: str, width: float) -> str:
    """A title in lines that fit over a panel of ``width`` inches."""
    letters = int(width * 12)
    lines = []
    for line in title.split("\n"):
        words = " ".join(shortened(word, letters) for word in line.split(" "))
        lines += textwrap.wrap(words, letters, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def legend_below(figure: Figure, columns: int = 4) -> None:
    """One legend for all panels, under them, with as much room as it takes."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(shortened(label, MAX_LABEL), handle)
    if not found:
        return
    width, height = figure.get_size_inches()
    # inches: letters of 8 points, and a handle with the gaps around it
    fit = max(1, int(width / (0.45 + 0.065 * max(map(len, found)))))
    wanted = columns if len(found) <= 2 * columns else len(found)
    columns = min(fit, wanted, len(found))
    # Two lines of it are within the size of the panels.
    figure.set_size_inches(width, height + 0.16 * max(0, -(-len(found) // columns) - 2))
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=columns
    )


def _with_notice(figure: Figure, notice: str) -> None:
    """Say over a page what has to be known before it is read."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(notice, int(width * 12))
    place = figure.get_suptitle()
    figure.set_size_inches(width, height + 0.16 * len(lines))
    figure.suptitle(
        "\n".join([*lines, *filter(None, [place])]), fontsize=8, color="#a00000"
    )


def save_pages(
    pages: Iterable[Figure], paths: Mapping[str, str | Path], notice: str | None = None
) -> None:
    """Write all pages to ``paths["pdf"]`` and the first to ``paths["png"]``.

    ``notice`` stands over each of them. Each file is whole or not there. Dates and
    random names are left out, so that the same numbers give the same bytes.
    """
    # matplotlib stamps a PDF with the date unless told otherwise
    dateless = {"CreationDate": None, "ModDate": None}
    with (
        atomic_path(paths["pdf"]) as temporary,
        PdfPages(temporary, metadata=dateless) as pdf,
        warnings.catch_warnings(),
    ):
        # A letter that the font lacks is drawn as a box, said once a letter and page.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        for number, figure in enumerate(pages):
            if notice:
                _with_notice(figure, notice)
            if number == 0:
                with atomic_path(paths["png"]) as picture:
                    figure.savefig(picture, format="png")
            pdf.savefig(figure)
            plt.close(figure)


# --- a position a normalizer ------------------------------------------------------


def category_size(names: Sequence[str], series: int) -> tuple[float, float]:
    """Width and height in inches of a panel with room for so many names and series."""
    apart = max(0.16, 0.05 * series)
    longest = max((len(shortened(name)) for name in names), default=0)
    below = 0.062 * longest * (1 if _upright(names) else math.sin(math.radians(35)))
    return (
        min(PAGE_WIDTH, max(PANEL[0], 0.6 + apart * len(names))),
        PANEL[1] + max(0, below - 0.45),
    )


def _upright(names: Sequence[str]) -> bool:
    return len(names) > 8


def category_axis(axes: Axes, names: Sequence[str]) -> None:
    """Names along x, slanted or upright so that they can be read."""
    axes.set_xticks(
        range(len(names)),
        [shortened(name) for name in names],
        rotation=90 if _upright(names) else 35,
        ha="center" if _upright(names) else "right",
    )
    axes.set_xlim(-0.5, max(len(names), 1) - 0.5)
    axes.grid(False, axis="x")


def dodge(index: int, count: int, width: float = 0.5) -> float:
    """Offset of series ``index`` of ``count`` around a category's position."""
    # Many series take most of the way to the next category.
    width = max(width, min(0.8, 0.1 * count))
    return 0.0 if count == 1 else width * (index / (count - 1) - 0.5)


# How a marker is drawn whose row has something in a column of the statistics, and what
# the legend calls it. A row with both is open.
MARKS = {
    "by_construction": (
        {"fillstyle": "bottom", "markerfacecoloralt": "white"},
        "half-filled: by construction",
    ),
    "note": ({"markerfacecolor": "white"}, "open: has a note in the table"),
}


def mark(
    axes: Axes, x: pd.Series | np.ndarray, rows: pd.DataFrame, style: Mapping[str, Any]
) -> list[Any]:
    """Draw `MARKS` over the markers at ``x`` and the means of ``rows``."""
    drawn = []
    for column, (fill, _) in MARKS.items():
        if column in rows and (marked := rows[column].notna()).any():
            means = rows["mean"][marked]
            look = {**style, **fill, "linestyle": "none", "zorder": 3}
            drawn += axes.plot(x[marked], means, **look)
    return drawn


def marks_key(rows: pd.DataFrame) -> Callable[[Axes], None]:
    """What draws the entries of the legend for the `MARKS` and intervals of ``rows``."""

    def key(axes: Axes) -> None:
        for column, (fill, label) in MARKS.items():
            if column in rows and rows[column].notna().any():
                # in the legend, error bars come behind lines
                axes.errorbar([], [], fmt="o", color="0.35", **fill, label=label)
        intervals_key(axes, rows)

    return key


def points_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    order: Order,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Means with intervals, a position a normalizer and a series a model.

    ``looks`` holds the colour and marker of each model, in order.
    """
    names = normalizers(rows, order)
    for i, (model, style) in enumerate(looks.items()):
        part = rows[rows["model"] == model].set_index("normalizer").reindex(names)
        x = np.arange(len(names)) + dodge(i, len(looks), 0.3)
        style = {**style, "markersize": 5 if len(looks) <= 4 else 3.5}
        error_bars(axes, x, part, linestyle="none", **style, label=model, capsize=2)
        mark(axes, x, part, style)
    category_axis(axes, names)


def scores_by_normalizer(
    axes: Axes,
    rows: pd.DataFrame,
    names: Sequence[str],
    style: Mapping[str, Any],
    shift: float,
    label: str,
) -> None:
    """One series: the value of every run as a dot, their means as open markers."""
    axes.plot(
        # a list, for a cell that the grid leaves out has no numbers to add to
        [names.index(name) + shift for name in rows["normalizer"]],
        rows["value"],
        ".",
        color=style["color"],
        alpha=0.6,
        markersize=3,
    )
    axes.plot(
        np.arange(len(names)) + shift,
        rows.groupby("normalizer")["value"].mean().reindex(names),
        style["marker"],
        color=style["color"],
        markerfacecolor="none",
        label=label,
    )


# --- lines along sparsity ---------------------------------------------------------


def names_size(names: Sequence[str], series: int) -> tuple[float, float]:
    """Width and height in inches of a panel with so many lines and names over it."""
    # More lines than a few want room in both directions.
    scale = max(1.0, series / 6)
    above = max(0, names_height(names) - names_height(["sparsegen"])) / 72
    return (
        min(PAGE_WIDTH, max(PANEL[0] * scale, 0.5 + 0.1 * len(names))),
        PANEL[1] * scale + above,
    )


def names_height(names: Sequence[str]) -> float:
    """Points between a panel and its title, with the names of `lines_by_sparsity`."""
    # the gap below the names, and letters 3.4 wide
    return 9 + 3.4 * max(len(shortened(name)) for name in names)


# Points between the markers of neighbouring methods at one x, and at most in all.
_APART = 2.5
_APART_IN_ALL = 24


def lines_by_sparsity(
    axes: Axes, rows: pd.DataFrame, x: str, series: str, order: Order
) -> None:
    """Means with intervals along ``x``, a line a method.

    Methods of hidden states are dashed; the normalizer of each x stands over the panel.
    Methods stand side by side, a few points from their x, so that equal means do not
    hide each other. What is undefined, as the agreement of uniform weights, interrupts
    no line; how a marker is filled says what its row has to say, see `MARKS`.
    """
    rows = rows.dropna(subset=["mean", x])
    methods = order["methods"]
    step = min(_APART, _APART_IN_ALL / max(1, len(methods) - 1))
    for i, name in enumerate(methods):
        part = rows[rows[series] == name].sort_values(x)
        style = method_style(name, order)
        style["markersize"] = 5 if len(methods) <= 6 else 3.5
        drawn = error_bars(
            axes,
            part[x],
            part,
            **style,
            linestyle="--" if name in order["hidden_methods"] else "-",
            label=name.replace("_", " "),
            capsize=2,
        )
        drawn += mark(axes, part[x], part, style)
        aside = ScaledTranslation(
            step * (i - (len(methods) - 1) / 2) / 72, 0, axes.figure.dpi_scale_trans
        )
        # Only now, for the limits of the axes are those of the numbers.
        for artist in drawn:
            artist.set_transform(axes.transData + aside)
    axes.margins(x=0.08)  # room for it
    _names_above(axes, rows[[x, "normalizer"]].drop_duplicates())


def pages_by_sparsity(
    rows: pd.DataFrame,
    order: Order,
    x: str,
    series: str,
    behind: Callable[[Axes, pd.DataFrame], None],
    *,
    x_label: str,
    y_label: str,
) -> Iterator[Figure]:
    """`lines_by_sparsity`, a row of panels a model and a column a dataset.

    ``behind`` draws what each panel has behind its lines, from the panel's rows.
    """

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        behind(axes, part)
        lines_by_sparsity(axes, part, x, series, order)

    return panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        title_pad=names_height(order["normalizers"]),
        y_label=lambda _: y_label,
        x_label=x_label,
        size=names_size(order["normalizers"], len(order["methods"])),
        key=marks_key(rows),
        legend_columns=2,
    )


# Inches: the least distance of two names over a panel, and theirs from it.
_NAME_GAP = 0.143
_NAME_RISE = 0.138


def _names_above(axes: Axes, named: pd.DataFrame) -> None:
    """Write names over a panel, upright, each tied to its x and clear of the others.

    ``named`` has two columns: x, within the limits of the axes, and the name.
    """
    if named.empty:  # a cell that the grid leaves out
        return
    rows, columns = axes.get_subplotspec().get_gridspec().get_geometry()
    width, height = axes.figure.get_size_inches() / (columns, rows)
    named = named.sort_values(list(named.columns))
    positions, names = named.iloc[:, 0].to_numpy(), named.iloc[:, 1].tolist()
    low, high = axes.get_xlim()
    fractions = (positions - low) / (high - low)
    # The nearest positions in this order that keep the gap and stay over the panel.
    steps = np.arange(len(names)) * min(_NAME_GAP / width, 1 / max(1, len(names) - 1))
    spread = isotonic_regression(fractions - steps).x.clip(0, 1 - steps[-1]) + steps
    for position, fraction, name in zip(positions, spread, names, strict=True):
        axes.annotate(
            shortened(name),
            (position, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(fraction, 1 + _NAME_RISE / height),
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=5.5,
            color="0.35",
            arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5, "shrinkB": 0},
        )
