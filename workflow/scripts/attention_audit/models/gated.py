"""The encoder of Lin et al. 2021 (Less is More): a GRU a stream, joined and gated."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attention_audit.models.encoders import read_both_ways
from attention_audit.records.errors import AuditError


class ContextGating(nn.Module):
    """x * sigmoid(W x + b): what is there decides how much of it passes (Miech et al. 2017)."""

    def __init__(self, size: int):
        super().__init__()
        self.linear = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) -> (..., size)"""
        return x * self.linear(x).sigmoid()


class Stream(nn.Module):
    """GRUs in both directions over one stream; ``hidden_size`` is that of a direction."""

    def __init__(self, input_size: int, hidden_size: int, layers: int, dropout: float):
        super().__init__()
        sizes = [input_size] + [2 * hidden_size] * (layers - 1)
        self.forwards, self.backwards = (
            nn.ModuleList(nn.GRU(size, hidden_size, batch_first=True) for size in sizes)
            for _ in range(2)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return read_both_ways(self.forwards, self.backwards, self.dropout, x, mask)


class GatedEncoder(nn.Module):
    """Reads each stream by itself; hidden states are those of all streams, gated.

    ``streams`` are the sizes of the streams, as they stand one behind the other in the
    embedding of a moment.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        streams: Sequence[int],
        layers: int = 1,
        dropout: float = 0.0,
    ):
        super().__init__()
        if sum(streams) != input_size:
            raise AuditError(
                f"encoder gated: the streams have {' + '.join(map(str, streams))} values a "
                f"moment, and a moment has {input_size}. Prepare the data set again."
            )
        self.sizes = list(streams)
        self.streams = nn.ModuleList(
            Stream(size, hidden_size, layers, dropout) for size in streams
        )
        self.output_size = 2 * hidden_size * len(self.sizes)
        self.gate = ContextGating(self.output_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = x.split(self.sizes, dim=-1)
        read = [
            stream(part, mask) for stream, part in zip(self.streams, parts, strict=True)
        ]
        # What is 0 at padding stays so.
        return self.gate(torch.cat(read, dim=-1))
