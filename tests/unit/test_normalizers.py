"""The shipped normalizers: hand values, independent solvers, and what is theirs alone.

What a normalizer of any kind obeys is in `test_normalizer_laws`.
"""

import entmax
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import func

from attention_audit.models.normalizers import build_normalizer
from attention_audit.models.normalizers.entmax import Entmax, alpha_entmax
from attention_audit.models.normalizers.rela import RMS_EPSILON, ReLA
from attention_audit.records.errors import AuditError
from tests.unit.test_normalizer_laws import scores_and_masks

INSTANCES = {
    "softmax": {"kind": "softmax"},
    "sparsemax": {"kind": "sparsemax"},
    "entmax1": {"kind": "entmax", "alpha": 1.0},
    "entmax1.3": {"kind": "entmax", "alpha": 1.3},
    "entmax1.5": {"kind": "entmax", "alpha": 1.5},
    "entmax2": {"kind": "entmax", "alpha": 2.0},
    "entmax3": {"kind": "entmax", "alpha": 3.0},
    "sparsegen-4": {"kind": "sparsegen", "lam": -4.0},
    "sparsegen0.75": {"kind": "sparsegen", "lam": 0.75},
    "entmax_learned": {"kind": "entmax", "alpha": "learned"},
    "top1": {"kind": "top_k", "k": 1},
    "top3": {"kind": "top_k", "k": 3},
    "rela": {"kind": "rela"},
    "rela_gated": {"kind": "rela", "gated": True},
    "rela_per_head": {"kind": "rela", "norm": "per_head"},
    "uniform": {"kind": "uniform"},
}
SIMPLEX = {name: s for name, s in INSTANCES.items() if s["kind"] != "rela"}
every = pytest.mark.parametrize("settings", INSTANCES.values(), ids=INSTANCES)
every_on_the_simplex = pytest.mark.parametrize(
    "settings", SIMPLEX.values(), ids=SIMPLEX
)


def apply(settings, scores, mask=None):
    scores = torch.as_tensor(scores)
    if mask is None:
        mask = torch.ones(scores.shape, dtype=torch.bool)
    with torch.no_grad():
        return build_normalizer(settings, size=1)(scores, torch.as_tensor(mask))


@every_on_the_simplex
@given(scores_and_masks, st.floats(-50, 50))
def test_shifting_scores_changes_nothing(settings, drawn, shift):
    scores, mask = drawn
    # In steps of 1/16 the sum is exact, and scores tie after it where they did before.
    scores, shift = np.round(scores * 16) / 16, round(shift * 16) / 16
    np.testing.assert_allclose(
        apply(settings, scores + shift, mask), apply(settings, scores, mask), atol=1e-6
    )


@every
@given(scores_and_masks)
def test_a_higher_score_never_gets_less_weight(settings, drawn):
    scores, mask = drawn
    weights = apply(settings, scores, mask).numpy()
    for s, w, m in zip(scores, weights, mask, strict=True):
        ordered = w[m][np.argsort(s[m], kind="stable")]
        assert (np.diff(ordered) >= -1e-6).all()


