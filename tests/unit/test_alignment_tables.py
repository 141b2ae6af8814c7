"""From the tables of a run to alignment over the grid: by hand, and by resampling."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from attention_audit.attribution.pair_weights import weights_of_pairs
from attention_audit.figures import alignment_matrices
from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id, parts
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.alignment import COUNTS, Counts
from attention_audit.statistics.alignment_counts import (
    ATTENTION,
    HEAD,
    Subject,
    read_gold,
    weights_of_tables,
    write_alignment,
)
from attention_audit.statistics.alignment_examples import alignment_example_table
from attention_audit.statistics.alignment_floors import Sentences, write_floors
from attention_audit.statistics.alignment_summary import (
    alignment_tables,
    corpus_measures,
    linearized,
)
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.in_step import read_in_step
from attention_audit.statistics.picture_examples import Files
from attention_audit.statistics.plausibility import plausibility
from attention_audit.statistics.verdicts import Sources, claims_table
from tests.unit.grids import order_of
from tests.unit.test_alignment import VERSES

RUN = dict(zip(RUN_COLUMNS, ("greek", "gru", "dot", "softmax", 0), strict=True))
PAIRS = ("john", "rejoice", "pray")
# What the step attends to that predicts the end, of each verse.
ENDS = ([0.5, 0.5, 0.0], [0.0, 1.0], [0.0, 0.0])
SETTINGS = Settings(confidence=0.95, reference="softmax")


def verse_weights(factor=1.0):
    """(T + 1, S) of each verse."""
    return {
        pair: factor * np.array([*rows, end], np.float32)
        for pair, (rows, *_), end in zip(PAIRS, VERSES, ENDS, strict=True)
    }


def sentence_pairs(path, gold=True, pairs=PAIRS):
    """The verses as a split, written to ``path``."""

    def links(cells):
        return [{"source": s, "target": t} for t, s in sorted(cells)] if gold else None

    rows = []
    for pair in pairs:
        weights, sure, possible = VERSES[PAIRS.index(pair)]
        n, m = len(weights), len(weights[0])
        rows.append(
            {
                "dataset": "greek",
                "instance_id": pair,
                "cluster_id": pair,
                "source_tokens": [f"{pair}{i}" for i in range(m)],
                "target_tokens": [f"word{i}" for i in range(n)],
                "source_ids": list(range(4, 4 + m)),
                "target_ids": list(range(4, 4 + n)),
                "source_length": m,
                "target_length": n,
                "sure": links(sure),
                "possible": links(possible),
                "source_classes": ["noun", "verb", "noun"][:m],
                "group": None,
                "origin": pair,
            }
        )
    tables.write_rows(path, "sentence_pairs", rows, {})
    return path


def attention_table(path, weights, run=RUN):
    """Rows of the tables of attention and importance, a decision each."""
    rows = []
    for pair, of_pair in weights.items():
        for step, row in enumerate(of_pair):
            rows.append(
                {field.name: None for field in SCHEMAS["attention"]}
                | run
                | {
                    "instance_id": decision_id(pair, step),
                    "length": len(row),
                    "label": 0,
                    "predicted": 0,
                    "targets": None,
                    "probabilities": [1.0],
                    "scores": row,
                    "attention": row,
                    "support": int((row > 0).sum()),
                    "method": "gradient",
                    "importance": row,
                    "completeness_error": None,
                }
            )
    schema = "importance" if "importance" in path.name else "attention"
    tables.write_rows(path, schema, rows, {})
    return path


def test_a_word_that_nobody_linked_has_no_plausibility(tmp_path):
    gold = [[False, True, False], [False] * 3, None]
    path = tmp_path / "attention.parquet"
    table = tables.read_table(
        attention_table(path, {"john": verse_weights()["john"]}), "attention"
    )
    place = table.schema.get_field_index("gold")
    column = pa.array(gold, pa.list_(pa.bool_()))
    tables.write_table(path, "attention", table.set_column(place, "gold", column), {})
    (step,) = read_in_step(RUN, path, {})
    ids, measures = plausibility(step, {"attention": step.attention.values})
    # nothing is said of the step of the end
    assert ids == ["john.000", "john.001"]
    for *_, values in measures:
        assert not np.isnan(values[0]) and np.isnan(values[1])


def test_the_smallest_aligned_pairs_are_shown_with_their_words(tmp_path):
    split = sentence_pairs(tmp_path / "test.parquet")
    attention = attention_table(tmp_path / "attention.parquet", verse_weights())
    importance = attention_table(tmp_path / "importance.parquet", verse_weights(4.0))
    path = tmp_path / "examples.parquet"
    files = Files(attention, {"gradient": importance})
    examples = {"greek": (split, {"john", "pray"})}
    alignment_example_table([RUN], [files], examples, {}, path)
    rows = tables.read_table(path, "alignment_examples").to_pandas()
    assert list(rows["instance_id"]) == ["john", "john", "pray", "pray"]
    assert list(rows["subject"]) == ["attention", "gradient"] * 2
    row = rows.iloc[3]
    weights, sure, possible = VERSES[2]
    np.testing.assert_allclose(row["weights"].reshape(3, 2), weights)
    assert {(i // 2, i % 2) for i in np.flatnonzero(row["sure"])} == sure
    assert {(i // 2, i % 2) for i in np.flatnonzero(row["possible"])} == possible
    assert list(row["target_tokens"]) == ["word0", "word1", "word2"]

    order = order_of(["greek"], ["gru"], ["dot"], ["softmax"], ["gradient"])
    pages, drawn = alignment_matrices.draw({"alignment_examples": rows}, order)
    first, second = pages
    titles = [axes.get_title() for axes in first.axes]
    assert titles == ["gold", "attention", "gradient"] and len(drawn) == 4
    shown = second.axes[1]
    np.testing.assert_allclose(shown.images[0].get_array(), weights)
    assert len(shown.patches) == len(sure) + len(possible)
    assert [t.get_text() for t in second.axes[0].get_yticklabels()] == [
        *row["target_tokens"]
    ]
    nothing = {"alignment_examples": rows.iloc[:0]}
    (page,) = alignment_matrices.draw(nothing, order)[0]
    assert not page.axes


def test_a_decision_is_named_by_its_pair_and_step():
    assert parts(decision_id("a.b", 7)) == ("a.b", 7)


def counted(folder, run=RUN, dev=True, heads=None):
    """The table "alignment" of a run whose attention is that of the verses."""
    folder.mkdir(exist_ok=True)
    attention = attention_table(folder / "attention.parquet", verse_weights(), run)
    importance = attention_table(folder / "importance.parquet", verse_weights(3.0), run)
    split = sentence_pairs(folder / "test.parquet")
    weights = weights_of_tables(run, attention, {"gradient": importance})
    weights |= heads or {}
    gold = read_gold(split, PAIRS)
    of_dev = (weights, gold, split) if dev else None
    path = folder / "alignment.parquet"
    with tables.open_table(path, "alignment", {}) as table:
        write_alignment(table, run, (weights, gold, attention), of_dev)
    return path


def test_three_verses_by_hand_from_their_tables(tmp_path):
    path = counted(tmp_path)
    found = tables.read_table(path, "alignment").to_pandas()
    own = found[found["subject"] == "attention"].set_index(["step", "links"])
    counts = list(COUNTS)
    assert own.loc[("predicts", "argmax"), counts].to_numpy().tolist() == [
        [2, 2, 2, 2],
        [5, 4, 4, 4],
        [2, 2, 1, 1],
    ]
    # The step that reads a word is the one after. John: "Jesus" wrongly, "wept" tied,
    # once rightly. Rejoice: wrong, right, tied, wrong. Pray: only "without", wrongly.
    assert own.loc[("reads", "argmax"), counts].to_numpy().tolist() == [
        [3, 2, 1, 1],
        [5, 4, 2, 2],
        [1, 2, 0, 0],
    ]
    # an importance is scaled, and so of as many links
    of_method = found[found["subject"] == "gradient"].set_index(["step", "links"])
    pd.testing.assert_frame_equal(
        own.drop(columns="subject"),
        of_method.drop(columns="subject"),
        check_exact=False,
    )
    rankings = own.loc[("predicts", "ranking")]
    assert rankings["found"].isna().all() and rankings["threshold"].isna().all()
    rejoice = (2 * 1 + 1 * 3 / 3 + 1 * 4 / 5) / 4
    precisions = rankings["average_precision"].tolist()
    assert precisions == pytest.approx([1, rejoice, (1 + 2 / 3) / 2])
    assert rankings["on_dev"].tolist() == pytest.approx([np.mean(precisions)] * 3)
    by_threshold = own.loc[("predicts", "threshold")]
    (threshold,) = by_threshold["threshold"].unique()
    least = min(_error(t) for t, _ in _cells())
    assert by_threshold["on_dev"].tolist() == pytest.approx([least] * 3)
    assert _error(threshold) == pytest.approx(least)


def _cells():
    """Every weight above 0 of the verses, and how often it is right: sure or possible."""
    found = []
    for rows, sure, possible in VERSES:
        for t, row in enumerate(rows):
            for s, weight in enumerate(row):
                right = ((t, s) in sure) + ((t, s) in sure | possible)
                found.append((float(np.float32(weight)), right))
    return [(w, right) for w, right in found if w > 0]


def _error(threshold):
    linked = [right for w, right in _cells() if w >= threshold - 1e-6]
    n_sure = sum(len(sure) for _, sure, _ in VERSES)
    return 1 - sum(linked) / (len(linked) + n_sure)


def test_corpus_figures_of_the_verses_by_hand(tmp_path):
    runs = [{**RUN, "seed": seed} for seed in (0, 1)]
    paths = [counted(tmp_path / str(run["seed"]), run) for run in runs]
    floors = tmp_path / "floors.parquet"
    split = sentence_pairs(tmp_path / "split.parquet")
    with tables.open_table(floors, "alignment_floors", {}) as table:
        gold = read_gold(split, PAIRS)
        write_floors(table, "greek", Sentences([split]), gold, gold)
    summary, comparison = tmp_path / "summary.parquet", tmp_path / "comparison.parquet"
    alignment_tables(
        runs, paths, {"greek": floors}, ["gradient"], SETTINGS, {}, summary, comparison
    )
    rows = tables.read_table(summary, "alignment_summary").to_pandas()
    found = rows.set_index(["subject", "step", "links", "measure"])["mean"].sort_index()
    by_argmax = found["attention", "predicts", "argmax"]
    assert by_argmax["error_rate"] == pytest.approx(1 - (7 + 7) / (9 + 8))
    assert by_argmax["precision"] == pytest.approx(7 / 9)
    assert by_argmax["recall"] == pytest.approx(7 / 8)
    assert by_argmax["f1"] == pytest.approx(2 * 7 / (9 + 8))
    assert found["attention", "reads", "argmax", "error_rate"] == pytest.approx(
        1 - 6 / 17
    )
    # of the floors, chance links all words with all
    floor = rows[rows["subject"] == "uniform"].set_index(["links", "measure"])
    cells, sure = 2 * 3 + 4 * 2 + 3 * 2, 8
    assert floor.loc[("argmax", "error_rate"), "mean"] == pytest.approx(
        1 - (8 + 8 + 2) / (cells + sure)
    )
    assert floor["normalizer"].isna().all() and floor["step"].isna().all()
    assert set(rows["subject"]) == {
        *("attention", "gradient", "diagonal", "uniform"),
        *("ibm_model_1", "diagonal_model_2"),
    }
    assert not tables.read_table(comparison, "alignment_comparison").num_rows


def test_normalizers_are_compared_pair_by_pair(tmp_path):
    flat = {
        **{p: np.ones_like(w) for p, w in verse_weights().items()},
    }
    runs, paths = [], []
    for name, weights in (("softmax", flat), ("top", verse_weights())):
        for seed in (0, 1, 2):
            run = {**RUN, "normalizer": name, "seed": seed}
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            split = sentence_pairs(folder / "test.parquet")
            path = folder / "alignment.parquet"
            gold = read_gold(split, PAIRS)
            with tables.open_table(path, "alignment", {}) as table:
                write_alignment(table, run, ({ATTENTION: weights}, gold, split), None)
            runs.append(run)
            paths.append(path)
    summary, comparison = tmp_path / "summary.parquet", tmp_path / "comparison.parquet"
    alignment_tables(runs, paths, {}, [], SETTINGS, {}, summary, comparison)
    rows = tables.read_table(comparison, "alignment_comparison").to_pandas()
    assert set(rows["normalizer"]) == {"top"} and set(rows["baseline"]) == {"softmax"}
    # nobody aligned the dev pairs
    assert "threshold" not in set(rows["links"])
    found = rows.set_index(["step", "links", "measure"])
    row = found.loc[("predicts", "argmax", "error_rate")]
    flat_error = 1 - (8 + 8 + 2) / (20 + 8)
    assert row["difference"] == pytest.approx((1 - 14 / 17) - flat_error)
    assert row["n_seeds"] == 3 and row["n_instances"] == 3 and row["family_size"] == 1
    assert row["low"] < row["difference"] < row["high"]

    # and a claim about it is judged by that row
    claim = {
        "claim": "aligned",
        "source": "Nobody 2020",
        "text": "Top weights align better than even ones.",
        "table": "alignment_comparison",
        "where": {
            "measure": ["error_rate"],
            "subject": ["attention"],
            "step": ["predicts"],
            "links": ["argmax"],
        },
        "less": {},
        "rule": {"below": 0},
        "holds": "on_average",
        "figure": "alignment_error",
        "lacks": None,
    }
    path = tmp_path / "claims.parquet"
    sources = Sources({"alignment_comparison": comparison}, runs, {})
    claims_table([claim], sources, SETTINGS, {}, path)
    judged = tables.read_table(path, "claims").to_pandas()
    assert judged["estimate"].tolist() == [row["difference"]] * 2
    assert judged["n_cells"].iloc[0] == 1 and judged["less"].iloc[1] == "softmax"


def test_heads_by_mean_and_by_the_best_on_dev(tmp_path):
    good, bad = verse_weights(), {p: w[:, ::-1] for p, w in verse_weights().items()}
    # which head is the good one differs between seeds
    runs = [{**RUN, "seed": seed} for seed in (0, 1)]
    heads = [
        {Subject(HEAD, 0, 0): good, Subject(HEAD, 0, 1): bad},
        {Subject(HEAD, 0, 0): bad, Subject(HEAD, 0, 1): good},
    ]
    paths = [
        counted(tmp_path / str(run["seed"]), run, heads=own)
        for run, own in zip(runs, heads, strict=True)
    ]
    summary, comparison = tmp_path / "summary.parquet", tmp_path / "comparison.parquet"
    alignment_tables(runs, paths, {}, ["gradient"], SETTINGS, {}, summary, comparison)
    rows = tables.read_table(summary, "alignment_summary").to_pandas()
    chosen = (rows["step"] == "predicts") & (rows["links"] == "argmax")
    rows = rows[chosen & (rows["measure"] == "error_rate")].set_index("subject")
    best = rows.loc["best_head", "mean"]
    assert best == pytest.approx(rows.loc["attention", "mean"])
    of_heads = rows.loc["head"]
    assert of_heads["layer"].tolist() == [0, 0] and of_heads["head"].tolist() == [0, 1]
    assert of_heads["mean"].iloc[0] > best
    assert rows.loc["mean_head", "mean"].tolist() == pytest.approx(
        [of_heads["mean"].mean()] * 2
    )


def test_the_mean_of_linearized_values_is_the_ratio_of_sums():
    rng = np.random.default_rng(0)
    below = rng.integers(0, 9, (30, 3)).astype(float)
    above = np.floor(below * rng.random(below.shape))
    above[4, 1] = below[4, 1] = np.nan
    below[:, 2] = above[:, 2] = 0
    found = linearized(above, below)
    np.testing.assert_allclose(
        np.nanmean(found[:, :2], 0), np.nansum(above, 0)[:2] / np.nansum(below, 0)[:2]
    )
    assert np.isnan(found[:, 2]).all() and np.isnan(found[4, 1])


def resampled(rng, counts, measure, draws=400):
    """Standard error of a corpus figure over draws of its sentence pairs."""
    n = len(counts.found)
    found = []
    for _ in range(draws):
        rows = rng.integers(0, n, n)
        own = corpus_measures(Counts(*(values[rows] for values in counts)))
        found.append(own[measure].mean())
    return np.std(found)


@pytest.mark.parametrize("measure", ["error_rate", "precision", "recall", "f1"])
def test_their_spread_is_that_of_resampled_pairs(measure):
    rng = np.random.default_rng(1)
    sure = rng.integers(1, 20, (300, 1))
    found = rng.integers(1, 20, (300, 1))
    found_sure = rng.binomial(np.minimum(sure, found), 0.6)
    possible = found_sure + rng.binomial(found - found_sure, 0.2)
    counts = Counts(*(v.astype(float) for v in (found, sure, found_sure, possible)))
    values = corpus_measures(counts)[measure]
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert error == pytest.approx(resampled(rng, counts, measure), rel=0.1)


def test_nothing_right_has_an_f1_of_0():
    counts = Counts(*(np.full((2, 1), v) for v in (3.0, 2.0, 0.0, 0.0)))
    assert (corpus_measures(counts)["f1"] == 0).all()


def test_pairs_without_gold_are_left_out(tmp_path):
    split = sentence_pairs(tmp_path / "none.parquet", gold=False)
    assert read_gold(split, PAIRS) is None
    split = sentence_pairs(tmp_path / "some.parquet")
    assert read_gold(split, ["pray"]).ids == ["pray"]
    with tables.open_table(tmp_path / "f.parquet", "alignment_floors", {}) as table:
        write_floors(table, "greek", Sentences([split]), None, None)


@pytest.mark.parametrize("broken", ["order", "length"])
def test_steps_that_are_not_those_of_their_pair(tmp_path, broken):
    weights = verse_weights()
    if broken == "length":
        weights["pray"] = weights["pray"][:-1]
    path = attention_table(tmp_path / "attention.parquet", weights)
    if broken == "order":
        table = tables.read_table(path, "attention")
        order = pa.array([1, 0, *range(2, len(table))])
        tables.write_table(path, "attention", table.take(order), {})
    gold = read_gold(sentence_pairs(tmp_path / "test.parquet"), PAIRS)
    with (
        pytest.raises(
            AuditError, match=r"attention\.parquet: (expected 4 steps|'john)"
        ),
        tables.open_table(tmp_path / "a.parquet", "alignment", {}) as table,
    ):
        found = weights_of_tables(RUN, path, {})
        write_alignment(table, RUN, (found, gold, path), None)


class Reader:
    """Attends as it is told, whatever it reads."""

    def __init__(self, attention, heads):
        self.attention, self.heads = attention, heads

    def read_pairs(self, batch):
        return SimpleNamespace(attention=self.attention, cross_heads=[self.heads])


def test_weights_of_a_model_by_sentence_pair():
    torch.manual_seed(0)
    attention, heads = torch.rand(2, 3, 4), torch.rand(2, 5, 3, 4)
    # one target word and two, with three source words and four
    decisions = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    batch = SimpleNamespace(
        pair=torch.tensor([p for p, _ in decisions]),
        step=torch.tensor([t for _, t in decisions]),
        instance_ids=[decision_id("ab"[p], t) for p, t in decisions],
        lengths=np.array([3, 3, 4, 4, 4]),
    )

    def function(model, batch, plus):
        return model.attention[batch.pair, batch.step] + plus

    methods = {"gradient": (function, {"plus": 1})}
    found = weights_of_pairs(Reader(attention, heads), [batch], methods)
    assert len(found) == 1 + 5 + 1
    np.testing.assert_array_equal(found[ATTENTION]["a"], attention[0, :2, :3].numpy())
    np.testing.assert_array_equal(found[Subject(HEAD, 0, 4)]["b"], heads[1, 4].numpy())
    np.testing.assert_allclose(
        found[Subject("gradient")]["b"], attention[1].numpy() + 1
    )
