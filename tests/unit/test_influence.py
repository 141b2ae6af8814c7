"""Influence of inputs on hidden states: of every way to find it, the same norms."""

import pytest
import torch

from attention_audit.attribution.influence import (
    batched_jacobian_norms,
    jacobian_norms,
)
from attention_audit.models.encoders import build_encoder
from tests.unit.models import ENCODERS


def tiny_encoder(encoder: str = "transformer", input_size: int = 5, **settings):
    """One with random weights in double precision, in evaluation mode."""
    torch.manual_seed(0)
    made = build_encoder({**ENCODERS[encoder], **settings}, input_size)
    return made.double().eval().requires_grad_(False)


@pytest.mark.parametrize("layers", [1, 2])
def test_influence_of_a_vit_knows_where_its_patches_lie(layers):
    grid = (3, 4)
    on_grid = tiny_encoder(layers=layers, grid=grid)
    x = torch.randn(grid[0] * grid[1], 5, dtype=torch.float64)
    found = jacobian_norms(on_grid, x)
    torch.testing.assert_close(found, batched_jacobian_norms(on_grid, x))
    # the same weights along a line are another function
    on_a_line = jacobian_norms(tiny_encoder(layers=layers), x)
    assert float((found - on_a_line).abs().max()) > 1e-2 * float(found.max())
