"""Alpha-entmax by Newton's method: the weights that sorting or bisection find, sooner.

alpha-entmax maps scores z to p_i = ((alpha - 1) z_i - tau)_+^q with
q = 1 / (alpha - 1) and the threshold tau at which p sums to one (Peters et al. 2019,
eq. 12). Sorting z, or halving an interval 50 times, costs many passes over memory.
Newton's method needs a few, on blocks that stay in the cache.

What Newton's method solves for decides how precise the weights are. Between `NEAR_ONE`
and 2 it is tau, in the precision of the scores. Nearer to 1, a power q of many thousands
magnifies the rounding of its base; above 2, a weight leaves 0 with an infinite slope, so
that tau says little of a small one. There it is solved for what the weights depend on
evenly, in double precision.
"""

import inspect
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

# Elements of a block: 1 MB of float32.
BLOCK = 2**18

# More than twice what any row was seen to need.
MAX_STEPS = 128

# Below, the power q = 1 / (alpha - 1) > 10 takes a digit and more off single precision.
NEAR_ONE = 1.1

Alpha = float | Tensor


def entmax(scores: Tensor, mask: Tensor, alpha: Alpha) -> Tensor:
    """argmax_p p.z + H_alpha(p) over the simplex of the unmasked, H Tsallis' entropy.

    Args:
        scores: (..., n) floats. A score of -inf is like a mask; NaN or +inf makes its
            row's weights NaN. Half precision is too coarse for a threshold, which is
            found in float32 then.
        mask: bool, broadcastable to ``scores``.
        alpha: at least 1, where it is softmax. As a tensor that broadcasts to (..., 1)
            it gets a gradient.

    Returns:
        Weights (..., n), exactly 0 where masked, right to 1e-6 in float32 whatever
        alpha. A row without any unmasked position has no weight.
    """
    if scores.dim() == 1:
        # blocks are cut along the first axis, which is to be one of rows
        return entmax(scores.unsqueeze(0), mask, alpha).squeeze(0)
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
        # a row without positions has nothing to project
        for rows in _blocks(scores) if scores.numel() else ():
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
            pulled = _along(p, g, a)
            if rows is None:
                by_scores = pulled
            else:
                # of what is written to it, for under `torch.func` that may be batched
                if rows.start == 0:
                    by_scores = pulled.new_empty(weights.shape)
                by_scores[rows] = pulled
            if ctx.needs_input_grad[2]:
                by_alpha.append((g * _by_alpha(p, a)).sum(-1, keepdim=True))
        if not ctx.needs_input_grad[2]:
            return by_scores, None, None
        return by_scores, None, torch.cat(by_alpha).sum_to_size(alpha.shape)

    @staticmethod
    def jvp(ctx, scores: Tensor | None, mask: None, alpha: Tensor | None) -> Tensor:
        weights, *tensors = ctx.saved_tensors
        (value,) = tensors or (ctx.alpha,)
        change = torch.zeros_like(weights)
        if scores is not None:
            change = change + _along(weights, scores, value)
        if alpha is not None:
            change = change + _by_alpha(weights, value) * alpha
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


