"""Decoders: from the target words so far, what asks for attention to the source.

All read embeddings (P, T, E) of target words and hidden states (P, m, M) of the source,
with a mask (P, m), and give a query (P, T, Q) for each target word to come, which depends
on no later one. What attends by it, and which of the scorers and normalizers, is the
model's pooling: the last cross-attention, one head of scores, so that its weights can be
exchanged.

What is past to a decoder, which it keeps of the words so far, is a tuple of tensors, of every
sentence along the first axis.

Shapes: P sentence pairs, T steps, m hidden states of size M, E embedding size, Q size of a
query, nh heads.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attention_audit.models.attention import CrossAttention, SelfAttention
from attention_audit.models.encoder_kinds import DECODERS, made_of_kind
from attention_audit.models.layers import FeedForwardLayer, read_lstm
from attention_audit.models.positions import sinusoidal_positions


class Asked(NamedTuple):
    """What a decoder asks with, and what it attended to on the way, layer by layer."""

    query: Tensor  # (P, T, Q)
    self_attention: list[Tensor]  # (P, nh, T, T) each
    cross_attention: list[Tensor]  # (P, nh, T, m) each, without the last


class LSTMDecoder(nn.Module):
    """An LSTM with global attention (Luong, Pham & Manning 2015, sec. 3.1).

    The query is its state s; from the context c that it asks for come the features
    tanh(W [c; s]), equation 5. Features are not fed to the next step, so that all steps of
    a sentence take one pass. It starts from the mean of the source's hidden states.
    """

    def __init__(
        self,
        embedding_size: int,
        memory_size: int,
        hidden_size: int,
        layers: int = 1,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.bridge = nn.Linear(memory_size, layers * hidden_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, layers, batch_first=True)
        self.combine = nn.Linear(memory_size + hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.query_size = self.output_size = hidden_size

    def parts(self) -> dict[str, nn.Module]:
        """What the model's pooling is made of beside scorer and normalizer: nothing."""
        return {}

    def start(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """State and cell (layers, P, Q) before the first word."""
        n = mask.sum(-1, keepdim=True).clamp(min=1)
        mean = (hidden * mask.unsqueeze(-1)).sum(1) / n
        first = torch.tanh(self.bridge(mean))
        first = first.unflatten(-1, (self.lstm.num_layers, -1)).transpose(0, 1)
        return first.contiguous(), torch.zeros_like(first)

    def forward(
        self, embedded: Tensor, target_mask: Tensor, hidden: Tensor, mask: Tensor
    ) -> Asked:
        states = read_lstm(self.lstm, self.dropout(embedded), self.start(hidden, mask))
        return Asked(states, [], [])

    def before(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """State and cell before the first word, (P, layers, Q)."""
        return tuple(part.transpose(0, 1) for part in self.start(hidden, mask))

    def step(
        self, embedded: Tensor, past: tuple[Tensor, ...], hidden: Tensor, mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One word more, (P, E): the query (P, Q), and the past of the next step."""
        state = tuple(part.transpose(0, 1).contiguous() for part in past)
        queries, state = self.lstm(self.dropout(embedded).unsqueeze(1), state)
        return queries[:, 0], tuple(part.transpose(0, 1) for part in state)

    def finish(self, context: Tensor, query: Tensor) -> Tensor:
        """Features (..., Q) of contexts (..., M) that queries (..., Q) asked for."""
        return self.dropout(
            torch.tanh(self.combine(torch.cat([context, query], dim=-1)))
        )


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention and feed-forward block."""

    def __init__(
        self,
        hidden_size: int,
        memory_size: int,
        heads: int,
        feedforward_size: int,
        dropout: float,
        self_attention: Mapping[str, Any],
        cross_attention: Mapping[str, Any],
    ):
        super().__init__()
        self.attention = SelfAttention(hidden_size, heads, self_attention, causal=True)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.cross = CrossAttention(hidden_size, memory_size, heads, cross_attention)
        self.cross_norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.after_attention = FeedForwardLayer(hidden_size, feedforward_size, dropout)

    def forward(
        self, x: Tensor, target_mask: Tensor, hidden: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(P, T, Q) -> (P, T, Q), (P, nh, T, T) and (P, nh, T, m)."""
        mixed, own = self.attention(self.attention_norm(x), target_mask)
        x = x + self.dropout(mixed)
        mixed, cross = self.cross(self.cross_norm(x), hidden, mask)
        return self.after_attention(x + self.dropout(mixed)), own, cross

    def step(
        self, x: Tensor, past: tuple[Tensor, ...], hidden: Tensor, mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One state more, (P, 1, Q), after those whose keys and values are ``past``."""
        mixed, *past = self.attention.step(self.attention_norm(x), *past)
        x = x + self.dropout(mixed)
        mixed, _ = self.cross(self.cross_norm(x), hidden, mask)
        return self.after_attention(x + self.dropout(mixed)), tuple(past)


class TransformerDecoder(nn.Module):
    """A Transformer decoder (Vaswani et al. 2017), its norms before its parts.

    In all layers but the last, cross-attention has ``heads`` heads. That of the last has
    one: the query is the state that asks it, which the context is added to.
    """

    def __init__(
        self,
        embedding_size: int,
        memory_size: int,
        hidden_size: int,
        heads: int,
        self_attention: Mapping[str, Any],
        cross_attention: Mapping[str, Any],
        layers: int = 1,
        feedforward_size: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.project = nn.Linear(embedding_size, hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(
                hidden_size,
                memory_size,
                heads,
                feedforward_size,
                dropout,
                self_attention,
                cross_attention,
            )
            for _ in range(layers - 1)
        )
        self.attention = SelfAttention(hidden_size, heads, self_attention, causal=True)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.mix = nn.Linear(memory_size, hidden_size)
        self.after_attention = FeedForwardLayer(hidden_size, feedforward_size, dropout)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.query_size = self.output_size = hidden_size
        self.memory_size = memory_size

    def parts(self) -> dict[str, nn.Module]:
        """What the model's pooling is made of beside scorer and normalizer.

        A norm of the query before it is scored, and the values of cross-attention.
        """
        return {
            "ask": nn.LayerNorm(self.query_size),
            "values": nn.Linear(self.memory_size, self.memory_size),
        }

    def forward(
        self, embedded: Tensor, target_mask: Tensor, hidden: Tensor, mask: Tensor
    ) -> Asked:
        x = self.project(embedded)
        x = self.dropout(x + sinusoidal_positions(*x.shape[1:]).to(x))
        own, cross = [], []
        for layer in self.layers:
            x, of_self, of_source = layer(x, target_mask, hidden, mask)
            own.append(of_self)
            cross.append(of_source)
        mixed, of_self = self.attention(self.attention_norm(x), target_mask)
        return Asked(x + self.dropout(mixed), [*own, of_self], cross)

    def before(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of no word yet, layer by layer, (P, nh, 0, hs)."""
        heads = self.attention.heads
        size = self.query_size // heads
        return (hidden.new_empty(len(hidden), heads, 0, size),) * (
            2 * len(self.layers) + 2
        )

    def step(
        self, embedded: Tensor, past: tuple[Tensor, ...], hidden: Tensor, mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One word more, (P, E): the query (P, Q), and the past of the next step."""
        x = self.project(embedded).unsqueeze(1)
        written = past[0].shape[-2]
        codes = sinusoidal_positions(written + 1, x.shape[-1])[written]
        x = self.dropout(x + codes.to(x))
        read: list[Tensor] = []
        for layer, *own in zip(self.layers, past[::2], past[1::2], strict=False):
            x, own = layer.step(x, own, hidden, mask)
            read += own
        mixed, *own = self.attention.step(self.attention_norm(x), *past[-2:])
        return (x + self.dropout(mixed))[:, 0], (*read, *own)

    def finish(self, context: Tensor, query: Tensor) -> Tensor:
        """Features (..., Q) of contexts (..., M) that queries (..., Q) asked for."""
        x = query + self.dropout(self.mix(context))
        return self.norm(self.after_attention(x))


def build_decoder(
    settings: Mapping[str, Any], embedding_size: int, memory_size: int
) -> nn.Module:
    """The decoder of a declared instance, for hidden states of ``memory_size``."""
    return made_of_kind("decoder", DECODERS, settings, embedding_size, memory_size)
