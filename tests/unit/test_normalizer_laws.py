"""What every kind of normalizer has to obey, one of one's own too.

``make check-normalizer KIND=mine`` runs this for the instances of one kind. What the
shipped kinds are beyond that is in `test_normalizers`.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attention_audit.models.laws import broken_law
from attention_audit.models.normalizers import build_normalizer
from tests.unit.instances import instances


def pytest_generate_tests(metafunc):
    kind = metafunc.config.getoption("kind")
    chosen = {n: s for n, s in instances().items() if kind in (None, s["kind"])}
    metafunc.parametrize("settings", chosen.values(), ids=chosen)


scores_and_masks = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, (3, n), elements=st.floats(-20, 20, width=32)),
        hnp.arrays(np.bool_, (3, n)),
    )
)


@torch.no_grad()
def weights_of(settings, scores, mask=None, heads=None):
    """The weights of scores, which keep the laws that hold at run time."""
    scores = torch.as_tensor(scores)
    mask = (
        torch.ones_like(scores, dtype=bool) if mask is None else torch.as_tensor(mask)
    )
    normalizer = build_normalizer(settings, size=1, heads=heads).to(scores.dtype)
    weights = normalizer(scores, mask)
    fault = broken_law(scores, mask, weights, normalizer.on_simplex)
    assert fault is None, f"the weights of kind '{settings['kind']}' {fault}"
    return weights


def looks_at_scores(settings):
    row = torch.tensor([[0.0, 0.5, 3.0]])
    return not torch.equal(weights_of(settings, row), weights_of(settings, row.flip(1)))


def shuffled(scores, mask):
    """Scores and mask with the positions in another order, and that order."""
    order = np.random.default_rng(0).permutation(scores.shape[-1])
    return scores[:, order].copy(), mask[:, order].copy(), order


# --- weights --------------------------------------------------------------------


@given(scores_and_masks)
def test_weights_keep_the_laws_and_masked_scores_do_not_matter(settings, drawn):
    scores, mask = drawn
    np.testing.assert_array_equal(
        weights_of(settings, scores, mask),
        weights_of(settings, np.where(mask, scores, 17.0), mask),
    )


def test_padding_does_not_matter(settings):
    torch.manual_seed(0)
    scores = torch.randn(4, 7, dtype=torch.float64)
    padded = torch.cat([scores, torch.full((4, 5), 3.0)], -1)
    mask = (torch.arange(12) < 7).expand(4, 12)
    torch.testing.assert_close(
        weights_of(settings, padded, mask)[:, :7],
        weights_of(settings, scores),
        atol=1e-9,
        rtol=0,
    )


@given(scores_and_masks)
def test_permuting_scores_permutes_weights(settings, drawn):
    scores, mask = drawn
    moved_scores, moved_mask, order = shuffled(scores, mask)
    np.testing.assert_allclose(
        weights_of(settings, moved_scores, moved_mask),
        weights_of(settings, scores, mask)[:, order],
        atol=1e-6,
        err_msg="permuted scores have other weights than the permuted ones",
    )


def test_a_row_does_not_depend_on_its_neighbours(settings):
    torch.manual_seed(0)
    scores, mask = torch.randn(4, 6, dtype=torch.float64), torch.rand(4, 6) > 0.3
    whole = weights_of(settings, scores, mask)
    for row in range(4):
        alone = weights_of(settings, scores[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(alone, whole[row : row + 1], atol=1e-6, rtol=0)


def test_all_shapes_of_a_model_give_the_same_weights(settings):
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    # self-attention, (B, nh, n, n) under a mask (B, 1, 1, n), against pooling, (B, n)
    inner = weights_of(settings, scores, mask[:, None, None, :], heads=3)
    for head in range(3):
        for query in range(5):
            torch.testing.assert_close(
                inner[:, head, query],
                weights_of(settings, scores[:, head, query], mask),
            )
    # and one mask (n,) for all rows
    torch.testing.assert_close(
        weights_of(settings, scores, mask[1], heads=3)[1], inner[1]
    )


def test_scores_stay_as_they_are_and_give_the_same_weights_again(settings):
    torch.manual_seed(0)
    scores, mask = torch.randn(3, 6), torch.rand(3, 6) > 0.3
    before = scores.clone(), mask.clone()
    normalizer = build_normalizer(settings, size=1)
    weights = normalizer(scores, mask).detach().clone()
    assert torch.equal(scores, before[0]) and torch.equal(mask, before[1])
    assert torch.equal(normalizer(scores, mask), weights)
    assert torch.equal(deepcopy(normalizer).eval()(scores, mask), weights)


def test_a_row_of_one_and_a_row_of_none(settings):
    weights_of(settings, torch.tensor([[2.0], [-3.0]]))
    assert (
        weights_of(settings, torch.randn(2, 4), torch.zeros(2, 4).bool()) == 0
    ).all()


# --- extremes -------------------------------------------------------------------


def test_very_large_scores_stay_finite(settings):
    weights_of(settings, torch.tensor([[1e30, -1e30, 0.0], [1e8, 1e8, -1e8]]))


def test_a_score_of_minus_infinity_is_like_a_mask(settings):
    if not looks_at_scores(settings):
        pytest.skip("it does not look at scores")
    scores = torch.tensor([[0.3, -torch.inf, 1.0]])
    torch.testing.assert_close(
        weights_of(settings, scores),
        weights_of(settings, scores.nan_to_num(), torch.tensor([[True, False, True]])),
    )
    assert (weights_of(settings, torch.full((1, 3), -torch.inf)) == 0).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_broken_score_breaks_its_own_row_alone(settings, bad):
    if not looks_at_scores(settings):
        pytest.skip("it does not look at scores")
    weights = weights_of(settings, torch.tensor([[0.0, bad, 1.0], [0.0, 2.0, 1.0]]))
    assert weights[0].isnan().all(), f"a score of {bad} gave weights {weights[0]}"
    assert weights[1].isfinite().all()


def test_weights_in_single_precision_are_near_those_in_double(settings):
    torch.manual_seed(3)
    scores, mask = torch.randn(6, 40), torch.rand(6, 40) > 0.2
    weights = weights_of(settings, scores, mask)
    assert weights.dtype == scores.dtype
    exact = weights_of(settings, scores.double(), mask)
    torch.testing.assert_close(weights.double(), exact, atol=1e-3, rtol=4e-3)


# --- gradients and the context --------------------------------------------------


def test_gradients_agree_with_finite_differences(settings):
    torch.manual_seed(1)
    scores = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]])
    assert torch.autograd.gradcheck(
        lambda s: build_normalizer(settings, size=1)(s, mask.bool()),
        scores,
        # bisection ends at a tolerance of its own
        eps=1e-5,
        atol=1e-4,
    )


def test_masked_positions_get_no_gradient(settings):
    torch.manual_seed(0)
    scores = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(5, 8) > 0.4
    mask[4] = False
    weights = build_normalizer(settings, size=1)(scores, mask)
    # weights that do not look at scores have no graph of their own
    (weights * torch.randn(5, 8) + 0 * scores).sum().backward()
    assert (scores.grad[~mask] == 0).all()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("heads", [None, 2])
def test_the_context_keeps_its_shape_and_its_instances_apart(settings, heads):
    torch.manual_seed(0)
    normalizer = build_normalizer(settings, 4, heads)
    context = torch.randn((3, 4) if heads is None else (3, heads, 5, 4))
    whole = normalizer.context(context)
    assert whole.shape == context.shape and whole.isfinite().all()
    assert normalizer.context(torch.zeros_like(context)).isfinite().all()
    torch.testing.assert_close(normalizer.context(context[:1]), whole[:1])
