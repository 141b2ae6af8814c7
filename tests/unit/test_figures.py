"""Figures of grids of any size, with gaps, and of numbers that are undefined."""

import importlib
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import ttest_1samp

from attention_audit.figures import (
    agreement,
    decision_flips,
    dial_agreement,
    dial_importance,
    dial_own_share,
    erasure_curve,
    faithfulness,
    faithfulness_at_support,
    guided_models,
    head_diversity,
    importance_dispersion,
    learning_curve,
    method_agreement,
    style,
    task_cost,
    task_score,
    task_speed,
)
from attention_audit.figures.catalogue import (
    EXPERIMENT_FIGURES,
    FIGURES,
    OF_SOME,
    figure_order,
    slots,
)
from attention_audit.figures.counts import told
from attention_audit.figures.dense_to_sparse import dense_to_sparse
from attention_audit.figures.intervals import WITHOUT_SEEDS_LABEL
from attention_audit.figures.normalizer_looks import normalizer_look, stated_place
from attention_audit.figures.pages import (
    MAX_COLUMNS,
    MAX_LINES,
    MAX_PAGES,
    fitted,
    panel_pages,
    save_pages,
    say_below,
)
from attention_audit.figures.panels import MARKS, lines_by_sparsity
from attention_audit.figures.style import (
    COLUMN,
    MARKERS,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    PALETTE,
    series_style,
    shortened,
)
from attention_audit.statistics.controls import cut_name
from tests.unit.grids import order_of, tables_of

# Those of pictures, single sentence pairs and recordings have tables, and tests, of their
# own.
OF_PICTURES = (
    "alignment_matrices",
    "pictures",
    "reaction_episode",
    "sampling_offsets",
)
EVERY = {
    name: tables for name, tables in FIGURES.items() if name not in OF_PICTURES
} | {
    figure: tables
    for figures in EXPERIMENT_FIGURES.values()
    for figure, tables in figures.items()
}
AXES = ("dataset", "encoder", "scorer", "normalizer")
ORDER = order_of(["full", "left_out"], ["bilstm"], ["additive"], ["softmax"])
LONG = "a_name_as_long_as_names_may_be-which_goes_on_and_on_until_its_very_last_letter-"

LARGEST = "many of each"

