"""Where a hidden state stands: position codes of texts and of grids, relative bias.

Shapes: n positions; a grid (h, w) has n = h w of them, row by row.
"""

import math

import torch
from torch import Tensor, nn

from attention_audit.records.errors import AuditError, suggestion

# The standard deviation that learned codes and biases start with, as in Swin and LIT.
SPREAD = 0.02


def sinusoidal_positions(length: int, size: int) -> Tensor:
    """Fixed position codes (length, size) (Vaswani et al. 2017, sec. 3.5)."""
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    codes = torch.zeros(length, size)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : size // 2]
    return codes


def sinusoidal_grid(grid: tuple[int, int], size: int) -> Tensor:
    """Fixed position codes (h w, size): the row's in one half, the column's in the other."""
    height, width = grid
    rows = sinusoidal_positions(height, size - size // 2)
    columns = sinusoidal_positions(width, size // 2)
    return torch.cat(
        [rows.repeat_interleave(width, dim=0), columns.repeat(height, 1)], dim=-1
    )


class SinusoidalPositions(nn.Module):
    """Adds `sinusoidal_grid`."""

    def __init__(self, grid: tuple[int, int], size: int):
        super().__init__()
        codes = sinusoidal_grid(grid, size)
        self.register_buffer("codes", codes, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, n, H)"""
        return x + self.codes


class LearnedPositions(nn.Module):
    """Adds a learned vector for each position."""

    def __init__(self, grid: tuple[int, int], size: int):
        super().__init__()
        self.codes = nn.Parameter(torch.empty(grid[0] * grid[1], size))
        nn.init.trunc_normal_(self.codes, std=SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, n, H)"""
        return x + self.codes


class NoPositions(nn.Module):
    """Adds nothing."""

    def __init__(self, grid: tuple[int, int], size: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, n, H)"""
        return x


POSITIONS: dict[str, type[nn.Module]] = {
    "learned": LearnedPositions,
    "none": NoPositions,
    "sinusoidal": SinusoidalPositions,
}


def build_positions(kind: str, grid: tuple[int, int], size: int) -> nn.Module:
    """The position codes of a named kind, for hidden states of ``size`` on a grid."""
    if kind not in POSITIONS:
        raise AuditError(f"unknown positions '{kind}'.{suggestion(kind, POSITIONS)}")
    return POSITIONS[kind](grid, size)


class RelativeBias(nn.Module):
    """A learned score for each head and displacement on the grid (Liu et al. 2021, eq. 4).

    Here a window is the whole grid, as in LIT.
    """

    def __init__(self, grid: tuple[int, int], heads: int):
        super().__init__()
        height, width = grid
        self.table = nn.Parameter(
            torch.empty(heads, (2 * height - 1) * (2 * width - 1))
        )
        nn.init.trunc_normal_(self.table, std=SPREAD)
        row = torch.arange(height).repeat_interleave(width)
        column = torch.arange(width).repeat(height)
        down = row.unsqueeze(1) - row + height - 1
        right = column.unsqueeze(1) - column + width - 1
        displacement = down * (2 * width - 1) + right
        self.register_buffer("displacement", displacement, persistent=False)

    def forward(self) -> Tensor:
        """(nh, n, n), queries by keys."""
        n = len(self.displacement)
        return self.table.index_select(1, self.displacement.flatten()).view(-1, n, n)
