"""Newton's method against bisection in float64, and how blocks and masks are cut."""

import entmax
import pytest
import torch

from attention_audit import simplex

ALPHAS = [1.0, 1.1, 1.5, 1.9, 2.0, 2.5, 4.0]


def weights_and_gradient(scores, mask, alpha):
    scores = scores.detach().clone().requires_grad_()
    weights = simplex.entmax(scores, mask, alpha)
    (weights * torch.linspace(-1, 1, scores.shape[-1])).sum().backward()
    return weights.detach(), scores.grad


def exact(scores, alpha):
    if alpha == 1:
        return scores.double().softmax(-1)
    return entmax.entmax_bisect(scores.double(), alpha=alpha, n_iter=80)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("alpha", [1.0, 1.1, 1.5, 1.9, 2.0])
def test_single_precision_is_exact_to_a_millionth(alpha, scale):
    torch.manual_seed(0)
    scores = scale * torch.randn(300, 256)
    weights = simplex.entmax(scores, torch.ones(256, dtype=torch.bool), alpha)
    torch.testing.assert_close(
        weights.double(), exact(scores, alpha), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("alpha", [2.01, 2.5, 3.0, 4.0])
def test_above_two_it_is_as_precise_as_bisection(alpha):
    """Weights change without bound near the threshold, so no method can do much."""
    torch.manual_seed(0)
    scores = torch.randn(300, 256)
    mask = torch.ones(256, dtype=torch.bool)
    truth = exact(scores, alpha)
    ours = (simplex.entmax(scores, mask, alpha) - truth).abs().max()
    theirs = (entmax.entmax_bisect(scores, alpha=alpha) - truth).abs().max()
    assert ours <= max(2 * theirs.item(), 1e-6)
    ours = simplex.entmax(scores.double(), mask, alpha)
    torch.testing.assert_close(ours, truth, atol=1e-8, rtol=0)


@pytest.mark.parametrize("n", [1, 2, 2000])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_equal_scores_share(alpha, n):
    weights = simplex.entmax(
        torch.full((2, n), 3.7), torch.ones(n, dtype=torch.bool), alpha
    )
    torch.testing.assert_close(weights, torch.full((2, n), 1 / n))


@pytest.mark.parametrize("alpha", [*ALPHAS, torch.tensor([1.2, 1.7]).view(2, 1, 1)])
def test_blocks_and_small_masks_change_nothing(monkeypatch, alpha):
    torch.manual_seed(0)
    scores = torch.randn(5, 2, 3, 7)
    mask = torch.rand(5, 1, 1, 7) > 0.3
    whole = weights_and_gradient(scores, mask.expand_as(scores), alpha)
    monkeypatch.setattr(simplex, "BLOCK", 90)
    torch.testing.assert_close(weights_and_gradient(scores, mask, alpha), whole)
    turned = scores.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(weights_and_gradient(turned, mask, alpha), whole)
    assert (whole[0][~mask.expand_as(scores)] == 0).all()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("junk", [torch.nan, torch.inf, 1e38])
def test_what_stands_under_the_mask_is_not_read(alpha, junk):
    scores = torch.tensor([[0.3, 0.1, 0.2], [1.0, 2.0, 0.0]])
    mask = torch.tensor([True, False, True])
    spoilt = scores.masked_fill(~mask, junk)
    torch.testing.assert_close(
        weights_and_gradient(spoilt, mask, alpha),
        weights_and_gradient(scores, mask, alpha),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_come_in_batches(monkeypatch, alpha):
    monkeypatch.setattr(simplex, "BLOCK", 10)
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights = simplex.entmax(scores, torch.ones(5, dtype=torch.bool), alpha)
    units = torch.eye(15, dtype=torch.float64).view(15, 3, 5)
    (batched,) = torch.autograd.grad(
        weights, scores, units, retain_graph=True, is_grads_batched=True
    )
    one_by_one = [
        torch.autograd.grad(weights, scores, unit, retain_graph=True)[0]
        for unit in units
    ]
    torch.testing.assert_close(batched, torch.stack(one_by_one))


def test_an_empty_batch_stays_empty():
    assert simplex.entmax(torch.zeros(0, 4), torch.ones(0, 4).bool(), 1.5).shape == (
        0,
        4,
    )
