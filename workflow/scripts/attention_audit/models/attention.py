"""Scorers, attention pooling, and self-attention with any normalizer.

Shapes: B instances, n positions, H hidden size, nh heads. ``mask`` is (B, n) bool,
True at tokens and False at padding.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attention_audit.models.encoder_kinds import SCORERS, made_of_kind
from attention_audit.models.normalizers import build_normalizer
from attention_audit.records.errors import AuditError


class AdditiveScorer(nn.Module):
    """w . tanh(W h), W: H -> H/2 unless told (Jain & Wallace 2019).

    Where a query q asks, w . tanh(W h + U q) (Bahdanau et al. 2015).
    """

    # Whether neither the place of a state matters nor the other states.
    pointwise = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int | None = None,
        query_size: int | None = None,
    ):
        super().__init__()
        hidden_size = hidden_size or max(1, input_size // 2)
        self.project = nn.Linear(input_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        if query_size is not None:
            self.ask = nn.Linear(query_size, hidden_size, bias=False)

    def forward(self, hidden: Tensor, query: Tensor | None = None) -> Tensor:
        """(B, n, H) and none, (B, Q) or (B, T, Q) -> (B, n) or (B, T, n)"""
        inner = self.project(hidden)
        if query is not None:
            asked = self.ask(query).unsqueeze(-2)
            inner = (inner if query.dim() == 2 else inner.unsqueeze(1)) + asked
        return self.score(torch.tanh(inner)).squeeze(-1)


class ScaledDotProductScorer(nn.Module):
    """w . h / sqrt(H) with a learned query w (Jain & Wallace 2019).

    Where a query q asks, W q . h / sqrt(H): "general" of Luong et al. (2015), and what
    keys and queries of one head come to (Vaswani et al. 2017).
    """

    pointwise = True

    def __init__(self, input_size: int, query_size: int | None = None):
        super().__init__()
        if query_size is None:
            self.score = nn.Linear(input_size, 1, bias=False)
        else:
            self.ask = nn.Linear(query_size, input_size, bias=False)
        self.scale = 1 / math.sqrt(input_size)

    def forward(self, hidden: Tensor, query: Tensor | None = None) -> Tensor:
        """(B, n, H) and none, (B, Q) or (B, T, Q) -> (B, n) or (B, T, n)"""
        if query is None:
            return self.score(hidden).squeeze(-1) * self.scale
        asked = self.ask(query)
        if query.dim() == 2:
            return (hidden @ asked.unsqueeze(-1)).squeeze(-1) * self.scale
        return asked @ hidden.mT * self.scale


class LastScorer(nn.Module):
    """The place of a state, in steps so large that the last one gets all weight.

    It learns nothing: a model without attention, which decides by its last state, seen as
    one that has some.
    """

    step = 1e4  # exp(-step) is 0 in double precision too

    def __init__(self, input_size: int, query_size: int | None = None):
        super().__init__()

    def forward(self, hidden: Tensor, query: Tensor | None = None) -> Tensor:
        """(B, n, H) and none, (B, Q) or (B, T, Q) -> (B, n) or (B, T, n)"""
        n = hidden.shape[-2]
        places = torch.arange(n, dtype=hidden.dtype, device=hidden.device) * self.step
        shape = hidden.shape[:1] if query is None else query.shape[:-1]
        return places.expand(*shape, n)


def build_scorer(
    settings: Mapping[str, Any], input_size: int, query_size: int | None = None
) -> nn.Module:
    """The scorer of a declared instance, for hidden states of ``input_size``.

    ``query_size`` is None where no query asks.
    """
    asked = {} if query_size is None else {"query_size": query_size}
    return made_of_kind("scorer", SCORERS, {**settings, **asked}, input_size)


class AttentionPooling(nn.Module):
    """Weights over the hidden states, and from their weighted sum the context vector.

    A decoder asks with a query of ``query_size`` for each of its decisions: one an instance,
    (B, Q), or T of them, (B, T, Q), and there are as many rows of weights, (B, n) or
    (B, T, n), and contexts. ``ask`` is what becomes of a query before it is scored, and
    ``values`` of the hidden states before they are summed.
    """

    def __init__(
        self,
        input_size: int,
        scorer: Mapping[str, Any],
        normalizer: Mapping[str, Any],
        query_size: int | None = None,
        ask: nn.Module | None = None,
        values: nn.Module | None = None,
    ):
        super().__init__()
        self.scorer = build_scorer(scorer, input_size, query_size)
        self.normalizer = build_normalizer(normalizer, input_size)
        self.ask = ask or nn.Identity()
        self.values = values or nn.Identity()

    def scores(self, hidden: Tensor, query: Tensor | None = None) -> Tensor:
        """(B, n, H) -> (B, n); with queries (B, T, Q), (B, T, n)."""
        if query is None:
            return self.scorer(hidden)
        return self.scorer(hidden, self.ask(query))

    def weights(
        self, hidden: Tensor, mask: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """(B, n, H), (B, n) -> (B, n); exactly 0 where masked. See `scores`."""
        scores = self.scores(hidden, query)
        return self.normalizer(scores, mask if scores.dim() == 2 else mask.unsqueeze(1))

    def context(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """(B, n, H), (B, n) -> (B, H), through what the normalizer does to it.

        And for weights (B, T, n), (B, T, H).
        """
        values = self.values(hidden)
        if weights.dim() == 3:
            return self.normalizer.context(weights @ values)
        return self.normalizer.context(torch.einsum("bn,bnh->bh", weights, values))


# What self-attention and cross-attention share (Vaswani et al. 2017, sec. 3.2). Functions,
# for of a class that others derive from every job depends that imports this module.


def _head_size(name: str, hidden_size: int, heads: int) -> int:
    if hidden_size % heads:
        raise AuditError(
            f"{name}: hidden_size {hidden_size} is not divisible by heads {heads}"
        )
    return hidden_size // heads


def _split(projected: Tensor, parts: int, heads: int) -> Tensor:
    """(B, n, parts H) -> parts x (B, nh, n, hs)"""
    return projected.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)


def _attend(
    attention: nn.Module, scores: Tensor, v: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores (B, nh, T, n), values (B, nh, n, hs) -> (B, T, H), (B, nh, T, n).

    ``mask`` says which keys may be attended, of the shape of the scores or one that is
    spread over it.
    """
    weights = attention.normalizer(scores, mask)
    # (B, nh, T, hs) -> (B, T, H)
    contexts = (weights @ v).transpose(1, 2).flatten(2)
    return attention.output(_through_context(attention, contexts)), weights


