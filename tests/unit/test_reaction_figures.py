"""Figures of recordings, and of grids where outputs are scores, alone and beside classes."""

import importlib

import numpy as np
import pandas as pd
import pytest

from attention_audit.figures import (
    claims,
    reaction_episode,
    reaction_lookback,
    reaction_score,
)
from attention_audit.figures.catalogue import (
    EXPERIMENT_FIGURES,
    FIGURES,
    figures_of,
)
from attention_audit.statistics.measures import MEASURES
from tests.unit.grids import order_of, tables_of

SPARSE, DENSE = "sitcom_sparse", "sitcom_dense"
NORMALIZERS = ["softmax", "sparsemax"]
ORDER = order_of([SPARSE, DENSE], ["gated"], ["additive"], NORMALIZERS, ["gradient"])
OF_SCORES = {
    "task_score": "macro F1",
    "guided_models": "macro F1",
    "learning_curve": "accuracy",
    "task_cost": "accuracy",
    "task_speed": "accuracy",
}
OF_POINTS = ("permutation", "adversarial_attention", "uniform_baseline")
EVERY = FIGURES | {
    figure: tables
    for of in EXPERIMENT_FIGURES.values()
    for figure, tables in of.items()
}


def drawn(figure, order, tables):
    module = importlib.import_module(f"attention_audit.figures.{figure}")
    pages, rows = module.draw({name: tables[name] for name in EVERY[figure]}, order)
    page = next(iter(pages))
    page.draw_without_rendering()
    return page, rows


def test_only_grids_with_recordings_have_figures_of_them():
    of_recordings = {"reaction_score", "reaction_lookback", "reaction_episode"}
    assert not of_recordings & set(figures_of([]))
    assert of_recordings <= set(figures_of([], ["recordings"]))


# --- outputs that are scores, where other figures draw classes ------------------------


@pytest.mark.parametrize(("figure", "metric"), [(*one,) for one in OF_SCORES.items()])
def test_scores_are_drawn_alone_and_beside_classes(figure, metric):
    order = order_of(["imdb", SPARSE, DENSE], normalizers=2)
    correlation = "test Pearson correlation"
    for datasets, labels in (
        ([SPARSE, DENSE], [correlation, ""]),
        (["imdb", SPARSE, DENSE], [f"test {metric}", correlation, ""]),
    ):
        own = order | {"datasets": datasets}
        tables = tables_of(own, scored=[SPARSE, DENSE])
        page, rows = drawn(figure, own, tables)
        assert [axes.get_ylabel() for axes in page.axes] == labels
        assert set(rows["dataset"]) == set(datasets)
        assert (rows["metric"].eq("pearson") == rows["dataset"].ne("imdb")).all()
        for axes in page.axes:
            assert any(len(line.get_xdata()) for line in axes.lines)


@pytest.mark.parametrize("figure", OF_POINTS)
def test_what_is_of_classes_says_nothing_of_scores(figure):
    order = order_of(["imdb", SPARSE], normalizers=2)
    page, rows = drawn(figure, order, tables_of(order, scored=[SPARSE]))
    titles = " ".join(axes.get_title() for axes in page.axes)
    assert "imdb" in titles and (SPARSE in titles) == (figure != "uniform_baseline")
    alone = order | {"datasets": [SPARSE]}
    page, rows = drawn(figure, alone, tables_of(alone, scored=[SPARSE]))
    assert page.legends == []
    assert bool(page.axes) == bool(len(rows)) == (figure != "uniform_baseline")


# --- scores by sampling ---------------------------------------------------------------


def test_a_place_is_a_sampling_with_its_floors_and_number_of_recordings():
    summary = tables_of(ORDER, seeds=3)["reaction_summary"]
    summary.loc[summary["dataset"] == DENSE, ["span", "side"]] = 10.0, "both"
    (page,), rows = reaction_score.draw({"reaction_summary": summary}, ORDER)
    page.draw_without_rendering()
    assert len(rows) == len(summary)
    assert [axes.get_ylabel() for axes in page.axes] == [
        *reaction_score.LABELS.values()
    ]
    axes = page.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        f"{SPARSE}\n1 a second over 60 s\nn = 19 recordings, 3 seeds",
        f"{DENSE}\n2 a second over 10 s both sides\nn = 19 recordings, 3 seeds",
    ]
    of_pearson = summary[summary["metric"] == "pearson"]
    floors = of_pearson[of_pearson["normalizer"].isna()]
    lines = [
        (round(x.mean()), y[0])
        for bar in axes.collections
        if len(bar.get_segments()) == 1
        for x, y in [bar.get_segments()[0].T]
        if len(set(y)) == 1
    ]
    places = {SPARSE: 0, DENSE: 1}
    expected = zip(floors["dataset"].map(places), floors["mean"], strict=True)
    assert sorted(lines) == sorted(expected)
    labels = {text.get_text() for text in page.legends[0].get_texts()}
    assert labels == {
        *NORMALIZERS,
        *(label for label, _ in reaction_score.FLOORS.values()),
    }


def test_recordings_that_differ_in_number_are_told_as_a_range():
    summary = tables_of(ORDER)["reaction_summary"]
    summary.loc[summary["normalizer"] == "softmax", "n_recordings"] = 17
    (page,), _ = reaction_score.draw({"reaction_summary": summary}, ORDER)
    tick = page.axes[0].get_xticklabels()[0].get_text()
    assert tick.endswith("n = 17 to 19 recordings, 2 seeds")


# --- look-back ------------------------------------------------------------------------


