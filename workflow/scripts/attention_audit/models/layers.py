"""Layers that encoders of texts and of pictures are made of.

Shapes: B instances, n positions, H hidden size, nh heads.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attention_audit.models.attention import SelfAttention


def read_lstm(
    lstm: nn.RNNBase, x: Tensor, state: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Hidden states (B, n, H) of an LSTM or a GRU, differentiable in evaluation mode too.

    There cuDNN has no backward pass for these, and torch's own kernel takes its place.
    """
    if lstm.training or not torch.is_grad_enabled():
        return lstm(x, state)[0]
    with torch.backends.cudnn.flags(
        enabled=False,
        deterministic=torch.backends.cudnn.deterministic,
        benchmark=torch.backends.cudnn.benchmark,
        allow_tf32=torch.backends.cudnn.allow_tf32,
    ):
        return lstm(x, state)[0]


@contextmanager
def lstm_in_parts() -> Iterator[None]:
    """LSTMs of the operations that they are made of, and not of one of oneDNN's.

    Of those a batched backward pass takes all its rows at once. oneDNN's takes one at a
    time, with the gradients by the weights that nobody asked for.
    """
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


class FeedForwardLayer(nn.Module):
    """Pre-norm feed-forward block, position by position."""

    def __init__(self, hidden_size: int, feedforward_size: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.feedforward = nn.Sequential(
            nn.Linear(hidden_size, feedforward_size),
            nn.GELU(),
            nn.Linear(feedforward_size, hidden_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, n, H)"""
        return x + self.dropout(self.feedforward(self.norm(x)))


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward block (Xiong et al. 2020)."""

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        feedforward_size: int,
        dropout: float,
        normalizer: Mapping[str, Any],
        bias: nn.Module | None = None,
    ):
        super().__init__()
        self.attention = SelfAttention(hidden_size, heads, normalizer, bias)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        # The rest of the layer.
        self.after_attention = FeedForwardLayer(hidden_size, feedforward_size, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, H), (B, n) -> (B, n, H) and weights (B, nh, n, n), queries by keys."""
        mixed, weights = self.attention(self.attention_norm(x), mask)
        return self.after_attention(x + self.dropout(mixed)), weights
