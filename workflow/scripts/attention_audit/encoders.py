"""Encoders map input embeddings to hidden states, one a position.

All take embeddings (B, n, E) and a mask (B, n) bool, and return hidden states
(B, n, ``output_size``) that are 0 at padding and do not depend on how much of it
there is.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attention_audit.attention import SelfAttention
from attention_audit.errors import AuditError, suggestion


class AverageEncoder(nn.Module):
    """tanh(W x): no context, a hidden state sees its own input only (Jain & Wallace 2019)."""

    def __init__(self, input_size: int, hidden_size: int, dropout: float = 0.0):
        super().__init__()
        self.project = nn.Linear(input_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden_size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.tanh(self.project(self.dropout(x))) * mask.unsqueeze(-1)


class BiLSTMEncoder(nn.Module):
    """Bidirectional LSTM over packed sequences; ``hidden_size`` is that of a direction."""

    def __init__(
        self, input_size: int, hidden_size: int, layers: int = 1, dropout: float = 0.0
    ):
        super().__init__()
        self.lstm = nn.LSTM(
            input_size,
            hidden_size,
            num_layers=layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.output_size = 2 * hidden_size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        packed = pack_padded_sequence(
            self.dropout(x),
            mask.sum(-1).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        hidden, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return hidden


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward block (Xiong et al. 2020)."""

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        feedforward_size: int,
        dropout: float,
        normalizer: Mapping[str, Any],
    ):
        super().__init__()
        self.attention = SelfAttention(hidden_size, heads, normalizer)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.feedforward_norm = nn.LayerNorm(hidden_size)
        self.feedforward = nn.Sequential(
            nn.Linear(hidden_size, feedforward_size),
            nn.GELU(),
            nn.Linear(feedforward_size, hidden_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mixed, weights = self.attention(self.attention_norm(x), mask)
        x = x + self.dropout(mixed)
        x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return x, weights


def sinusoidal_positions(length: int, size: int) -> Tensor:
    """Fixed position codes (length, size) (Vaswani et al. 2017, sec. 3.5)."""
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    codes = torch.zeros(length, size)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : size // 2]
    return codes


class TransformerEncoder(nn.Module):
    """Self-attention layers over projected inputs with fixed position codes."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        self_attention: Mapping[str, Any],
        layers: int = 1,
        heads: int = 4,
        feedforward_size: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.project = nn.Linear(input_size, hidden_size)
        self.layers = nn.ModuleList(
            TransformerLayer(
                hidden_size, heads, feedforward_size, dropout, self_attention
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden_size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.with_attention(x, mask)[0]

    def with_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Hidden states and each layer's weights (B, nh, n, n), queries by keys."""
        h = self.project(x)
        h = self.dropout(h + sinusoidal_positions(*h.shape[1:]).to(h))
        attention = []
        for layer in self.layers:
            h, weights = layer(h, mask)
            attention.append(weights)
        return self.norm(h) * mask.unsqueeze(-1), attention


ENCODERS: dict[str, type[nn.Module]] = {
    "average": AverageEncoder,
    "bilstm": BiLSTMEncoder,
    "transformer": TransformerEncoder,
}


def build_encoder(settings: Mapping[str, Any], input_size: int) -> nn.Module:
    """The encoder of a declared instance, for embeddings of ``input_size``."""
    parameters = dict(settings)
    kind = parameters.pop("kind")
    if kind not in ENCODERS:
        raise AuditError(f"unknown encoder kind '{kind}'.{suggestion(kind, ENCODERS)}")
    return ENCODERS[kind](input_size, **parameters)
