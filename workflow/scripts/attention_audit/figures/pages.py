"""Panels on pages, and pages in files."""

import itertools
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    COLUMN,
    MAX_LABEL,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    PANEL,
    shortened,
)
from attention_audit.records.tables import atomic_path

# The most panels that a page of a paper holds side by side, and below each other.
MAX_COLUMNS = 4
MAX_LINES = 6
# Of lines of a single column, which are to be compared with each other.
MAX_SIDE_BY_SIDE = 3

# Where the legend of a page stands, and inches of a line over it.
_UNDER = "outside lower center"
_BELOW = 0.14

# The most pages that are drawn: a picture takes seconds, and nobody reads more.
MAX_PAGES = 12


def panel_pages(
    lines: Sequence[Any],
    columns: Sequence[Any],
    fill: Callable[[Axes, Any, Any], None],
    *,
    title: Callable[[Any, Any], str],
    y_label: Callable[[Any, Any], str],
    x_label: str = "",
    share_y: bool | str = True,
    share_x: bool = False,
    size: tuple[float, float] = PANEL,
    title_pad: float | None = None,
    title_once: bool = False,
    key: Callable[[Axes], None] | None = None,
    legend_columns: int = 4,
    note: str = "",
) -> Iterator[Figure]:
    """Yield pages of panels of one size, a row a line and a column a column.

    A page is as wide as a column of a paper in two, or as its text, and panels share that.
    ``fill(axes, line, column)`` draws one panel, and nothing where a cell is left out, whose
    place stays empty. Columns that do not fit side by side
    go on below, lines that do not fit on a page on the next. Of a single column, lines
    with the same label of y stand side by side; elsewhere a panel has its label where the
    one to its left has none or another. Past `MAX_PAGES` no more are drawn, which
    every page says. What carries a label goes into one legend under
    the panels, and so does what ``key`` draws into the first one for it.

    Args:
        size: the least width of a panel and its height in inches, see `category_size`.
        title_pad: points between a panel and its title.
        title_once: whether the titles stand over the first line only.
        note: what stands below every page, as what has been left out.
    """
    width, height = size
    n_columns = max(1, min(MAX_COLUMNS, int(PAGE_WIDTH / width)))
    blocks = _rows(lines, columns, n_columns, y_label)
    n_columns = max((len(row) for rows in blocks for row in rows), default=1)
    page_width = COLUMN if width * n_columns <= COLUMN else PAGE_WIDTH
    width = page_width / n_columns
    titles = {(n, c): title(n, c) for n in lines for c in columns}
    # Titles that had to be broken take their room from no panel.
    broken = [fitted(t, width).count("\n") - t.count("\n") for t in titles.values()]
    height += 0.15 * max(broken, default=0)
    n_lines = max(1, min(MAX_LINES, int(PAGE_HEIGHT / height)))
    pages = _pages(blocks, n_lines)
    if not pages:
        yield without_numbers()
    for number, page in enumerate(pages[:MAX_PAGES], start=1):
        figure, axes = plt.subplots(
            len(page),
            n_columns,
            figsize=(page_width, height * len(page)),
            squeeze=False,
            sharex=share_x,
            sharey=share_y,
            layout="constrained",
        )
        for panels, (row, first) in zip(axes, page, strict=True):
            for panel, (line, column) in zip(panels, row, strict=False):
                fill(panel, line, column)
                if not (panel.has_data() or panel.texts):
                    panel.set_axis_off()
                elif first or not title_once:
                    text = fitted(titles[line, column], width)
                    panel.set_title(text, pad=title_pad)
            for panel in panels[len(row) :]:
                panel.remove()
            labels = ["", *(y_label(*place) for place in row)]
            for panel, (left, own) in zip(
                panels, itertools.pairwise(labels), strict=False
            ):
                if own != left:
                    panel.set_ylabel(own)
        for column in range(n_columns):
            below = [
                r
                for r, (row, _) in enumerate(page)
                if column < len(row) and axes[r, column].axison
            ]
            if below:
                axes[below[-1], column].set_xlabel(x_label)
                axes[below[-1], column].tick_params(labelbottom=True)
        if key is not None:
            key(axes[0, 0])
        legend_below(figure, legend_columns)
        if len(pages) > 1:
            place = textwrap.fill(_place(number, len(pages)), int(page_width * 13))
            figure.suptitle(place, fontsize=7, color="0.35")
        if note:
            say_below(figure, note)
        yield figure


