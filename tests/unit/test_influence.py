"""Influence of inputs on hidden states: of every way to find it, the same norms."""

from functools import partial

import numpy as np
import pytest
import torch

from attention_audit.attribution import influence, stacked_influence
from attention_audit.attribution.influence import (
    Estimation,
    batched_jacobian_norms,
    jacobian_norms,
    summarise,
    write_influence,
)
from attention_audit.attribution.probes import ProbedNorms, probed_norms
from attention_audit.attribution.stacked_influence import stacked_jacobian_norms
from attention_audit.models.encoders import build_encoder
from attention_audit.records import tables
from attention_audit.records.randomness import generator
from tests.unit.instances import instances
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}


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


# --- several layers ---------------------------------------------------------------


@pytest.mark.parametrize("settings", instances().values(), ids=instances())
def test_influence_is_carried_through_layers_with_any_normalizer(settings):
    encoder = tiny_encoder(self_attention=settings, layers=3)
    random = torch.Generator().manual_seed(1)
    for parameter in encoder.parameters():
        # gains, gates and learned alphas differ between heads and from their start
        noise = torch.randn(parameter.shape, dtype=torch.float64, generator=random)
        parameter.data += 0.3 * noise
    x = torch.randn(6, 5, dtype=torch.float64, generator=random)
    torch.testing.assert_close(
        stacked_jacobian_norms(encoder, x),
        batched_jacobian_norms(encoder, x),
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("input_size", [3, 8, 20])  # below, at and above hidden units
@pytest.mark.parametrize("layers", [1, 2])
def test_influence_through_layers_of_any_size(n, input_size, layers):
    encoder = tiny_encoder(layers=layers, input_size=input_size)
    x = torch.randn(n, input_size, dtype=torch.float64)
    exact = batched_jacobian_norms(encoder, x)
    torch.testing.assert_close(stacked_jacobian_norms(encoder, x), exact)
    single = jacobian_norms(encoder.float(), x.float())
    torch.testing.assert_close(single, exact, rtol=1e-5, atol=1e-6 * float(exact.max()))


@pytest.mark.parametrize(("columns", "numbers"), [(1, 1), (10, 70), (12, 2**19)])
def test_influence_through_layers_in_blocks_is_the_same(monkeypatch, columns, numbers):
    encoder = tiny_encoder()
    x = torch.randn(7, 5, dtype=torch.float64)
    whole = stacked_jacobian_norms(encoder, x)
    monkeypatch.setattr(stacked_influence, "COLUMNS_PER_BLOCK", columns)
    monkeypatch.setattr(stacked_influence, "NUMBERS_PER_STEP", numbers)
    torch.testing.assert_close(stacked_jacobian_norms(encoder, x), whole)


# --- estimates --------------------------------------------------------------------


class Mixed(torch.nn.Module):
    """tanh of inputs, mixed and projected in two ways: an encoder of which nothing is known."""

    def __init__(self, n: int, input_size: int, hidden_size: int):
        super().__init__()
        self.mix = torch.nn.Parameter(torch.randn(2, n, n))
        self.project = torch.nn.Parameter(torch.randn(2, input_size, hidden_size) / 9)
        self.output_size = hidden_size

    def forward(self, x, mask):
        return torch.tanh((self.mix @ x @ self.project).sum(0)) * mask.unsqueeze(-1)


def larger(encoder: str):
    """An encoder of 24 inputs and 32 hidden units, and what it reads."""
    if encoder == "mixed":
        torch.manual_seed(0)
        made = Mixed(6, 24, 32).double()
    else:
        made = tiny_encoder(encoder, 24, hidden_size=32, heads=4, layers=2)
    return made, torch.randn(6, 24, dtype=torch.float64)


def drawn(encoder, x, count, error, most):
    return [
        probed_norms(encoder, x, generator(["test", draw], 0), error, most)
        for draw in range(count)
    ]


LARGER = ("transformer", "mixed")


@pytest.mark.parametrize("encoder", LARGER)
def test_probes_are_without_bias_and_know_their_error(encoder):
    """Over many draws: of squared norms, and of the errors that go with the norms."""
    encoder, x = larger(encoder)
    exact = batched_jacobian_norms(encoder, x).numpy()
    draws = drawn(encoder, x, 200 if encoder == "mixed" else 40, 0, 5)
    squares = np.stack([found.squares.mean(0) for found in draws])
    error = squares.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(squares.mean(0) - exact**2) < 4 * error).all()
    norms = np.stack([found.norms() for found in draws])
    said = np.sqrt(np.mean([found.errors() ** 2 for found in draws], axis=0))
    # each of 36 spreads is known to 5 or 11 %, their mean better
    assert np.log(said / norms.std(0)).mean() == pytest.approx(0, abs=0.1)
    assert np.abs(np.log(said / norms.std(0))).max() < 0.6
    if encoder == "mixed":  # too small by about half the squared relative error
        bias = norms.mean(0) / exact - 1
        half = (norms.std(0) / exact) ** 2 / 2
        assert bias.mean() == pytest.approx(-half.mean(), rel=0.3)


