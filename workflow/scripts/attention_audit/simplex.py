"""Alpha-entmax by Newton's method: the weights that sorting or bisection find, sooner.

alpha-entmax maps scores z to p_i = ((alpha - 1) z_i - tau)_+^q with
q = 1 / (alpha - 1) and the threshold tau at which p sums to one (Peters et al. 2019,
eq. 12). Sorting z, or halving an interval 50 times, costs many passes over memory.
Newton's method needs a few, on blocks that stay in the cache.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

# Elements of a block: 1 MB of float32.
BLOCK = 2**18

# More than twice what any row was seen to need; by then halving alone has converged.
MAX_STEPS = 128

Alpha = float | Tensor


def entmax(scores: Tensor, mask: Tensor, alpha: Alpha) -> Tensor:
    """argmax_p p.z + H_alpha(p) over the simplex of the unmasked, H Tsallis' entropy.

    Args:
        scores: (..., n) floats. A score of -inf is like a mask; NaN or +inf makes its
            row's weights NaN. Half precision is too coarse for a threshold, which is
            found in float32 then.
        mask: bool, broadcastable to ``scores``.
        alpha: at least 1, where it is softmax. As a tensor that broadcasts to (..., 1)
            it gets a gradient, and must lie between 1 and 2.

    Returns:
        Weights (..., n), exactly 0 where masked. A row without any unmasked position
        has no weight.
    """
    if scores.dtype.itemsize >= 4:
        return _Entmax.apply(scores, mask, alpha)
    alpha = alpha.float() if isinstance(alpha, Tensor) else alpha
    return _Entmax.apply(scores.float(), mask, alpha).to(scores.dtype)


class _Entmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores: Tensor, mask: Tensor, alpha: Alpha) -> Tensor:
        weights = torch.empty_like(scores, memory_format=torch.contiguous_format)
        # One mask for many rows stays small.
        masks = mask.reshape((1,) * (scores.dim() - mask.dim()) + mask.shape)
        alphas = _by_row(alpha, scores)
        for rows in _blocks(scores):
            visible = masks[rows] if len(masks) > 1 else masks
            _project(scores[rows], visible, alphas(rows), weights[rows])
        of_tensor = isinstance(alpha, Tensor)
        ctx.alpha = None if of_tensor else alpha
        ctx.save_for_backward(weights, *([alpha] if of_tensor else []))
        return weights

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
        weights, *tensors = ctx.saved_tensors
        (alpha,) = tensors or (ctx.alpha,)
        alphas = _by_row(alpha, weights)
        # Nothing with `out`: a Jacobian's rows come as one batched gradient.
        by_scores = torch.empty_like(gradient)
        by_alpha = []
        for rows in _blocks(weights):
            p, g, a = weights[rows], gradient[rows], alphas(rows)
            slope = _slope(p, a)
            share = slope / slope.sum(-1, keepdim=True).clamp(min=_tiny(p))
            pulled = slope * g
            by_scores[rows] = pulled - share * pulled.sum(-1, keepdim=True)
            if ctx.needs_input_grad[2]:
                by_alpha.append(_by_alpha(p, share, g, a))
        if not ctx.needs_input_grad[2]:
            return by_scores, None, None
        return by_scores, None, torch.cat(by_alpha).sum_to_size(alpha.shape)


def _blocks(x: Tensor) -> Iterator[slice]:
    """Slices of the first axis that a cache holds; all of it on other devices."""
    rows = max(1, BLOCK * len(x) // max(1, x.numel()))
    if x.device.type != "cpu":
        rows = len(x)
    for start in range(0, len(x), rows):
        yield slice(start, start + rows)


def _by_row(alpha: Alpha, scores: Tensor) -> Callable[[slice], Alpha]:
    """The alpha of a block of rows: the number, or a view (..., 1) of the tensor."""
    if not isinstance(alpha, Tensor):
        return lambda rows: alpha
    expanded = alpha.expand(*scores.shape[:-1], 1)
    return lambda rows: expanded[rows]


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny


# --- weights --------------------------------------------------------------------


def _project(scores: Tensor, mask: Tensor, alpha: Alpha, out: Tensor) -> None:
    """Write the weights of one block to ``out``."""
    # -inf where masked. Several times as fast as filling under a mask.
    limit = (mask.to(scores.dtype) - 0.5) * torch.inf
    z = torch.minimum(scores, limit, out=out)
    top = z.amax(-1, keepdim=True)
    if broken := not bool((top < torch.inf).all()):
        # fmin is slower, but -inf where masked even if NaN stands there; elsewhere
        # NaN becomes +inf.
        z = torch.fmin(scores, limit, out=out)
        top = z.amax(-1, keepdim=True)
        z.masked_fill_(top == torch.inf, 0.0)
    # A row of -inf has no largest score; any finite value will do.
    z.sub_(top.nan_to_num(neginf=0.0, posinf=0.0))
    if isinstance(alpha, Tensor) or 1 < alpha <= 2:
        _newton(z.mul_(alpha - 1), alpha)
    elif alpha == 1:
        z.copy_(z.softmax(-1)).masked_fill_(top == -torch.inf, 0.0)
    else:
        _bracketed_newton(z.mul_(alpha - 1), alpha)
    if broken:
        z.masked_fill_(top == torch.inf, torch.nan).masked_fill_(~mask, 0.0)


def _newton(t: Tensor, alpha: Alpha) -> None:
    """Turn (alpha - 1) z, its largest 0, into weights in place, for alpha <= 2.

    With F(tau) = sum_i (t_i - tau)_+^q and q >= 1, F^(1/q) - 1 is a norm less one:
    convex and falling in tau, and at tau = -1 not below 0. Newton's steps from there,

        (F - F^(2 - alpha)) / G,    G = sum_i (t_i - tau)_+^(q - 1),

    never pass the root, and hit it where the norm is linear, as it nearly is. So every
    step can be taken off t itself: what falls to 0 stays there, and what remains is
    small and keeps its precision. For alpha = 2 this is the method of Michelot (1986).
    """
    q = 1 / (alpha - 1)
    t.add_(1).clamp_(min=0)
    buffers = torch.empty_like(t), torch.empty_like(t)
    for _ in range(MAX_STEPS):
        power, slope = _powers(t, q, *buffers)
        F, G = power.sum(-1, keepdim=True), slope.sum(-1, keepdim=True)
        step = (F - F ** (2 - alpha)) / G.clamp_(min=_tiny(t))
        if step.max() <= torch.finfo(t.dtype).eps:
            break
        t.sub_(step.clamp_(min=0)).clamp_(min=0)
    torch.div(power, F.clamp_(min=_tiny(t)), out=t)


def _bracketed_newton(z: Tensor, alpha: float) -> None:
    """As `_newton`, for alpha > 2, where a step may pass the root.

    The slope of a weight is infinite where it leaves 0, so F^(1/q) is not convex. A
    step counts if it ends between the bounds that are known by then, else it goes to
    their middle. A few rows need many steps, so that the others are set aside.
    """
    q = 1 / (alpha - 1)
    eps = torch.finfo(z.dtype).eps
    rows = z.view(-1, z.shape[-1])
    tau = torch.full_like(rows[:, :1], -1.0)
    low = tau  # F >= 1: the largest weight would be 1
    high = -torch.ones_like(low) * z.shape[-1] ** (1 - alpha)  # F <= 1: none above 1/n
    found, left = torch.empty_like(tau), rows
    active = torch.arange(len(rows), device=z.device)
    for _ in range(MAX_STEPS):
        t = (left - tau).clamp_(min=0)
        power = _log2(t).mul_(q).exp2_()
        F = power.sum(-1, keepdim=True)
        low, high = torch.where(F >= 1, tau, low), torch.where(F >= 1, high, tau)
        G = power.div_(t.clamp_(min=_tiny(t))).sum(-1, keepdim=True)
        new = tau + (F - F ** (2 - alpha)) / G
        new = torch.where((new > low) & (new < high), new, (low + high) / 2)
        going = ((new - tau).abs() > eps) & (high - low > eps)
        tau = new
        remaining = int(going.sum())
        if remaining <= len(left) // 2:
            found[active] = tau
            if not remaining:
                break
            kept = going[:, 0]
            active, left, tau = active[kept], left[kept], tau[kept]
            low, high = low[kept], high[kept]
    found[active] = tau
    rows.sub_(found).clamp_(min=0)
    power = _log2(rows).mul_(q).exp2_()
    torch.div(power, power.sum(-1, keepdim=True).clamp_(min=_tiny(power)), out=rows)


def _powers(t: Tensor, q: Alpha, *buffers: Tensor) -> tuple[Tensor, Tensor]:
    """t^q and t^(q - 1), both 0 where t is; in ``buffers``, unless they are t itself.

    2^(q log t) is several times as fast as the general power. Its relative error grows
    with -log of the result, so that the absolute error stays below one rounding.
    """
    first, second = buffers
    if not isinstance(q, Tensor):
        if q == 1:
            return t, torch.sign(t, out=second)
        if q == 2:
            return torch.square(t, out=first), t
    log = _log2(t, out=second)
    return torch.mul(log, q, out=first).exp2_(), log.mul_(q - 1).exp2_()


def _log2(t: Tensor, out: Tensor | None = None) -> Tensor:
    """log2 t, and -inf where t is 0, which the plain logarithm is slow to say."""
    log = torch.clamp(t, min=_tiny(t), out=out).log2_()
    return nn.functional.threshold_(log, math.log2(_tiny(t)) + 0.5, -torch.inf)


# --- gradients ------------------------------------------------------------------


def _slope(p: Tensor, alpha: Alpha) -> Tensor:
    """p^(2 - alpha) on the support, else 0: dp/dz = diag(s) - s s' / sum(s)."""
    if not isinstance(alpha, Tensor):
        if alpha == 1:
            return p
        if alpha == 2:
            return p.sign()
        if alpha == 1.5:
            # sqrt p, which is slow to say 0
            return p * p.clamp(min=_tiny(p)).rsqrt()
        if alpha > 2:
            return torch.where(p > 0, p ** (2 - alpha), 0.0)
    return _log2(p).mul(2 - alpha).exp2()


def _by_alpha(p: Tensor, share: Tensor, gradient: Tensor, alpha: Tensor) -> Tensor:
    """Gradient by alpha (..., 1) (Correia et al. 2019, proposition 1)."""
    shannon = torch.special.entr(p)
    shared = share * shannon.sum(-1, keepdim=True)
    by_alpha = (p - share) / (alpha - 1) ** 2 + (shannon - shared) / (alpha - 1)
    return (gradient * by_alpha).sum(-1, keepdim=True)
