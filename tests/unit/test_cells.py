"""Pyramids, whose hidden states are fewer than their inputs, in every audit."""

import numpy as np
import pytest
import torch

from attention_audit.data.image_batches import PatchBatch
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel, cell_array
from tests.unit.models import text_batch, tiny_batch, tiny_model
from tests.unit.test_lit import tiny_lit

GRID = (4, 4)
N, M = 16, 4
CELL = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])

mergings = pytest.mark.parametrize("merging", ["deformable", "strided"])


class Pyramid(DecisionModel):
    """Patches are the embeddings of a LIT of two stages, or of those that are given."""

    def __init__(self, merging="deformable", kind="sparsemax", grid=GRID, **lit):
        super().__init__()
        self.encoder = tiny_lit(grid, merging=merging, **lit)
        pooling = AttentionPooling(8, {"kind": "additive"}, {"kind": kind})
        self.pooling = pooling.double()
        self.output = torch.nn.Linear(8, 3).double()
        with torch.no_grad():  # apart, so that sparse attention has zeros
            pooling.scorer.score.weight.mul_(30)

    def embed(self, batch):
        return batch.patches.double()


def pyramid(*arguments, **settings) -> Pyramid:
    model = Pyramid(*arguments, **settings)
    return model.requires_grad_(False).eval()


def pictures(count: int = 3, grid=GRID, seed: int = 0) -> PatchBatch:
    """Noise of three channels in patches of one pixel; the mean picture is black."""
    random = np.random.default_rng(seed)
    n = grid[0] * grid[1]
    patches = torch.from_numpy(random.standard_normal((count, n, 3))).float()
    return PatchBatch(
        [f"picture{i}" for i in range(count)],
        torch.zeros(count, dtype=torch.int64),
        np.full(count, n),
        patches,
        torch.ones(count, n, dtype=torch.bool),
        torch.zeros(n, 3),
        (*grid, 3),
        1,
    )


# --- the contract ---------------------------------------------------------------


@mergings
def test_a_pyramid_has_fewer_states_and_says_in_whose_cell_an_input_lies(merging):
    model, batch = pyramid(merging), pictures()
    output = model(batch)
    assert output.attention.shape == output.mask.shape == (3, M) and output.mask.all()
    assert output.hidden.shape == (3, M, 8)
    assert cell_array(model).tolist() == model.cell.tolist() == CELL.tolist()
    assert model.states(batch.lengths).tolist() == [M] * 3
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(3).double())


def test_a_state_at_each_input_needs_no_cell():
    model, batch = tiny_model(), text_batch(*tiny_batch())
    hidden, mask = model.encode(model.embed(batch), batch.mask)
    assert model.cell is None and cell_array(model) is None
    assert mask is batch.mask and hidden.shape[:2] == mask.shape
    assert model.states(batch.lengths) is batch.lengths
