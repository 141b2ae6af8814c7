"""Normalizers map attention scores to weights.

Each maps scores z over the last axis to weights p, with masked positions at exactly 0
and without gradient. All here map to the simplex: p >= 0 and sum p = 1, unless every
position is masked, where all weights are 0. To add one, write a function
``(scores, mask, **parameters) -> weights`` and enter it in `NORMALIZERS` under its
kind; its parameters are the keys of the instance in the config.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import entmax
import torch
from torch import Tensor

from attention_audit.errors import AuditError, suggestion

Normalizer = Callable[[Tensor, Tensor], Tensor]

# So far below the largest score that no mapping here gives any weight, and near enough
# for sums and squares of it to stay exact in float32.
FAR_BELOW = -1e4


def _over_unmasked(
    mapping: Callable[[Tensor], Tensor], scores: Tensor, mask: Tensor
) -> Tensor:
    """Apply a simplex mapping to unmasked positions only.

    Shifting scores does not change any mapping to the simplex, so the largest
    unmasked score becomes 0 first. Masked scores then become a finite number far
    below: it gets weight 0 from every mapping, and unlike -inf it cannot turn the sums
    inside a threshold search into NaN. The final product makes the zero exact, and the
    weights of a row without any unmasked position zero.

    A score of NaN or +inf makes its row's weights NaN, for every mapping alike, so
    that a model that diverged is noticed; some searches would end in an index error.
    """
    hidden = ~mask
    top = scores.masked_fill(hidden, -torch.inf).amax(-1, keepdim=True)
    # A row that is masked throughout has no largest score; any finite value will do.
    top = torch.where(top == -torch.inf, 0.0, top).detach()
    shifted = (scores - top).masked_fill(hidden, FAR_BELOW).clamp(min=FAR_BELOW)
    broken = shifted.isnan().any(-1, keepdim=True)
    weights = mapping(shifted.masked_fill(broken, 0.0)) * mask
    return weights.masked_fill(broken & mask, torch.nan)


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """p_i proportional to exp z_i: positive everywhere."""
    return _over_unmasked(partial(torch.softmax, dim=-1), scores, mask)


def sparsemax(scores: Tensor, mask: Tensor) -> Tensor:
    """argmin_p ||p - z||^2 over the simplex (Martins & Astudillo 2016, eq. 1)."""
    return _over_unmasked(partial(entmax.sparsemax, dim=-1), scores, mask)


def alpha_entmax(scores: Tensor, mask: Tensor, alpha: float = 1.5) -> Tensor:
    """argmax_p p.z + H_alpha(p), H the Tsallis entropy (Peters et al. 2019, eq. 10).

    alpha = 1 is softmax, 2 is sparsemax; larger alpha gives sparser weights. 1.5 has
    an exact solution by sorting, any other alpha > 1 is found by bisection.
    """
    if alpha < 1:
        raise AuditError(f"entmax: alpha must be at least 1, got {alpha}")
    exact = {1.0: torch.softmax, 1.5: entmax.entmax15, 2.0: entmax.sparsemax}
    mapping = exact.get(float(alpha))
    if mapping is None:
        mapping = partial(entmax.entmax_bisect, alpha=alpha)
    return _over_unmasked(partial(mapping, dim=-1), scores, mask)


def sparsegen(scores: Tensor, mask: Tensor, lam: float = 0.0) -> Tensor:
    """argmin_p ||p - z||^2 - lam ||p||^2 over the simplex (Laha et al. 2018, eq. 3).

    Equals sparsemax(z / (1 - lam)): lam -> 1 is one-hot, lam -> -inf uniform.
    """
    if lam >= 1:
        raise AuditError(f"sparsegen: lam must be less than 1, got {lam}")
    return sparsemax(scores / (1 - lam), mask)


def uniform(scores: Tensor, mask: Tensor) -> Tensor:
    """1/n over the unmasked positions, whatever their scores."""
    weights = mask.to(scores.dtype).expand_as(scores)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1)


NORMALIZERS: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax": alpha_entmax,
    "sparsegen": sparsegen,
    "uniform": uniform,
}


def build_normalizer(settings: Mapping[str, Any]) -> Normalizer:
    """The function ``(scores, mask) -> weights`` of a declared instance.

    ``scores``: (..., n) floats; ``mask``: bool, broadcastable to it, True where a
    position may be attended. Returns weights of the shape and dtype of ``scores``.
    """
    parameters = dict(settings)
    kind = parameters.pop("kind")
    if kind not in NORMALIZERS:
        raise AuditError(
            f"unknown normalizer kind '{kind}'.{suggestion(kind, NORMALIZERS)}"
        )
    return partial(NORMALIZERS[kind], **parameters)
