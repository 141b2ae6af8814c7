"""Rectified linear attention."""

import torch
from torch import Tensor, nn

from attention_audit.normalizers import Normalizer

# Added to the mean square of a context vector, so that an empty one stays 0.
RMS_EPSILON = 1e-6


class ReLA(Normalizer):
    """Rectified linear attention: p = relu(z) (Zhang, Titov & Sennrich 2021, eq. 4-7).

    The weights are not normalized: they may sum to anything, and to 0 where no score
    is positive (null attention). What keeps the context in range is RMSNorm, with a
    learned gain g, on the context c of each head: c / rms(c) * g. The gated variant
    multiplies it by sigmoid(w * c) with a learned w. An empty context stays 0.

    Unlike on the simplex, the level of the scores matters and not their differences
    alone.
    """

    on_simplex = False

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


NORMALIZER = ReLA