@every
def test_torch_func_agrees_with_autograd(settings):
    torch.manual_seed(0)
    normalizer = build_normalizer(settings, size=1)
    scores = 0.3 * torch.randn(4, 6, dtype=torch.float64)
    mask = torch.rand(4, 6) > 0.3
    mask[3] = False

    def weights(scores):
        return normalizer(scores, mask)

    expected = torch.autograd.functional.jacobian(weights, scores)
    if settings["kind"] != "uniform" and settings.get("k") != 1:
        assert expected.abs().sum() > 0
    torch.testing.assert_close(func.jacrev(weights)(scores), expected)
    torch.testing.assert_close(func.jacfwd(weights)(scores), expected)
    change = torch.randn_like(scores)
    value, moved = func.jvp(weights, (scores,), (change,))
    torch.testing.assert_close(value, weights(scores))
    torch.testing.assert_close(moved, torch.einsum("abcd,cd->ab", expected, change))

    # A row at a time: masks in batches too, and one mask for all.
    torch.testing.assert_close(func.vmap(normalizer)(scores, mask), weights(scores))
    rows = torch.arange(4)
    for jacobian in (func.jacrev, func.jacfwd):
        by_row = func.vmap(jacobian(normalizer))(scores, mask)
        torch.testing.assert_close(by_row, expected[rows, :, rows])
    shared = func.vmap(normalizer, in_dims=(1, None))(scores.T, mask[0])
    torch.testing.assert_close(shared, normalizer(scores, mask[0]))
    varied = func.vmap(normalizer, in_dims=(None, 0))(scores[0], mask)
    torch.testing.assert_close(varied, normalizer(scores[0].expand(4, 6), mask))


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0, 2.5])
def test_entmax_has_every_derivative_that_torch_checks(alpha):
    torch.manual_seed(0)
    scores = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])

    def weights(scores):
        return alpha_entmax(scores, mask, alpha)

    assert torch.autograd.gradcheck(
        weights,
        scores,
        atol=1e-4,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert torch.autograd.gradgradcheck(weights, scores, atol=1e-4)


def test_learned_alpha_has_every_derivative_of_torch_func():
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    mask = torch.rand(2, 1, 1, 5) > 0.3
    alpha = torch.tensor([1.2, 1.5, 1.9], dtype=torch.float64).view(3, 1, 1)

    def weights(alpha):
        return alpha_entmax(scores, mask, alpha)

    expected = torch.autograd.functional.jacobian(weights, alpha)
    torch.testing.assert_close(func.jacrev(weights)(alpha), expected)
    torch.testing.assert_close(func.jacfwd(weights)(alpha), expected)
    alphas = torch.stack([alpha, alpha + 0.05], dim=1)  # the batch within
    torch.testing.assert_close(
        func.vmap(weights, in_dims=1)(alphas),
        torch.stack([weights(alpha), weights(alpha + 0.05)]),
    )


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_precision_costs_no_more_than_rounding(settings, dtype):
    torch.manual_seed(3)
    scores = torch.randn(6, 40).to(dtype)
    mask = torch.rand(6, 40) > 0.2
    weights = apply(settings, scores, mask)
    exact = apply(settings, scores.double(), mask)
    assert weights.dtype == dtype
    torch.testing.assert_close(
        weights.double(), exact, atol=2 * torch.finfo(dtype).eps, rtol=4e-3
    )


@pytest.mark.parametrize(
    ("settings", "scores", "expected"),
    [
        # sparsemax: the threshold tau with sum (z - tau)_+ = 1
        ({"kind": "sparsemax"}, [0.5, 0.3, -2.0], [0.6, 0.4, 0.0]),
        ({"kind": "sparsemax"}, [2.0, 0.5], [1.0, 0.0]),
        # entmax 1.5 of two scores: p = ((z/2 - tau)_+)^2; equal scores share
        ({"kind": "entmax", "alpha": 1.5}, [0.0, 0.0], [0.5, 0.5]),
        # lam = 0.5 doubles the scores
        ({"kind": "sparsegen", "lam": 0.5}, [0.2, 0.0], [0.7, 0.3]),
        ({"kind": "softmax"}, [np.log(3.0), 0.0], [0.75, 0.25]),
        ({"kind": "uniform"}, [5.0, -1.0, 2.0, 0.0], [0.25] * 4),
        # both scores that tie for the second place stay
        (
            {"kind": "top_k", "k": 2},
            [1.0, 1 + np.log(2.0), -1.0, 1.0],
            [1 / 4, 1 / 2, 0, 1 / 4],
        ),
        ({"kind": "rela"}, [0.5, -0.3, 0.0, 2.0], [0.5, 0.0, 0.0, 2.0]),
    ],
)
def test_hand_values(settings, scores, expected):
    weights = apply(settings, np.array([scores]))
    np.testing.assert_allclose(weights[0], expected, atol=1e-9)


def tsallis_by_bisection(scores, alpha):
    """argmax p.z + H_alpha(p) from its optimality condition, in float64.

    p_i = ((alpha - 1) z_i - tau)_+^(1 / (alpha - 1)) with tau such that sum p = 1.
    """
    z = (alpha - 1) * np.asarray(scores, dtype=np.float64)
    low, high = z.max() - 1, z.max()
    for _ in range(200):
        tau = (low + high) / 2
        total = (np.maximum(z - tau, 0) ** (1 / (alpha - 1))).sum()
        low, high = (tau, high) if total > 1 else (low, tau)
    return np.maximum(z - tau, 0) ** (1 / (alpha - 1))


def tsallis_by_bisection_rows(scores, alpha):
    rows = scores.numpy().reshape(-1, scores.shape[-1])
    solved = [tsallis_by_bisection(row, alpha) for row in rows]
    return np.reshape(solved, scores.shape)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0, 2.5, 4.0])