def _wide(x: Tensor) -> Tensor:
    """In double precision, which some GPUs do not know."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def _where_alpha(alpha: Alpha, low: float, high: float) -> bool | Tensor:
    """Whether, or in which rows, ``low`` <= alpha < ``high``."""
    return (alpha >= low) & (alpha < high)


# --- weights --------------------------------------------------------------------


def _project(scores: Tensor, mask: Tensor, alpha: Alpha, out: Tensor) -> None:
    """Write the weights of one block to ``out``."""
    if scores.dtype != torch.float64 and _needs_double(alpha):
        exact = _wide(scores)
        alpha = _wide(alpha) if isinstance(alpha, Tensor) else alpha
        _project(exact, mask.to(exact.device), alpha, exact)
        out.copy_(exact)
        return
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
    if isinstance(alpha, Tensor):
        rows, alphas = z.view(-1, z.shape[-1]), alpha.reshape(-1, 1)
        for low, high, method in METHODS:
            chosen = _where_alpha(alphas, low, high)[:, 0]
            if chosen.all():
                method(z, alpha)
                break
            if chosen.any():
                part = rows[chosen]
                method(part, alphas[chosen])
                rows[chosen] = part
    elif alpha == 1:
        z.copy_(z.softmax(-1)).masked_fill_(top == -torch.inf, 0.0)
    else:
        for low, high, method in METHODS:
            if _where_alpha(alpha, low, high):
                method(z, alpha)
    if broken:
        z.masked_fill_(top == torch.inf, torch.nan).masked_fill_(~mask, 0.0)


def _needs_double(alpha: Alpha) -> bool:
    """Whether single precision would not do for this alpha, or for one of these."""
    if isinstance(alpha, Tensor):
        return not bool(((alpha >= NEAR_ONE) & (alpha <= 2)).all())
    return alpha != 1 and not NEAR_ONE <= alpha <= 2


def _by_threshold(t: Tensor, alpha: Alpha) -> None:
    """Turn scores z, their largest 0, into weights in place, for alpha <= 2.

    With t = (alpha - 1) z, F(tau) = sum_i (t_i - tau)_+^q and q >= 1, F^(1/q) - 1 is a
    norm less one: convex and falling in tau, and at tau = -1 not below 0. Newton's steps from there,

        (F - F^(2 - alpha)) / G,    G = sum_i (t_i - tau)_+^(q - 1),

    never pass the root, and hit it where the norm is linear, as it nearly is. So every
    step can be taken off t itself: what falls to 0 stays there, and what remains is
    small and keeps its precision. For alpha = 2 this is the method of Michelot (1986).
    """
    q = 1 / (alpha - 1)
    t.mul_(alpha - 1).add_(1).clamp_(min=0)
    buffers = torch.empty_like(t), torch.empty_like(t)
    for _ in range(MAX_STEPS):
        power, slope = _powers(t, q, *buffers)
        F, G = power.sum(-1, keepdim=True), slope.sum(-1, keepdim=True)
        step = (F - F ** (2 - alpha)) / G.clamp_(min=_tiny(t))
        if step.max() <= torch.finfo(t.dtype).eps:
            break
        t.sub_(step.clamp_(min=0)).clamp_(min=0)
    torch.div(power, F.clamp_(min=_tiny(t)), out=t)


def _by_largest(z: Tensor, alpha: Alpha) -> None:
    """As `_by_threshold`, for any alpha <= 2, where it is 1 too.

    With a = alpha - 1 and -tau = 1 + a y, weights are (1 + a (y + z))^(1 / a), and
    exp(y + z) in the limit a = 0: logarithm and power never see a number near 1 that
    has lost its digits. The largest weight is that of z = 0. The steps are those of
    `_by_threshold`,

        F (1 - F^-a) / a / sum_i p_i / (1 + a (y + z_i)).
    """
    a = torch.as_tensor(alpha - 1, dtype=z.dtype, device=z.device)
    y = torch.zeros_like(z[..., :1])
    eps = torch.finfo(z.dtype).eps
    for _ in range(MAX_STEPS):
        t = z + y
        log = (a * t).clamp_(min=-1).log1p_()  # of the base
        log_p = torch.where(a == 0, t, log / a)
        p = log_p.exp()
        F = p.sum(-1, keepdim=True).clamp(min=_tiny(z))
        # no weight is larger where its base is 0
        G = torch.where(p > 0, log_p - log, -torch.inf).exp().sum(-1, keepdim=True)
        log_F = F.log()
        grown = torch.where(a == 0, log_F, -torch.expm1(-a * log_F) / a)
        step = (F * grown / G.clamp(min=_tiny(z))).clamp(min=0)
        if (step <= eps * y.abs().clamp(min=1)).all():
            break
        y = y - step
    torch.div(p, F, out=z)


def _by_smallest(z: Tensor, alpha: Alpha) -> None:
    """As `_by_threshold`, for alpha >= 2.

    With a = alpha - 1 and d_i = z_i - z_k over the k largest scores, p_i is the norm
    (p_k^a + a d_i)^(1 / a): in the smallest weight p_k convex, rising, and of a slope of
    at most 1. So Newton's steps fall to p_k from its largest value, 1 / k, and its error
    is the largest of all. A score belongs to the support if the norms sum to less than
    1 at p_k = 0, which halving over k finds in scores that are sorted.
    """
    a = torch.as_tensor(alpha - 1, dtype=z.dtype, device=z.device)
    hidden = z == -torch.inf
    # At a distance of 1 / a even a weight of 1 leaves nothing: any beyond it will do.
    z.copy_(z.maximum(-2 / a))
    near = max(1, int((a * z > -1).sum(-1).max()))
    best = z.topk(near, -1).values

    def log_norms(scores: Tensor, kth: Tensor, smallest: Tensor) -> Tensor:
        """ln p_i of scores, by the kth and its weight; -inf below it."""
        log = (a * (scores - kth).clamp(min=0)).log().logaddexp(a * smallest.log()) / a
        return log.where(scores >= kth, -torch.inf)

    zero = torch.zeros_like(z[..., :1])
    low = zero.long()
    high = low + near - 1
    for _ in range(near.bit_length()):
        middle = (low + high + 1) // 2
        norms = log_norms(best, best.gather(-1, middle), zero).exp()
        inside = norms.sum(-1, keepdim=True) < 1
        low = torch.where(inside, middle, low)
        high = torch.where(inside, high, middle - 1)
    kth = best.gather(-1, low)
    smallest = 1 / (best >= kth).sum(-1, keepdim=True).to(z)
    for _ in range(MAX_STEPS):
        log_p = log_norms(best, kth, smallest)
        excess = log_p.exp().sum(-1, keepdim=True) - 1
        # (p_k / p_i)^(a - 1)
        slopes = ((a - 1) * (smallest.log() - log_p)).exp()
        slopes = slopes.where(log_p > -torch.inf, 0.0)
        step = (excess / slopes.sum(-1, keepdim=True)).clamp(min=0)
        if (step <= torch.finfo(z.dtype).eps).all():
            break
        smallest = (smallest - step).clamp(min=0)
    p = log_norms(z, kth, smallest).exp().masked_fill(hidden, 0.0)
    torch.div(p, p.sum(-1, keepdim=True).clamp(min=_tiny(p)), out=z)


# The alphas from the first number to below the second, and how their weights are found.
METHODS = (
    (1.0, NEAR_ONE, _by_largest),
    (NEAR_ONE, math.nextafter(2.0, 3.0), _by_threshold),
    (math.nextafter(2.0, 3.0), math.inf, _by_smallest),
)


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
    rest = q - 1
    if isinstance(rest, Tensor):
        rest = rest.clamp(min=_tiny(t))  # 0 times -inf is no power of 0
    return torch.mul(log, q, out=first).exp2_(), log.mul_(rest).exp2_()


def _log2(t: Tensor, out: Tensor | None = None) -> Tensor:
    """log2 t, and -inf where t is 0, which the plain logarithm is slow to say."""
    log = torch.clamp(t, min=_tiny(t), out=out).log2_()
    return nn.functional.threshold_(log, math.log2(_tiny(t)) + 0.5, -torch.inf)


# --- gradients ------------------------------------------------------------------


def _along(p: Tensor, direction: Tensor, alpha: Alpha) -> Tensor:
    """dp/dz, which is symmetric, times a direction.

    dp/dz = diag(s) - s s' / sum(s), with the slope s = p^(2 - alpha) on the support.
    """
    if _above_two(alpha) and p.numel():
        return _along_steep(p, direction, alpha)
    slope = _power_of_weights(p, alpha)
    # above 0 in a row without any weight
    total = slope.sum(-1, keepdim=True).clamp(min=_tiny(p))
    pulled = slope * direction
    return pulled - slope / total * pulled.sum(-1, keepdim=True)


def _along_steep(p: Tensor, direction: Tensor, alpha: Alpha) -> Tensor:
    """As `_along`, where slopes have no bound.

    The smallest weight has the largest slope, next to which the others may be lost in
    rounding. But what the weights gain sums to 0, which gives its share exactly. The
    result is bounded, so that a norm of gradients is finite.
    """
    bound = torch.finfo(direction.dtype).max ** (1 / 3)
    slope = _power_of_weights(p, alpha)
    total = slope.sum(-1, keepdim=True).clamp(min=_tiny(slope))
    wide = _wide(direction)
    mean = (slope / total * wide).sum(-1, keepdim=True)
    steepest = torch.zeros_like(slope).scatter(-1, slope.argmax(-1, keepdim=True), 1.0)
    others = (1 - steepest) * slope * (wide - mean)
    pulled = others - steepest * others.sum(-1, keepdim=True)
    return pulled.clamp(-bound, bound).to(direction)


def _above_two(alpha: Alpha) -> bool:
    return bool((alpha > 2).any()) if isinstance(alpha, Tensor) else alpha > 2


def _power_of_weights(p: Tensor, alpha: Alpha) -> Tensor:
    """p^(2 - alpha) on the support, else 0; above alpha = 2 in double precision.

    It is bounded by the third root of the largest number.
    """
    if _above_two(alpha):
        p = _wide(p)
        largest = math.log(torch.finfo(p.dtype).max) / 3
        alpha = _wide(alpha) if isinstance(alpha, Tensor) else alpha
        # finite where it is not taken, for a second derivative
        log = torch.where(p > 0, p, 1.0).log()
        return torch.where(p > 0, ((2 - alpha) * log).clamp(max=largest).exp(), 0.0)
    if not isinstance(alpha, Tensor):
        if alpha == 1:
            return p
        if alpha == 2:
            return p.sign()
        if alpha == 1.5:
            # sqrt p, which is slow to say 0
            return p * p.clamp(min=_tiny(p)).rsqrt()
    exponent = 2 - alpha
    if isinstance(exponent, Tensor):
        exponent = exponent.clamp(min=_tiny(p))  # 0 times -inf is no power of 0
    return _log2(p).mul(exponent).exp2()


def _by_alpha(p: Tensor, alpha: Tensor) -> Tensor:
    """dp / d alpha, for alpha (..., 1) (Correia et al. 2019, proposition 1).

    With a = alpha - 1, the share r = s / sum(s) of the slope s = p^(1 - a), and
    m = (p - a p ln p) / a^2, it is m - r sum(m). Any multiple of s may be added to m.
    Less s / a^2 it is -p v^2 (e^v - 1 - v) / v^2 / a^2 with v = -a ln p, which keeps its
    digits as a goes to 0: there it is -p (ln p)^2 / 2.
    """
    dtype, device = p.dtype, p.device
    slope = _wide(_power_of_weights(p, alpha))
    p, a = _wide(p), _wide(alpha) - 1
    share = slope / slope.sum(-1, keepdim=True).clamp(min=_tiny(p))
    log = torch.where(p > 0, p, 1.0).log()
    near = a < NEAR_ONE - 1
    v = -a * log
    small = v < 1
    v_small, v_large = torch.where(small, v, 0.0), torch.where(small, 1.0, v)
    a_large = torch.where(near, 1.0, a)
    quotient = torch.where(
        small, _quotient(v_small), (torch.expm1(v_large) - v_large) / v_large**2
    )
    m = torch.where(near, -p * log**2 * quotient, p * (1 - a_large * log) / a_large**2)
    change = m - share * m.sum(-1, keepdim=True)
    return change.to(device, dtype)


def _quotient(v: Tensor) -> Tensor:
    """(e^v - 1 - v) / v^2 = sum_k v^k / (k + 2)! for 0 <= v < 1, by Horner's rule."""
    total = torch.zeros_like(v)
    for k in reversed(range(17)):
        total = total * v + 1 / math.factorial(k + 2)
    return total
