"""Figures of grids of any size, with gaps, and of numbers that are undefined."""

import importlib
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures import agreement, guided_models, style, task_score
from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, FIGURES
from attention_audit.figures.style import (
    MARKERS,
    PALETTE,
    fitted,
    lines_by_sparsity,
    panel_pages,
    save_pages,
    series_style,
    shortened,
)
from tests.unit.grids import order_of, tables_of

EVERY = FIGURES | {
    figure: tables
    for figures in EXPERIMENT_FIGURES.values()
    for figure, tables in figures.items()
}
ORDER = {
    "datasets": ["full", "left_out"],
    "encoders": ["bilstm"],
    "scorers": ["additive"],
    "normalizers": ["softmax"],
}
LONG = "a_name_as_long_as_names_may_be-which_goes_on_and_on_until_its_very_last_letter-"

# what the grid has, and what its tables are like
GRIDS = {
    "one of each": ({"normalizers": 1, "methods": 1}, {}),
    "nine models": (
        {"encoders": 3, "scorers": 3, "normalizers": 9, "datasets": 2},
        {"missing": 0.1},
    ),
    "many of each": (
        {
            "encoders": 5,
            "scorers": 4,
            "normalizers": 20,
            "methods": 12,
            "datasets": 12,
        },
        {"classes": 20, "instances": 4, "layers": 2},
    ),
    "long names": (
        {
            axis: [f"{LONG}{axis}{i}" for i in range(2)]
            for axis in ("datasets", "encoders", "scorers", "normalizers", "methods")
        },
        {},
    ),
    "odd names": (
        {
            "datasets": ["a$b$", "<&\"'>%", "日本語_שלום"],
            "encoders": ["$x^2$", "e\\frac{"],
            "normalizers": ["$\\alpha$", "n_1", "%d", "नमस्ते"],
            "methods": ["m$", "$n$"],
        },
        {},
    ),
    "nothing defined": ({"encoders": 2, "normalizers": 3}, {"undefined": 1.0}),
    "gaps": (
        {"datasets": 3, "encoders": 2, "normalizers": 4},
        {"missing": 0.5, "undefined": 0.3},
    ),
}


@pytest.fixture(scope="module")
def grids():
    """A grid's order and tables by its name, made when first asked for."""
    made = {}

    def of(name):
        if name not in made:
            axes, more = GRIDS[name]
            order = order_of(**axes)
            made[name] = order, tables_of(order, **more)
        return made[name]

    return of


def drawn(figure, order, tables):
    module = importlib.import_module(f"attention_audit.figures.{figure}")
    return module.draw({name: tables[name] for name in EVERY[figure]}, order)


def boxes(texts):
    """Where texts stand on the page, in pixels, of those that say anything."""
    return [t.get_window_extent() for t in texts if t.get_text() and t.get_visible()]


def overlap(boxes, slack=1.0):
    """Whether any two boxes share more than ``slack`` pixels in both directions."""
    return any(
        min(a.x1, b.x1) - max(a.x0, b.x0) > slack
        and min(a.y1, b.y1) - max(a.y0, b.y0) > slack
        for a, b in itertools.combinations(boxes, 2)
    )


def check_legible(page: Figure) -> None:
    width, height = page.get_size_inches()
    assert width <= style.PAGE_WIDTH + 0.01
    assert height <= 30
    page.draw_without_rendering()
    panels: list[Axes] = page.axes
    assert len(panels) <= style.MAX_COLUMNS * style.MAX_LINES
    assert not overlap(boxes(panel.title for panel in panels))
    for panel in panels:
        across, up = panel.get_window_extent().size / page.dpi
        assert across > 1.2 and up > 0.6, (across, up)
        labels = boxes(panel.get_xticklabels())
        if len(labels) > 8:  # upright, side by side
            assert not overlap(labels)
    for legend in page.legends:
        assert not overlap(boxes(legend.get_texts()))
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= page.bbox.x1 and box.y0 >= 0
        assert all(box.y1 <= panel.get_window_extent().y0 for panel in panels)
        styles = [
            (str(line.get_color()), line.get_marker())
            for line in legend.get_lines()
            if line.get_marker() not in ("", "None", None)
        ]
        assert len(styles) == len(set(styles))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("figure", EVERY)