def test_entmax_solves_its_optimisation_problem(alpha):
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.normal(scale=3, size=9)
        weights = apply({"kind": "entmax", "alpha": alpha}, scores[None])[0]
        np.testing.assert_allclose(
            weights, tsallis_by_bisection(scores, alpha), atol=1e-6
        )


@given(scores_and_masks, st.integers(1, 14))
def test_top_k_is_softmax_of_what_is_at_least_the_kth(drawn, k):
    scores, mask = drawn
    scores = np.round(scores)  # so that many tie
    weights = apply({"kind": "top_k", "k": k}, scores, mask)
    for s, m, w in zip(scores, mask, weights.numpy(), strict=True):
        kept = sorted(s[m], reverse=True)[:k]
        expected = np.where(m & (s >= min(kept, default=0)), np.exp(s), 0)
        np.testing.assert_allclose(w * (expected.sum() or 1), expected, rtol=1e-9)
        if len(s[m]) <= k:
            softmax = apply({"kind": "softmax"}, s[None], m[None])[0]
            np.testing.assert_array_equal(w, softmax)


def test_top_k_passes_gradient_through_the_kept_alone():
    scores = torch.tensor([[0.1, 2.0, -1.0, 1.0]], requires_grad=True)
    weights = build_normalizer({"kind": "top_k", "k": 2}, 1)(
        scores, torch.ones(1, 4).bool()
    )
    weights[0, 1].backward()
    p = weights[0, 1].item()
    assert scores.grad[0, [0, 2]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(scores.grad[0, [1, 3]], [p * (1 - p), -p * (1 - p)])


@pytest.mark.parametrize("heads", [None, 2])
def test_learned_alpha_starts_at_one_and_a_half_for_each_head(heads):
    shape = (3, 5) if heads is None else (3, 2, 5, 5)
    scores = torch.randn(shape, dtype=torch.float64)
    mask = torch.ones(shape, dtype=torch.bool)
    learned = build_normalizer({"kind": "entmax", "alpha": "learned"}, 4, heads)
    assert learned.alpha.flatten().tolist() == [1.5] * (heads or 1)
    learned.raw_alpha.data = torch.arange(heads or 1, dtype=torch.float64).view_as(
        learned.raw_alpha
    )
    got = learned.double()(scores, mask)
    for h in range(heads or 1):
        alpha = 1 + 1 / (1 + np.exp(-h))
        rows = (slice(None), h) if heads else slice(None)
        expected = tsallis_by_bisection_rows(scores[rows], alpha)
        np.testing.assert_allclose(got[rows].detach(), expected, atol=1e-6)


def test_the_gradient_by_alpha_agrees_with_finite_differences():
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    mask = torch.rand(2, 1, 1, 5) > 0.3
    alpha = torch.tensor([1.2, 1.5, 1.9], dtype=torch.float64).view(3, 1, 1)
    assert torch.autograd.gradcheck(
        lambda a: alpha_entmax(scores, mask, a),
        alpha.requires_grad_(),
        eps=1e-5,
        atol=1e-4,
    )


@pytest.mark.parametrize("alpha", [1.5, 2.0, 1.3, 2.5])
def test_entmax_agrees_with_the_package(alpha):
    scores = torch.randn(50, 64, dtype=torch.float64) * 2
    exact = {1.5: entmax.entmax15, 2.0: entmax.sparsemax}
    theirs = exact.get(alpha, lambda z: entmax.entmax_bisect(z, alpha=alpha))
    ours = apply({"kind": "entmax", "alpha": alpha}, scores)
    torch.testing.assert_close(ours, theirs(scores), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("settings", "heads", "context", "expected"),
    [
        # mean square 12.5 over both heads, 1e-8 beside it
        ({}, 2, [[3.0], [4.0]], [[3 / 12.5**0.5], [4 / 12.5**0.5]]),
        # of each head alone, where every single number is of size one
        ({"norm": "per_head"}, 2, [[3.0], [-4.0]], [[1.0], [-1.0]]),
        # a small head fades beside a large one, or is as large
        ({}, 2, [[1e-3, 1e-3], [1.0, 1.0]], [[2**0.5 * 1e-3] * 2, [2**0.5] * 2]),
        (
            {"norm": "per_head"},
            2,
            [[1e-3] * 2, [1.0] * 2],
            [[0.9950371902] * 2, [1.0] * 2],
        ),
        # the authors' epsilon: half of a mean square of 1e-8
        ({}, 2, [[1e-4], [1e-4]], [[0.5**0.5], [0.5**0.5]]),
        # one set of scores, as in pooling, is one head
        ({}, None, [3.0, 4.0], [3 / 12.5**0.5, 4 / 12.5**0.5]),
        # gate 0.5: times sigmoid(0.5 c)
        (
            {"gated": True},
            2,
            [[3.0], [4.0]],
            [[0.8485281 * 0.8175745], [1.1313708 * 0.8807971]],
        ),
    ],
)
def test_rela_by_hand(settings, heads, context, expected):
    context = torch.tensor(context, dtype=torch.float64)
    rela = ReLA(context.shape[-1], heads, **settings).double()
    if rela.gate is not None:
        torch.nn.init.constant_(rela.gate, 0.5)
    # (nh, hs) -> (B, nh, n, hs)
    got = rela.context(context[:, None].unsqueeze(0) if heads else context)
    np.testing.assert_allclose(got.detach().reshape(context.shape), expected, rtol=1e-6)


@pytest.mark.parametrize("heads", [None, 3])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("norm", ["joined", "per_head"])
def test_rela_normalizes_the_context_of_each_position(heads, gated, norm):
    torch.manual_seed(0)
    rela = ReLA(4, heads, gated, norm).double()
    shape = (2, 4) if heads is None else (2, heads, 6, 4)
    for parameter in rela.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64)
    context = torch.randn(shape, dtype=torch.float64) * 3
    context[0] = 0.0
    got = rela.context(context).detach()
    for index in np.ndindex(shape[:-1]):
        c = context[index].numpy()
        own, over = 0, c
        if heads is not None:
            own = index[1]
            if norm == "joined":
                over = context[index[0], :, index[2]].numpy()
        gain = rela.gain.detach().reshape(-1, 4)[own].numpy()
        expected = c / np.sqrt(np.mean(over**2) + RMS_EPSILON) * gain
        if gated:
            w = rela.gate.detach().reshape(-1, 4)[own].numpy()
            expected = expected / (1 + np.exp(-w * c))
        np.testing.assert_allclose(got[index], expected, atol=1e-12)
    assert (got[0] == 0).all()


