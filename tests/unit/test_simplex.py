"""Newton's method against bisection, its derivatives, and how blocks and masks are cut."""

from functools import cache

import entmax
import mpmath
import numpy as np
import pytest
import torch
from torch import func

from attention_audit.models import simplex

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


def by_bisection(scores, alpha):
    """Weights (n,) from halving an interval in which one of them has to lie.

    Up to alpha = 2 it is the logarithm of the largest, of which the others are smooth
    functions, beyond it the smallest one: with a = alpha - 1, each weight to the power
    a, less a times its score, is the same.
    """
    a = np.longdouble(alpha) - 1
    order = np.argsort(-np.asarray(scores), kind="stable")
    z = np.asarray(scores, dtype=np.longdouble)[order]

    def by_largest(log):
        if a == 0:
            return np.exp(log + z - z[0])
        return np.exp(np.log1p(np.maximum(np.expm1(a * log) + a * (z - z[0]), -1)) / a)

    def by_smallest(smallest, k):
        logs = np.logaddexp(np.log(a * (z[:k] - z[k - 1])), a * np.log(smallest))
        return np.pad(np.exp(logs / a), (0, len(z) - k))

    with np.errstate(divide="ignore"):
        if a <= 1:
            weights, low, high = by_largest, -np.log(np.longdouble(len(z))), 0.0
        else:
            sizes = range(1, len(z) + 1)
            k = max(k for k in sizes if by_smallest(0.0, k).sum() < 1)
            weights, low, high = (lambda p: by_smallest(p, k)), 0.0, 1 / k
        low, high = np.longdouble(low), np.longdouble(high)
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if weights(middle).sum() < 1 else (low, middle)
        return weights(high)[np.argsort(order)].astype(np.float64)


# to where a weight of 1e-3 and one of 1e-300 differ by a score of 1e-9 at most
EVERY_ALPHA = [1.0, 1 + 1e-12, 1 + 1e-6, 1.001, 1.1, 1.25, 1.5, 1.9999]
EVERY_ALPHA += [2.0, 2.0001, 2.5, 3.0, 4.0, 5.0, 8.0, 16.0, 64.0, 1000.0]


@cache
def bisected(alpha, scale):
    """Scores, single, and their weights, double."""
    torch.manual_seed(0)
    scores = scale * torch.randn(20, 100)
    # the nearest that scores come, and the farthest
    scores[0, :2] = scores[0].max() + torch.tensor([0.0, 1e-6])
    scores[1] = 0.0
    return scores, np.stack([by_bisection(row, alpha) for row in scores.numpy()])


@pytest.mark.parametrize("given", [float, torch.tensor])
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("alpha", EVERY_ALPHA)
def test_single_precision_is_exact_to_a_millionth(alpha, scale, given):
    if given is torch.tensor:
        alpha = torch.tensor(alpha).item()  # as single precision has it
    scores, exact = bisected(alpha, scale)
    weights = simplex.entmax(scores, torch.ones(100, dtype=torch.bool), given(alpha))
    np.testing.assert_allclose(weights, exact, atol=1e-6, rtol=0)
    double = simplex.entmax(scores.double(), torch.ones(100).bool(), alpha)
    np.testing.assert_allclose(double, exact, atol=1e-11, rtol=0)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0, 2.5])
def test_bisection_agrees_with_the_package(alpha):
    torch.manual_seed(0)
    scores = torch.randn(20, 30, dtype=torch.float64)
    ours = np.stack([by_bisection(row, alpha) for row in scores.numpy()])
    np.testing.assert_allclose(ours, exact(scores, alpha), atol=1e-9)


def test_alphas_of_all_kinds_stand_side_by_side():
    torch.manual_seed(0)
    alphas = torch.tensor(EVERY_ALPHA)
    scores = torch.randn(len(alphas), 40)
    mask = torch.rand(len(alphas), 40) > 0.2
    together = simplex.entmax(scores, mask, alphas.unsqueeze(-1))
    for row, alpha in enumerate(alphas):
        alone = simplex.entmax(scores[row], mask[row], alpha.item())
        torch.testing.assert_close(together[row], alone, atol=1e-6, rtol=0)


