"""Encoders map input embeddings to hidden states, one a position.

All take embeddings (B, n, E) and a mask (B, n) bool, and return hidden states
(B, n, ``output_size``) that are 0 at padding and do not depend on how much of it
there is. One whose hidden states depend on their own input alone says so with
``contextual = False``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attention_audit.models.encoder_kinds import ENCODERS, made_of_kind
from attention_audit.models.layers import TransformerLayer, read_lstm
from attention_audit.models.positions import sinusoidal_grid, sinusoidal_positions


class AverageEncoder(nn.Module):
    """tanh(W x): no context, a hidden state sees its own input only (Jain & Wallace 2019)."""

    contextual = False

    def __init__(self, input_size: int, hidden_size: int, dropout: float = 0.0):
        super().__init__()
        self.project = nn.Linear(input_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden_size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.tanh(self.project(self.dropout(x))) * mask.unsqueeze(-1)


class BiLSTMEncoder(nn.Module):
    """LSTMs in both directions; ``hidden_size`` is that of a direction.

    The one that reads backwards is given each text reversed, with its padding still at
    the end, so that neither direction reads padding before text. The outputs are those
    of packed sequences, which take several times as long on a CPU: their kernel goes
    back to the interpreter wherever the number of texts left in the batch changes.

    With ``markers`` it reads a learned vector before each text and one behind it, which
    have no hidden state of their own: the first and last tokens of Jain & Wallace 2019,
    masked there from attention and left out of correlations.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        dropout: float = 0.0,
        markers: bool = False,
    ):
        super().__init__()
        self.markers = nn.Parameter(torch.randn(2, input_size)) if markers else None
        sizes = [input_size] + [2 * hidden_size] * (layers - 1)
        self.forwards, self.backwards = (
            nn.ModuleList(
                nn.LSTM(size, hidden_size, batch_first=True) for size in sizes
            )
            for _ in range(2)
        )
        self.dropout = nn.Dropout(dropout)
        self.output_size = 2 * hidden_size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.markers is None:
            return self._states(x, mask)
        return self._states(*self.marked(x, mask))[:, 1:-1] * mask.unsqueeze(-1)

    def marked(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, n + 2, E) and mask (B, n + 2) of texts between their markers."""
        start, end = self.markers.expand(len(x), -1, -1).unbind(1)
        gap = torch.zeros_like(x[:, :1])
        last = torch.arange(len(x), device=x.device), mask.sum(-1) + 1
        x = torch.cat([start.unsqueeze(1), x * mask.unsqueeze(-1), gap], dim=1)
        ends = torch.ones_like(mask[:, :1])
        return x.index_put(last, end), torch.cat([ends, ends, mask], dim=1)

    def _states(self, x: Tensor, mask: Tensor) -> Tensor:
        return read_both_ways(self.forwards, self.backwards, self.dropout, x, mask)


def read_both_ways(
    forwards: Iterable[nn.RNNBase],
    backwards: Iterable[nn.RNNBase],
    dropout: nn.Module,
    x: Tensor,
    mask: Tensor,
) -> Tensor:
    """Hidden states (B, n, 2H), 0 at padding, of stacked layers that read x (B, n, E)."""
    order = _reversal(mask)
    for ahead, back in zip(forwards, backwards, strict=True):
        x = dropout(x)
        turned = read_lstm(back, _permuted(x, order))
        x = torch.cat([read_lstm(ahead, x), _permuted(turned, order)], dim=-1)
    return x * mask.unsqueeze(-1)


def _reversal(mask: Tensor) -> Tensor:
    """Rows of a flattened (B * n, size) that reverse each text and leave padding, (B * n,)."""
    B, n = mask.shape
    positions = torch.arange(n, device=mask.device).expand_as(mask)
    from_end = mask.sum(-1, keepdim=True) - 1 - positions
    first = n * torch.arange(B, device=mask.device).unsqueeze(1)
    return (first + torch.where(mask, from_end, positions)).flatten()


def _permuted(x: Tensor, order: Tensor) -> Tensor:
    """(B, n, size) in another order of its B * n rows; rows are faster than elements."""
    return x.flatten(0, 1).index_select(0, order).view_as(x)


class TransformerEncoder(nn.Module):
    """Self-attention layers over projected inputs with fixed position codes.

    On a ``grid`` of patches (rows, columns) the codes are of both (Dosovitskiy et al. 2021
    without the class token: states are pooled by attention).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        self_attention: Mapping[str, Any],
        layers: int = 1,
        heads: int = 4,
        feedforward_size: int = 128,
        dropout: float = 0.0,
        grid: Sequence[int] | None = None,
    ):
        super().__init__()
        self.grid = None if grid is None else (grid[0], grid[1])
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

    def placed(self, x: Tensor) -> Tensor:
        """(..., n, E) -> (..., n, H): projected inputs with the codes of their positions."""
        h = self.project(x)
        n, size = h.shape[-2:]
        codes = (
            sinusoidal_positions(n, size)
            if self.grid is None
            else sinusoidal_grid(self.grid, size)
        )
        return h + codes.to(h)

    def with_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Hidden states and each layer's weights (B, nh, n, n), queries by keys."""
        h = self.dropout(self.placed(x))
        attention = []
        for layer in self.layers:
            h, weights = layer(h, mask)
            attention.append(weights)
        return self.norm(h) * mask.unsqueeze(-1), attention


def build_encoder(settings: Mapping[str, Any], input_size: int | None) -> nn.Module:
    """The encoder of a declared instance, for embeddings of ``input_size``.

    That is None for an encoder that embeds its inputs itself.
    """
    return made_of_kind("encoder", ENCODERS, settings, input_size)
