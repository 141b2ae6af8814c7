"""Token merging, positions on a grid, and LIT: against slow loops and published sizes."""

import math

import pytest
import torch
from torch import Tensor, nn

from attention_audit.models.lit import LitEncoder
from attention_audit.models.lit_sizes import SIZES
from attention_audit.models.merging import (
    DeformableMerging,
    StridedMerging,
    build_merging,
    cells_of,
    merged_grid,
)
from attention_audit.models.positions import (
    RelativeBias,
    build_positions,
    sinusoidal_grid,
    sinusoidal_positions,
)
from attention_audit.models.size import multiply_adds, n_parameters
from attention_audit.records.errors import AuditError

GRIDS = [(4, 6), (5, 3), (7, 7), (1, 2)]
STAGES = [
    {"kind": "mlp", "depth": 1, "width": 6},
    {"kind": "attention", "depth": 2, "width": 8, "heads": 2, "mlp_ratio": 2},
]
SOFTMAX = {"kind": "softmax"}
UNIFORM = {"kind": "uniform"}

grids = pytest.mark.parametrize("grid", GRIDS, ids=str)


def tiny_lit(grid: tuple[int, int] = (4, 6), stages=STAGES, **settings) -> LitEncoder:
    """An encoder with random weights, offsets too, in evaluation mode."""
    torch.manual_seed(0)
    settings = {"self_attention": SOFTMAX, **settings}
    encoder = LitEncoder(3, grid, stages, **settings).double().eval()
    for merging in encoder.mergings:
        if isinstance(merging, DeformableMerging):
            nn.init.normal_(merging.offset.weight, std=0.3)
    return encoder