def _even(items: Sequence[Any], at_most: int) -> list[Sequence[Any]]:
    """Runs of neighbours, as few as can be and of about one length."""
    count = -(-len(items) // at_most)
    edges = [round(i * len(items) / count) for i in range(count + 1)] if count else []
    return [items[a:b] for a, b in itertools.pairwise(edges)]


# The panels that stand side by side, line and column of each.
_Row = list[tuple[Any, Any]]


def _rows(
    lines: Sequence[Any],
    columns: Sequence[Any],
    n_columns: int,
    y_label: Callable[[Any, Any], str],
) -> list[list[_Row]]:
    """Rows of panels in blocks, at whose tops titles stand."""
    if len(columns) == 1:
        panels = [(line, columns[0]) for line in lines]
        by_label = itertools.groupby(panels, lambda place: y_label(*place))
        alike = [list(same) for _, same in by_label]
        if len(alike) < len(lines):
            return [
                [run]
                for same in alike
                for run in _even(same, min(n_columns, MAX_SIDE_BY_SIDE))
            ]
    return [
        [[(line, column) for column in across] for line in lines]
        for across in _even(columns, n_columns)
    ]


def _pages(blocks: Sequence[list[_Row]], n_lines: int) -> list[list[tuple[_Row, bool]]]:
    """Pages of rows of panels, and of each whether a block starts there."""
    pages: list[list[tuple[_Row, bool]]] = []
    for rows in blocks:
        for block in _even(rows, n_lines):
            if not pages or len(pages[-1]) + len(block) > n_lines:
                pages.append([])
            pages[-1] += [(row, i == 0) for i, row in enumerate(block)]
    return pages


def _place(number: int, count: int) -> str:
    if count <= MAX_PAGES:
        return f"Page {number} of {count}; the PDF holds all"
    return (
        f"Page {number} of {count}; the PDF holds the first {MAX_PAGES}, the table "
        "beside it the numbers of all"
    )


def without_numbers() -> Figure:
    """A page that says that there is nothing to show."""
    figure = plt.figure(figsize=(COLUMN, PANEL[1] / 2), layout="constrained")
    figure.text(0.5, 0.5, "No run of this grid has numbers to show here", ha="center")
    return figure


def say_below(figure: Figure, said: str) -> None:
    """Write below the panels of a page, over its legend, and below what stands there."""
    width, height = figure.get_size_inches()
    # Of an empty legend the layout makes as much room as of a full one.
    legend = next(iter(figure.legends), None) or figure.legend([], [], loc=_UNDER)
    lines = textwrap.wrap(said, int(width * 18))
    figure.set_size_inches(width, height + _BELOW * len(lines))
    before = [text for text in [legend.get_title().get_text()] if text]
    legend.set_title("\n".join([*before, *lines]), prop={"size": 7})
    legend.get_title().set(color="0.35", ha="center", multialignment="center")


def fitted(title: str, width: float) -> str:
    """A title in lines that fit over a panel of ``width`` inches."""
    letters = int(width * 13)
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
    # inches: letters of 7 points, and a handle with the gaps around it
    fit = max(1, int(width / (0.45 + 0.057 * max(map(len, found)))))
    wanted = columns if len(found) <= 2 * columns else len(found)
    columns = min(fit, wanted, len(found))
    # Two lines of it are within the size of the panels.
    figure.set_size_inches(width, height + 0.15 * max(0, -(-len(found) // columns) - 2))
    figure.legend(list(found.values()), list(found), loc=_UNDER, ncols=columns)


def _with_notice(figure: Figure, notice: str) -> None:
    """Say over a page what has to be known before it is read."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(notice, int(width * 12))
    place = figure.get_suptitle()
    figure.set_size_inches(width, height + 0.16 * len(lines))
    figure.suptitle(
        "\n".join([*lines, *filter(None, [place])]), fontsize=7, color="#a00000"
    )


def save_pages(
    pages: Iterable[Figure],
    paths: Mapping[str, str | Path],
    notice: str | None = None,
    below: str | None = None,
) -> None:
    """Write all pages to ``paths["pdf"]`` and the first to ``paths["png"]``.

    ``notice`` stands over each of them, and ``below`` under it. Each file is whole or not there. Dates and
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
            if below:
                say_below(figure, below)
            if number == 0:
                with atomic_path(paths["png"]) as picture:
                    figure.savefig(picture, format="png")
            pdf.savefig(figure)
            plt.close(figure)
