"""Scorers, attention pooling, and self-attention with any normalizer.

Shapes: B instances, n positions, H hidden size, nh heads. ``mask`` is (B, n) bool,
True at tokens and False at padding.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attention_audit.models.normalizers import build_normalizer
from attention_audit.records.errors import AuditError, suggestion


class AdditiveScorer(nn.Module):
    """w . tanh(W h), W: H -> H/2 unless told (Bahdanau et al. 2015; Jain & Wallace 2019)."""

    def __init__(self, input_size: int, hidden_size: int | None = None):
        super().__init__()
        hidden_size = hidden_size or max(1, input_size // 2)
        self.project = nn.Linear(input_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, n, H) -> (B, n)"""
        return self.score(torch.tanh(self.project(hidden))).squeeze(-1)


class ScaledDotProductScorer(nn.Module):
    """w . h / sqrt(H) with a learned query w (Jain & Wallace 2019)."""

    def __init__(self, input_size: int):
        super().__init__()
        self.score = nn.Linear(input_size, 1, bias=False)
        self.scale = 1 / math.sqrt(input_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, n, H) -> (B, n)"""
        return self.score(hidden).squeeze(-1) * self.scale


SCORERS: dict[str, type[nn.Module]] = {
    "additive": AdditiveScorer,
    "scaled_dot_product": ScaledDotProductScorer,
}


def build_scorer(settings: Mapping[str, Any], input_size: int) -> nn.Module:
    """The scorer of a declared instance, for hidden states of ``input_size``."""
    parameters = dict(settings)
    kind = parameters.pop("kind")
    if kind not in SCORERS:
        raise AuditError(f"unknown scorer kind '{kind}'.{suggestion(kind, SCORERS)}")
    return SCORERS[kind](input_size, **parameters)


class AttentionPooling(nn.Module):
    """Weights over the hidden states, and from their weighted sum the context vector."""

    def __init__(
        self, input_size: int, scorer: Mapping[str, Any], normalizer: Mapping[str, Any]
    ):
        super().__init__()
        self.scorer = build_scorer(scorer, input_size)
        self.normalizer = build_normalizer(normalizer, input_size)

    def weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, n, H), (B, n) -> (B, n); exactly 0 where masked."""
        return self.normalizer(self.scorer(hidden), mask)

    def context(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """(B, n, H), (B, n) -> (B, H), through what the normalizer does to it."""
        return self.normalizer.context(torch.einsum("bn,bnh->bh", weights, hidden))


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, sec. 3.2) with any normalizer.

    ``bias()``, where there is one, gives scores (nh, n, n) to add to those of the states.
    """

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        normalizer: Mapping[str, Any],
        bias: nn.Module | None = None,
    ):
        super().__init__()
        if hidden_size % heads:
            raise AuditError(
                f"self-attention: hidden_size {hidden_size} is not divisible by "
                f"heads {heads}"
            )
        self.heads = heads
        head_size = hidden_size // heads
        self.scale = 1 / math.sqrt(head_size)
        self.project = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.normalizer = build_normalizer(normalizer, head_size, heads)
        self.bias = bias

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, H), (B, n) -> (B, n, H) and weights (B, nh, n, n), queries by keys."""
        B, n, H = x.shape
        # (B, n, 3H) -> 3 x (B, nh, n, hs)
        q, k, v = (
            self.project(x)
            .view(B, n, 3, self.heads, H // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        scores = (q @ k.transpose(-2, -1)) * self.scale
        if self.bias is not None:
            scores = scores + self.bias()
        weights = self.normalizer(scores, mask[:, None, None, :])
        # (B, nh, n, hs) -> (B, n, H)
        contexts = (weights @ v).transpose(1, 2).reshape(B, n, H)
        return self.output(self.through_context(contexts)), weights

    def through_context(self, contexts: Tensor) -> Tensor:
        """What the normalizer makes of the contexts of all heads, (B, n, H)."""
        each = contexts.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.normalizer.context(each).transpose(1, 2).flatten(2)
