"""Rankings of every two subjects: against scipy, counts one by one, and NumPy's."""

import math
from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from attention_audit.statistics import rank_kernel, rank_pairs, ranks
from attention_audit.statistics.rank_pairs import counted, counted_by_kernel

COUNTS = {"numpy": counted, "kernel": counted_by_kernel}


def subjects_of(seed, batch, longest, levels, number=4):
    """Subjects by name and a mask of ragged instances, True anywhere in a row."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((batch, longest), dtype=bool)
    for row, length in zip(mask, rng.integers(0, longest + 1, batch), strict=True):
        row[rng.choice(longest, length, replace=False)] = True
    values = rng.integers(-levels, levels, (number, batch, longest)) / 7
    values = values.astype(np.float32)
    values[0][rng.random(mask.shape) < 0.7] = 0
    return {f"s{i}": of for i, of in enumerate(values)}, mask


def same(found, expected):
    for pair, agreement in expected.items():
        for name, values in agreement._asdict().items():
            np.testing.assert_array_equal(
                getattr(found[pair], name), values, err_msg=f"{pair} {name}"
            )
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("longest", "levels"), [(9, 2), (30, 4), (70, 10**6), (200, 9)]
)
def test_the_kernel_counts_what_numpy_counts(longest, levels):
    subjects, mask = subjects_of([longest, levels], 40, longest, levels)
    values = np.stack(list(subjects.values()))
    for name, ours, theirs in zip(
        rank_pairs.Rankings._fields,
        counted_by_kernel(values, mask, 3),
        counted(values, mask, 3),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_tau_b_and_gamma_are_those_of_two_rankings_to_the_bit(count):
    subjects, mask = subjects_of(1, 60, 150, 40)
    for (a, b), found in rank_pairs.rank_pairs(subjects, mask, count=count).items():
        expected = ranks.rank_agreement(subjects[a], subjects[b], mask)
        for name, values in expected._asdict().items():
            np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_correlations_equal_scipys_and_gamma_its_definition(count):
    subjects, mask = subjects_of(2, 30, 40, 6)
    defined = 0
    for (a, b), found in rank_pairs.rank_pairs(subjects, mask, count=count).items():
        for row, exists in enumerate(mask):
            # scipy divides by zero triples
            if np.isnan(found.tau_b[row]) or exists.sum() < 3:
                continue
            x, y = subjects[a][row, exists], subjects[b][row, exists]
            kendall = scipy.stats.kendalltau(x, y, method="asymptotic")
            assert found.tau_b[row] == pytest.approx(kendall.statistic, abs=1e-12)
            assert found.p[row] == pytest.approx(kendall.pvalue, rel=1e-9)
            spearman = scipy.stats.spearmanr(x, y).statistic
            assert found.spearman[row] == pytest.approx(spearman, abs=1e-12)
            signs = [
                np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
                for i, j in combinations(range(len(x)), 2)
            ]
            untied = np.count_nonzero(signs)
            gamma = sum(signs) / untied if untied else np.nan
            assert found.gamma[row] == pytest.approx(gamma, abs=1e-12, nan_ok=True)
            defined += 1
    assert defined > 100


def tops(values, k):
    """Every choice of k positions none of which is exceeded by one that is left out."""
    n = len(values)
    return [
        set(chosen)
        for chosen in combinations(range(n), k)
        if min(values[list(chosen)])
        >= max(np.delete(values, list(chosen)), default=-np.inf)
    ]


few = st.integers(0, 3)


@given(st.lists(st.tuples(few, few), min_size=2, max_size=14))
def test_the_overlap_of_tops_is_its_mean_over_all_ways_to_break_ties(values):
    x, y = np.array(values, dtype=np.float32).T
    k = math.ceil(len(x) / 10)
    ways = [len(a & b) for a, b in product(tops(x, k), tops(y, k))]
    subjects = {"x": x[None], "y": y[None]}
    mask = np.ones((1, len(x)), dtype=bool)
    for count in COUNTS.values():
        found = rank_pairs.rank_pairs(subjects, mask, count=count)["x", "y"].top_overlap
        constant = x.min() == x.max() or y.min() == y.max()
        expected = np.nan if constant else np.mean(ways) / k
        assert found[0] == pytest.approx(expected, nan_ok=True)


numbers = st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 1e-45, 1.0, np.inf, np.nan])


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=12))
def test_both_ways_to_count_agree_on_signs_zeros_infinities_and_nans(values):
    arrays = np.array(values, dtype=np.float32).reshape(-1, 3).T[:, None]
    subjects = dict(zip("abc", arrays, strict=True))
    mask = np.ones((1, len(values)), dtype=bool)
    found = [rank_pairs.rank_pairs(subjects, mask, count=c) for c in COUNTS.values()]
    same(*found)
    for (a, b), agreement in found[0].items():
        expected = ranks.rank_agreement(subjects[a], subjects[b], mask)
        np.testing.assert_array_equal(agreement.tau_b, expected.tau_b)


def test_what_ranks_nothing_has_no_agreement():
    mask = np.arange(4) < np.array([4, 4, 1, 0, 2])[:, None]
    x = np.tile(np.float32([1, 2, 3, 4]), (5, 1))
    constant, lacking = np.ones_like(x), np.where(x == 2, np.nan, x)
    subjects = {"x": x, "constant": constant, "lacking": lacking, "back": -x}
    found = rank_pairs.rank_pairs(subjects, mask)
    for other in "constant", "lacking":
        for values in found["x", other]:
            assert np.isnan(values).all()
    for values in found["x", "back"]:
        np.testing.assert_array_equal(np.isnan(values), [0, 0, 1, 1, 0])
    assert found["x", "back"].spearman[[0, 4]].tolist() == [-1, -1]
    # the largest of four is the smallest to the other
    assert found["x", "back"].top_overlap[0] == 0
    assert rank_pairs.rank_pairs({"x": x}, mask) == {}
    empty = rank_pairs.rank_pairs({"x": x[:0], "y": x[:0]}, mask[:0])
    assert empty["x", "y"].tau_b.shape == (0,)


def test_of_the_first_alone_what_of_all(monkeypatch):
    subjects, mask = subjects_of(3, 30, 25, 5)
    everything = rank_pairs.rank_pairs(subjects, mask)
    expected = {pair: of for pair, of in everything.items() if pair[0] == "s0"}
    for count in COUNTS.values():
        same(rank_pairs.rank_pairs(subjects, mask, 1, count), expected)
    # over several chunks
    monkeypatch.setattr(rank_pairs, "_CHUNK_ELEMENTS", 200)
    same(rank_pairs.rank_pairs(subjects, mask), everything)


def test_the_kernel_counts_where_there_is_enough_and_nothing_too_long(monkeypatch):
    subjects, mask = subjects_of(4, 20, 25, 5)
    mask = np.sort(mask, axis=1)[:, ::-1]
    lengths = []

    def kernel(values, mask, firsts):
        lengths.append(values.shape[-1])
        return counted_by_kernel(values, mask, firsts)

    monkeypatch.setattr(rank_pairs, "counted_by_kernel", kernel)
    expected = rank_pairs.rank_pairs(subjects, mask)
    assert not lengths
    monkeypatch.setattr(rank_pairs, "_ENOUGH", 100)
    monkeypatch.setattr(rank_pairs, "_LONGEST", 20)
    monkeypatch.setattr(rank_pairs, "_CHUNK_ELEMENTS", 100)
    same(rank_pairs.rank_pairs(subjects, mask), expected)
    assert lengths and max(lengths) <= 20 < mask.sum(axis=1).max()


def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same(monkeypatch):
    asked = []

    def njit(function, cache=False):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(rank_kernel, "njit", njit)
    assert rank_kernel.compiled(max) is max
    assert asked == [True, False]
