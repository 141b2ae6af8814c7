"""Inference: against scipy, hand values, simulated coverage; the three tables."""

import json
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from attention_audit import inference, tables, task
from attention_audit.errors import AuditError
from attention_audit.inference import Settings, Subjects

SETTINGS = Settings(
    reference="softmax", bootstrap_draws=200, confidence=0.95, correction="holm"
)


def rng(seed=0):
    return np.random.default_rng(seed)


# --- the bootstrap --------------------------------------------------------------


def crossed(random, instances, seeds, sd_seed):
    """Values with mean zero: an effect of each instance, each seed, and noise."""
    return (
        random.normal(0, 0.5, (instances, 1))
        + random.normal(0, sd_seed, (1, seeds))
        + random.normal(0, 0.5, (instances, seeds))
    )


def coverage(sd_seed, by_instance_alone=False):
    random = rng(1)
    covered = []
    for _ in range(250):
        values = crossed(random, 25, 12, sd_seed)
        if by_instance_alone:
            values = values.mean(axis=1, keepdims=True)
        draws = inference.pigeonhole_bootstrap(values, 300, random)
        low, high = inference.interval(draws, 0.9)
        covered.append(low <= 0 <= high)
    return np.mean(covered)


def test_intervals_cover_the_mean_over_instances_and_seeds():
    # 250 trials: the standard error of a share of 0.9 is 0.02. Owen's bootstrap is
    # cautious, percentiles of a dozen seeds are a little bold.
    assert 0.84 <= coverage(sd_seed=0.5) <= 0.97
    assert 0.84 <= coverage(sd_seed=0.0) <= 0.99
    # what goes wrong when seeds are taken for granted
    assert coverage(sd_seed=0.5, by_instance_alone=True) < 0.7


def test_variance_of_the_bootstrap_is_the_crossed_one():
    # Exact: a mean of products of independent counts, by hand for a 2 x 2 table of
    # pure instance effects, is the ordinary bootstrap of two instances.
    values = np.array([[0.0, 0.0], [1.0, 1.0]])
    draws = inference.pigeonhole_bootstrap(values, 20_000, rng())
    shares = [np.mean(draws == v) for v in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.015)
    # and of pure seed effects that of two seeds
    draws = inference.pigeonhole_bootstrap(values.T, 20_000, rng())
    shares = [np.mean(draws == v) for v in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.015)


def test_one_seed_is_the_ordinary_bootstrap():
    values = rng(2).exponential(size=80)
    draws = inference.pigeonhole_bootstrap(values[:, None], 20_000, rng())
    low, high = inference.interval(draws, 0.95)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=rng(3)
    )
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.012)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.012)
    assert draws.std() == pytest.approx(theirs.standard_error, rel=0.03)


def test_missing_values_carry_no_weight():
    values = np.array([[3.0, np.nan], [np.nan, 3.0], [3.0, np.nan]])
    draws = inference.pigeonhole_bootstrap(values, 2000, rng())
    # a draw may consist of missing cells alone; every other mean is 3
    assert np.isnan(draws).any()
    np.testing.assert_allclose(draws[~np.isnan(draws)], 3.0)
    assert inference.interval(draws, 0.95) == (3.0, 3.0)


def test_chunks_change_no_draw(monkeypatch):
    values = crossed(rng(4), 30, 3, 0.3)
    whole = inference.pigeonhole_bootstrap(values, 100, rng())
    monkeypatch.setattr(inference, "_CHUNK_ELEMENTS", 70)
    np.testing.assert_allclose(
        inference.pigeonhole_bootstrap(values, 100, rng()), whole, rtol=1e-12
    )


def test_nothing_to_resample_is_undefined():
    for values in (np.empty((0, 2)), np.full((3, 2), np.nan)):
        assert np.isnan(inference.pigeonhole_bootstrap(values, 10, rng())).all()
        summary = inference.summarise(values, 10, 0.95, rng())
        assert np.isnan(summary.mean) and np.isnan(summary.low)
        assert summary.n_instances == summary.n_seeds == 0