# what the grid has, and what its tables are like
GRIDS = {
    "one of each": ({"normalizers": 1, "methods": 1}, {}),
    "nine models": (
        {"encoders": 3, "scorers": 3, "normalizers": 9, "datasets": 2},
        {"missing": 0.1},
    ),
    LARGEST: (
        {
            "encoders": 5,
            "scorers": 3,
            # more than there are looks
            "normalizers": 12,
            "methods": 12,
            # one more than stand side by side
            "datasets": MAX_COLUMNS + 1,
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
    # a column of a paper, or both
    assert width in (COLUMN, PAGE_WIDTH)
    assert height <= 1.4 * PAGE_HEIGHT
    page.draw_without_rendering()
    panels: list[Axes] = page.axes
    assert len(panels) <= MAX_COLUMNS * MAX_LINES
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
            (
                *map(str, (line.get_color(), line.get_markerfacecolor())),
                line.get_marker(),
                line.get_fillstyle(),
            )
            for line in legend.get_lines()
            if line.get_marker() not in ("", "None", None)
        ]
        assert len(styles) == len(set(styles))


# Their panels are those of other figures, which show what becomes of the largest grids.
LARGE = ("nine models", "many of each")
NOT_LARGE = {
    name
    for name, tables in EVERY.items()
    if {OF_SOME.get(one) for one in (name, *tables)} & {"alignments", "recordings"}
    or name == "randomized_importance"
}


@pytest.mark.parametrize(
    ("figure", "grid"),
    [
        # The most panels, and so the most time, are those of the largest grid.
        pytest.param(figure, grid, marks=[pytest.mark.slow] if grid == LARGEST else [])
        for figure, grid in itertools.product(EVERY, GRIDS)
        if grid not in LARGE or figure not in NOT_LARGE
    ],
)
def test_a_grid_of_any_size_and_any_names_is_legible(grids, figure, grid):
    order, tables = grids(grid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        pages, rows = drawn(figure, order, tables)
        page = next(iter(pages))
        check_legible(page)
    # claims name no part of the grid, and scores of reactions data sets below the panel
    if grid == "odd names" and figure not in ("claims", "reaction_score"):
        # as it is written, and no formula
        assert "a$b$" in page.axes[0].get_title()
        assert not page.axes[0].title.get_parse_math()
    # one normalizer has none to be compared with
    alone = EVERY[figure] == ("comparison",) and len(order["normalizers"]) == 1
    assert len(rows) or grid == "nothing defined" or alone


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


def test_controls_stand_in_no_figure_of_normalizers():
    order = order_of(normalizers=3)
    tables = tables_of(order)
    summary = tables["summary"]
    control = summary[summary["normalizer"] == "normalizer0"].assign(
        normalizer="normalizer0 cut to normalizer1"
    )
    more = tables | {"summary": pd.concat([summary, control])}
    of_summary = {name for name, needed in EVERY.items() if "summary" in needed}
    # which shows the cut beside what it is cut to
    for figure in of_summary - {"dial_agreement"}:
        _, without = drawn(figure, order, tables)
        _, rows = drawn(figure, order, more)
        pd.testing.assert_frame_equal(rows, without)


def test_both_parts_of_a_difference_stand_at_the_normalizer_that_is_cut_to():
    order = order_of(encoders=2, normalizers=3, methods=4)
    tables = tables_of(order)
    pages, rows = drawn("cut_control", order, tables)
    inputs = [m for m in order["methods"] if m not in order["hidden_methods"]]
    assert set(rows["reference"]) == set(inputs) and len(inputs) == 2
    counts = rows.groupby(["contrast", "normalizer", "reference", "model"]).size()
    assert (counts == 1).all() and len(counts) == 2 * 2 * 2 * 2
    (page,) = pages
    names = ["normalizer1", "normalizer2"]
    part = rows[rows["model"] == "encoder0"]
    expected = {
        (names.index(name), contrast == "cut", mean)
        for name, contrast, mean in zip(
            part["normalizer"], part["contrast"], part["mean"], strict=True
        )
    }
    # columns of points, a dash or the marker of a method each
    lines = [bars[0] for bars in page.axes[0].containers if len(bars[0].get_xdata())]
    assert expected == {
        (round(float(x)), line.get_marker() == "_", y)
        for line in lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


# --- along the dial ---------------------------------------------------------------

# support of attention, its dispersion, and the number drawn
ON_DIAL = {
    "uniform": (1.0, 1.0, 0.4),
    "softmax": (1.0, 0.7, 0.3),
    "entmax15": (0.3, 0.4, 0.2),
    "sparsemax": (0.1, 0.2, 0.1),
}


def dial_summary(**more):
    """A summary with the rows of `ON_DIAL`, and the cut at .05 below each mean."""
    cell = {"dataset": "dataset0", "encoder": "encoder0", "scorer": "scorer0"}
    cell |= {"note": None, "by_construction": None, "reference": None}
    rows = []
    for name, (support, dispersion, mean) in ON_DIAL.items():
        spread = [("support_share", support, 0.05), ("dispersion", dispersion, 0.0)]
        numbers = [(measure, "attention", None, *n) for measure, *n in spread]
        numbers += [
            ("kendall_tau_b", "attention", "method0", mean, 0.02),
            ("dispersion", "method0", None, mean, 0.02),
            ("coindexed_share", "hidden_states", "inputs", mean, 0.02),
        ]
        cut = ("kendall_tau_b", "attention", "method0", mean - 0.05, 0.02)
        called = [(name, n) for n in numbers] + [(cut_name("softmax", name), cut)]
        for normalizer, (measure, subject, reference, middle, half) in called:
            named = {"measure": measure, "subject": subject, "reference": reference}
            ends = {"mean": middle, "low": middle - half, "high": middle + half}
            rows.append(cell | more | named | {"normalizer": normalizer} | ends)
    summary = pd.DataFrame(rows)
    none = [cut_name("softmax", name) for name in ("uniform", "softmax")]
    return summary[~summary["normalizer"].isin(none)]


DIAL = order_of(1, 1, 1, list(ON_DIAL), ["method0", "hidden0"])


def markers(axes):
    """Where the markers of normalizers stand, by their shape."""
    return {
        line.get_marker(): tuple(line.get_xydata()[0].round(6).tolist())
        for line in axes.lines
        if line.get_marker() in MARKERS and len(line.get_xdata())
    }


def line_of(axes):
    """The points on the line from dense to sparse."""
    (line,) = (
        line for line in axes.lines if line.get_alpha() and line.get_marker() == "None"
    )
    return line.get_xydata().round(6).tolist()


@pytest.mark.parametrize("figure", [dial_own_share, dial_agreement, dial_importance])
def test_normalizers_stand_from_dense_to_sparse(figure):
    pages, rows = figure.draw({"summary": dial_summary()}, DIAL)
    (page,) = pages
    (axes,) = page.axes
    left, right = axes.get_xlim()
    assert axes.get_xscale() == "log" and left > 1 > 0.1 > right
    found = markers(axes)
    assert list(found) == [DIAL["looks"][name]["marker"] for name in ON_DIAL]
    rest = [(support, mean) for support, _, mean in ON_DIAL.values()][1:]
    assert list(found.values())[1:] == rest
    # as dense as softmax and more even: beside it, and on no line
    x, y = found[DIAL["looks"]["uniform"]["marker"]]
    assert left > x > 1 and y == 0.4
    assert line_of(axes) == [list(point) for point in rest]
    # intervals in both directions
    bars = [s for c in axes.collections for s in c.get_segments() if len(s)]
    spans = {tuple(np.ptp(s, axis=0).round(6).tolist()) for s in bars}
    assert {(0.0, 0.04), (0.1, 0.0)} <= spans
    assert {"support", "support_low", "support_high"} <= set(rows)


def test_an_undefined_agreement_and_no_weights_at_all_have_no_place_on_the_dial():
    summary = dial_summary()
    uniform = summary["normalizer"].eq("uniform") & summary["reference"].eq("method0")
    summary.loc[uniform, ["mean", "low", "high"]] = np.nan
    none = summary["normalizer"].eq("sparsemax")
    none &= summary["measure"].eq("support_share")
    summary.loc[none, ["mean", "low", "high"]] = 0.0
    (page,), rows = dial_agreement.draw({"summary": summary}, DIAL)
    (axes,) = page.axes
    shown = ("softmax", "entmax15")
    assert set(markers(axes)) == {DIAL["looks"][name]["marker"] for name in shown}
    assert "sparsemax" not in set(rows["normalizer"])
    labels = [text.get_text() for text in page.legends[0].get_texts()]
    assert {"softmax", "entmax15"} <= set(labels)
    assert not {"uniform", "sparsemax"} & set(labels)


def test_the_cut_stands_at_what_it_is_cut_to_and_is_tied_to_it():
    (page,), rows = dial_agreement.draw({"summary": dial_summary()}, DIAL)
    (axes,) = page.axes
    cut = rows[rows["cut"].notna()]
    assert set(cut["cut"]) == {"softmax"}
    assert list(cut["normalizer"]) == ["entmax15", "sparsemax"]
    (dashes,) = (
        line
        for line in axes.lines
        if line.get_marker() == "_" and len(line.get_xdata())
    )
    # what is cut, at no cut, and its cuts
    expected = [[1.0, 0.3], [0.3, 0.15], [0.1, 0.05]]
    np.testing.assert_allclose(dashes.get_xydata(), expected)
    bands = [c for c in axes.collections if c.get_alpha() is not None]
    tied = [s.round(6).tolist() for c in bands for s in c.get_segments()]
    expected = [[[0.3, 0.15], [0.3, 0.2]], [[0.1, 0.05], [0.1, 0.1]]]
    assert [s for s in tied if s[0] != s[1]] == expected


def test_importance_stands_over_the_dispersion_of_attention():
    (page,), _ = dial_importance.draw({"summary": dial_summary()}, DIAL)
    (axes,) = page.axes
    (dotted,) = (line for line in axes.lines if line.get_linestyle() == ":")
    assert dotted.get_xydata().tolist() == [[1.0, 0.7], [0.3, 0.4], [0.1, 0.2]]


def test_every_two_methods_and_attention_have_one_cell():
    order = order_of(encoders=2, normalizers=2, methods=["a", "b", "c"])
    summary = tables_of(order)["summary"].assign(note=None, by_construction=None)
    pair = summary["measure"] == "kendall_tau_b"
    place = pair & (summary["subject"] == "a") & (summary["reference"] == "c")
    summary.loc[place, ["mean", "low", "high"]] = np.nan
    bound = pair & (summary["subject"] == "attention") & (summary["reference"] == "b")
    summary.loc[bound, "by_construction"] = "zeros"
    summary.loc[bound, "mean"] = -0.001
    summary.loc[bound & (summary["encoder"] == "encoder1"), "n_instances"] = 7
    (page,), rows = method_agreement.draw({"summary": summary}, order)
    assert len(rows) == 2 * 2 * (3 + 3)
    assert {"low", "high", "n_instances"} <= set(rows)
    panels = page.axes
    assert [panel.get_title() for panel in panels[::2]] == [
        "dataset0, encoder0\nnormalizer0\nn = 12",
        "dataset0, encoder1\nnormalizer0\nn = 7 to 12",
    ]
    # inputs before hidden states, and attention last
    lines, columns = ["c", "b", "attention"], ["a", "c", "b"]
    of_panel = rows[
        (rows["model"] == "encoder1") & (rows["normalizer"] == "normalizer0")
    ]
    means = of_panel.set_index(["subject", "reference"])["mean"]
    panel = panels[2]
    assert [t.get_text() for t in panel.get_xticklabels()] == columns
    assert [t.get_text() for t in panel.get_yticklabels()] == lines
    said = {t.get_position(): t.get_text() for t in panel.texts}
    expected = {
        (0, 1): means["a", "b"],
        (1, 1): means["c", "b"],
        (0, 2): means["attention", "a"],
        (1, 2): means["attention", "c"],
    }
    assert said.pop((2, 2)) == ".00*"
    assert said == {at: f"{mean:.2f}"[1:] for at, mean in expected.items()}
    (image,) = panel.images
    red, green, blue, _ = image.get_array()[0, 0]
    assert red == green == blue < 1  # not defined
    assert (image.get_array()[0, 1] == 1).all()  # a pair that stands elsewhere
    (text,) = page.legends[0].get_texts()
    assert text.get_text() == "* in part by construction"


def test_no_two_of_many_series_look_the_same():
    looks = [tuple(series_style(i).values()) for i in range(100)]
    assert len(set(looks)) == 100
    # whatever comes first differs in both, for grey print
    assert looks[:10] == list(zip(PALETTE, MARKERS, strict=True))
    assert series_style(10_000)["marker"] in MARKERS
    variants = [tuple(series_style(3, i).values()) for i in range(20)]
    assert len(set(variants)) == 20 and len({c for c, _ in variants}) == 2


CONFIG = {
    "grid": {
        "datasets": ["imdb"],
        "encoders": ["bilstm", "transformer"],
        "scorers": ["additive"],
        "normalizers": ["softmax", "sparsemax"],
    },
    "normalizers": {name: {"kind": name} for name in ("softmax", "sparsemax")},
    "statistics": {"confidence": 0.95},
    "encoders": dict.fromkeys(["average", "bilstm", "transformer"]),
    "scorers": dict.fromkeys(["additive", "dot"]),
    "methods": {
        "input_gradient": {"of": "inputs"},
        "hidden_gradient": {"of": "hidden_states"},
        "input_leave_one_out": {"of": "inputs"},
        "hidden_leave_one_out": {"of": "hidden_states"},
    },
}


def with_new(section, name, place, of="inputs"):
    """`CONFIG` with a declared instance more at a place of its section."""
    items = list(CONFIG[section].items())
    items.insert(place, (name, {"of": of}))
    config = CONFIG | {section: dict(items)}
    if section in CONFIG["grid"]:
        named = [name for name in config[section] if name != "average"]
        config["grid"] = CONFIG["grid"] | {section: named}
    return config


def looks_of(config, section):
    """The colour and marker of every method, or of every model."""
    order = figure_order(config)
    if section == "methods":
        return {name: style.method_style(name, order) for name in order["methods"]}
    cells = itertools.product(order["encoders"], order["scorers"])
    rows = pd.DataFrame(cells, columns=["encoder", "scorer"])
    rows["model"] = rows["encoder"] + ", " + rows["scorer"]
    return style.model_looks(rows, order)


@pytest.mark.parametrize("name", ["mine", "a", "input_gradient_attached", "zz-9"])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("section", ["methods", "encoders", "scorers"])
def test_what_is_added_anywhere_recolours_nothing(section, place, name):
    for of in ("inputs", "hidden_states"):
        before = looks_of(CONFIG, section)
        after = looks_of(with_new(section, name, place, of), section)
        assert before == {key: after[key] for key in before}
        assert len(after) > len(before)
        assert len(set(map(str, after.values()))) == len(after)


def test_names_of_ones_own_keep_their_looks_when_more_come_behind():
    names = [f"mine{i}" for i in range(30)]
    every = slots(names, ["known"])
    for n in range(len(names)):
        assert slots(names[:n], ["known"]) == {x: every[x] for x in names[:n]}
    assert len(set(every.values())) == 30 and 0 not in every.values()
    assert set(every.values()) == set(range(1, 31)) or max(every.values()) < 40
    # and mostly when one comes between them: where two do not ask for the same look
    kept = sum(slots(["new", name])[name] == slots([name])[name] for name in names)
    assert kept >= 25


DENSE_TO_SPARSE = [
    {"kind": "uniform"},
    {"kind": "softmax"},
    {"kind": "sparsegen", "lam": -4},
    {"kind": "entmax", "alpha": 1.25},
    {"kind": "rela"},
    {"kind": "entmax", "alpha": 1.5},
    {"kind": "sparsemax"},
    {"kind": "sparsegen", "lam": 0.75},
    {"kind": "entmax", "alpha": 4},
    {"kind": "top_k", "k": 16},
    {"kind": "top_k", "k": 4},
    {"kind": "of_ones_own", "width": 1},
]

# Of the first of them.
LOOKS = [
    ("#949494", "X"),
    ("#0173b2", "o"),
    ("#f2d29a", "D"),
    ("#3fb595", "s"),
    ("#56b4e9", "P"),
    ("#029e73", "s"),
]


def test_a_normalizer_looks_the_same_whatever_it_is_called_and_stands_beside():
    named = {f"n{i}": settings for i, settings in enumerate(DENSE_TO_SPARSE)}
    names = [*named][::-1]
    grid = CONFIG["grid"] | {"normalizers": names}
    order = figure_order(CONFIG | {"normalizers": named, "grid": grid})
    # from dense to sparse, in which order the config names them
    assert order["normalizers"] == [*named]
    few = CONFIG["grid"] | {"normalizers": ["mine"]}
    for name, settings in named.items():
        config = CONFIG | {"normalizers": {"mine": settings}, "grid": few}
        assert figure_order(config)["looks"]["mine"] == order["looks"][name]
    assert len({look["color"] for look in order["looks"].values()}) == len(named)


def test_the_looks_of_normalizers_are_those_of_earlier_figures():
    """What a paper has printed stays: these are to be changed with a reason alone."""
    looks = [normalizer_look(settings) for settings in DENSE_TO_SPARSE[:6]]
    assert [(look["color"], look["marker"]) for look in looks] == LOOKS


def test_what_is_measured_orders_normalizers_and_what_is_stated_the_others():
    order = order_of(normalizers=["softmax", "uniform", "unmeasured", "a", "b"])
    rows = [
        ("softmax", "support_share", 1.0),
        ("softmax", "dispersion", 0.7),
        ("uniform", "support_share", 1.0),
        ("uniform", "dispersion", 1.0),
        # means over cells
        ("a", "support_share", 0.1),
        ("a", "support_share", 0.3),
        ("b", "support_share", 0.4),
    ]
    summary = pd.DataFrame(rows, columns=["normalizer", "measure", "mean"])
    summary["subject"] = "attention"
    other = summary.assign(subject="hidden_states", mean=1 - summary["mean"])
    tables = {"summary": pd.concat([summary, other])}
    found = dense_to_sparse(order, tables)["normalizers"]
    assert found == ["uniform", "softmax", "b", "a", "unmeasured"]
    assert dense_to_sparse(order, {}) == order
    places = [stated_place(settings) for settings in DENSE_TO_SPARSE]
    assert places == sorted(places)


def test_a_figure_says_how_many_it_has_and_what_its_bars_are():
    tables = tables_of(order_of(), seeds=3)
    assert told(tables["summary"], 0.95) == "n = 12 instances; bars: 95 % intervals"
    assert told(tables["task"], 0.9) == (
        "n = 3 seeds; bars: 90 % intervals of the mean over seeds"
    )
    one = tables["task"][tables["task"]["seed"] == 0]
    assert told(one, 0.9) == "n = 1 seed"
    assert told(tables["explanation_points"], 0.95) == "n = 12 instances, 1 seed"
    some = tables["summary"].assign(n_seeds=np.arange(len(tables["summary"])) % 2 + 2)
    said = "n = 12 instances, 2 to 3 seeds; in the table of the numbers: 95 % intervals"
    assert told(some, 0.95, matrix=True) == said
    assert told(tables["task"].iloc[:0], 0.95) == ""


def test_rows_of_zeros_are_left_out_with_a_word():
    order = order_of(normalizers=2, encoders=1)
    heads = tables_of(order)["head_summary"]
    dense = heads["measure"].isin(["sparsity", "null"])
    heads.loc[dense, ["mean", "low", "high"]] = 0.0
    (page,), rows = head_diversity.draw({"head_summary": heads}, order)
    assert set(rows["measure"]) == {"divergence"} and len(page.axes) == 1
    said = "left out, zero everywhere: share of zero weights, share of queries without"
    found = page.legends[0].get_title().get_text().replace("\n", " ")
    assert found == f"{said} weight"
    say_below(page, "n = 3")
    page.draw_without_rendering()
    legend = page.legends[0].get_window_extent()
    assert page.legends[0].get_title().get_text().endswith("\nn = 3")
    assert legend.y0 >= 0 and legend.y1 <= page.axes[0].get_window_extent().y0


def test_inputs_stand_before_hidden_states_whatever_the_config_says():
    names = ["hidden_gradient", "input_leave_one_out", "hidden_leave_one_out", "mine"]
    methods = {name: CONFIG["methods"].get(name, {"of": "inputs"}) for name in names}
    order = figure_order(CONFIG | {"methods": methods})
    assert order["methods"] == ["input_leave_one_out", "mine", names[0], names[2]]
    assert order["hidden_methods"] == [names[0], names[2]]


def test_a_method_has_one_look_in_all_figures(grids):
    order, tables = grids("gaps")
    looks = []
    for figure in ("agreement", "importance_dispersion", "faithfulness"):
        pages, _ = drawn(figure, order, tables)
        handles = zip(
            *next(iter(pages)).axes[0].get_legend_handles_labels(), strict=True
        )
        found = {
            label.replace(" ", "_"): (bars[0].get_color(), bars[0].get_marker())
            for bars, label in handles
            if label.replace(" ", "_") in order["methods"]
        }
        looks.append(found)
    assert looks[0] == looks[1] == looks[2]


def test_a_control_stands_beside_the_normalizer_that_it_is_a_control_of():
    order = order_of(1, 1, 1, ["softmax", "entmax15", "sparsemax"], ["a", "b"])
    tables = tables_of(order)
    (page,), rows = faithfulness.draw(tables, order)
    assert set(rows["normalizer"]) == set(order["normalizers"])
    assert rows["reference"].isna().all()
    cut = rows[rows["subject"] == "cut"]
    assert set(cut["normalizer"]) == {"entmax15", "sparsemax"}
    (legend,) = page.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [
        "attention",
        "attention of the reference, cut",
        "scores under softmax",
        "a",
        "b",
        "random",
    ]


def test_dense_attention_has_no_place_at_the_size_of_its_support():
    order = order_of(1, 1, 1, ["softmax", "entmax15"], ["a", "b"])
    tables = tables_of(order)
    rows = tables["explanation_summary"]
    dense = rows["normalizer"].eq("softmax") & rows["reference"].eq("at_support")
    rows.loc[dense, ["mean", "low", "high"]] = np.nan
    (page,), drawn = faithfulness_at_support.draw(tables, order)
    assert set(drawn["normalizer"]) == {"entmax15"}
    # scores under softmax take the same tokens as attention does
    assert set(drawn["subject"]) == {"attention", "cut", "a", "b", "random"}
    ticks = [label.get_text() for label in page.axes[0].get_xticklabels()]
    assert ticks == ["entmax15"]


def test_the_curve_of_erasure_says_where_the_support_ends():
    order = order_of(1, 1, 1, ["softmax", "entmax15"], ["a", "b"])
    tables = tables_of(order)
    summary = tables["summary"]
    of_support = summary["measure"].eq("support_share")
    summary.loc[of_support, "mean"] = [1.0, 0.25]
    (page,), rows = erasure_curve.draw(tables, order)
    for panel, end in zip(page.axes, (1.0, 0.25), strict=True):
        dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
        # behind it, the entry of the legend
        assert list(dotted[0].get_xdata()) == [end, end]
    shares = rows.loc[rows["measure"] == "sufficiency", "share"]
    assert sorted(set(shares)) == [0.01, 0.2, 0.5]
    # under sparse attention the hidden states rank as it does
    assert set(rows["subject"]) == {"attention", "a", "random"}


def test_long_names_keep_both_ends():
    assert shortened("entmax_1.25") == "entmax_1.25"
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert len(shortened(LONG)) == 24
    assert shortened(LONG + "1") != shortened(LONG + "2")
    assert fitted("imdb, bilstm", 2.6) == "imdb, bilstm"
    assert fitted("softmax\nimdb, bilstm", 2.6) == "softmax\nimdb, bilstm"
    assert all(len(line) <= 26 for line in fitted(f"{LONG}, {LONG}", 2.0).split("\n"))


# --- pages ------------------------------------------------------------------------


def pages_of(n_lines, n_columns, left_out=(), **more):
    seen = []

    def fill(axes, line, column):
        seen.append((line, column))
        if (line, column) not in left_out:
            axes.plot([0, 1], [0, 1], label="line")

    pages = panel_pages(
        list(range(n_lines)),
        list(range(n_columns)),
        fill,
        title=lambda line, column: f"{line}/{column}",
        **{"y_label": lambda line, _: str(line), "x_label": "x", **more},
    )
    return pages, seen


def test_a_cell_that_a_grid_leaves_out_has_an_empty_place():
    pages, _ = pages_of(2, 2, left_out=[(1, 1)])
    (page,) = pages
    titles = {axes.get_title(): axes for axes in page.axes if axes.axison}
    assert sorted(titles) == ["0/0", "0/1", "1/0"]
    # x is told below the last panel of a column
    assert [titles[title].get_xlabel() for title in sorted(titles)] == ["", "x", "x"]


@pytest.mark.parametrize(
    ("lines", "columns", "panels"),
    [
        (1, 1, [1]),
        (4, 3, [12]),
        (1, 7, [7]),  # on three rows
        (2, 5, [10]),  # two blocks of two rows
        (8, 3, [12, 12]),  # two pages of four rows
        (4, 6, [12, 12]),
        (9, 2, [6, 6, 6]),
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


def test_lines_of_a_single_column_stand_side_by_side():
    pages, seen = pages_of(8, 1, y_label=lambda *_: "y")
    (page,) = pages
    assert seen == [(a, 0) for a in range(8)]
    places = [axes.get_subplotspec() for axes in page.axes]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [
        *((0, 0), (0, 1), (0, 2)),
        *((1, 0), (1, 1)),
        *((2, 0), (2, 1), (2, 2)),
    ]
    assert [axes.get_title() for axes in page.axes] == [f"{a}/0" for a in range(8)]
    # those with labels of their own stay below each other
    pages, _ = pages_of(3, 1)
    (page,) = pages
    assert {axes.get_subplotspec().colspan.start for axes in page.axes} == {0}


def test_too_many_pages_are_cut_off_with_a_word():
    # a panel a page
    pages, seen = pages_of(30, 1, size=(PAGE_WIDTH, PAGE_HEIGHT))
    found = list(pages)
    assert len(found) == MAX_PAGES and len(seen) == MAX_PAGES
    assert found[0].get_suptitle() == (
        "Page 1 of 30; the PDF holds the first 12, the table beside it the numbers of "
        "all"
    )


def test_every_column_of_a_ragged_page_names_its_x_axis():
    pages, _ = pages_of(1, 7, share_x=True)
    (page,) = pages
    labelled = [axes.get_title() for axes in page.axes if axes.get_xlabel() == "x"]
    assert labelled == ["0/4", "0/5", "0/6"]
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


def test_a_curve_goes_through_the_means_of_its_seeds():
    cell = {
        "dataset": "full",
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": "softmax",
        "split": "test",
        "metric": "accuracy",
    }
    points = [(500, 0.6), (1000, 0.7), (500, 0.8), (1000, 0.9)]
    curve = pd.DataFrame([cell | {"n_train": n, "value": value} for n, value in points])
    # other splits and metrics are not drawn
    others = [curve.assign(split="dev"), curve.assign(metric="loss")]
    pages, rows = learning_curve.draw(
        {"learning_curve": pd.concat([curve, *others])}, ORDER
    )
    assert list(rows["value"]) == [0.6, 0.7, 0.8, 0.9]
    (page,) = pages
    full, left_out = page.axes
    runs, means = full.lines
    (bars,) = full.collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    expected = [
        ttest_1samp(values, 0).confidence_interval(0.95)
        for values in ((0.6, 0.8), (0.7, 0.9))
    ]
    np.testing.assert_allclose(ends, expected)
    assert list(runs.get_xydata().ravel()) == list(np.ravel(points))
    np.testing.assert_allclose(means.get_xydata(), [(500, 0.7), (1000, 0.8)])
    assert full.get_xscale() == "log" and list(full.get_xticks()) == [500, 1000]
    page.draw_without_rendering()
    assert [t.get_text() for t in full.get_xticklabels()] == ["500", "1,000"]
    assert all(len(line.get_xdata()) == 0 for line in left_out.lines)


@pytest.mark.parametrize(
    ("module", "table", "cost"),
    [
        (task_cost, "sizes", "multiply_adds"),
        (task_speed, "speed", "decisions_per_second"),
    ],
)
def test_a_score_stands_at_what_its_model_costs(module, table, cost):
    order = order_of(["full"], ["bilstm", "vit"], ["additive"], ["softmax", "entmax15"])
    runs = pd.DataFrame(
        itertools.product(*(order[f"{axis}s"] for axis in AXES), [0, 1]),
        columns=[*AXES, "seed"],
    )
    costs = runs.assign(**{cost: np.arange(1, 9) * 1000.0, "more": 1})
    task = runs.assign(split="test", metric="accuracy", value=np.arange(8) / 8)
    # other splits and metrics are not drawn
    others = [task.assign(split="dev"), task.assign(metric="macro_f1")]
    # in which order the rows of either table stand does not matter
    tables = {"task": pd.concat([*others, task]), table: costs[::-1]}
    pages, rows = module.draw(tables, order)
    assert list(rows["value"]) == list(task["value"]) and (rows["more"] == 1).all()
    (page,) = pages
    (panel,) = page.axes
    lines = [line for line in panel.lines if len(line.get_xdata())]
    drawn = {
        (line.get_marker(), line.get_color()): line.get_xydata().tolist()
        for line in lines
        if line.get_marker() != "."
    }
    bilstm, vit = (
        series_style(order["slots"]["encoders"][name])["marker"]
        for name in order["encoders"]
    )
    softmax, entmax = (order["looks"][n]["color"] for n in order["normalizers"])
    assert drawn == {
        (bilstm, softmax): [[1500, 1 / 16]],
        (bilstm, entmax): [[3500, 5 / 16]],
        (vit, softmax): [[5500, 9 / 16]],
        (vit, entmax): [[7500, 13 / 16]],
    }
    dots = [line.get_xydata() for line in lines if line.get_marker() == "."]
    expected = np.column_stack([rows[cost], rows["value"]]).tolist()
    assert sorted(np.concatenate(dots).tolist()) == expected
    assert panel.get_xscale() == "log"
    (legend,) = page.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["bilstm", "vit", "softmax", "entmax15"]


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
            "note": None,
            "by_construction": None,
        }
    )
    axes = Figure().subplots()
    order = order_of(methods=["grad"]) | {"hidden_methods": ["grad"]}
    lines_by_sparsity(axes, rows, "sparsity", "method", order)
    assert axes.lines[0].get_xydata().tolist() == [[0.0, 0.5], [0.9, 1.0]]
    assert axes.lines[0].get_linestyle() == "--"
    assert [text.get_text() for text in axes.texts] == ["softmax", "sparsemax"]


@pytest.mark.parametrize("figure", [agreement, importance_dispersion])
def test_markers_show_what_their_rows_have_to_say(figure):
    said = {
        "softmax": {},
        "entmax15": {"note": "negligible"},
        "sparsemax": {"by_construction": "zeros"},
        "sparsegen": {"note": "negligible", "by_construction": "zeros"},
    }
    order = order_of(1, 1, 1, list(said), ["leave_one_out"])
    cell = {"dataset": "dataset0", "encoder": "encoder0", "scorer": "scorer0"}
    plain = {"note": None, "by_construction": None, "low": 0.1, "high": 0.3}
    summary = pd.DataFrame(
        cell | plain | {"normalizer": name} | more
        for i, (name, remarks) in enumerate(said.items())
        for more in (
            {
                "measure": "kendall_tau_b",
                "subject": "attention",
                "reference": "leave_one_out",
                "mean": i / 8,
            }
            | remarks,
            {
                "measure": "tie_cap",
                "subject": "attention",
                "reference": "leave_one_out",
                "mean": 1 - i / 8,
            },
            {"measure": "dispersion", "subject": "leave_one_out", "mean": i / 8}
            | remarks,
            {"measure": "dispersion", "subject": "attention", "mean": i / 4},
            {"measure": "sparsity", "subject": "attention", "mean": i / 4},
        )
    )
    pages, rows = figure.draw({"summary": summary}, order)
    (page,) = pages
    (panel,) = page.axes

    def marked(wanted):
        return [
            line.get_xydata().tolist()
            for line in panel.lines
            if wanted(line) and len(line.get_xdata())
        ]

    opened = marked(lambda line: line.get_markerfacecolor() == "white")
    assert opened == [[[0.25, 0.125], [0.75, 0.375]]]
    halved = marked(lambda line: line.get_fillstyle() == "bottom")
    assert halved == [[[0.5, 0.25], [0.75, 0.375]]]
    # the open one lies above
    fills = [line.get_fillstyle() for line in panel.lines if line.get_zorder() == 3]
    assert fills == ["bottom", "full"]
    assert rows["note"].notna().tolist() == [False, True, False, True]
    assert rows["by_construction"].notna().tolist() == [False, False, True, True]
    (legend,) = page.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert [text for text in shown if text != "most that ties leave"] == [
        "leave one out",
        *(label for _, label in MARKS.values()),
    ]


@pytest.mark.parametrize(
    "draw", [agreement.draw, decision_flips.draw, dial_agreement.draw]
)
def test_an_interval_over_instances_alone_looks_different(draw):
    order = order_of()
    for seeds in (2, 1):
        pages, _ = draw(tables_of(order, seeds=seeds), order)
        (page,) = pages
        bars = [
            bar
            for panel in page.axes
            for bar in panel.collections
            # one whose ends are undefined has no length
            if any(np.isfinite(s).all() and len(s) == 2 for s in bar.get_segments())
        ]
        dotted = [bar.get_linestyle()[0][1] is not None for bar in bars]
        assert bars and all(dotted) == any(dotted) == (seeds == 1)
        labels = [t.get_text() for legend in page.legends for t in legend.get_texts()]
        assert (WITHOUT_SEEDS_LABEL in labels) == (seeds == 1)


def test_equal_means_do_not_hide_each_other():
    methods = [f"m{i}" for i in range(8)]
    order = order_of(1, 1, 1, ["softmax"], methods)
    rows = pd.DataFrame({"method": methods, "normalizer": "softmax", "x": 0.5})
    rows = rows.assign(mean=1.0, low=1.0, high=1.0, note=None, by_construction=None)
    page = Figure(figsize=(4, 4))
    axes = page.subplots()
    lines_by_sparsity(axes, rows, "x", "method", order)
    axes.set(xlim=(0, 1), ylim=(0, 2))
    shown = [
        line.get_transform().transform([0.5, 1.0]) / page.dpi * 72
        for line in axes.lines
        if line.get_marker() in MARKERS
    ]
    across, up = np.transpose(shown)
    assert len(shown) == 8 and np.ptp(up) < 1e-9
    # in the order of the methods, evenly, around where they are
    np.testing.assert_allclose(np.diff(across), 2.5)
    true = axes.transData.transform([0.5, 1.0])[0] / page.dpi * 72
    assert across.mean() == pytest.approx(true)


def test_a_notice_stands_on_every_page(tmp_path):
    said = "Smoke run: " + "no result, " * 30
    seen = []

    def watched(pages):
        for page in pages:
            size = page.get_size_inches()[1]
            yield page
            seen.append((page.get_suptitle(), page.get_size_inches()[1] - size))

    paths = {kind: tmp_path / f"f.{kind}" for kind in ("png", "pdf")}
    save_pages(watched(pages_of(8, 1)[0]), paths, said)
    assert len(seen) == 2
    for number, (title, room) in enumerate(seen, start=1):
        assert title.replace("\n", " ").startswith(said.strip())
        assert title.endswith(f"Page {number} of 2; the PDF holds all")
        assert room > 1
    pages, _ = task_score.draw({"task": tables_of(order_of())["task"].iloc[:0]}, ORDER)
    save_pages(watched(pages), paths, "Smoke run")
    assert seen[-1][0] == "Smoke run"