def pictures(grid: tuple[int, int], channels: int = 3, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    n = grid[0] * grid[1]
    return torch.randn(count, n, channels, generator=generator, dtype=torch.float64)


def everything(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def convolution(weight: Tensor, channels: int) -> Tensor:
    """Weights (H, 4 C) of a linear map as those of a 2x2 convolution, (H, C, 2, 2)."""
    return weight.view(len(weight), 2, 2, channels).permute(0, 3, 1, 2)


def as_maps(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, n, C) -> (B, C, h, w), with a row and a column of zeros where a side is odd."""
    maps = x.transpose(1, 2).unflatten(2, grid)
    return nn.functional.pad(maps, (0, grid[1] % 2, 0, grid[0] % 2))


def slow_deformable(
    picture: list, grid: tuple[int, int], offsets: list, weight: list, bias: list
) -> list:
    """Tokens (m, H) of one picture (n, C), number by number, as Dai et al. 2017 define it."""
    height, width = grid

    def value(row: float, column: float, channel: int) -> float:
        total, top, left = 0.0, math.floor(row), math.floor(column)
        for r in (top, top + 1):
            for c in (left, left + 1):
                if 0 <= r < height and 0 <= c < width:
                    near = (1 - abs(row - r)) * (1 - abs(column - c))
                    total += near * picture[r * width + c][channel]
        return total

    merged = []
    for cell, moved in enumerate(offsets):
        row, column = divmod(cell, -(-width // 2))
        read = []
        for point, (down, right) in enumerate(moved):
            at = 2 * row + point // 2 + down, 2 * column + point % 2 + right
            read += [value(*at, channel) for channel in range(len(picture[0]))]
        merged.append(
            [
                sum(w * v for w, v in zip(unit, read, strict=True)) + b
                for unit, b in zip(weight, bias, strict=True)
            ]
        )
    return merged


# --- merging --------------------------------------------------------------------


@grids
def test_strided_merging_is_a_convolution_with_batch_norm_and_gelu(grid):
    torch.manual_seed(0)
    merging = StridedMerging(grid, 3, 5).double()
    x = pictures(grid)
    project = merging.project
    maps = nn.functional.conv2d(
        as_maps(x, grid), convolution(project.weight, 3), project.bias, stride=2
    )
    expected = nn.functional.gelu(nn.BatchNorm2d(5).double()(maps))
    got, offsets = merging(x)
    torch.testing.assert_close(got, expected.flatten(2).transpose(1, 2))
    assert offsets is None


@grids
def test_deformable_merging_starts_as_strided_merging(grid):
    torch.manual_seed(0)
    strided = StridedMerging(grid, 3, 5)
    deformable = DeformableMerging(grid, 3, 5)
    deformable.load_state_dict(strided.state_dict(), strict=False)
    x = pictures(grid).float()
    got, offsets = deformable(x)
    assert (offsets == 0).all()
    assert torch.equal(got, strided(x)[0])


@grids
def test_deformable_merging_reads_as_a_slow_loop_does(grid):
    torch.manual_seed(0)
    merging = DeformableMerging(grid, 3, 5).double()
    x = pictures(grid)
    cells = math.prod(merged_grid(grid))
    # Far enough to leave the picture on every side.
    offsets = 3 * torch.randn(len(x), cells, 4, 2, dtype=torch.float64)
    got = merging.project(merging.sampled(x, offsets))
    settings = merging.project.weight.tolist(), merging.project.bias.tolist()
    expected = [
        slow_deformable(*one, *settings)
        for one in zip(x.tolist(), [grid] * len(x), offsets.tolist(), strict=True)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("spread", [0, 2])
@grids
def test_deformable_merging_is_that_of_torchvision(grid, spread):
    ops = pytest.importorskip(
        "torchvision.ops", reason="torchvision, no dependency, is not installed"
    )
    torch.manual_seed(0)
    merging = DeformableMerging(grid, 3, 5).double()
    x, cells = pictures(grid).requires_grad_(), merged_grid(grid)
    offsets = spread * torch.randn(2, math.prod(cells), 4, 2, dtype=torch.float64)
    offsets.requires_grad_()
    project = merging.project
    theirs = ops.deform_conv2d(
        as_maps(x, grid),
        offsets.flatten(2).transpose(1, 2).unflatten(2, cells),
        convolution(project.weight, 3),
        project.bias,
        stride=2,
    )
    expected = theirs.flatten(2).transpose(1, 2)
    got = project(merging.sampled(x, offsets))
    torch.testing.assert_close(got, expected)
    for mine, other in zip(
        torch.autograd.grad(got.square().sum(), (x, offsets)),
        torch.autograd.grad(expected.square().sum(), (x, offsets)),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_offsets_are_a_convolution_too():
    encoder = tiny_lit()
    merging, x = encoder.mergings[0], pictures((4, 6), 6)
    _, offsets = merging(x)
    expected = nn.functional.conv2d(
        as_maps(x, (4, 6)), convolution(merging.offset.weight, 6), stride=2
    )
    torch.testing.assert_close(offsets.flatten(2), expected.flatten(2).transpose(1, 2))
    assert (offsets != 0).all()


def test_gradients_of_deformable_merging_are_right():
    grid = (3, 4)
    torch.manual_seed(0)
    merging = DeformableMerging(grid, 2, 3).double()
    x = pictures(grid, 2, count=1).requires_grad_()
    # Between tokens: at one, the slope changes.
    offsets = (0.2 + 0.6 * torch.rand(1, 4, 4, 2)).double().requires_grad_()
    assert torch.autograd.gradcheck(merging.sampled, (x, offsets))


def test_offsets_learn_from_the_start():
    merging = DeformableMerging((4, 6), 3, 5)
    merged, _ = merging(pictures((4, 6)).float())
    merged.square().sum().backward()
    assert (merging.offset.weight.grad != 0).any()
    assert (merging.offset.bias.grad != 0).all()
    assert merging.offset.learning_rate_factor == 0.01


def test_at_whole_offsets_the_slope_is_that_towards_the_next_token():
    # As deformable convolutions have it elsewhere, and not left to rounding.
    merging = DeformableMerging((7, 7), 1, 1)
    x = torch.randn(1, 49, 1, generator=torch.Generator().manual_seed(0))
    offsets = torch.zeros(1, 16, 4, 2, requires_grad=True)
    merging.sampled(x, offsets).sum().backward()
    maps = nn.functional.pad(x.view(7, 7), (0, 2, 0, 2))
    down, right = maps.diff(dim=0)[:8, :8], maps.diff(dim=1)[:8, :8]
    expected = torch.stack([down, right], -1).view(4, 2, 4, 2, 2).transpose(1, 2)
    torch.testing.assert_close(offsets.grad.view(4, 4, 2, 2, 2), expected)


def test_a_merging_nobody_knows_is_named():
    with pytest.raises(AuditError, match=r"'deformible'\. Did you mean 'deformable'"):
        build_merging("deformible", (4, 4), 3, 5)


# --- positions ------------------------------------------------------------------


def test_codes_of_a_grid_are_those_of_its_row_and_its_column():
    codes = sinusoidal_grid((3, 4), 7)
    rows, columns = sinusoidal_positions(3, 4), sinusoidal_positions(4, 3)
    for n in range(12):
        assert torch.equal(codes[n], torch.cat([rows[n // 4], columns[n % 4]]))
    assert len(codes.unique(dim=0)) == 12


def test_relative_bias_is_one_for_each_displacement():
    bias = RelativeBias((3, 4), 2)
    assert bias.table.shape == (2, 5 * 7)
    scores = bias()
    at = [(n // 4, n % 4) for n in range(12)]
    met = {}
    for q, query in enumerate(at):
        for k, key in enumerate(at):
            displacement = query[0] - key[0], query[1] - key[1]
            value = met.setdefault(displacement, scores[:, q, k])
            assert torch.equal(scores[:, q, k], value)
    assert len(met) == 35
    assert len({tuple(value.tolist()) for value in met.values()}) == 35


def test_relative_bias_is_added_to_the_scores():
    encoder = tiny_lit(relative_bias=True, positions="none")
    first, second = (layer.attention for layer in encoder.stages[1].layers)
    assert not torch.equal(first.bias.table, second.bias.table)
    with torch.no_grad():
        first.bias.table.zero_()
        # No displacement at all: it stands in the middle.
        first.bias.table[0, first.bias.table.shape[1] // 2] = 50.0
    x = pictures((4, 6))
    weights = encoder.with_attention(x, everything(x))[1][0]
    torch.testing.assert_close(weights[:, 0], torch.eye(6).double().expand(2, 6, 6))
    assert (weights[:, 1] < 0.9).all()


def test_positions_nobody_knows_are_named():
    with pytest.raises(AuditError, match="unknown positions 'lerned'"):
        build_positions("lerned", (4, 4), 3)


# --- the encoder ----------------------------------------------------------------


@grids
def test_cells_are_the_blocks_that_merging_makes(grid):
    height, width = grid
    for merges in range(4):
        side = 2**merges
        columns = -(-width // side)
        expected = [
            (n // width) // side * columns + (n % width) // side
            for n in range(height * width)
        ]
        assert cells_of(grid, merges).tolist() == expected


@pytest.mark.parametrize("merging", ["strided", "deformable"])
@grids
def test_states_are_those_of_the_last_stage(grid, merging):
    if grid == (1, 2):  # which is merged once
        grid = (3, 2)
    stages = [*STAGES, {"kind": "mlp", "depth": 1, "width": 5}]
    encoder = tiny_lit(grid, stages, merging=merging)
    x = pictures(grid)
    hidden = encoder(x, everything(x))
    m = math.prod(merged_grid(merged_grid(grid)))
    assert hidden.shape == (2, m, 5)
    assert encoder.output_size == 5
    assert encoder.cell.shape == (grid[0] * grid[1],)
    assert encoder.cell.unique().tolist() == list(range(m))
    reading = encoder.read(x)
    assert torch.equal(reading.hidden, hidden)
    assert [w.shape[-1] for w in reading.attention] == [
        math.prod(merged_grid(grid))
    ] * 2
    shapes = [offsets.shape[1:] for offsets in reading.offsets]
    cells = math.prod(merged_grid(grid)), m
    assert shapes == ([(c, 4, 2) for c in cells] if merging == "deformable" else [])


def test_without_attention_and_offsets_a_state_reads_its_own_cell_alone():
    stages = [{"kind": "mlp", "depth": 1, "width": 4}] * 3
    encoder = tiny_lit((7, 6), stages, merging="strided")
    x = pictures((7, 6), count=1).requires_grad_()
    hidden = encoder(x, everything(x))[0]
    for state in range(len(hidden)):
        (gradient,) = torch.autograd.grad(hidden[state, 0], x, retain_graph=True)
        read = (gradient[0] != 0).any(-1)
        assert torch.equal(read, encoder.cell == state)


def test_attention_lets_every_patch_reach_every_state():
    encoder = tiny_lit(merging="strided")
    x = pictures((4, 6), count=1).requires_grad_()
    hidden = encoder(x, everything(x))[0]
    for state in hidden:
        (gradient,) = torch.autograd.grad(state[0], x, retain_graph=True)
        assert (gradient != 0).any(-1).all()


@pytest.mark.parametrize("merging", ["strided", "deformable"])
def test_a_picture_moved_by_a_cell_moves_its_states_by_one(merging):
    stages = [{"kind": "mlp", "depth": 1, "width": 4}] * 3
    encoder = tiny_lit((12, 16), stages, merging=merging, positions="none")
    for layer in encoder.mergings:
        if merging == "deformable":
            nn.init.zeros_(layer.offset.weight)
            nn.init.constant_(layer.offset.bias, 0.3)
    x = pictures((12, 16), count=1)
    moved = x.unflatten(1, (12, 16)).roll((4, 4), (1, 2)).flatten(1, 2)
    before, after = (
        encoder(given, everything(x)).view(3, 4, 4) for given in (x, moved)
    )
    # Cells at the lower and right edge have no neighbours to read.
    torch.testing.assert_close(after[1, 1:3], before[0, 0:2])
    assert not torch.allclose(after[1, 1:3], before[1, 1:3])


def test_one_stage_without_positions_does_not_see_the_order_of_patches():
    alone = [{"kind": "attention", "depth": 2, "width": 8, "heads": 2}]
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    x = pictures((4, 6))
    for settings, blind in (
        ({"positions": "none"}, True),
        ({"positions": "none", "relative_bias": True}, False),
        ({"positions": "sinusoidal"}, False),
        ({"positions": "learned"}, False),
    ):
        encoder = tiny_lit((4, 6), alone, **settings)
        expected = encoder(x, everything(x))[:, order]
        got = encoder(x[:, order], everything(x))
        assert torch.allclose(got, expected) == blind, settings


@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "rela"])
def test_stages_attend_with_any_normalizer(kind):
    encoder = tiny_lit(self_attention={"kind": kind})
    # Scores of a fresh model are close together; spread them until zeros must appear.
    encoder.stages[1].layers[0].attention.scale = 50.0
    x = pictures((4, 6))
    _, weights = encoder.with_attention(x, everything(x))
    assert [w.shape for w in weights] == [(2, 2, 6, 6)] * 2
    assert (weights[0] == 0).any() == (kind != "softmax")


def test_jacobians_of_states_by_patches_come_in_batches():
    # m by n, as the influence of patches on states wants them.
    encoder = tiny_lit(relative_bias=True)
    x = pictures((4, 6), count=1).requires_grad_()
    hidden = encoder(x, everything(x))[0, :, 0]
    units = torch.eye(len(hidden), dtype=torch.float64)
    (batched,) = torch.autograd.grad(
        hidden, x, units, retain_graph=True, is_grads_batched=True
    )
    for unit, gradient in zip(hidden, batched, strict=True):
        (one,) = torch.autograd.grad(unit, x, retain_graph=True)
        torch.testing.assert_close(gradient, one)


def test_training_is_deterministic():
    def gradients() -> list[Tensor]:
        encoder = tiny_lit(relative_bias=True, positions="learned", dropout=0.1)
        encoder.train()
        x = pictures((4, 6))
        encoder(x, everything(x)).square().sum().backward()
        return [parameter.grad for parameter in encoder.parameters()]

    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        first, second = gradients(), gradients()
    finally:
        torch.set_deterministic_debug_mode(mode)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_faults_are_named():
    encoder = tiny_lit()
    x = pictures((4, 6))
    mask = everything(x)
    mask[0, 3] = False
    with pytest.raises(AuditError, match="a picture has no padding"):
        encoder(x, mask)
    with pytest.raises(AuditError, match="20 patches, and the grid has 4 x 6"):
        encoder(x[:, :20], mask[1:, :20])
    with pytest.raises(AuditError, match="unknown kind of stage 'atention'"):
        tiny_lit(stages=[{**STAGES[1], "kind": "atention"}])
    with pytest.raises(AuditError, match="8 is not divisible by heads 3"):
        tiny_lit(stages=[{**STAGES[1], "heads": 3}])


# --- published sizes ------------------------------------------------------------

# name: parameters of the authors' own code with its linear output of 1000 classes (whose
# Ti has a class token and its position code, 1024 numbers, more), millions as published,
# and G multiply-adds as published.
PUBLISHED = {
    "ti": (19_886_272 - 1024, 19, 3.6),
    "s": (27_973_720, 27, 4.1),
    "m": (49_372_264, 48, 8.6),
    "b": (87_292_384, 86, 15.0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    parameters, millions, giga = PUBLISHED[name]
    with torch.device("meta"):
        # Normalizers have no parameters here, and their work is not counted.
        encoder = LitEncoder(4 * 4 * 3, (56, 56), self_attention=UNIFORM, **SIZES[name])
        output = nn.Linear(encoder.output_size, 1000)
        picture = torch.empty(1, 56 * 56, 4 * 4 * 3)
    assert n_parameters(encoder) + n_parameters(output) == parameters
    # Whole millions, without the output: with it M has 49.4 and B 87.3.
    assert n_parameters(encoder) // 10**6 == millions
    counted = multiply_adds(lambda x: output(encoder.read(x).hidden.mean(1)), picture)
    assert counted / 1e9 == pytest.approx(giga, rel=0.05)


@pytest.mark.parametrize(
    ("grid", "states"), [((8, 8), 1), ((28, 28), 16), ((14, 18), 6), ((5, 30), 4)]
)
@pytest.mark.parametrize("name", SIZES)
def test_sizes_read_pictures_of_other_sizes(name, grid, states):
    with torch.device("meta"):
        encoder = LitEncoder(3, grid, self_attention=UNIFORM, **SIZES[name])
        hidden = encoder.read(torch.empty(2, math.prod(grid), 3)).hidden
    assert hidden.shape == (2, states, SIZES[name]["stages"][-1]["width"])


def test_a_grid_that_is_one_token_before_the_last_stage_is_refused():
    expected = (
        "lit: of 4 x 3 patches 2 mergings leave one token, and 4 stages merge 3 times. "
        "Give it fewer stages"
    )
    with pytest.raises(AuditError, match=expected), torch.device("meta"):
        LitEncoder(3, (4, 3), self_attention=UNIFORM, **SIZES["ti"])


def test_one_token_of_one_picture_has_no_variance_to_train_on():
    encoder = tiny_lit((2, 2)).train()
    x = pictures((2, 2))
    assert encoder(x, everything(x)).shape == (2, 1, 8)
    with pytest.raises(AuditError, match="leaves no batch of one picture"):
        encoder(x[:1], everything(x[:1]))
    assert encoder.eval()(x[:1], everything(x[:1])).isfinite().all()


def test_multiply_adds_are_those_of_products():
    encoder = tiny_lit(merging="strided")
    n, m, width, inner = 24, 6, 8, 16
    expected = (
        n * 3 * 6  # patches
        + n * 2 * 6 * 24  # the first stage
        + m * 4 * 6 * width  # merging
        + 2 * (m * 4 * width**2 + 2 * m * m * width + m * 2 * width * inner)
    )
    assert multiply_adds(encoder.read, pictures((4, 6), count=1)) == expected
