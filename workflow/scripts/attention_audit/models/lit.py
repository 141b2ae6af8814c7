"""LIT: a pyramid that attends in some of its stages (Pan et al. 2022).

Stages of MLPs or of self-attention work on grids of tokens; between two of them four
neighbours are merged into one token, of the next stage's width.

Shapes: B instances; a grid (h, w) of n = h w patches, row by row, of E numbers; m hidden
states of the last stage; H its width; nh heads.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attention_audit.models.layers import FeedForwardLayer, TransformerLayer
from attention_audit.models.merging import (
    Grid,
    build_merging,
    cells_of,
    merged_grid,
)
from attention_audit.models.positions import RelativeBias, build_positions
from attention_audit.records.errors import AuditError, suggestion

STAGE_KINDS = ("mlp", "attention")


class Stage(nn.Module):
    """Layers of one width on one grid, behind position codes."""

    def __init__(
        self,
        grid: Grid,
        kind: str,
        depth: int,
        width: int,
        positions: str,
        self_attention: Mapping[str, Any],
        relative_bias: bool,
        dropout: float,
        heads: int = 1,
        mlp_ratio: float = 4,
    ):
        super().__init__()
        if kind not in STAGE_KINDS:
            raise AuditError(
                f"unknown kind of stage '{kind}'.{suggestion(kind, STAGE_KINDS)}"
            )
        inner = int(width * mlp_ratio)
        self.positions = build_positions(positions, grid, width)
        self.dropout = nn.Dropout(dropout)
        self.attends = kind == "attention"
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                heads,
                inner,
                dropout,
                self_attention,
                RelativeBias(grid, heads) if relative_bias else None,
            )
            if self.attends
            else FeedForwardLayer(width, inner, dropout)
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, n, H) -> (B, n, H), and the weights (B, nh, n, n) of layers that attend."""
        x = self.dropout(self.positions(x))
        if not self.attends:
            for layer in self.layers:
                x = layer(x)
            return x, []
        everywhere = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        attention = []
        for layer in self.layers:
            x, weights = layer(x, everywhere)
            attention.append(weights)
        return x, attention


class Reading(NamedTuple):
    """One pass over pictures."""

    hidden: Tensor  # (B, m, H)
    attention: list[Tensor]  # a layer that attends: (B, nh, n, n), queries by keys
    # A deformable merging: (B, m, 4, 2), rows and columns, in tokens of the finer grid.
    offsets: list[Tensor]


class LitEncoder(nn.Module):
    """Hidden states of the last stage for patches on a ``grid``.

    ``stages`` are dictionaries with ``kind`` ('mlp' or 'attention'), ``depth`` (layers),
    ``width``, ``heads`` and ``mlp_ratio``. A picture has no padding, and all pictures have
    one size: a mask of anything else is an `AuditError`.

    ``cell`` (n,) says in which hidden state's cell a patch lies. Deformable merging reads
    beyond the cell by its offsets.
    """

    def __init__(
        self,
        input_size: int,
        grid: Sequence[int],
        stages: Sequence[Mapping[str, Any]],
        self_attention: Mapping[str, Any],
        merging: str = "deformable",
        positions: str = "sinusoidal",
        relative_bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        height, width = grid
        self.grid = (height, width)
        grids = [self.grid]
        for _ in stages[1:]:
            if grids[-1] == (1, 1):
                raise AuditError(
                    f"lit: of {height} x {width} patches {len(grids) - 1} mergings leave "
                    f"one token, and {len(stages)} stages merge {len(stages) - 1} times. "
                    "Give it fewer stages or a smaller size, or the data set smaller "
                    "patches or larger pictures."
                )
            grids.append(merged_grid(grids[-1]))
        widths = [stage["width"] for stage in stages]
        self.project = nn.Linear(input_size, widths[0])
        self.project_norm = nn.LayerNorm(widths[0])
        self.stages = nn.ModuleList(
            Stage(
                on,
                positions=positions,
                self_attention=self_attention,
                relative_bias=relative_bias,
                dropout=dropout,
                **stage,
            )
            for on, stage in zip(grids, stages, strict=True)
        )
        self.mergings = nn.ModuleList(
            build_merging(merging, *between)
            for between in zip(grids[:-1], widths[:-1], widths[1:], strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.output_size = widths[-1]
        cell = cells_of(self.grid, len(self.mergings))
        self.register_buffer("cell", cell, persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, n, E), (B, n) -> (B, m, H)"""
        return self.with_attention(x, mask)[0]

    def with_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Hidden states, and each attending layer's weights (B, nh, n, n)."""
        if not mask.all():
            raise AuditError(
                "lit: a patch is masked, and a picture has no padding. Blank a patch "
                "instead."
            )
        hidden, attention, _ = self.read(x)
        return hidden, attention

    def read(self, x: Tensor) -> Reading:
        """(B, n, E) -> hidden states, attention and offsets."""
        height, width = self.grid
        if x.shape[1] != height * width:
            raise AuditError(
                f"lit: {x.shape[1]} patches, and the grid has {height} x {width}. "
                "Give it pictures of the size that it was built for."
            )
        x = self.project_norm(self.project(x))
        attention, offsets = [], []
        for i, stage in enumerate(self.stages):
            if i:
                x, moved = self.mergings[i - 1](x)
                if moved is not None:
                    offsets.append(moved)
            x, weights = stage(x)
            attention.extend(weights)
        return Reading(self.norm(x), attention, offsets)
