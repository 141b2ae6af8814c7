"""The encoder of Lin et al. 2021 (Less is More): a GRU a stream, joined and gated."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attention_audit.models.encoders import read_both_ways
from attention_audit.records.errors import AuditError

# Numbers that a step along a recording works on when derivatives are carried: small enough
# to stay near the processor, and a bound of memory.
NUMBERS_PER_STEP = 2**17


class ContextGating(nn.Module):
    """x * sigmoid(W x + b): what is there decides how much of it passes (Miech et al. 2017)."""

    def __init__(self, size: int):
        super().__init__()
        self.linear = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) -> (..., size)"""
        return x * self.linear(x).sigmoid()

    def jacobian(self, x: Tensor) -> Tensor:
        """Derivatives (n, size, size) of what becomes of x (n, size) by it."""
        gate = self.linear(x).sigmoid()
        slopes = (x * gate * (1 - gate)).unsqueeze(-1)
        return slopes * self.linear.weight + gate.diag_embed()


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

    def derivatives(self, x: Tensor, columns: Tensor) -> Tensor:
        """Of the states of one recording x (n, d) by C of its values: (n, C, 2H).

        ``columns`` (C,) are the places of the values among all n d.
        """
        n, size = x.shape
        changes = x.new_zeros(n, len(columns), size)
        changes[columns // size, torch.arange(len(columns)), columns % size] = 1.0
        for ahead, back in zip(self.forwards, self.backwards, strict=True):
            forwards, of_forwards = _carried(ahead, x, changes)
            backwards, of_backwards = _carried(back, x.flip(0), changes.flip(0))
            x = torch.cat([forwards, backwards.flip(0)], dim=-1)
            changes = torch.cat([of_forwards, of_backwards.flip(0)], dim=-1)
        return changes


def _slopes(weights: Sequence[Tensor], *of_gates: Tensor) -> Tensor:
    """(H, in) of a state by what the weights (H, in) of r, z and c multiply.

    ``of_gates`` (H,) each are its slopes by what these gates are made of.
    """
    return sum(f.unsqueeze(-1) * w for f, w in zip(of_gates, weights, strict=True))


def _carried(gru: nn.GRU, x: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
    """States (n, H) of inputs x (n, d), and their changes (n, C, H) by those of the inputs.

    With the gates r and z, the candidate c = tanh(a + r b), b what the weights make of the
    state before, and ``changes`` (n, C, d),

        h' = (1 - z) c + z h,
        dh' = z dh + (h - c) dz + (1 - z) (1 - c^2) (da + r db + b dr).
    """
    pushed = x @ gru.weight_ih_l0.T + gru.bias_ih_l0
    by_inputs = gru.weight_ih_l0.chunk(3)
    by_state = gru.weight_hh_l0.chunk(3)
    h = x.new_zeros(gru.hidden_size)
    change = x.new_zeros(changes.shape[1], gru.hidden_size)
    states, found = [], []
    for push, of_input in zip(pushed, changes, strict=True):
        of_r, of_z, a = push.chunk(3)
        state_r, state_z, b = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
        r, z = (of_r + state_r).sigmoid(), (of_z + state_z).sigmoid()
        c = (a + r * b).tanh()
        open_ = (1 - z) * (1 - c**2)
        by_r, by_z = open_ * b * r * (1 - r), (h - c) * z * (1 - z)
        kept = _slopes(by_state, by_r, by_z, open_ * r) + z.diag()
        change = change @ kept.T + of_input @ _slopes(by_inputs, by_r, by_z, open_).T
        h = (1 - z) * c + z * h
        states.append(h)
        found.append(change)
    return torch.stack(states), torch.stack(found)


class GatedEncoder(nn.Module):
    """Reads each stream by itself; hidden states are those of all streams, gated.

    ``streams`` are the sizes of the streams, as they stand one behind the other in the
    embedding of a moment. With ``timed`` the last value of each is when the moment was,
    which has no part in its influence.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        streams: Sequence[int],
        layers: int = 1,
        dropout: float = 0.0,
        timed: bool = False,
    ):
        super().__init__()
        if sum(streams) != input_size:
            raise AuditError(
                f"encoder gated: the streams have {' + '.join(map(str, streams))} values a "
                f"moment, and a moment has {input_size}. Prepare the data set again."
            )
        self.sizes, self.timed = list(streams), timed
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

    @torch.no_grad()
    def jacobian_norms(self, x: Tensor) -> Tensor:
        """See `attribution.influence.jacobian_norms`: norms (n, n) for one decision (n, E).

        A state depends on an input through each stream by itself. Derivatives are carried
        along a stream as its states are; of what the gate makes of them, ``through``
        (n, O, 2H), the norm is that of its triangular factor.
        """
        n = len(x)
        parts = x.split(self.sizes, dim=-1)
        mask = torch.ones(1, n, dtype=torch.bool, device=x.device)
        of_streams = [
            stream(part.unsqueeze(0), mask)[0]
            for stream, part in zip(self.streams, parts, strict=True)
        ]
        through = self.gate.jacobian(torch.cat(of_streams, dim=-1))
        squares = torch.zeros(n, n, dtype=torch.float64, device=x.device)
        blocks = through.split([states.shape[-1] for states in of_streams], dim=-1)
        for stream, part, block in zip(self.streams, parts, blocks, strict=True):
            factor = torch.linalg.qr(block, mode="r").R
            per_input = part.shape[-1]
            values = torch.arange(n * per_input, device=x.device)
            if self.timed:
                values = values.view(n, -1)[:, :-1].flatten()
            for columns in values.split(max(1, NUMBERS_PER_STEP // block.shape[-1])):
                found = (stream.derivatives(part, columns) @ factor.mT).double()
                squares.index_add_(1, columns // per_input, found.square().sum(-1))
        return squares.sqrt()