def _through_context(attention: nn.Module, contexts: Tensor) -> Tensor:
    each = contexts.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
    return attention.normalizer.context(each).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention with any normalizer.

    ``bias()``, where there is one, gives scores (nh, n, n) to add to those of the states.
    With ``causal`` a query attends to no key behind it.
    """

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        normalizer: Mapping[str, Any],
        bias: nn.Module | None = None,
        causal: bool = False,
    ):
        super().__init__()
        head_size = _head_size("self-attention", hidden_size, heads)
        self.heads, self.scale = heads, 1 / math.sqrt(head_size)
        self.project = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.normalizer = build_normalizer(normalizer, head_size, heads)
        self.bias = bias
        self.causal = causal

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, H), (B, n) -> (B, n, H) and weights (B, nh, n, n), queries by keys."""
        q, k, v = _split(self.project(x), 3, self.heads)
        scores = (q @ k.transpose(-2, -1)) * self.scale
        if self.bias is not None:
            scores = scores + self.bias()
        may = mask[:, None, None, :]
        if self.causal:
            may = may & mask.new_ones(scores.shape[-2:]).tril()
        return _attend(self, scores, v, may)

    def step(
        self, x: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One state more, (B, 1, H), after t others: what ``forward`` makes of the last.

        ``keys`` and ``values`` (B, nh, t, hs) are of those before; they come back with its
        own.
        """
        q, k, v = _split(self.project(x), 3, self.heads)
        keys, values = torch.cat([keys, k], dim=-2), torch.cat([values, v], dim=-2)
        scores = (q @ keys.transpose(-2, -1)) * self.scale
        may = torch.ones((), dtype=torch.bool, device=x.device)
        return _attend(self, scores, values, may)[0], keys, values

    def through_context(self, contexts: Tensor) -> Tensor:
        """What the normalizer makes of the contexts of all heads, (B, n, H)."""
        return _through_context(self, contexts)


class CrossAttention(nn.Module):
    """Attention of a decoder's states to hidden states, with any normalizer."""

    def __init__(
        self,
        hidden_size: int,
        memory_size: int,
        heads: int,
        normalizer: Mapping[str, Any],
    ):
        super().__init__()
        head_size = _head_size("cross-attention", hidden_size, heads)
        self.heads, self.scale = heads, 1 / math.sqrt(head_size)
        self.ask = nn.Linear(hidden_size, hidden_size)
        self.project = nn.Linear(memory_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.normalizer = build_normalizer(normalizer, head_size, heads)

    def forward(self, x: Tensor, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H), (B, m, M), (B, m) -> (B, T, H) and weights (B, nh, T, m)."""
        (q,) = _split(self.ask(x), 1, self.heads)
        k, v = _split(self.project(hidden), 2, self.heads)
        scores = (q @ k.transpose(-2, -1)) * self.scale
        return _attend(self, scores, v, mask[:, None, None, :])
