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

import entmax
import torch
from torch import Tensor, nn

from attention_audit.errors import AuditError, suggestion

# So far below the largest score that no mapping to the simplex gives any weight, and
# near enough for sums and squares of it to stay exact in float32.
FAR_BELOW = -1e4

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


def _over_unmasked(
    mapping: Callable[[Tensor], Tensor], scores: Tensor, mask: Tensor
) -> Tensor:
    """Apply a simplex mapping to unmasked positions only.

    Shifting scores does not change any mapping to the simplex, so the largest
    unmasked score becomes 0 first. Masked scores then become a finite number far
    below: it gets weight 0 from every mapping, and unlike -inf it cannot turn the sums
    inside a threshold search into NaN. The final product makes the zero exact, and the
    weights of a row without any unmasked position zero. A score of -inf is masked.

    A score of NaN or +inf makes its row's weights NaN, for every mapping alike, so
    that a model that diverged is noticed; some searches would end in an index error.

    Half precision is too coarse for a threshold: it is found in float32.
    """
    hidden = ~mask | (scores == -torch.inf)
    exact = scores.float() if scores.dtype.itemsize < 4 else scores
    top = exact.masked_fill(hidden, -torch.inf).amax(-1, keepdim=True)
    # A row that is masked throughout has no largest score; any finite value will do.
    top = torch.where(top == -torch.inf, 0.0, top).detach()
    shifted = (exact - top).masked_fill(hidden, FAR_BELOW).clamp(min=FAR_BELOW)
    broken = shifted.isnan().any(-1, keepdim=True)
    weights = mapping(shifted.masked_fill(broken, 0.0)) * ~hidden
    return weights.masked_fill(broken & mask, torch.nan).to(scores.dtype)


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """p_i proportional to exp z_i: positive everywhere."""
    return _over_unmasked(partial(torch.softmax, dim=-1), scores, mask)


def sparsemax(scores: Tensor, mask: Tensor) -> Tensor:
    """argmin_p ||p - z||^2 over the simplex (Martins & Astudillo 2016, eq. 1)."""
    return _over_unmasked(partial(entmax.sparsemax, dim=-1), scores, mask)


def alpha_entmax(scores: Tensor, mask: Tensor, alpha: float | Tensor = 1.5) -> Tensor:
    """argmax_p p.z + H_alpha(p), H the Tsallis entropy (Peters et al. 2019, eq. 10).

    alpha = 1 is softmax, 2 is sparsemax; larger alpha gives sparser weights. 1.5 has
    an exact solution by sorting, any other alpha > 1 is found by bisection. As a tensor
    that broadcasts to ``scores`` it must be above 1, and gets a gradient.
    """
    if isinstance(alpha, Tensor):
        mapping = partial(entmax.entmax_bisect, alpha=alpha)
    elif alpha < 1:
        raise AuditError(f"entmax: alpha must be at least 1, got {alpha}")
    else:
        exact = {1.0: torch.softmax, 1.5: entmax.entmax15, 2.0: entmax.sparsemax}
        mapping = exact.get(float(alpha), partial(entmax.entmax_bisect, alpha=alpha))
    return _over_unmasked(partial(mapping, dim=-1), scores, mask)


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
    kth = visible.topk(min(k, scores.shape[-1]), sorted=True).values[..., -1:]
    # False for NaN, so that a broken row is noticed as such.
    dropped = visible < kth
    return _over_unmasked(
        lambda z: z.masked_fill(dropped, -torch.inf).softmax(-1), scores, mask
    )


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