@pytest.mark.parametrize("encoder", LARGER)
def test_all_probes_there_are_give_exact_norms(encoder):
    encoder, x = larger(encoder)
    found = probed_norms(encoder, x, generator(["test"], 0), 0, 1000)
    assert len(found.squares) == found.population
    np.testing.assert_allclose(
        found.norms(), batched_jacobian_norms(encoder, x).numpy(), rtol=1e-10
    )
    assert not found.errors().any() and found.relative_error() == 0


def test_as_many_probes_are_taken_as_an_error_asks_for():
    encoder, x = larger("mixed")
    exact = batched_jacobian_norms(encoder, x).numpy()
    taken = []
    for error in (0.1, 0.05, 0.02):
        draws = drawn(encoder, x, 30, error, 1000)
        assert max(found.relative_error() for found in draws) <= error
        off = [np.abs(found.norms() - exact).sum() / exact.sum() for found in draws]
        # of a normal error the mean size is 0.8 of its standard deviation
        assert 0.3 * error < np.mean(off) < error
        taken.append(np.mean([len(found.squares) for found in draws]))
    assert taken == sorted(set(taken)) and taken[-1] < 32
    (capped,) = drawn(encoder, x, 1, 0.01, 6)
    assert len(capped.squares) == 6 and capped.relative_error() > 0.01


def test_errors_of_summaries_are_those_of_repeated_draws():
    encoder, x = larger("mixed")
    draws = drawn(encoder, x, 200, 0, 8)

    def share(norms):
        return summarise(norms).coindexed_share

    spread = np.std([share(found.norms()) for found in draws], axis=0)
    said = np.sqrt(np.mean([found.jackknifed(share) ** 2 for found in draws], axis=0))
    np.testing.assert_allclose(said, spread, rtol=0.25)


def test_the_error_of_a_mean_over_a_finite_population_by_hand():
    squares = np.array([4.0, 8.0, 6.0]).reshape(3, 1, 1)
    found = ProbedNorms(squares, 12)
    # s^2 = 4, a quarter of the directions taken: variance 4 / 3 * 3 / 4
    assert found.errors().item() == pytest.approx(1 / (2 * np.sqrt(6)))
    assert found.norms().item() == pytest.approx(np.sqrt(6))


# --- what is kept -----------------------------------------------------------------


def rows_of(path, model, estimation):
    with tables.open_table(path, "influence", {}) as table:
        batch = text_batch(*tiny_batch((7, 5, 4)))
        write_influence(table, model, iter([batch]), RUN, 2, estimation)
    return tables.read_table(path, "influence").to_pylist()


def test_what_is_estimated_is_kept_with_its_error(tmp_path):
    model = tiny_model("transformer")
    write = partial(rows_of, tmp_path / "influence.parquet", model)
    estimated = write(Estimation("probes", 0, 4))
    assert write(Estimation("probes", 0, 4)) == estimated
    exact = write(Estimation())
    assert exact == write(None)
    errors = ("dispersion_error", "coindexed_share_error", "matrix_error")
    for row, known in zip(estimated, exact, strict=True):
        assert all(known[error] is None for error in (*errors, "distance_error"))
        assert row["distance_error"] is None  # a text lies on no grid
        share = np.array(row["coindexed_share"]) - known["coindexed_share"]
        error = np.array(row["coindexed_share_error"])
        assert error.shape == (row["length"],) and (error > 0).all()
        assert 0 < np.abs(share).max() < 8 * error.max()
        assert len(row["dispersion_error"]) == row["length"]
    kept = [row["matrix_error"] is not None for row in estimated]
    assert kept == [row["matrix"] is not None for row in exact] == [True, True, False]
    assert np.shape(estimated[1]["matrix_error"]) == (5, 5)


def test_auto_estimates_what_would_take_long(tmp_path, monkeypatch):
    path = tmp_path / "influence.parquet"
    monkeypatch.setattr(influence, "EXACT_MULTIPLICATIONS", 1)
    for encoder, estimated in {
        "average": False,
        "bilstm2": False,
        "transformer1": False,
        "transformer": True,
    }.items():
        rows = rows_of(path, tiny_model(encoder), Estimation())
        assert [row["matrix_error"] is not None for row in rows][:2] == [estimated] * 2