def test_the_gate_of_rela_starts_as_in_the_authors_code():
    torch.manual_seed(0)
    gate = ReLA(64, 8, gated=True).gate.detach()
    bound = (3 / 512) ** 0.5
    assert gate.abs().max() <= bound
    # of a uniform distribution, over 512 draws
    assert gate.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_only_rela_changes_the_context():
    context = torch.randn(2, 4)
    for settings in SIMPLEX.values():
        assert build_normalizer(settings, 4).context(context) is context
    assert isinstance(build_normalizer(INSTANCES["entmax1.5"], 4), Entmax)


@pytest.mark.parametrize("lam", [-10.0, -1.0, 0.0, 0.5, 0.9])
def test_sparsegen_minimises_its_objective(lam):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=7)
    weights = apply({"kind": "sparsegen", "lam": lam}, scores[None])[0].numpy()

    def objective(p):
        return ((p - scores) ** 2).sum() - lam * (p**2).sum()

    best = objective(weights)
    # The objective is convex for lam < 1: nothing nearby or far on the simplex is lower.
    for _ in range(500):
        other = rng.dirichlet(np.ones(7))
        for step in (1e-3, 0.1, 1.0):
            assert objective(weights + step * (other - weights)) >= best - 1e-12


def test_sparsity_grows_with_alpha_and_with_lam():
    scores = torch.randn(200, 30, dtype=torch.float64)

    def support(settings):
        return (apply(settings, scores) > 0).sum().item()

    by_alpha = [support({"kind": "entmax", "alpha": a}) for a in (1, 1.5, 2, 3)]
    by_lam = [support({"kind": "sparsegen", "lam": x}) for x in (-9, 0, 0.5, 0.9)]
    assert by_alpha == sorted(by_alpha, reverse=True) and by_alpha[0] == 6000
    assert by_lam == sorted(by_lam, reverse=True) and by_lam[-1] < by_lam[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "entmax", "alpha": 0.5}, "alpha must be at least 1"),
        ({"kind": "sparsegen", "lam": 1.0}, "lam must be less than 1"),
        ({"kind": "top_k", "k": 0}, "k must be at least 1"),
        ({"kind": "rela", "norm": "each"}, "norm must be one of joined, per_head"),
        ({"kind": "sparsmax"}, "Did you mean 'sparsemax'"),
    ],
)
def test_bad_parameters_are_named(settings, words):
    with pytest.raises(AuditError, match=words):
        apply(settings, torch.zeros(1, 3))
