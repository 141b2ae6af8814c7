"""Rectified linear attention."""

import math

import torch
from torch import Tensor, nn

from attention_audit.models.normalizers import Normalizer
from attention_audit.records.errors import AuditError

# Added to the mean square of a context vector, as in the authors' code, so that an empty
# one stays 0.
RMS_EPSILON = 1e-8

# What a norm is over: the contexts of all heads, or those of each apart.
NORMS = ("joined", "per_head")


class ReLA(Normalizer):
    """Rectified linear attention: p = relu(z) (Zhang, Titov & Sennrich 2021, eq. 4-7).

    The weights are not normalized: they may sum to anything, and to 0 where no score
    is positive (null attention). What keeps the context in range is RMSNorm, with a
    learned gain g, on the context c of all heads, one behind the other:

        g * c * rsqrt(mean square of c + 1e-8).

    The gated variant multiplies it by sigmoid(w * c) with a learned w. An empty context
    stays 0. So it is in the authors' code (bzhangGo/zero, modules/rela.py), which is
    always gated. With ``norm = "per_head"`` each head has a mean square of its own, which
    is another model: a head of small values has as much to say as the others there.

    Unlike on the simplex, the level of the scores matters and not their differences
    alone.
    """

    on_simplex = False

    def __init__(
        self,
        size: int,
        heads: int | None = None,
        gated: bool = False,
        norm: str = "joined",
    ):
        super().__init__()
        if norm not in NORMS:
            raise AuditError(
                f"rela: norm must be one of {', '.join(NORMS)}, got {norm}"
            )
        # contexts (B, size), or (B, nh, n, size)
        self.normed = (-3, -1) if heads is not None and norm == "joined" else (-1,)
        shape = (size,) if heads is None else (heads, 1, size)
        self.gain = nn.Parameter(torch.ones(shape))
        self.gate = None
        if gated:
            # Glorot's bound for a vector, whose sizes in and out are its own
            bound = math.sqrt(3 / math.prod(shape))
            self.gate = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        visible = scores.masked_fill(~mask, 0.0)
        broken = (visible.isnan() | (visible == torch.inf)).any(-1, keepdim=True)
        return visible.relu().masked_fill(broken & mask, torch.nan)

    def context(self, context: Tensor) -> Tensor:
        mean_square = context.square().mean(self.normed, keepdim=True)
        normed = context * torch.rsqrt(mean_square + RMS_EPSILON) * self.gain
        if self.gate is None:
            return normed
        return normed * (self.gate * context).sigmoid()


NORMALIZER = ReLA