def test_a_grid_of_any_size_and_any_names_is_legible(grids, figure, grid):
    order, tables = grids(grid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        pages, rows = drawn(figure, order, tables)
        page = next(iter(pages))
        check_legible(page)
    if grid == "odd names":
        # as it is written, and no formula
        assert "a$b$" in page.axes[0].get_title()
        assert not page.axes[0].title.get_parse_math()
    assert len(rows) or grid == "nothing defined"


@pytest.mark.parametrize("figure", EVERY)
def test_an_experiment_without_any_number_says_so(figure):
    order, tables = order_of(), tables_of(order_of())
    nothing = {name: table.iloc[:0] for name, table in tables.items()}
    pages, rows = drawn(figure, order, nothing)
    (page,) = pages
    page.draw_without_rendering()
    assert len(rows) == 0
    if not page.axes:
        (text,) = page.texts
        assert text.get_text() == "No run of this grid has numbers to show here"


def test_no_two_of_many_series_look_the_same():
    looks = [tuple(series_style(i).values()) for i in range(80)]
    assert len(set(looks)) == 80
    assert looks[:8] == list(zip(PALETTE, MARKERS, strict=False))
    assert series_style(10_000)["marker"] in MARKERS


def test_long_names_keep_both_ends():
    assert shortened("entmax_1.25") == "entmax_1.25"
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert len(shortened(LONG)) == 24
    assert shortened(LONG + "1") != shortened(LONG + "2")
    assert fitted("imdb, bilstm", 2.6) == "imdb, bilstm"
    assert fitted("softmax\nimdb, bilstm", 2.6) == "softmax\nimdb, bilstm"
    assert all(len(line) <= 24 for line in fitted(f"{LONG}, {LONG}", 2.0).split("\n"))


# --- pages ------------------------------------------------------------------------


def pages_of(n_lines, n_columns, **more):
    seen = []

    def fill(axes, line, column):
        seen.append((line, column))
        axes.plot([0, 1], [0, 1], label="line")

    pages = panel_pages(
        list(range(n_lines)),
        list(range(n_columns)),
        fill,
        title=lambda line, column: f"{line}/{column}",
        y_label=str,
        x_label="x",
        **more,
    )
    return pages, seen


@pytest.mark.parametrize(
    ("lines", "columns", "panels"),
    [
        (1, 1, [1]),
        (6, 6, [36]),
        (1, 7, [7]),  # on two rows
        (3, 7, [21]),  # two blocks of three rows
        (8, 3, [12, 12]),  # two pages of four rows
        (4, 12, [24, 24]),
        (20, 2, [10, 10, 10, 10]),
    ],
)
def test_panels_wrap_and_go_on_over_the_page(lines, columns, panels):
    pages, seen = pages_of(lines, columns)
    found = list(pages)
    assert [len(page.axes) for page in found] == panels
    assert sorted(seen) == [(a, b) for a in range(lines) for b in range(columns)]
    titles = [axes.get_title() for page in found for axes in page.axes]
    assert sorted(titles) == sorted(f"{a}/{b}" for a, b in seen)
    heads = [page.get_suptitle() for page in found]
    if len(panels) == 1:
        assert heads == [""]
    else:
        n = len(panels)
        assert heads == [f"Page {i} of {n}; the PDF holds all" for i in range(1, n + 1)]


def test_too_many_pages_are_cut_off_with_a_word():
    pages, seen = pages_of(30, 36)
    found = list(pages)
    assert len(found) == style.MAX_PAGES and len(seen) == 36 * style.MAX_PAGES
    assert found[0].get_suptitle() == (
        "Page 1 of 30; the PDF holds the first 12, the table beside it the numbers of "
        "all"
    )


def test_every_column_of_a_ragged_page_names_its_x_axis():
    pages, _ = pages_of(1, 7, share_x=True)
    (page,) = pages
    labelled = [axes.get_title() for axes in page.axes if axes.get_xlabel() == "x"]
    assert labelled == ["0/3", "0/4", "0/5", "0/6"]
    page.draw_without_rendering()
    for axes in page.axes:
        if axes.get_xlabel():
            assert any(t.get_visible() and t.get_text() for t in axes.get_xticklabels())


def test_all_pages_are_saved_with_the_same_bytes_every_time(tmp_path):
    for folder in ("one", "two"):
        pages, _ = pages_of(8, 1)
        paths = {kind: tmp_path / folder / f"f.{kind}" for kind in ("png", "pdf")}
        save_pages(pages, paths)
    for name in ("f.png", "f.pdf"):
        assert (tmp_path / "one" / name).read_bytes() == (
            tmp_path / "two" / name
        ).read_bytes()
    assert b"/Count 2" in (tmp_path / "one/f.pdf").read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "f.pdf",
        "f.png",
    ]


