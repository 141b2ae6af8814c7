"""Inference: against hand values, scipy and statsmodels; the tables."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.stats

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics import families, inference, matrices, task
from attention_audit.statistics.controls import is_control
from attention_audit.statistics.estimates import Settings, compare, summarise
from attention_audit.statistics.inference import Subjects

SETTINGS = Settings(
    reference="softmax",
    confidence=0.95,
    interval="random_effects",
    correction="holm",
    smallest_effect={"default": 0.1, "entropy": 0.5},
)


def rng(seed=0):
    return np.random.default_rng(seed)


def crossed(random, instances, seeds, sd_seed):
    """Values with mean zero: an effect of each instance, each seed, and noise."""
    return (
        random.normal(0, 0.5, (instances, 1))
        + random.normal(0, sd_seed, (1, seeds))
        + random.normal(0, 0.5, (instances, seeds))
    )


def summarised(values, pairs=False):
    (summary,) = summarise([values], SETTINGS, pairs)
    return summary


def compared(a, b, pairs=False, measure="entropy", settings=SETTINGS):
    (result,) = compare([(a, b)], settings, measure, pairs)
    return result


# --- summaries and comparisons --------------------------------------------------


def test_summary_by_hand():
    values = [[1.0, 3.0], [2.0, np.nan], [np.nan, np.nan], [6.0, 8.0]]
    summary = summarised(values)
    assert summary.mean == pytest.approx(20 / 5)
    # means over seeds 2, 2, 7 and over instances 3, 5.5
    assert summary.sd_instances == pytest.approx(np.std([2, 2, 7], ddof=1))
    assert summary.sd_seeds == pytest.approx(np.std([3, 5.5], ddof=1))
    assert (summary.n_instances, summary.n_seeds, summary.n_undefined) == (3, 2, 3)
    assert summary.low < summary.mean < summary.high
    assert summary.interval_over == "instances and seeds"
    assert summary.interval_method == "random_effects"


def test_nothing_defined_is_undefined():
    for values in (np.empty((0, 2)), np.full((3, 2), np.nan)):
        summary = summarised(values)
        assert np.isnan([summary.mean, summary.low, summary.high]).all()
        assert summary.n_instances == summary.n_seeds == 0
        assert summary.interval_over is summary.interval_method is None


def test_one_instance_has_no_interval_and_no_test():
    values = np.array([[0.136, 0.2, 0.3]])
    summary = summarised(values)
    assert summary.mean == pytest.approx(0.212)
    assert np.isnan([summary.low, summary.high, summary.sd_instances]).all()
    assert summary.interval_over is None and "one instance" in summary.note
    # where others are undefined, one is left
    undefined = np.vstack([values, np.full((3, 3), np.nan)])
    assert np.isnan(summarised(undefined).low)
    result = compared(values, values - 0.5)
    assert result.difference == pytest.approx(0.5)
    names = ("low", "high", "p", "p_equivalence", "detectable", "rank_biserial")
    for name in (*names, "cohens_d"):
        assert np.isnan(getattr(result, name)), name
    assert result.interval_over is None and "one instance" in result.note
    assert np.isnan(compared(values, values).p)


def test_an_interval_says_what_it_is_over_and_by_which_method():
    values = crossed(rng(3), 20, 2, 0.3)
    said = {
        1: ("instances", "one_sample"),
        2: ("instances and seeds", "random_effects"),
    }
    for seeds, expected in said.items():
        summary = summarised(values[:, :seeds])
        result = compared(values[:, :seeds], values[:, :seeds] ** 2)
        for one in (summary, result):
            assert (one.interval_over, one.interval_method) == expected
        assert np.isnan(result.seed_low) == np.isnan(summary.sd_seeds) == (seeds < 2)
    # a second seed without any value is none
    lacking = np.column_stack([values[:, 0], np.full(20, np.nan)])
    assert summarised(lacking).interval_over == "instances"
    # no instance has both seeds: those cannot be told from instances
    apart = values.copy()
    apart[::2, 0] = apart[1::2, 1] = np.nan
    assert summarised(apart).interval_method == "seed_means"


def test_of_one_seed_the_interval_is_that_of_a_t_test():
    values = rng(2).exponential(size=(80, 1))
    summary = summarised(values)
    theirs = scipy.stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert (summary.low, summary.high) == pytest.approx(tuple(theirs))


def test_cells_lend_each_other_strength_about_seeds():
    random = rng(9)
    cells = [crossed(random, 60, 3, 0.3) for _ in range(12)]
    moderated = Settings(confidence=0.95, interval="moderated")
    alone, together = summarise(cells, SETTINGS), summarise(cells, moderated)
    widths = [np.array([s.high - s.low for s in found]) for found in (alone, together)]
    assert {s.interval_method for s in together} == {"moderated"}
    assert [s.mean for s in alone] == [s.mean for s in together]
    # cells agree about what seeds do, and so do their intervals
    assert widths[1].std() < widths[0].std() / 3
    assert widths[1].mean() < widths[0].mean()
    # two cells are too few, and what no seed changes borrows nothing
    assert summarise(cells[:2], moderated) == alone[:2]
    same = np.repeat(random.normal(size=(60, 1)), 3, axis=1)
    *others, fixed = summarise([*cells, same], moderated)
    assert others == together
    assert fixed.interval_method == "random_effects"
    assert fixed.low == pytest.approx(summarised(same).low)


def test_comparison_by_hand():
    # differences -1, 2, 3, 0; ranks of their sizes, zero first, 2, 3, 4
    a = np.array([[1.0], [5.0], [8.0], [4.0]])
    b = np.array([[2.0], [3.0], [5.0], [4.0]])
    result = compared(a, b)
    assert result.difference == pytest.approx(1.0)
    assert result.rank_biserial == pytest.approx((3 + 4 - 2) / (3 + 4 + 2))
    assert result.cohens_d == pytest.approx(1 / np.std([-1, 2, 3, 0], ddof=1))
    # of one seed there is no smallest and largest
    assert np.isnan(result.seed_low) and np.isnan(result.seed_high)
    assert (result.n_instances, result.n_seeds) == (4, 1)
    assert result.seed_signs == "+"


def test_too_few_seeds_have_signs_and_no_test():
    random = rng(1)
    b = random.normal(0, 1, (40, 3))
    a = b + np.array([0.5, -0.25, 0.0]) + random.normal(0, 0.01, (40, 3))
    a[:, 2] = b[:, 2]
    for seeds in (1, 2):
        result = compared(a[:, :seeds], b[:, :seeds])
        assert np.isnan([result.p, result.p_equivalence, result.detectable]).all()
        assert result.seed_signs == "+-"[:seeds]
        assert not np.isnan(result.low)
    result = compared(a, b)
    assert result.seed_signs == "+-0" and not np.isnan(result.p)
    assert (result.seed_low, result.seed_high) == pytest.approx((-0.25, 0.5), abs=0.01)


def test_test_and_interval_are_of_one_model():
    random = rng(4)
    b = crossed(random, 50, 4, 0.2)
    a = b + 0.2 + crossed(random, 50, 4, 0.1)
    for confidence in np.linspace(0.05, 0.999, 12):
        settings = Settings(confidence=confidence, smallest_effect={"default": 0.3})
        result = compared(a, b, settings=settings)
        outside = not result.low <= 0 <= result.high
        assert outside == (result.p < 1 - confidence)
        # two one-sided tests, and so an interval of twice the error
        twice = Settings(confidence=2 * confidence - 1) if confidence > 0.5 else None
        if twice is not None:
            inner = compared(a, b, settings=twice)
            within = inner.low > -0.3 and inner.high < 0.3
            assert within == (result.p_equivalence < 1 - confidence)


def test_equivalence_by_hand():
    from attention_audit.statistics.random_effects import detectable, equivalence_test

    values = rng(5).normal(0.05, 1, 200)
    smallest = 0.2
    above = scipy.stats.ttest_1samp(values, -smallest, alternative="greater").pvalue
    below = scipy.stats.ttest_1samp(values, smallest, alternative="less").pvalue
    known = (values.mean(), values.var(ddof=1) / 200, 199)
    assert equivalence_test(*known, smallest) == pytest.approx(max(above, below))
    # nothing varies: within the bounds or not
    assert equivalence_test(0.0, 0.0, np.inf, smallest) == 0
    assert equivalence_test(0.3, 0.0, np.inf, smallest) == 1
    # the effect that a t test finds in four cases of five
    effect = detectable(known[1], 199, 0.95)
    from statsmodels.stats.power import TTestPower

    power = TTestPower().power(effect / values.std(ddof=1), 200, 0.05)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_verdicts_of_a_family():
    def row(p, equivalence, **named):
        row = {"contrast": "normalizer", "measure": "m", "subject": "s"}
        return (
            row
            | {"reference": None, "dataset": "d"}
            | named
            | {"p": p, "p_equivalence": equivalence}
        )

    found = [
        row(0.001, 0.9),
        row(0.9, 0.001),
        row(0.001, 0.001),
        row(0.03, 0.9),
        row(np.nan, np.nan),
        row(0.03, 0.9, measure="other"),
        row(0.03, 0.9, contrast="cut"),
    ]
    families.correct_families(found, SETTINGS)
    assert [r["verdict"] for r in found] == [
        "different",
        "equivalent",
        "negligible",
        # .03 in a family of four is .06
        "undecided",
        None,
        "different",
        "different",
    ]
    assert [r["family_size"] for r in found] == [4, 4, 4, 4, 4, 1, 1]
    assert found[0]["family"] == "contrast normalizer, measure m, subject s"
    all_in_one = Settings(confidence=0.95, correction="fdr_bh", families=[])
    families.correct_families(found, all_in_one)
    assert {r["family"] for r in found} == {"all comparisons"}
    p = [r["p"] for r in found if not np.isnan(r["p"])]
    assert [r["p_corrected"] for r in found if not np.isnan(r["p"])] == pytest.approx(
        scipy.stats.false_discovery_control(p)
    )


def test_swapping_sides_flips_signs_alone():
    random = rng(7)
    a, b = crossed(random, 30, 3, 0.2) + 0.3, crossed(random, 30, 3, 0.2)
    there, back = compared(a, b), compared(b, a)
    for name in ("difference", "rank_biserial", "cohens_d"):
        assert getattr(back, name) == pytest.approx(-getattr(there, name)), name
    for name in ("p", "p_equivalence", "detectable"):
        assert getattr(back, name) == pytest.approx(getattr(there, name)), name
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert (back.seed_low, back.seed_high) == pytest.approx(
        (-there.seed_high, -there.seed_low)
    )
    assert back.seed_signs == there.seed_signs.translate(str.maketrans("+-", "-+"))


def test_order_of_instances_and_seeds_does_not_matter():
    random = rng(8)
    a, b = crossed(random, 60, 3, 0.2) + 0.2, crossed(random, 60, 3, 0.2)
    a[3, 1] = b[9, 2] = np.nan
    rows, columns = random.permutation(60), random.permutation(3)
    first = compared(a, b)
    second = compared(a[rows][:, columns], b[rows][:, columns])
    for name in ("difference", "low", "high", "seed_low", "seed_high", "p", "cohens_d"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-9)


def test_equal_values_show_no_effect_and_constant_ones_no_d():
    a = rng().random((20, 3))
    equal = compared(a, a)
    assert (equal.p, equal.rank_biserial, equal.cohens_d) == (1, 0, 0)
    assert equal.low == equal.high == equal.p_equivalence == 0
    shifted = compared(np.full((20, 3), 0.75), np.full((20, 3), 0.5))
    assert shifted.rank_biserial == 1 and np.isnan(shifted.cohens_d)
    assert shifted.p == 0 and shifted.low == shifted.high == 0.25


def test_rounding_breaks_no_tie():
    # 0.3 - 0.2 and 0.2 - 0.1 differ by an ulp; as ties, the signs cancel
    result = compared(np.array([[0.3], [0.1]]), np.array([[0.2], [0.2]]))
    assert result.rank_biserial == 0


def test_what_rounding_does_is_no_effect():
    random = rng(5)
    # sums of single-precision weights: 1 but for rounding, one more so than the other
    weights = random.dirichlet(np.ones(60), (200, 3)).astype(np.float32)
    a = weights.sum(axis=-1, dtype=np.float64)
    b = np.ones((200, 3))
    assert 0 < np.abs(a - b).max() < 1e-6
    result = compared(a, b)
    assert (result.difference, result.low, result.high) == (0, 0, 0)
    assert (result.p, result.rank_biserial, result.cohens_d) == (1, 0, 0)
    assert "rounding" in result.note
    assert compared(b, b).note is None
    # the same holds whatever the size of the values, and no more than that
    large = compared(a * 1e6, b * 1e6)
    assert (large.difference, large.p) == (0, 1)
    real = compared(b + 1e-5, b)
    assert real.p < 0.001 and real.difference == pytest.approx(1e-5)


def test_comparison_pairs_what_both_have():
    a = np.array([[1.0, 9.0], [2.0, np.nan], [np.nan, 5.0], [4.0, np.nan]])
    b = np.array([[0.0, np.nan], [0.0, 5.0], [1.0, np.nan], [0.0, np.nan]])
    result = compared(a, b)
    assert result.difference == pytest.approx((1 + 2 + 4) / 3)
    assert (result.n_instances, result.n_seeds) == (3, 1)
    nothing = compared(a, np.full(a.shape, np.nan))
    assert np.isnan(nothing.p) and np.isnan(nothing.seed_low)
    assert nothing.n_instances == nothing.n_seeds == 0
    assert nothing.seed_signs is None


def test_sides_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        compared(np.ones((3, 2)), np.ones((2, 3)))


def mean_over_pairs(distances):
    """From distances (I, S, S) to means over pairs (I, S), as the experiment has it."""
    seeds = distances.shape[1]
    return distances.sum(axis=2) / (seeds - 1)


def test_two_seeds_are_one_pair():
    random = rng(6)
    one = random.random(30)
    summary = summarised(np.column_stack([one, one]), pairs=True)
    theirs = scipy.stats.ttest_1samp(one, 0).confidence_interval(0.95)
    assert (summary.low, summary.high) == pytest.approx(tuple(theirs))
    assert (summary.interval_over, summary.interval_method) == (
        "instances",
        "one_sample",
    )
    assert np.isnan(summary.sd_seeds) and summary.n_seeds == 2
    assert "one pair" in summary.note
    result = compared(np.column_stack([one, one]), np.zeros((30, 2)), pairs=True)
    assert result.seed_signs == "+" and np.isnan([result.p, result.seed_low]).all()


def test_of_pairs_the_seeds_part_is_the_jackknife_of_the_u_statistic():
    random = rng(7)
    seeds = 5
    distances = np.abs(random.normal(size=(seeds, 1)) - random.normal(size=seeds))
    distances = np.triu(distances, 1) + np.triu(distances, 1).T
    # instances that all agree: the seeds alone are random
    values = np.repeat(mean_over_pairs(distances[None]), 40, axis=0)

    def u_statistic(kept):
        return np.mean([distances[i, j] for i, j in combinations(kept, 2)])

    left_out = [
        u_statistic([s for s in range(seeds) if s != out]) for out in range(seeds)
    ]
    spread = np.sum((left_out - np.mean(left_out)) ** 2)
    variance = (seeds - 1) / seeds * spread
    summary = summarised(values, pairs=True)
    assert summary.mean == pytest.approx(u_statistic(range(seeds)))
    half = scipy.stats.t.ppf(0.975, seeds - 1) * np.sqrt(variance)
    assert summary.high - summary.mean == pytest.approx(half)
    assert summary.interval_over == "instances and pairs of seeds"
    assert summary.interval_method == "jackknife"
    assert summary.note == "5 seeds make 10 pairs"


def test_corrections_by_hand_and_without_nan():
    p = [0.01, np.nan, 0.04, 0.03]
    correct = families.correct
    np.testing.assert_allclose(correct(p, "holm"), [0.03, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(correct(p, "bonferroni"), [0.03, np.nan, 0.12, 0.09])
    np.testing.assert_allclose(correct(p, "fdr_bh"), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(correct([np.nan], "holm")).all()
    with pytest.raises(AuditError, match="Did you mean 'holm'"):
        correct(p, "hom")


# --- tables ---------------------------------------------------------------------


def run(normalizer, seed, dataset="imdb"):
    return {
        "dataset": dataset,
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": normalizer,
        "seed": seed,
    }


def write_measures(folder, identity, values, p=None):
    """A measure table with ``entropy`` (and ``kendall_p``) for each instance id."""
    path = folder / ("-".join(str(v) for v in identity.values()) + ".parquet")
    blocks = [("entropy", None, values)]
    if p is not None:
        blocks.append(("kendall_p", "input_gradient", p))
    with tables.open_table(path, "measures", {}) as table:
        for measure, reference, block in blocks:
            table.write(
                identity
                | {
                    "instance_id": list(block),
                    "measure": measure,
                    "subject": "attention",
                    "reference": [reference] * len(block),
                    "value": list(block.values()),
                }
            )
    return path


@pytest.fixture
def grid(tmp_path):
    """Two data sets, three normalizers, three seeds; values grow with the name."""
    runs, paths = [], []
    random = rng(11)
    for dataset in ("imdb", "sst"):
        for shift, normalizer in enumerate(("softmax", "entmax", "sparsemax")):
            for seed in (0, 1, 2):
                identity = run(normalizer, seed, dataset)
                values = {f"i{k}": random.normal(shift, 0.5) for k in range(12)}
                p = {f"i{k}": random.random() / 5 for k in range(12)}
                if (dataset, normalizer, seed) == ("imdb", "entmax", 1):
                    del values["i3"]
                    values["i4"] = None
                    p["i5"] = None
                runs.append(identity)
                paths.append(write_measures(tmp_path, identity, values, p))
    return runs, paths


def rows(path, schema):
    return tables.read_table(path, schema).to_pylist()


def test_summary_table(tmp_path, grid):
    path = tmp_path / "out" / "summary.parquet"
    inference.summary_table(*grid, SETTINGS, {"seed": 0}, path)
    found = rows(path, "summary")
    assert tables.read_metadata(path) == {"seed": 0}
    # two data sets, three normalizers, and entropy, p and its derived share
    assert len(found) == 2 * 3 * 3
    cell = {
        r["measure"]: r
        for r in found
        if (r["dataset"], r["normalizer"]) == ("imdb", "entmax")
    }
    values = [
        row["value"]
        for identity, source in zip(*grid, strict=True)
        if (identity["dataset"], identity["normalizer"]) == ("imdb", "entmax")
        for row in rows(source, "measures")
        if row["measure"] == "entropy" and row["value"] is not None
    ]
    assert cell["entropy"]["mean"] == pytest.approx(np.mean(values))
    assert cell["entropy"]["reference"] is None
    # one missing, one null
    assert cell["entropy"]["n_undefined"] == 2
    assert cell["entropy"]["n_instances"] == 12 and cell["entropy"]["n_seeds"] == 3
    p = [
        row["value"]
        for identity, source in zip(*grid, strict=True)
        if (identity["dataset"], identity["normalizer"]) == ("imdb", "entmax")
        for row in rows(source, "measures")
        if row["measure"] == "kendall_p" and row["value"] is not None
    ]
    significant = cell["kendall_significant"]
    assert significant["mean"] == pytest.approx(np.mean(np.array(p) < 0.05))
    assert significant["n_undefined"] == 1
    assert significant["reference"] == "input_gradient"


def write_effects(folder, normalizer, effect, seed):
    """Measures of a run whose inputs move the output by ``effect`` in most texts."""
    identity = run(normalizer, seed)
    path = folder / f"effects-{normalizer}-{seed}.parquet"
    with tables.open_table(path, "measures", {}) as table:
        for k in range(9):
            table.write(
                identity
                | {
                    "instance_id": [f"i{k}"] * 4,
                    "measure": ["largest_effect", "kendall_tau_b"] * 2,
                    "subject": ["ablation", "attention", "gradient", "attention"],
                    "reference": [None, "ablation", None, "gradient"],
                    # one text in which it matters changes nothing
                    "value": [effect if k else 0.5, 0.6 + k / 50, 0.1, 0.3],
                }
            )
    return identity, path


def write_examples(path, clusters):
    columns = {"dataset": "imdb", "instance_id": list(clusters)}
    columns |= {"cluster_id": list(clusters.values()), "label": 0, "length": 1}
    columns |= {"tokens": [["a"]] * len(clusters), "token_ids": [[1]] * len(clusters)}
    columns["gold"] = None
    tables.write_table(path, "examples", columns | {"text": list(clusters)}, {})
    return path


def test_instances_of_a_cluster_count_as_one(tmp_path):
    runs, paths, expected = [], [], []
    random = rng(5)
    for normalizer in ("softmax", "entmax"):
        for seed in range(3):
            values = random.normal(size=4)
            expected.append(values)
            runs.append(run(normalizer, seed))
            each = {f"i{k}": float(values[k // 2]) for k in range(8)}
            paths.append(write_measures(tmp_path, runs[-1], each))
    shared = {f"i{k}": f"author {k // 2}" for k in range(8)} | {"of train": "author 9"}
    examples = {"imdb": write_examples(tmp_path / "test.parquet", shared)}
    by_hand = summarised(np.transpose(expected[:3]))
    path = tmp_path / "table.parquet"
    inference.summary_table(runs, paths, SETTINGS, {}, path, None, examples)
    row = next(r for r in rows(path, "summary") if r["normalizer"] == "softmax")
    assert (row["n_instances"], row["n_clusters"]) == (8, 4)
    assert [row["low"], row["high"]] == pytest.approx([by_hand.low, by_hand.high])
    inference.comparison_table(runs, paths, SETTINGS, {}, path, None, examples)
    (row,) = rows(path, "comparison")
    by_hand = compared(np.transpose(expected[3:]), np.transpose(expected[:3]))
    assert (row["n_instances"], row["n_clusters"]) == (8, 4)
    assert row["p"] == pytest.approx(by_hand.p)
    assert row["low"] == pytest.approx(by_hand.low)


def test_an_instance_that_the_split_lacks_is_an_error(tmp_path):
    path = write_measures(tmp_path, run("softmax", 0), {"a": 1.0, "b": 2.0})
    examples = {"imdb": write_examples(tmp_path / "test.parquet", {"a": "a"})}
    with pytest.raises(AuditError, match=r"test\.parquet: has no instance 'b'"):
        inference.summary_table(
            [run("softmax", 0)], [path], SETTINGS, {}, tmp_path / "s", None, examples
        )


def test_agreement_with_what_hardly_moves_the_output_is_noted(tmp_path):
    written = [
        write_effects(tmp_path, normalizer, effect, seed)
        for normalizer, effect in {"softmax": 0.02, "entmax": 1e-4}.items()
        for seed in (0, 1)
    ]
    runs, paths = zip(*written, strict=True)
    path = tmp_path / "table.parquet"
    inference.summary_table(runs, paths, SETTINGS, {}, path)
    noted = {
        (r["normalizer"], r["reference"])
        for r in rows(path, "summary")
        if r["note"] is not None
    }
    assert noted == {("entmax", "ablation")}
    (row,) = (r for r in rows(path, "summary") if r["note"] is not None)
    assert row["note"].startswith("effects by ablation are negl") and row["low"] > 0
    inference.comparison_table(runs, paths, SETTINGS, {}, path)
    assert [r["reference"] for r in rows(path, "comparison") if r["note"]] == [
        "ablation"
    ]


SUBJECTS = Subjects(
    methods=["input_a", "hidden_a", "hidden_b"],
    bound={"bilstm": ["hidden_a", "hidden_b"]},
    without_context=["average"],
)


def write_zeros(folder, normalizer, sparsity, encoder="bilstm"):
    """Measures of a run whose attention has that share of zeros in one text of two."""
    identity = run(normalizer, 0) | {"encoder": encoder}
    path = folder / f"zeros-{normalizer}-{encoder}.parquet"
    keys = [
        ("sparsity", "attention", None),
        ("dispersion", "attention", None),
        *(("dispersion", name, None) for name in reversed(SUBJECTS.methods)),
        *(
            ("kendall_tau_b", *pair)
            for pair in combinations(["attention", *SUBJECTS.methods], 2)
        ),
        ("kendall_p", "attention", "hidden_a"),
        ("coindexed_share", "hidden_states", "inputs"),
        ("comprehensiveness", "attention", "at_support"),
    ]
    with tables.open_table(path, "measures", {}) as table:
        for measure, subject, reference in keys:
            of_zeros = measure == "sparsity"
            table.write(
                identity
                | {
                    "instance_id": ["a", "b"],
                    "measure": measure,
                    "subject": subject,
                    "reference": [reference] * 2,
                    "value": [0.0, sparsity] if of_zeros else [0.25, 0.5],
                }
            )
    return identity, path


def test_what_agrees_by_construction_says_why(tmp_path):
    written = [
        write_zeros(tmp_path, "softmax", 0.0),
        write_zeros(tmp_path, "top_k", 0.5),
    ]
    runs, paths = zip(*written, strict=True)
    path = tmp_path / "table.parquet"
    inference.summary_table(runs, paths, SETTINGS, {}, path, SUBJECTS)

    def marked(schema):
        return {
            (r["measure"], r["subject"], r["reference"])
            for r in rows(path, schema)
            if r["by_construction"] is not None
        }

    expected = {
        *(("kendall_tau_b", "attention", name) for name in ("hidden_a", "hidden_b")),
        ("kendall_tau_b", "hidden_a", "hidden_b"),
        ("dispersion", "hidden_a", None),
        ("dispersion", "hidden_b", None),
    }
    of_texts = {
        (m, "attention", "hidden_a") for m in ("kendall_p", "kendall_significant")
    }
    assert marked("summary") == expected | of_texts
    summary = [r for r in rows(path, "summary") if r["by_construction"]]
    assert {r["normalizer"] for r in summary} == {"top_k"}
    assert all(r["by_construction"].startswith("no weight, no imp") for r in summary)
    # either side of a comparison
    inference.comparison_table(runs, paths, SETTINGS, {}, path, SUBJECTS)
    assert marked("comparison") == expected


def test_without_context_inputs_too_agree_by_construction(tmp_path):
    identity, source = write_zeros(tmp_path, "softmax", 0.0, encoder="average")
    path = tmp_path / "table.parquet"
    inference.summary_table([identity], [source], SETTINGS, {}, path, SUBJECTS)
    (row,) = (r for r in rows(path, "summary") if r["by_construction"])
    assert row["measure"] == "coindexed_share"
    assert row["by_construction"].startswith("the encoder has no context")


@pytest.mark.parametrize("schema", ["summary", "comparison"])
def test_inputs_stand_before_hidden_states_in_the_tables(tmp_path, schema):
    written = [
        write_zeros(tmp_path, "softmax", 0.0),
        write_zeros(tmp_path, "top_k", 0.5),
    ]
    table = getattr(inference, f"{schema}_table")
    table(*zip(*written, strict=True), SETTINGS, {}, tmp_path / "t.parquet", SUBJECTS)
    found = [
        r for r in rows(tmp_path / "t.parquet", schema) if r["normalizer"] == "top_k"
    ]
    subjects = [r["subject"] for r in found if r["measure"] == "dispersion"]
    assert subjects == ["attention", *SUBJECTS.methods]
    pairs = [
        (r["subject"], r["reference"]) for r in found if r["measure"] == "kendall_tau_b"
    ]
    assert pairs == list(combinations(["attention", *SUBJECTS.methods], 2))


def test_comparison_table(tmp_path, grid):
    path = tmp_path / "comparison.parquet"
    inference.comparison_table(*grid, SETTINGS, {}, path)
    found = rows(path, "comparison")
    # the p values of single texts are no subject of comparison
    assert {r["measure"] for r in found} == {"entropy"} and len(found) == 2 * 2
    assert {r["baseline"] for r in found} == {"softmax"}
    entropy = [r for r in found if r["measure"] == "entropy"]
    for row in entropy:
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] > 0.4
        assert (row["family"], row["family_size"]) == (
            "contrast normalizer, measure entropy, subject attention",
            4,
        )
        assert row["smallest_effect"] == 0.5 and row["seed_signs"] == "+++"
    np.testing.assert_allclose(
        [r["p_corrected"] for r in entropy],
        families.correct([r["p"] for r in entropy], "holm"),
    )
    assert any(r["p_corrected"] > r["p"] for r in entropy)


def test_another_normalizer_changes_no_other_row(tmp_path, grid):
    fewer = [(r, p) for r, p in zip(*grid, strict=True) if r["normalizer"] != "entmax"]
    for name, function in {
        "summary": inference.summary_table,
        "comparison": inference.comparison_table,
    }.items():
        function(*grid, SETTINGS, {}, tmp_path / "all.parquet")
        # the order in which runs are named must not matter either
        function(
            *zip(*reversed(fewer), strict=True), SETTINGS, {}, tmp_path / "few.parquet"
        )
        kept = [
            r
            for r in rows(tmp_path / "all.parquet", name)
            if r["normalizer"] != "entmax"
        ]
        few = rows(tmp_path / "few.parquet", name)
        for row in kept + few:
            # the columns that speak of the whole family
            for name in ("p_corrected", "p_equivalence_corrected", "family_size"):
                row.pop(name, None)
        assert kept == few


# --- controls -----------------------------------------------------------------------


def control(called, kind, of, model, seed, **more):
    said = {"control": kind, "of": of, "model": model}
    return run(called, seed, **more) | said


@pytest.fixture
def controlled(tmp_path, grid):
    """The grid with both controls of its two normalizers; those of entmax are exact."""
    runs, paths = map(list, grid)
    random = rng(14)
    for identity, path in zip(*grid, strict=True):
        name, seed, dataset = (identity[k] for k in ("normalizer", "seed", "dataset"))
        if name == "softmax":
            continue
        for called, kind, model in (
            (f"softmax cut to {name}", "cut", "softmax"),
            (f"{name} under softmax", "softmax", name),
        ):
            values = {f"i{k}": random.normal(0.3, 2) for k in range(12)}
            if name == "entmax":
                # as if training with it did nothing beyond
                values = {
                    r["instance_id"]: r["value"]
                    for r in rows(path, "measures")
                    if r["measure"] == "entropy"
                }
            runs.append(control(called, kind, name, model, seed, dataset=dataset))
            paths.append(write_measures(tmp_path, run(called, seed, dataset), values))
    return runs, paths


def test_every_contrast_says_what_is_compared_with_what(tmp_path, controlled):
    path = tmp_path / "c.parquet"
    inference.comparison_table(*controlled, SETTINGS, {}, path)
    found = rows(path, "comparison")
    assert {
        (r["contrast"], r["normalizer"], r["baseline"])
        for r in found
        if "sparsemax" in r["normalizer"]
    } == {
        ("normalizer", "sparsemax", "softmax"),
        ("cut", "softmax cut to sparsemax", "softmax"),
        ("beyond_cut", "sparsemax", "softmax cut to sparsemax"),
        ("scores", "sparsemax under softmax", "softmax"),
        ("zeros", "sparsemax", "sparsemax under softmax"),
    }
    assert len(found) == 2 * 2 * 5
    # two parts make the whole
    of = {(r["dataset"], r["contrast"]): r for r in found if "sparse" in str(r)}
    for dataset in ("imdb", "sst"):
        whole = of[dataset, "normalizer"]["difference"]
        for parts in (("cut", "beyond_cut"), ("scores", "zeros")):
            both = sum(of[dataset, part]["difference"] for part in parts)
            assert both == pytest.approx(whole)
    # what asks one question is corrected together
    families_of = {r["family"]: (r["contrast"], r["family_size"]) for r in found}
    assert len(families_of) == 5
    for family, (contrast, size) in families_of.items():
        assert family == f"contrast {contrast}, measure entropy, subject attention"
        assert size == 4


def test_a_run_that_is_its_cut_has_nothing_beyond_it(tmp_path, controlled):
    path = tmp_path / "c.parquet"
    inference.comparison_table(*controlled, SETTINGS, {}, path)
    found = [r for r in rows(path, "comparison") if r["normalizer"] == "entmax"]
    nothing = [r for r in found if r["contrast"] in ("beyond_cut", "zeros")]
    assert len(nothing) == 4
    for row in nothing:
        assert row["difference"] == row["low"] == row["high"] == 0
        assert row["verdict"] == "equivalent" and row["seed_signs"] == "000"
    assert all(r["difference"] > 0.4 for r in found if r["contrast"] == "normalizer")


@pytest.mark.parametrize("schema", ["summary", "comparison"])
def test_controls_change_no_row_of_declared_normalizers(
    tmp_path, grid, controlled, schema
):
    table = getattr(inference, f"{schema}_table")
    # by which the cells of a measure matter for each other's intervals
    settings = replace(SETTINGS, interval="moderated")
    table(*grid, settings, {}, tmp_path / "without.parquet")
    table(*controlled, settings, {}, tmp_path / "with.parquet")
    found = rows(tmp_path / "with.parquet", schema)
    kept = [
        r
        for r in found
        if not is_control(r["normalizer"]) and not is_control(r.get("baseline", ""))
    ]
    assert len(found) > len(kept)
    without = rows(tmp_path / "without.parquet", schema)
    assert {r["interval_method"] for r in without} == {"moderated"}
    assert kept == without


def test_what_a_control_shows_by_construction(tmp_path):
    """A hidden state without weight has no importance, in the run that gave it none."""
    written = [
        write_zeros(tmp_path, "softmax", 0.0),
        write_zeros(tmp_path, "top_k", 0.5),
    ]
    for called, kind, model, sparsity in (
        ("softmax cut to top_k", "cut", "softmax", 0.5),
        ("top_k under softmax", "softmax", "top_k", 0.0),
    ):
        identity, path = write_zeros(tmp_path, called, sparsity)
        said = {"control": kind, "of": "top_k", "model": model}
        written.append((identity | said, path))
    runs, paths = zip(*written, strict=True)
    path = tmp_path / "table.parquet"
    hidden = ("kendall_tau_b", "attention", "hidden_a")

    def marked(schema):
        return {
            (r.get("contrast"), r["normalizer"]): r["by_construction"]
            for r in rows(path, schema)
            if (r["measure"], r["subject"], r["reference"]) == hidden
        }

    inference.summary_table(runs, paths, SETTINGS, {}, path, SUBJECTS)
    coincide = "no weight, no importance: the zeros of both coincide"
    last = "no weight, no importance: these positions rank last in both"
    assert marked("summary") == {
        (None, "softmax"): None,
        (None, "top_k"): coincide,
        # what is cut keeps its importance
        (None, "softmax cut to top_k"): None,
        (None, "top_k under softmax"): last,
    }
    sparsity = {
        r["normalizer"]: r["by_construction"]
        for r in rows(path, "summary")
        if r["measure"] == "sparsity"
    }
    assert sparsity == {
        "softmax": None,
        "top_k": None,
        "softmax cut to top_k": "the cut leaves as many positions as the run attends to",
        "top_k under softmax": "softmax gives every position weight",
    }
    inference.comparison_table(runs, paths, SETTINGS, {}, path, SUBJECTS)
    assert marked("comparison") == {
        ("normalizer", "top_k"): coincide,
        ("cut", "softmax cut to top_k"): None,
        ("beyond_cut", "top_k"): coincide,
        ("scores", "top_k under softmax"): last,
        ("zeros", "top_k"): last,
    }
    same = "what has weight has the largest scores: the tokens are the same"
    at_support = {
        r["contrast"]: r["by_construction"]
        for r in rows(path, "comparison")
        if r["measure"] == "comprehensiveness"
    }
    nothing = dict.fromkeys(("normalizer", "cut", "beyond_cut"))
    assert at_support == nothing | {"scores": same, "zeros": same}
    # inputs that are not bound to the weights are a finding everywhere
    inputs = [r for r in rows(path, "comparison") if r["reference"] == "input_a"]
    assert len(inputs) == 5 and not any(r["by_construction"] for r in inputs)


def test_the_cut_of_a_sparse_reference_keeps_its_zeros(tmp_path):
    written = [
        write_zeros(tmp_path, "sparsemax", 0.25),
        write_zeros(tmp_path, "top_k", 0.5),
    ]
    identity, path = write_zeros(tmp_path, "sparsemax cut to top_k", 0.5)
    said = {"control": "cut", "of": "top_k", "model": "sparsemax"}
    runs, paths = zip(*written, (identity | said, path), strict=True)
    out = tmp_path / "table.parquet"
    inference.summary_table(runs, paths, SETTINGS, {}, out, SUBJECTS)
    marks = {
        r["normalizer"]: r["by_construction"]
        for r in rows(out, "summary")
        if (r["measure"], r["reference"]) == ("kendall_tau_b", "hidden_a")
        and r["subject"] == "attention"
    }
    assert set(marks.values()) == {
        "no weight, no importance: the zeros of both coincide"
    }


def test_a_control_has_the_notes_of_the_model_that_it_is_held_against(tmp_path):
    written = [
        write_effects(tmp_path, normalizer, effect, seed)
        for normalizer, effect in {"softmax": 0.02, "entmax": 1e-4}.items()
        for seed in (0, 1)
    ]
    for called, kind, model in (
        ("softmax cut to entmax", "cut", "softmax"),
        ("entmax under softmax", "softmax", "entmax"),
    ):
        for seed in (0, 1):
            # its own table has no effects
            identity, path = write_effects(tmp_path, called, 1.0, seed)
            table = tables.read_table(path, "measures")
            left = table.filter(pc.equal(table["measure"], "kendall_tau_b"))
            tables.write_table(path, "measures", left, {})
            said = {"control": kind, "of": "entmax", "model": model}
            written.append((identity | said, path))
    runs, paths = zip(*written, strict=True)
    path = tmp_path / "table.parquet"
    inference.summary_table(runs, paths, SETTINGS, {}, path)
    noted = {r["normalizer"] for r in rows(path, "summary") if r["note"]}
    assert noted == {"entmax", "entmax under softmax"}
    inference.comparison_table(runs, paths, SETTINGS, {}, path)
    noted = {r["contrast"] for r in rows(path, "comparison") if r["note"]}
    assert noted == {"normalizer", "beyond_cut", "scores", "zeros"}


def test_batches_change_no_row(tmp_path, grid, monkeypatch):
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    inference.comparison_table(*grid, SETTINGS, {}, whole)
    monkeypatch.setattr(matrices, "BATCH_ROWS", 5)
    inference.comparison_table(*grid, SETTINGS, {}, cut)
    assert rows(whole, "comparison") == rows(cut, "comparison")


def test_sides_are_paired_by_name_and_not_by_place(tmp_path):
    random = rng(12)
    values = {f"i{k:02}": random.normal() for k in range(30)}
    written = []
    for seed in range(3):
        order = list(values)
        random.shuffle(order)
        moved = {i: values[i] + 1 + seed / 100 for i in order}
        # texts and seeds of one side alone
        sides = {"softmax": values | {"i99": 5.0}, "entmax": {"i98": 9.0} | moved}
        for normalizer, found in sides.items():
            identity = run(normalizer, seed)
            written.append((identity, write_measures(tmp_path, identity, found)))
    lone = run("entmax", 7)
    written.append((lone, write_measures(tmp_path, lone, values)))
    path = tmp_path / "c.parquet"
    inference.comparison_table(*zip(*written, strict=True), SETTINGS, {}, path)
    (row,) = rows(path, "comparison")
    assert row["difference"] == pytest.approx(1.01)
    assert (row["n_instances"], row["n_seeds"]) == (30, 3)
    assert row["seed_low"] == pytest.approx(1) and row["high"] < 1.1


def test_pairs_of_seeds_are_known_by_their_reference(tmp_path):
    random = rng(13)
    seeds = range(4)
    written = []
    for normalizer in ("softmax", "entmax"):
        distances = random.random((9, 4, 4))
        distances = np.triu(distances, 1) + np.swapaxes(np.triu(distances, 1), 1, 2)
        for seed in seeds:
            identity = run(normalizer, seed)
            path = tmp_path / f"{normalizer}{seed}.parquet"
            columns = identity | {
                "instance_id": [f"i{k}" for k in range(9)],
                "measure": "jsd",
                "subject": "attention",
                "reference": "other_seeds",
                "value": mean_over_pairs(distances)[:, seed],
            }
            tables.write_table(path, "measures", columns, {})
            written.append((identity, path))
    runs, paths = zip(*written, strict=True)
    inference.summary_table(runs, paths, SETTINGS, {}, tmp_path / "s.parquet")
    inference.comparison_table(runs, paths, SETTINGS, {}, tmp_path / "c.parquet")
    found = [
        r
        for name in ("summary", "comparison")
        for r in rows(tmp_path / f"{name[0]}.parquet", name)
    ]
    assert {r["interval_method"] for r in found} == {"jackknife"}
    assert {r["interval_over"] for r in found} == {"instances and pairs of seeds"}
    assert {r["n_seeds"] for r in found} == {4}
    assert {r.get("sd_seeds") for r in found} == {None}
    assert all("6 pairs" in r["note"] for r in found)


def test_a_single_seed_has_no_spread_over_seeds(tmp_path):
    identity = run("softmax", 0)
    path = write_measures(tmp_path, identity, {"a": 1.0, "b": 2.0})
    inference.summary_table([identity], [path], SETTINGS, {}, tmp_path / "s.parquet")
    (row,) = rows(tmp_path / "s.parquet", "summary")
    assert row["sd_seeds"] is None and row["n_seeds"] == 1
    assert row["interval_over"] == "instances" and row["note"] is None


def test_groups_without_the_reference_are_left_out(tmp_path):
    identity = run("entmax", 0)
    path = write_measures(tmp_path, identity, {"a": 1.0, "b": 2.0})
    out = tmp_path / "c.parquet"
    inference.comparison_table([identity], [path], SETTINGS, {}, out)
    assert rows(out, "comparison") == []


def test_bad_measure_tables_are_named(tmp_path):
    identity = run("softmax", 0)
    path = write_measures(tmp_path, identity, {"a": 1.0})
    with pytest.raises(AuditError, match="holds seed '0', expected '1'"):
        inference.summary_table(
            [run("softmax", 1)], [path], SETTINGS, {}, tmp_path / "s.parquet"
        )
    table = tables.read_table(path, "measures")
    tables.write_table(path, "measures", pa.concat_tables([table, table]), {})
    with pytest.raises(AuditError, match="instance 'a' has measure 'entropy'"):
        inference.summary_table(
            [identity], [path], SETTINGS, {}, tmp_path / "s.parquet"
        )
    assert not (tmp_path / "s.parquet").exists()


def test_task_table(tmp_path):
    metrics = {
        "dev": {"accuracy": 0.8, "loss": 0.4},
        "test": {"accuracy": 0.75, "loss": float("nan")},
        "best_epoch": 3,
    }
    source = tmp_path / "metrics.json"
    source.write_text(json.dumps(metrics))
    out = tmp_path / "task.parquet"
    task.task_table([run("softmax", 1)], [source], {}, out)
    found = {(r["split"], r["metric"]): r["value"] for r in rows(out, "task")}
    assert found == {
        ("dev", "accuracy"): 0.8,
        ("dev", "loss"): 0.4,
        ("test", "accuracy"): 0.75,
        ("test", "loss"): None,
        (None, "best_epoch"): 3.0,
    }
    source.write_text(json.dumps({"dev": {}}))
    with pytest.raises(AuditError, match="split 'test'"):
        task.task_table([run("softmax", 1)], [source], {}, out)