def exact_slope_by_alpha(scores, alpha):
    """d p / d alpha of scores (n,), by differences at 60 digits."""

    def weights(alpha):
        a = alpha - 1
        z = [mpmath.mpf(float(s)) for s in scores]
        top = max(z)
        if a == 0:
            total = sum(mpmath.exp(x - top) for x in z)
            return [mpmath.exp(x - top) / total for x in z]

        def at(log):  # the largest weight's logarithm
            power = mpmath.exp(a * log)
            bases = [power + a * (x - top) for x in z]
            return [base ** (1 / a) if base > 0 else mpmath.mpf(0) for base in bases]

        low, high = -mpmath.log(len(z)), mpmath.mpf(0)
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(at(middle)) < 1 else (low, middle)
        return at(high)

    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -20
        before, after = weights(mpmath.mpf(alpha)), weights(mpmath.mpf(alpha) + step)
        return [float((b - a) / step) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    "alpha", [1.0, 1 + 2**-20, 1.001, 1.05, 1.3, 1.5, 1.9, 2.0, 3.0, 8.0]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_by_alpha_is_that_of_sixty_digits(alpha, dtype):
    scores = torch.tensor([0.3, -0.2, 0.45, 0.1, -0.1, -4.0], dtype=dtype)
    given = torch.tensor(alpha, dtype=dtype)
    mask = torch.ones(6, dtype=torch.bool)

    def weights(alpha):
        return simplex.entmax(scores, mask, alpha)

    expected = exact_slope_by_alpha(scores, given.item())
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    for jacobian in (func.jacrev, func.jacfwd):
        np.testing.assert_allclose(
            jacobian(weights)(given), expected, atol=tolerance, rtol=tolerance
        )


@pytest.mark.parametrize("alpha", [3.0, 8.0, 64.0])
def test_steep_slopes_lose_no_digits(alpha):
    # weights from 0.9 down to 0.001: slopes of 1 to 10^3 and far beyond
    weights = torch.tensor([0.9, 0.08, 0.019, 0.001], dtype=torch.float64)
    scores = weights ** (alpha - 1) / (alpha - 1)
    direction = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    with mpmath.workdps(400):
        p = [mpmath.mpf(w.item()) for w in weights]
        slope = [x ** (2 - mpmath.mpf(alpha)) for x in p]
        g = [mpmath.mpf(x.item()) for x in direction]
        mean = sum(s * x for s, x in zip(slope, g, strict=True)) / sum(slope)
        expected = [float(s * (x - mean)) for s, x in zip(slope, g, strict=True)]
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        got = simplex._along(weights.to(dtype), direction.to(dtype), alpha)
        assert got.norm().isfinite()
        if alpha < 64:
            np.testing.assert_allclose(got, expected, rtol=tolerance)
    assert simplex.entmax(scores, torch.ones(4).bool(), alpha).sum() == 1


def test_alpha_at_its_ends_has_finite_gradients():
    torch.manual_seed(0)
    scores = torch.randn(3, 7, requires_grad=True)
    mask = torch.rand(3, 7) > 0.2
    for value, name in ((1.0, 1.0), (2.0, 2.0)):
        alpha = torch.tensor(value, requires_grad=True)
        weights = simplex.entmax(scores, mask, alpha)
        fixed = simplex.entmax(scores, mask, name)
        torch.testing.assert_close(weights, fixed, atol=1e-6, rtol=0)
        direction = torch.linspace(-1, 1, 7)
        by_scores, by_alpha = torch.autograd.grad(
            (weights * direction).sum(), (scores, alpha)
        )
        (expected,) = torch.autograd.grad((fixed * direction).sum(), scores)
        torch.testing.assert_close(by_scores, expected, atol=1e-6, rtol=0)
        assert by_alpha.isfinite()


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0, 3.0])
def test_a_row_longer_than_a_block_is_one_row(monkeypatch, alpha):
    monkeypatch.setattr(simplex, "BLOCK", 50)
    torch.manual_seed(0)
    scores = torch.randn(120)
    mask = torch.rand(120) > 0.2
    weights, gradient = weights_and_gradient(scores, mask, alpha)
    assert weights.sum().item() == pytest.approx(1)
    rows = weights_and_gradient(scores[None], mask[None], alpha)
    torch.testing.assert_close((weights[None], gradient[None]), rows)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3, 0), (0, 0)])
@pytest.mark.parametrize("alpha", [1.0, 1.5, 3.0, torch.tensor(1.5)])
def test_an_empty_row_stays_empty(shape, alpha):
    scores = torch.zeros(shape)
    weights, gradient = weights_and_gradient(scores, torch.ones(shape).bool(), alpha)
    assert weights.shape == gradient.shape == shape


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
