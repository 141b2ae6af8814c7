"""The laws of attention weights, to which every normalizer is held while models run.

They cost a few passes over the weights, and ask nothing of a row whose scores are NaN
or +inf: its model diverged, which the loss tells.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attention_audit.models.normalizers import Normalizer
from attention_audit.records.errors import AuditError

# How far from one the weights of a row may sum; rounding stays far below.
TOLERANCE = 1e-3


@contextmanager
def lawful(model: nn.Module, *, once: bool = False) -> Iterator[None]:
    """Within it, what the normalizers of a model return is held to the laws.

    At every pass, or at the first one alone. Raises `AuditError` at a pass that breaks a
    law; it names the kind and the law.
    """
    hooks = {}

    def check(
        normalizer: Normalizer, inputs: tuple[Tensor, Tensor], weights: Tensor
    ) -> None:
        if once:
            hooks[normalizer].remove()
        fault = broken_law(*inputs, weights, normalizer.on_simplex)
        if fault is not None:
            kind = normalizer.kind
            raise AuditError(
                f"normalizer kind '{kind}': its weights {fault}. Mend workflow/scripts/"
                f"attention_audit/models/normalizers/{kind}.py; `make check-normalizer "
                f"KIND={kind}` tests it alone."
            )

    for module in model.modules():
        if isinstance(module, Normalizer):
            hooks[module] = module.register_forward_hook(check)
    try:
        yield
    finally:
        for hook in hooks.values():
            hook.remove()


@torch.no_grad()
def broken_law(
    scores: Tensor, mask: Tensor, weights: Tensor, on_simplex: bool
) -> str | None:
    """The first law that weights of scores (..., n) break, in words; None if none.

    A weight a score; all finite; none negative; exactly 0 where masked; on the simplex,
    rows that sum to 1, or to 0 where no unmasked score is above -inf.
    """
    shape = getattr(weights, "shape", None)
    if shape != scores.shape:
        got = type(weights).__name__ if shape is None else tuple(shape)
        return f"must have the shape of the scores, {tuple(scores.shape)}, got {got}"
    mask = mask.reshape((1,) * (scores.dim() - mask.dim()) + mask.shape)
    if _lawful_at_a_glance(mask, weights, on_simplex):
        return None
    broken = (scores.isnan() | (scores == torch.inf)) & mask
    rows = ~broken.any(-1)
    scores, weights, mask = scores[rows], weights[rows], mask.expand_as(scores)[rows]
    if not weights.isfinite().all():
        return f"must be finite, got {weights[~weights.isfinite()][0]}"
    if (weights < 0).any():
        return f"must not be negative, got {weights.min():.3g}"
    if (masked := weights[~mask]).any():
        return f"must be exactly 0 where masked, got {masked.max():.3g}"
    sums, some = weights.sum(-1), (mask & (scores > -torch.inf)).any(-1)
    if on_simplex and (far := (sums - some.to(sums)).abs() > TOLERANCE).any():
        return f"must sum to {int(some[far][0])} in a row, got {sums[far][0]:.3g}"
    return None


def _lawful_at_a_glance(mask: Tensor, weights: Tensor, on_simplex: bool) -> bool:
    """Whether weights keep all laws; False where a closer look is needed."""
    rows = weights.sum(-1)  # with what is not finite
    # Over all that share a mask, as many rows do in self-attention. Sums of what is not
    # negative are 0 where all of it is, and quicker than a largest weight.
    shared = [i for i, n in enumerate(mask.shape) if n < weights.shape[i]]
    columns = weights.sum(shared, keepdim=True) if shared else weights
    kept = rows.isfinite().all() & (weights.amin() >= 0)
    kept &= (columns.masked_fill(mask, 0) == 0).all()
    if on_simplex:
        kept &= ((rows - mask.any(-1).to(rows)).abs() <= TOLERANCE).all()
    return bool(kept)
