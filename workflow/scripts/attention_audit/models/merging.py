"""Token merging: four neighbours on a grid become one token of the next, coarser grid.

Both ways are a 2x2 convolution with stride 2, batch norm and GELU, and differ in where
the convolution reads. A side of odd length is padded with zeros at its end, so that every
token is in a cell.

Shapes: B instances, a grid (h, w) of n = h w tokens, row by row, of C channels;
m = ceil(h / 2) ceil(w / 2) cells, each of 4 points: upper left and right, lower left and
right.
"""

import torch
from torch import Tensor, nn

from attention_audit.records.errors import AuditError, suggestion

Grid = tuple[int, int]


def merged_grid(grid: Grid) -> Grid:
    """The grid of the cells of a grid."""
    height, width = grid
    return -(-height // 2), -(-width // 2)


class StridedMerging(nn.Module):
    """Merges the four tokens of a cell.

    ``project.weight`` (H, 4 C) is that of the convolution, (H, C, 2, 2), point by point.
    """

    def __init__(self, grid: Grid, input_size: int, output_size: int):
        super().__init__()
        self.grid = grid
        self.project = nn.Linear(4 * input_size, output_size)
        self.norm = nn.BatchNorm1d(output_size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, n, C) -> (B, m, H), and the offsets where there are some."""
        return self.merged(self.points(x)), None

    def points(self, x: Tensor) -> Tensor:
        """(B, n, C) -> (B, m, 4 C), the tokens of each cell side by side."""
        (height, width), (rows, columns) = self.grid, merged_grid(self.grid)
        x = x.unflatten(1, self.grid)
        if height % 2 or width % 2:
            x = nn.functional.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        # (B, h, w, C) -> (B, h/2, 2, w/2, 2, C) -> (B, h/2, w/2, 2, 2, C)
        x = x.view(len(x), rows, 2, columns, 2, -1).transpose(2, 3)
        return x.reshape(len(x), rows * columns, -1)

    def merged(self, points: Tensor) -> Tensor:
        """(B, m, 4 C) -> (B, m, H)"""
        if self.training and points.shape[:2] == (1, 1):
            raise AuditError(
                "lit: one picture alone is merged to one token, of which batch norm has "
                "no variance. Choose a training.batch_size that leaves no batch of one "
                "picture, or an encoder with fewer stages."
            )
        x = self.project(points)
        return nn.functional.gelu(self.norm(x.flatten(0, 1)).view_as(x))


class OffsetPredictor(nn.Linear):
    """Rows and columns by which the points of a cell move, (B, m, 4 C) -> (B, m, 8).

    A 2x2 convolution with stride 2. It starts at zero, and learns a hundred times more
    slowly than the rest of a model (Pan et al. 2022).
    """

    learning_rate_factor = 0.01

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class DeformableMerging(StridedMerging):
    """Merges four points that move, by offsets that the tokens of a cell tell.

    A deformable convolution (Dai et al. 2017), by which Pan et al. 2022 merge tokens: a
    point between tokens has the bilinear mean of the four around it, with zeros beyond the
    edges of the grid.
    """

    def __init__(self, grid: Grid, input_size: int, output_size: int):
        super().__init__(grid, input_size, output_size)
        self.offset = OffsetPredictor(4 * input_size, 8)
        # The padding makes sides of powers of two: on these `grid_sample` computes whole
        # coordinates without rounding, and points that stay are read exactly.
        self.padded = tuple(1 << (side - 1).bit_length() for side in grid)
        rows, columns = merged_grid(grid)
        cells = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
        corners = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        at_rest = (2 * cells.unsqueeze(1) + corners).to(torch.get_default_dtype())
        sides = torch.tensor(self.padded).to(at_rest)
        self.register_buffer("at_rest", at_rest, persistent=False)  # (m, 4, 2)
        self.register_buffer("sides", sides, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, C) -> (B, m, H) and offsets (B, m, 4, 2), rows and columns in tokens."""
        offsets = self.offset(self.points(x)).unflatten(-1, (4, 2))
        return self.merged(self.sampled(x, offsets)), offsets

    def sampled(self, x: Tensor, offsets: Tensor) -> Tensor:
        """(B, n, C) read where the points have moved, (B, m, 4, 2) -> (B, m, 4 C)."""
        (height, width), (padded_height, padded_width) = self.grid, self.padded
        pictures = nn.functional.pad(
            x.transpose(1, 2).unflatten(2, self.grid),
            (0, padded_width - width, 0, padded_height - height),
        )
        # -1 and 1 are the edges of the picture, columns come first.
        places = (2 * (self.at_rest + offsets) + 1) / self.sides - 1
        points = nn.functional.grid_sample(
            pictures, places.flip(-1), padding_mode="zeros", align_corners=False
        )
        return points.permute(0, 2, 3, 1).flatten(2)  # (B, C, m, 4) -> (B, m, 4 C)


MERGINGS: dict[str, type[StridedMerging]] = {
    "deformable": DeformableMerging,
    "strided": StridedMerging,
}


def build_merging(
    kind: str, grid: Grid, input_size: int, output_size: int
) -> StridedMerging:
    """The token merging of a named kind, from one width to another."""
    if kind not in MERGINGS:
        raise AuditError(f"unknown merging '{kind}'.{suggestion(kind, MERGINGS)}")
    return MERGINGS[kind](grid, input_size, output_size)


def cells_of(grid: Grid, merges: int) -> Tensor:
    """(n,): in which token's cell a token lies once ``merges`` mergings are done."""
    height, width = grid
    columns = -(-width // 2**merges)
    row, column = torch.arange(height) >> merges, torch.arange(width) >> merges
    return (columns * row.unsqueeze(1) + column).flatten()
