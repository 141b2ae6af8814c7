"""Normalizers map attention scores to weights, and may act on the context vector.

Each maps scores z over the last axis to weights p >= 0, with masked positions at
exactly 0 and without gradient. All but ReLA map to the simplex: sum p = 1, unless
every position is masked, where all weights are 0.

To add one without parameters to learn, write a function ``(scores, mask,
**settings) -> weights``; to add one with such parameters, or one that changes the
context, write a `Normalizer`. Enter it in `NORMALIZERS` under its kind; its settings
are the keys of the instance in the config.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attention_audit import simplex
from attention_audit.errors import AuditError, suggestion

# Added to the mean square of a context vector, so that an empty one stays 0.
RMS_EPSILON = 1e-6

# The value of `alpha` that makes it a parameter.
LEARNED = "learned"


class Normalizer(nn.Module):
    """From scores to weights, and from their weighted sum to the context vector."""

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Weights of the shape and dtype of ``scores``.

        ``scores``: (..., n) floats; ``mask``: bool, broadcastable to it, True where a
        position may be attended.
        """
        raise NotImplementedError

    def context(self, context: Tensor) -> Tensor:
        """What becomes of the weighted sum of values, (..., size) -> (..., size)."""
        return context


class Fixed(Normalizer):
    """A normalizer that is a function of scores and mask alone."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        return self.function(scores, mask)


# --- mappings to the simplex ----------------------------------------------------
#
# A score of -inf is like a mask. One of NaN or +inf makes its row's weights NaN, for
# every mapping alike, so that a model that diverged is noticed.


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """p_i proportional to exp z_i: positive everywhere."""
    return simplex.entmax(scores, mask, 1.0)


def sparsemax(scores: Tensor, mask: Tensor) -> Tensor:
    """argmin_p ||p - z||^2 over the simplex (Martins & Astudillo 2016, eq. 1)."""
    return simplex.entmax(scores, mask, 2.0)


def alpha_entmax(scores: Tensor, mask: Tensor, alpha: float | Tensor = 1.5) -> Tensor:
    """argmax_p p.z + H_alpha(p), H the Tsallis entropy (Peters et al. 2019, eq. 10).

    alpha = 1 is softmax, 2 is sparsemax; larger alpha gives sparser weights. As a
    tensor it must lie between 1 and 2, and gets a gradient; see `simplex.entmax`.
    """
    if not isinstance(alpha, Tensor) and alpha < 1:
        raise AuditError(f"entmax: alpha must be at least 1, got {alpha}")
    return simplex.entmax(scores, mask, alpha)


class Entmax(Normalizer):
    """`alpha_entmax` with alpha given or learned.

    Learned, alpha = 1 + sigmoid(a) lies between softmax and sparsemax, with one a for
    a pooling layer and one a head of self-attention (Correia et al. 2019, sec. 3.3).
    It starts at 1.5.
    """

    def __init__(self, size: int, heads: int | None = None, alpha: float | str = 1.5):
        super().__init__()
        self.fixed = None if alpha == LEARNED else alpha
        if self.fixed is None:
            # (nh, 1, 1), against scores (B, nh, n, n)
            shape = (1,) if heads is None else (heads, 1, 1)
            self.raw_alpha = nn.Parameter(torch.zeros(shape))

    @property
    def alpha(self) -> float | Tensor:
        return 1 + self.raw_alpha.sigmoid() if self.fixed is None else self.fixed

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        return alpha_entmax(scores, mask, self.alpha)


def sparsegen(scores: Tensor, mask: Tensor, lam: float = 0.0) -> Tensor:
    """argmin_p ||p - z||^2 - lam ||p||^2 over the simplex (Laha et al. 2018, eq. 3).

    Equals sparsemax(z / (1 - lam)): lam -> 1 is one-hot, lam -> -inf uniform.
    """
    if lam >= 1:
        raise AuditError(f"sparsegen: lam must be less than 1, got {lam}")
    return sparsemax(scores / (1 - lam), mask)


def top_k(scores: Tensor, mask: Tensor, k: int) -> Tensor:
    """Softmax over the k largest scores (Zhao et al. 2019, eq. 3 and 4).

    Scores that equal the k-th largest stay, so that permuting the scores permutes the
    weights; with k unmasked positions or fewer it is softmax. Only what stays gets a
    gradient.
    """
    if k < 1:
        raise AuditError(f"top_k: k must be at least 1, got {k}")
    visible = scores.detach().masked_fill(~mask, -torch.inf)
    largest = visible.topk(min(k, scores.shape[-1]), sorted=True).values
    # NaN counts as the largest here; it and +inf keep the whole row, to break it.
    dropped = (visible < largest[..., -1:]) & (largest[..., :1] < torch.inf)
    return softmax(scores, mask & ~dropped)


def uniform(scores: Tensor, mask: Tensor) -> Tensor:
    """1/n over the unmasked positions, whatever their scores."""
    weights = mask.to(scores.dtype).expand_as(scores)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1)


# --- beyond the simplex ---------------------------------------------------------


class ReLA(Normalizer):
    """Rectified linear attention: p = relu(z) (Zhang, Titov & Sennrich 2021, eq. 4-7).

    The weights are not normalized: they may sum to anything, and to 0 where no score
    is positive (null attention). What keeps the context in range is RMSNorm, with a
    learned gain g, on the context c of each head: c / rms(c) * g. The gated variant
    multiplies it by sigmoid(w * c) with a learned w. An empty context stays 0.

    Unlike on the simplex, the level of the scores matters and not their differences
    alone.
    """

    def __init__(self, size: int, heads: int | None = None, gated: bool = False):
        super().__init__()
        # (nh, 1, size), against contexts (B, nh, n, size)
        shape = (size,) if heads is None else (heads, 1, size)
        self.gain = nn.Parameter(torch.ones(shape))
        # from 0, where the gate lets half of every context pass
        self.gate = nn.Parameter(torch.zeros(shape)) if gated else None

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        visible = scores.masked_fill(~mask, 0.0)
        broken = (visible.isnan() | (visible == torch.inf)).any(-1, keepdim=True)
        return visible.relu().masked_fill(broken & mask, torch.nan)

    def context(self, context: Tensor) -> Tensor:
        mean_square = context.square().mean(-1, keepdim=True)
        normed = context * torch.rsqrt(mean_square + RMS_EPSILON) * self.gain
        if self.gate is None:
            return normed
        return normed * (self.gate * context).sigmoid()


# --- by kind --------------------------------------------------------------------

NORMALIZERS: dict[str, Callable[..., Tensor] | type[Normalizer]] = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax": Entmax,
    "sparsegen": sparsegen,
    "top_k": top_k,
    "rela": ReLA,
    "uniform": uniform,
}


def build_normalizer(
    settings: Mapping[str, Any], size: int, heads: int | None = None
) -> Normalizer:
    """The normalizer of a declared instance.

    ``size`` is that of a context vector. ``heads``: None for one set of scores an
    instance, (B, n); in self-attention the number of heads, where scores are
    (B, heads, n, n) and each head has parameters of its own.
    """
    parameters = dict(settings)
    kind = parameters.pop("kind")
    if kind not in NORMALIZERS:
        raise AuditError(
            f"unknown normalizer kind '{kind}'.{suggestion(kind, NORMALIZERS)}"
        )
    made = NORMALIZERS[kind]
    if isinstance(made, type):
        return made(size, heads, **parameters)
    return Fixed(partial(made, **parameters))