def test_equal_weights_are_a_line_across_the_look_back_of_all():
    summary = tables_of(ORDER)["summary"]
    (page,), rows = reaction_lookback.draw({"summary": summary}, ORDER)
    assert set(rows["measure"]) == {"lookback"}
    for axes, dataset in zip(page.axes, ORDER["datasets"], strict=True):
        part = rows[rows["dataset"] == dataset].set_index(["subject", "normalizer"])
        level, *others = (
            line
            for line in axes.lines
            if line.get_linestyle() == "--" or len(line.get_xdata()) == 2
        )
        assert set(level.get_ydata()) == {part.loc[("uniform", "softmax"), "mean"]}
        of_attention = part.loc["attention", "mean"].reindex(NORMALIZERS)
        assert any(np.array_equal(o.get_ydata(), of_attention) for o in others)
        low, high = axes.get_ylim()
        assert -0.1 * high < low < 0


# --- an episode -----------------------------------------------------------------------


def episodes(datasets=(SPARSE, DENSE), seconds=400, normalizers=NORMALIZERS):
    """Attention on the moment of second 200, as long as it is within reach."""
    rows = []
    for dataset in datasets:
        times = np.arange(-59, 1) / (1 if dataset == SPARSE else 6)
        for normalizer in normalizers:
            for second in range(seconds):
                there = times[times >= -second]
                away = np.abs(there - (200 - second))
                weights = (away == away.min()) & (away < 0.5)
                rows.append(
                    {
                        "dataset": dataset,
                        "encoder": "gated",
                        "scorer": "additive",
                        "normalizer": normalizer,
                        "seed": 0,
                        "recording": "S07E03",
                        "second": second,
                        "reaction": "laughter",
                        "target": second / seconds,
                        "output": 0.5,
                        "event": second % 100 == 0,
                        "attention": weights.astype(float),
                        "times": there,
                    }
                )
    return pd.DataFrame(rows)


def strips_of(page):
    """The weights of each strip as they are drawn."""
    return [axes.images[0] for axes in page.axes if axes.images]


def test_an_excerpt_is_drawn_with_a_strip_a_normalizer():
    (page,), rows = reaction_episode.draw({"reaction_episodes": episodes()}, ORDER)
    page.draw_without_rendering()
    # from the middle
    assert (rows["second"].min(), rows["second"].max()) == (50, 349)
    curves, dense, *_ = page.axes
    assert [curves.get_title(), dense.get_title()] == [SPARSE, DENSE]
    events, *outputs = curves.lines
    np.testing.assert_allclose(events.get_xdata() * 60, [100.5, 200.5, 300.5])
    assert [line.get_label() for line in outputs] == NORMALIZERS
    sparse = strips_of(page)[0]
    weights = np.asarray(sparse.get_array())
    assert weights.shape == (60, 300)
    # the last moment is the decision's own: it lies at the bottom
    at, second = np.nonzero(weights)
    assert second.min() == 200 - 50 and set(np.diff(second)) == {-1}
    assert len(at) == 60
    np.testing.assert_allclose(sparse.get_extent(), [50 / 60, 350 / 60, 59.5, -0.5])
    assert sparse.axes.get_ylim() == (-0.5, 59.5)


def test_even_weights_are_not_drawn_as_large_ones():
    rows = episodes(datasets=[SPARSE])
    rows["attention"] = [np.full(len(at), 1 / len(at)) for at in rows["times"]]
    (page,), _ = reaction_episode.draw({"reaction_episodes": rows}, ORDER)
    (strip, _) = strips_of(page)
    assert strip.norm.vmax == pytest.approx(5 / 60)
    assert strip.axes.get_title(loc="left") == "softmax (black: 0.083)"


def test_many_normalizers_and_samplings_go_on_over_the_page():
    names = [f"n{i}" for i in range(6)]
    datasets = [SPARSE, DENSE, "third"]
    order = order_of(datasets, ["gated"], ["additive"], names, ["gradient"])
    rows = episodes(datasets, seconds=3, normalizers=names)
    found = [*reaction_episode.draw({"reaction_episodes": rows}, order)[0]]
    assert [len(page.axes) for page in found] == [10, 6, 5, 3]
    # events of nothing
    found = reaction_episode.draw(
        {"reaction_episodes": rows.assign(event=None)}, order
    )[0]
    labels = [text.get_text() for text in next(found).legends[0].get_texts()]
    assert labels == ["true", *names[:4]]


def test_no_recording_is_no_figure():
    nothing = {"reaction_episodes": episodes(seconds=1).iloc[:0]}
    (page,), rows = reaction_episode.draw(nothing, ORDER)
    assert not page.axes and not len(rows)


# --- claims ---------------------------------------------------------------------------


def test_claims_about_seconds_are_drawn_in_minutes_beside_others():
    units = {name: measure["unit"] for name, measure in MEASURES.items()}
    assert {name for name, unit in units.items() if unit == "seconds"} == {
        *claims.SCALES
    }
    rows = tables_of(ORDER)["claims"]
    in_seconds = rows["claim"] == "claim_0"
    assert in_seconds.sum() > 1 and rows.loc[in_seconds, "n_cells"].notna().sum() == 1
    numbers = ["estimate", "low", "high", "bound"]
    longer = rows.assign(
        measure=rows["measure"].mask(in_seconds & rows["measure"].notna(), "lookback")
    )
    longer[numbers] = (
        longer[numbers].astype(float).mul(np.where(in_seconds, 60, 1), axis=0)
    )
    found = []
    for one in (rows, longer):
        (page,), drawn_rows = claims.draw({"claims": one}, ORDER)
        (axes,) = page.axes
        found.append([line.get_xdata() for line in axes.lines])
        assert drawn_rows is one
    for plain, scaled in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(plain, float), np.asarray(scaled, float))