def test_generators_depend_on_the_key_alone():
    first = inference.generator(("summary", "imdb", None), 0).random(4)
    again = inference.generator(("summary", "imdb", None), 0).random(4)
    np.testing.assert_array_equal(first, again)
    # keys that would be equal if their parts were merely joined
    a = inference.generator(("ab", "c"), 0).random()
    b = inference.generator(("a", "bc"), 0).random()
    assert a != b
    assert a != inference.generator(("ab", "c"), 1).random()


# --- summaries and comparisons --------------------------------------------------


def test_summary_by_hand():
    values = [[1.0, 3.0], [2.0, np.nan], [np.nan, np.nan], [6.0, 8.0]]
    summary = inference.summarise(values, 500, 0.95, rng())
    assert summary.mean == pytest.approx(20 / 5)
    # means over seeds 2, 2, 7 and over instances 3, 5.5
    assert summary.sd_instances == pytest.approx(np.std([2, 2, 7], ddof=1))
    assert summary.sd_seeds == pytest.approx(np.std([3, 5.5], ddof=1))
    assert (summary.n_instances, summary.n_seeds, summary.n_undefined) == (3, 2, 3)
    assert summary.low < summary.mean < summary.high
    assert summary.interval_over == "instances and seeds"


def test_one_instance_has_no_interval_and_no_test():
    values = np.array([[0.136, 0.2]])
    summary = inference.summarise(values, 100, 0.95, rng())
    assert summary.mean == pytest.approx(0.168)
    assert np.isnan([summary.low, summary.high, summary.sd_instances]).all()
    assert summary.interval_over is None and "one instance" in summary.note
    # where others are undefined, one is left
    undefined = np.vstack([values, np.full((3, 2), np.nan)])
    assert np.isnan(inference.summarise(undefined, 100, 0.95, rng()).low)
    result = compared(values, values - 0.5)
    assert result.difference == pytest.approx(0.5)
    for name in ("low", "high", "p", "rank_biserial", "cohens_d"):
        assert np.isnan(getattr(result, name)), name
    assert result.interval_over is None and "one instance" in result.note
    assert np.isnan(compared(values, values).p)


def test_an_interval_says_what_it_is_over():
    values = crossed(rng(3), 20, 2, 0.3)
    for seeds, over in ((1, "instances"), (2, "instances and seeds")):
        summary = inference.summarise(values[:, :seeds], 100, 0.95, rng())
        result = compared(values[:, :seeds], values[:, :seeds] ** 2)
        assert summary.interval_over == result.interval_over == over
        assert np.isnan(result.seed_low) == np.isnan(summary.sd_seeds) == (seeds < 2)
    # a second seed without any value is none
    lacking = np.column_stack([values[:, 0], np.full(20, np.nan)])
    assert inference.summarise(lacking, 100, 0.95, rng()).interval_over == "instances"


def compared(a, b, seed=0):
    return inference.compare(a, b, 300, 0.95, rng(seed))


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


@pytest.mark.parametrize("instances", [8, 40, 200])
def test_p_is_that_of_scipy_on_instances_averaged_over_seeds(instances):
    random = rng(instances)
    a = random.normal(0.2, 1, (instances, 3))
    b = random.normal(0, 1, (instances, 3))
    b[::5] = a[::5]
    result = compared(a, b)
    expected = scipy.stats.wilcoxon((a - b).mean(axis=1), zero_method="pratt")
    assert result.p == pytest.approx(expected.pvalue, rel=1e-9)
    by_seed = (a - b).mean(axis=0)
    assert (result.seed_low, result.seed_high) == pytest.approx(
        (by_seed.min(), by_seed.max())
    )


