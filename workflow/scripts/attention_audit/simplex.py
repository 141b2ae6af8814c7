"""Alpha-entmax by Newton's method: the weights that sorting or bisection find, sooner.

alpha-entmax maps scores z to p_i = ((alpha - 1) z_i - tau)_+^q with
q = 1 / (alpha - 1) and the threshold tau at which p sums to one (Peters et al. 2019,
eq. 12). Sorting z, or halving an interval 50 times, costs many passes over memory.
Newton's method needs a few, on blocks that stay in the cache.
"""

import inspect
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
    """Weights, and their derivatives both ways, for autograd and for `torch.func`."""

    @staticmethod
    def forward(scores: Tensor, mask: Tensor, alpha: Alpha) -> Tensor:
        weights = torch.empty_like(scores, memory_format=torch.contiguous_format)
        # One mask for many rows stays small.
        masks = mask.reshape((1,) * (scores.dim() - mask.dim()) + mask.shape)
        alphas = _by_row(alpha, scores)
        for rows in _blocks(scores):
            visible = _cut(masks, rows) if len(masks) > 1 else masks
            _project(_cut(scores, rows), visible, alphas(rows), _cut(weights, rows))
        return weights

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        alpha = inputs[2]
        of_tensor = isinstance(alpha, Tensor)
        ctx.alpha = None if of_tensor else alpha
        saved = (output, alpha) if of_tensor else (output,)
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
        weights, *tensors = ctx.saved_tensors
        (alpha,) = tensors or (ctx.alpha,)
        alphas = _by_row(alpha, weights)
        by_scores = gradient  # if there are no rows
        by_alpha = []
        for rows in _blocks(weights):
            p, g, a = _cut(weights, rows), _cut(gradient, rows), alphas(rows)
            slope, total = _slope(p, a)
            pulled = _along(slope, total, g)
            if rows is None:
                by_scores = pulled
            else:
                # of what is written to it, for under `torch.func` that may be batched
                if rows.start == 0:
                    by_scores = pulled.new_empty(weights.shape)
                by_scores[rows] = pulled
            if ctx.needs_input_grad[2]:
                by_alpha.append(
                    (g * _by_alpha(p, slope / total, a)).sum(-1, keepdim=True)
                )
        if not ctx.needs_input_grad[2]:
            return by_scores, None, None
        return by_scores, None, torch.cat(by_alpha).sum_to_size(alpha.shape)

    @staticmethod
    def jvp(ctx, scores: Tensor | None, mask: None, alpha: Tensor | None) -> Tensor:
        weights, *tensors = ctx.saved_tensors
        (value,) = tensors or (ctx.alpha,)
        slope, total = _slope(weights, value)
        change = torch.zeros_like(weights)
        if scores is not None:
            change = change + _along(slope, total, scores)
        if alpha is not None:
            change = change + _by_alpha(weights, slope / total, value) * alpha
        return change

    @staticmethod
    def vmap(
        info, in_dims: tuple, scores: Tensor, mask: Tensor, alpha: Alpha
    ) -> tuple[Tensor, int]:
        axes = scores.dim() - (in_dims[0] is not None)
        if in_dims[0] is None:
            scores = scores.expand(info.batch_size, *scores.shape)
        batched = [scores if in_dims[0] is None else scores.movedim(in_dims[0], 0)]
        for value, axis in zip((mask, alpha), in_dims[1:], strict=True):
            if axis is not None:
                # the new axis before all those that it broadcasts to
                value = value.movedim(axis, 0)
                value = value.reshape(
                    len(value), *(1,) * (axes + 1 - value.dim()), *value.shape[1:]
                )
            batched.append(value)
        return _Entmax.apply(*batched), 0


# `apply` asks for it at every call: 0.04 ms, a tenth of a small call.
_Entmax.forward.__signature__ = inspect.signature(_Entmax.forward)


def _blocks(x: Tensor) -> Iterator[slice | None]:
    """Slices of the first axis that a cache holds; None, where all of it may go at once."""
    rows = max(1, BLOCK * len(x) // max(1, x.numel()))
    if x.device.type != "cpu" or 0 < len(x) <= rows:
        yield None
        return
    for start in range(0, len(x), rows):
        yield slice(start, start + rows)


def _cut(x: Tensor, rows: slice | None) -> Tensor:
    return x if rows is None else x[rows]


def _by_row(alpha: Alpha, scores: Tensor) -> Callable[[slice | None], Alpha]:
    """The alpha of a block of rows: the number, or a view (..., 1) of the tensor."""
    if not isinstance(alpha, Tensor):
        return lambda rows: alpha
    expanded = alpha.expand(*scores.shape[:-1], 1)
    return lambda rows: _cut(expanded, rows)


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


def _slope(p: Tensor, alpha: Alpha) -> tuple[Tensor, Tensor]:
    """The slope s, and sum(s): dp/dz = diag(s) - s s' / sum(s)."""
    slope = _power_of_weights(p, alpha)
    # above 0 in a row without any weight
    return slope, slope.sum(-1, keepdim=True).clamp(min=_tiny(p))


def _along(slope: Tensor, total: Tensor, direction: Tensor) -> Tensor:
    """dp/dz, which is symmetric, times a direction."""
    pulled = slope * direction
    return pulled - slope / total * pulled.sum(-1, keepdim=True)


def _power_of_weights(p: Tensor, alpha: Alpha) -> Tensor:
    """p^(2 - alpha) on the support, else 0."""
    if not isinstance(alpha, Tensor):
        if alpha == 1:
            return p
        if alpha == 2:
            return p.sign()
        if alpha == 1.5:
            # sqrt p, which is slow to say 0
            return p * p.clamp(min=_tiny(p)).rsqrt()
        if alpha > 2:
            # finite where it is not taken, for a second derivative
            return torch.where(p > 0, torch.where(p > 0, p, 1.0) ** (2 - alpha), 0.0)
    return _log2(p).mul(2 - alpha).exp2()


def _by_alpha(p: Tensor, share: Tensor, alpha: Tensor) -> Tensor:
    """dp / d alpha, for alpha (..., 1) (Correia et al. 2019, proposition 1).

    ``share`` is s / sum(s).
    """
    shannon = torch.special.entr(p)
    shared = share * shannon.sum(-1, keepdim=True)
    return (p - share) / (alpha - 1) ** 2 + (shannon - shared) / (alpha - 1)
