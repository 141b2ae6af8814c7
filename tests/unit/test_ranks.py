"""Rank agreement: against scipy, hand values, properties."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from attention_audit.statistics import ranks


def kendall_oracle(x, y, mask):
    """One call of scipy an instance."""
    results = [
        scipy.stats.kendalltau(a[m], b[m], method="asymptotic")
        for a, b, m in zip(x, y, mask, strict=True)
    ]
    return (
        np.array([r.statistic for r in results]),
        np.array([r.pvalue for r in results]),
    )


def random_batch(rng, batch, shortest, longest, levels, zeros):
    """Ragged instances; values of ``levels`` kinds, a share of them zero."""
    mask = np.zeros((batch, longest), dtype=bool)
    for row, length in zip(
        mask, rng.integers(shortest, longest + 1, batch), strict=True
    ):
        # anywhere in the row, not only at its start
        row[rng.choice(longest, length, replace=False)] = True
    x, y = rng.integers(0, levels, (2, batch, longest)).astype(np.float32) / 7 - 1
    x[rng.random(x.shape) < zeros] = 0
    return x, y, mask


@pytest.mark.parametrize(
    ("shortest", "longest"), [(3, 8), (3, 60), (150, 200), (254, 259), (400, 520)]
)
@pytest.mark.parametrize(("levels", "zeros"), [(10**6, 0.0), (10**6, 0.8), (4, 0.5)])
def test_kendall_equals_scipy(shortest, longest, levels, zeros):
    rng = np.random.default_rng([shortest, longest, levels])
    batch = 60 if longest > 250 else 150
    x, y, mask = random_batch(rng, batch, shortest, longest, levels, zeros)
    tau, p = ranks.kendall_tau_b(x, y, mask)
    expected_tau, expected_p = kendall_oracle(x, y, mask)
    np.testing.assert_allclose(tau, expected_tau, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(p, expected_p, rtol=1e-9, atol=1e-300)


def test_kendall_over_several_chunks_equals_scipy(monkeypatch):
    monkeypatch.setattr(ranks, "_CHUNK_ELEMENTS", 100)
    x, y, mask = random_batch(np.random.default_rng(5), 80, 3, 30, 5, 0.5)
    for ours, scipys in zip(
        ranks.kendall_tau_b(x, y, mask), kendall_oracle(x, y, mask), strict=True
    ):
        np.testing.assert_allclose(ours, scipys, rtol=1e-9, atol=1e-15)


def test_kendall_of_a_long_input_equals_scipy():
    # places no longer fit sixteen bits
    x, y = np.random.default_rng(6).integers(0, 50_000, (2, 1, 70_000))
    mask = np.ones(x.shape, dtype=bool)
    tau, p = ranks.kendall_tau_b(x, y, mask)
    expected_tau, expected_p = kendall_oracle(x, y, mask)
    np.testing.assert_allclose(tau, expected_tau, rtol=1e-12)
    np.testing.assert_allclose(p, expected_p, rtol=1e-9)


numbers = st.sampled_from([-np.inf, -2.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 3.5, np.inf])


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12))
def test_kendall_orders_signs_zeros_subnormals_and_infinities(pairs):
    x, y = np.array(pairs, dtype=np.float32).T[:, None, :]
    mask = np.ones(x.shape, dtype=bool)
    for ours, scipys in zip(
        ranks.kendall_tau_b(x, y, mask), kendall_oracle(x, y, mask), strict=True
    ):
        np.testing.assert_allclose(ours, scipys, rtol=1e-9, atol=1e-15)


def test_kendall_ties_are_those_of_float32():
    x = np.array([[1.0, 1.0 + 1e-12, 2.0]])
    y = np.array([[1.0, 2.0, 3.0]])
    mask = np.ones((1, 3), dtype=bool)
    tau, _ = ranks.kendall_tau_b(x, y, mask)
    assert tau[0] == pytest.approx(2 / np.sqrt(2 * 3))


def test_kendall_by_hand():
    # pairs: 5 concordant, 1 discordant of 6, no ties
    x = np.array([[1, 2, 3, 4], [5, 9, 0, 0]], dtype=np.float32)
    y = np.array([[1, 3, 2, 4], [7, 6, 0, 0]], dtype=np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool)
    tau, p = ranks.kendall_tau_b(x, y, mask)
    assert tau[0] == pytest.approx(4 / 6)
    # a single discordant pair: z = -1, where scipy divides by zero
    assert tau[1] == -1
    assert p[1] == pytest.approx(2 * scipy.stats.norm.sf(1))


def test_kendall_is_undefined_without_variation_and_ignores_what_is_masked():
    mask = np.array([[1, 1, 1, 0]] * 5, dtype=bool)
    mask[0, 1:] = False
    x = np.tile(np.float32([1, 2, 3, np.nan]), (5, 1))
    y = np.tile(np.float32([3, 1, 2, np.nan]), (5, 1))
    x[1, :3] = 0.25
    y[2, :3] = 0.0
    x[3, 1] = np.nan
    tau, p = ranks.kendall_tau_b(x, y, mask)
    assert np.isnan(tau[:4]).all() and np.isnan(p[:4]).all()
    assert tau[4] == pytest.approx(-1 / 3)


def test_kendall_of_no_positions_and_of_no_instances():
    for shape in [(3, 0), (0, 4), (2, 5)]:
        tau, p = ranks.kendall_tau_b(
            np.ones(shape), np.ones(shape), np.zeros(shape, dtype=bool)
        )
        assert tau.shape == p.shape == shape[:1]
        assert np.isnan(tau).all() and np.isnan(p).all()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        ranks.kendall_tau_b(np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 4), bool))


# --- gamma, the cap of ties, and the top ---------------------------------------------


def pairs_oracle(x, y):
    """Concordant, discordant and x-tied pairs of two rankings, one by one."""
    concordant = discordant = tied = 0
    for i in range(len(x)):
        for j in range(i):
            product = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
            concordant += product > 0
            discordant += product < 0
            tied += x[i] == x[j]
    return concordant, discordant, tied


def test_gamma_and_the_cap_count_pairs():
    x, y, mask = random_batch(np.random.default_rng(1), 40, 2, 12, 4, 0.5)
    found = ranks.rank_agreement(x, y, mask)
    for row in range(len(mask)):
        a, b = x[row, mask[row]], y[row, mask[row]]
        if np.isnan(found.tau_b[row]):
            continue
        concordant, discordant, tied = pairs_oracle(a, b)
        untied = concordant + discordant
        gamma = (concordant - discordant) / untied if untied else np.nan
        np.testing.assert_allclose(found.gamma[row], gamma)
        n = len(a) * (len(a) - 1) / 2
        np.testing.assert_allclose(found.cap[row], np.sqrt(1 - tied / n))


@pytest.mark.parametrize(("n", "largest"), [(20, 0.53), (60, 0.31)])
def test_a_perfect_order_cut_to_its_top_three_is_capped(n, largest):
    importance = np.random.default_rng(0).permutation(n)[None].astype(float)
    mask = np.ones((1, n), dtype=bool)
    attention = np.where(importance >= n - 3, importance, 0.0)
    found = ranks.rank_agreement(attention, importance, mask)
    assert found.tau_b[0] == pytest.approx(found.cap[0])
    assert found.tau_b[0] == pytest.approx(largest, abs=0.005)
    assert found.gamma[0] == 1
    k = np.array([3])
    assert ranks.top_tau_b(attention, importance, mask, k)[0] == 1
    assert ranks.precision_at_support(attention, importance, mask)[0] == 1
    assert ranks.average_precision(attention, importance, mask)[0] == 1


@given(st.integers(0, 10**6), st.integers(2, 9), st.booleans())
def test_weighted_tau_equals_scipys_where_nothing_ties_in_both(seed, n, ties):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, n) if ties else rng.permutation(n)
    y = rng.permutation(n)
    mask = np.ones((1, n), dtype=bool)
    expected = scipy.stats.weightedtau(x, y).statistic
    np.testing.assert_allclose(
        ranks.weighted_tau(x[None], y[None], mask)[0], expected, atol=1e-12
    )


def test_weighted_tau_of_what_ties_in_both_does_not_depend_on_its_order():
    rng = np.random.default_rng(2)
    x, y = np.array([0, 0, 0, 2, 1, 0]), np.array([0, 0, 0, 1, 3, 2])
    mask = np.ones((1, 6), dtype=bool)
    expected = ranks.weighted_tau(x[None], y[None], mask)
    for _ in range(5):
        order = rng.permutation(6)
        found = ranks.weighted_tau(x[None, order], y[None, order], mask)
        np.testing.assert_allclose(found, expected)


def test_the_top_of_all_is_tau_b():
    x, y, mask = random_batch(np.random.default_rng(3), 50, 2, 30, 6, 0.4)
    whole = ranks.top_tau_b(x, y, mask, mask.sum(axis=1))
    np.testing.assert_array_equal(whole, ranks.kendall_tau_b(x, y, mask)[0])


def test_the_top_is_what_either_ranks_high():
    # the two largest of each: positions 0 and 1, and 0 and 3
    x = np.array([[5.0, 4.0, 0.0, 0.0, 0.0]])
    y = np.array([[9.0, 1.0, 2.0, 8.0, 0.0]])
    mask = np.ones((1, 5), dtype=bool)
    top = ranks.top_tau_b(x, y, mask, np.array([2]))
    expected = scipy.stats.kendalltau([5, 4, 0], [9, 1, 8]).statistic
    assert top[0] == pytest.approx(expected)


def average_precision_oracle(relevant, scores):
    """Precision at each distinct score, weighed by the recall that it adds."""
    total, last = 0.0, 0.0
    for score in sorted(set(scores), reverse=True):
        found = scores >= score
        recall = (found & relevant).sum() / relevant.sum()
        total += (recall - last) * (found & relevant).sum() / found.sum()
        last = recall
    return total


def test_average_precision_with_ties():
    x, y, mask = random_batch(np.random.default_rng(4), 60, 2, 25, 4, 0.5)
    x = np.abs(x)
    found = ranks.average_precision(x, y, mask)
    for row in range(len(mask)):
        relevant, scores = x[row, mask[row]] > 0, y[row, mask[row]]
        if relevant.all() or not relevant.any():
            assert np.isnan(found[row])
        else:
            expected = average_precision_oracle(relevant, scores)
            assert found[row] == pytest.approx(expected)


def test_precision_shares_the_last_place_among_ties():
    attention = np.array([[1.0, 1.0, 0.0, 0.0]])
    mask = np.ones((1, 4), dtype=bool)
    importance = np.array([[3.0, 1.0, 1.0, 1.0]])
    # one of two places is taken; for the other, one of three is right
    found = ranks.precision_at_support(attention, importance, mask)
    assert found[0] == pytest.approx((1 + 1 / 3) / 2)


def test_what_lies_at_masked_positions_is_never_read():
    rng = np.random.default_rng(5)
    x, y, mask = random_batch(rng, 30, 3, 12, 5, 0.3)
    x = np.abs(x)
    other = np.where(mask, x, 7.0), np.where(mask, y, np.nan), mask
    k = np.maximum(1, mask.sum(axis=1) // 2)
    for function, more in [
        (ranks.weighted_tau, ()),
        (ranks.precision_at_support, ()),
        (ranks.average_precision, ()),
        (ranks.top_tau_b, (k,)),
    ]:
        np.testing.assert_array_equal(
            function(x, y, mask, *more), function(*other, *more)
        )