def test_swapping_sides_flips_signs_alone():
    random = rng(7)
    a, b = crossed(random, 30, 2, 0.2) + 0.3, crossed(random, 30, 2, 0.2)
    there, back = compared(a, b), compared(b, a)
    assert back.difference == pytest.approx(-there.difference)
    assert back.rank_biserial == pytest.approx(-there.rank_biserial)
    assert back.cohens_d == pytest.approx(-there.cohens_d)
    assert back.p == pytest.approx(there.p)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert (back.seed_low, back.seed_high) == pytest.approx(
        (-there.seed_high, -there.seed_low)
    )


def test_order_of_instances_and_seeds_does_not_matter():
    random = rng(8)
    a, b = crossed(random, 60, 3, 0.2) + 0.2, crossed(random, 60, 3, 0.2)
    a[3, 1] = b[9, 2] = np.nan
    rows, columns = random.permutation(60), random.permutation(3)
    first = compared(a, b)
    second = compared(a[rows][:, columns], b[rows][:, columns])
    for name in ("difference", "seed_low", "seed_high", "p", "rank_biserial"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-9)
    # the draws fall on other rows, so intervals agree within Monte Carlo error
    assert second.low == pytest.approx(first.low, abs=0.1)


def test_equal_values_show_no_effect_and_constant_ones_no_d():
    a = rng().random((20, 2))
    equal = compared(a, a)
    assert (equal.p, equal.rank_biserial, equal.cohens_d) == (1, 0, 0)
    assert equal.low == equal.high == 0
    shifted = compared(np.full((20, 2), 0.75), np.full((20, 2), 0.5))
    assert shifted.rank_biserial == 1 and np.isnan(shifted.cohens_d)
    assert shifted.p < 0.001


def test_rounding_breaks_no_tie():
    # 0.3 - 0.2 and 0.2 - 0.1 differ by an ulp; as ties, the signs cancel
    result = compared(np.array([[0.3], [0.1]]), np.array([[0.2], [0.2]]))
    assert result.rank_biserial == 0


def test_what_rounding_does_is_no_effect():
    random = rng(5)
    # sums of single-precision weights: 1 but for rounding, one more so than the other
    weights = random.dirichlet(np.ones(60), (200, 2)).astype(np.float32)
    a = weights.sum(axis=-1, dtype=np.float64)
    b = np.ones((200, 2))
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


def test_corrections_by_hand_and_without_nan():
    p = [0.01, np.nan, 0.04, 0.03]
    np.testing.assert_allclose(inference.correct(p, "holm"), [0.03, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(
        inference.correct(p, "bonferroni"), [0.03, np.nan, 0.12, 0.09]
    )
    np.testing.assert_allclose(
        inference.correct(p, "fdr_bh"), [0.03, np.nan, 0.04, 0.04]
    )
    assert np.isnan(inference.correct([np.nan], "holm")).all()
    with pytest.raises(AuditError, match="Did you mean 'holm'"):
        inference.correct(p, "hom")


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
    """Two data sets, three normalizers, two seeds; values grow with the name."""
    runs, paths = [], []
    random = rng(11)
    for dataset in ("imdb", "sst"):
        for shift, normalizer in enumerate(("softmax", "entmax", "sparsemax")):
            for seed in (0, 1):
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
    assert cell["entropy"]["n_instances"] == 12 and cell["entropy"]["n_seeds"] == 2
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
        ("kendall_p", "attention", "hidden_a"),
        ("kendall_significant", "attention", "hidden_a"),
        ("dispersion", "hidden_a", None),
        ("dispersion", "hidden_b", None),
    }
    assert marked("summary") == expected
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
    assert len(found) == 2 * 2 * 3
    assert {r["baseline"] for r in found} == {"softmax"}
    entropy = [r for r in found if r["measure"] == "entropy"]
    for row in entropy:
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] > 0.4
    np.testing.assert_allclose(
        [r["p_corrected"] for r in entropy],
        inference.correct([r["p"] for r in entropy], "holm"),
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
            # the one column that speaks of the whole family
            row.pop("p_corrected", None)
        assert kept == few


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