def test_letters_that_the_font_lacks_are_no_warning(tmp_path):
    figure = Figure()
    figure.text(0.5, 0.5, "日本語")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_pages([figure], {kind: tmp_path / f"f.{kind}" for kind in ("png", "pdf")})


# --- gaps -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "table"), [(task_score, "task"), (guided_models, "diagnostics")]
)
def test_a_cell_that_the_grid_leaves_out_stays_empty(figure, table):
    row = {
        "dataset": "full",
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": "softmax",
        "guide": "attention",
        "split": "test",
        "metric": "macro_f1",
    }
    scores = pd.DataFrame([row | {"value": value} for value in (0.7, 0.9)])
    pages, rows = figure.draw({table: scores}, ORDER)
    assert list(rows["value"]) == [0.7, 0.9]
    (page,) = pages
    full, left_out = page.axes
    assert len(full.lines[0].get_xdata()) == 2
    assert all(len(line.get_xdata()) == 0 for line in left_out.lines)


def test_a_series_that_the_first_panel_lacks_is_in_the_legend():
    order = order_of(datasets=2)
    tables = tables_of(order)
    scores = tables["diagnostics"]
    first = (scores["dataset"] == "dataset0") & (scores["guide"] == "adversary")
    pages, _ = guided_models.draw({"diagnostics": scores[~first]}, order)
    (page,) = pages
    (legend,) = page.legends
    labels = {text.get_text() for text in legend.get_texts()}
    assert labels == set(guided_models.GUIDES.values())


def test_an_undefined_mean_interrupts_no_line():
    names = ["softmax", "uniform", "sparsemax"]
    rows = pd.DataFrame(
        {
            "normalizer": names,
            "method": "grad",
            "sparsity": [0.0, 0.0, 0.9],
            "mean": [0.5, np.nan, 1.0],
            "low": [0.4, np.nan, 0.9],
            "high": [0.6, np.nan, 1.0],
        }
    )
    axes = Figure().subplots()
    order = {"methods": ["grad"], "hidden_methods": ["grad"]}
    lines_by_sparsity(axes, rows, "sparsity", "method", order)
    assert axes.lines[0].get_xydata().tolist() == [[0.0, 0.5], [0.9, 1.0]]
    assert axes.lines[0].get_linestyle() == "--"
    assert [text.get_text() for text in axes.texts] == ["softmax", "sparsemax"]


def test_agreement_with_a_note_has_an_open_marker():
    order = ORDER | {"datasets": ["full"], "methods": ["leave_one_out"]}
    order["normalizers"] = ["softmax", "sparsemax"]
    order["hidden_methods"] = []
    row = {
        "dataset": "full",
        "encoder": "bilstm",
        "scorer": "additive",
        "subject": "attention",
    }
    summary = pd.DataFrame(
        row | {"normalizer": name, "note": note, "low": 0.1, "high": 0.3} | more
        for name, note in {"softmax": None, "sparsemax": "negligible"}.items()
        for more in (
            {
                "measure": "kendall_tau_b",
                "reference": "leave_one_out",
                "mean": 0.25 if note else 0.125,
            },
            {"measure": "sparsity", "reference": None, "mean": 0.5 if note else 0.0},
        )
    )
    pages, rows = agreement.draw({"summary": summary}, order)
    (figure,) = pages
    (panel,) = figure.axes
    opened = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata().tolist() for line in opened] == [[[0.5, 0.25]]]
    assert rows["note"].notna().tolist() == [False, True]
