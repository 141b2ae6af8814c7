"""Interventions on attention, against hand-made models and slow oracles."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from attention_audit.data.text_batches import TextBatch
from attention_audit.interventions.adversarial import (
    SearchSettings,
    candidate_distributions,
    enumerate_small,
    search,
    starting_noise,
    write_adversarial,
)
from attention_audit.interventions.erasure import (
    descending_ranks,
    erase,
    token_counts,
    write_cut,
    write_erasure,
    write_softmax,
)
from attention_audit.interventions.flips import (
    attention_gradients,
    removals_to_flip,
    without_leading,
    write_flips,
)
from attention_audit.interventions.permutation import (
    deranged,
    matched,
    moved_mass,
    permutation_differences,
    shuffled,
    write_permutation,
)
from attention_audit.models.outputs import Readout
from attention_audit.records.tables import open_table, read_table, write_table
from tests.unit.models import text_batch, tiny_batch, tiny_model

RUN = {
    "dataset": "d",
    "encoder": "e",
    "scorer": "s",
    "normalizer": "n",
    "seed": 0,
}
QUICK = SearchSettings(steps=60, learning_rate=0.1)


def batch_of(lengths, seed=0) -> TextBatch:
    ids, mask = tiny_batch(lengths, seed)
    names = [f"text{seed}-{b}" for b in range(len(lengths))]
    return replace(text_batch(ids, mask), instance_ids=names)


class LinearModel:
    """Outputs softmax(values . weights): what pooling does is known by hand.

    The hidden states are the logits that each position stands for.
    """

    link = "softmax"

    def decide(self, hidden, weights, query=None):
        return torch.einsum("bn,bnk->bk", weights, hidden)


def linear_readout() -> Readout:
    """A readout that does the same, for two classes."""
    readout = Readout(tiny_model())
    readout.output = torch.nn.Linear(2, 2, dtype=torch.float64).requires_grad_(False)
    torch.nn.init.eye_(readout.output.weight)
    torch.nn.init.zeros_(readout.output.bias)
    return readout


def hidden_states(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# --- permutation ------------------------------------------------------------------


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=1, max_size=8))
def test_matched_moves_are_of_equal_mass_and_of_their_kind(weights):
    weights = np.array(weights)
    on = weights > 0
    pair = matched(weights, 20, np.random.default_rng(0))
    if pair is None:
        equal = len(set(weights[on])) < 2
        assert on.sum() < 2 or on.all() or equal
        return
    within, across = pair
    masses = [moved_mass(weights, moved) for moved in pair]
    np.testing.assert_allclose(masses[0], masses[1], atol=1e-12)
    for moved in pair:
        assert (moved >= -1e-15).all()
        np.testing.assert_allclose(moved.sum(1), weights.sum())
    assert (within[:, ~on] == 0).all()
    # across: what the zeros get, the support gives, and no other weight changes
    np.testing.assert_allclose(
        across[:, ~on].sum(1), (weights[on] - across[:, on]).sum(1), atol=1e-12
    )
    assert (across[:, on] <= weights[on] + 1e-15).all()


def test_a_derangement_leaves_nothing_and_is_as_likely_as_any_other():
    orders = deranged(4, 9000, np.random.default_rng(0))
    assert (orders != np.arange(4)).all()
    _, counts = np.unique(orders, axis=0, return_counts=True)
    # 9 derangements of 4, 1000 each with a standard deviation of 30
    assert len(counts) == 9 and np.abs(counts - 1000).max() < 120
    assert (deranged(2, 5, np.random.default_rng(0)) == [1, 0]).all()


def test_every_shuffle_is_as_likely_as_any_other():
    weights = np.array([0.5, 0.3, 0.2])
    moved = shuffled(weights, 6000, np.random.default_rng(0))
    _, counts = np.unique(moved, axis=0, return_counts=True)
    assert len(counts) == 6
    # 1000 expected each, standard deviation 29
    assert np.abs(counts - 1000).max() < 120
    assert shuffled(np.array([1.0]), 5, np.random.default_rng(0)) is None
    assert shuffled(np.zeros(3), 5, np.random.default_rng(0)) is None


def differences(readout, hidden, weights, draws, seed=0):
    rngs = {kind: np.random.default_rng(seed) for kind in ("all", "matched")}
    return permutation_differences(readout, hidden, weights, draws, rngs)


def test_permutation_difference_is_the_median_over_all_permutations():
    hidden = hidden_states([2.0, 0.0], [0.0, 0.0], [0.0, 1.0])
    weights = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    own = (weights @ hidden).softmax(-1)
    exact = [
        float(((weights[list(order)] @ hidden).softmax(-1) - own).abs().mean())
        for order in itertools.permutations(range(3))
    ]
    # Six equally likely values: a sample's median lies between the middle two.
    low, high = sorted(exact)[2:4]
    got, _ = differences(linear_readout(), hidden, weights, 2000)["all"]
    assert low - 1e-12 <= got <= high + 1e-12


def test_the_swap_of_two_weights_by_hand():
    # 0.6 and 0.4 swap: 0.2 moves. Across, a third of 0.6 and of 0.4 to the zeros does.
    hidden = hidden_states([1.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 0.0])
    weights = torch.tensor([0.6, 0.4, 0.0, 0.0], dtype=torch.float64)
    found = differences(linear_readout(), hidden, weights, 40)
    own = torch.tensor([0.6, 0.4]).double().softmax(-1)
    swapped = torch.tensor([0.4, 0.6]).double().softmax(-1)
    across = torch.tensor([0.6 * 0.8 + 3 * 0.2, 0.4 * 0.8]).double().softmax(-1)
    assert found["support"] == pytest.approx(((swapped - own).abs().mean().item(), 0.2))
    assert found["border"] == pytest.approx(((across - own).abs().mean().item(), 0.2))


def test_where_weights_say_nothing_the_moves_are_those_of_the_null():
    """Hidden states that do not depend on where weights stand, many texts."""
    rng = np.random.default_rng(0)
    readout, found = linear_readout(), []
    for text in range(300):
        hidden = torch.from_numpy(rng.normal(size=(12, 2)))
        weights = torch.zeros(12, dtype=torch.float64)
        support = rng.choice(12, 4, replace=False)
        weights[support] = torch.from_numpy(rng.dirichlet(np.ones(4)))
        found.append(differences(readout, hidden, weights, 50, text))
    means = {k: np.mean([f[k][0] for f in found]) for k in found[0]}
    for kind in ("support", "border"):
        assert means[kind] == pytest.approx(means[f"null_{kind}"], rel=0.08)
        assert np.mean([f[kind][1] for f in found]) == pytest.approx(
            np.mean([f["border"][1] for f in found])
        )


def test_permutations_do_not_depend_on_batching(tmp_path):
    model = tiny_model(kind="sparsemax")
    lengths = (7, 4, 1)
    whole = batch_of(lengths)
    with open_table(tmp_path / "whole.parquet", "permutation", {}) as table:
        write_permutation(table, model, iter([whole]), RUN, 30)
    with open_table(tmp_path / "single.parquet", "permutation", {}) as table:
        singles = (whole.take(np.array([b])) for b in range(len(lengths)))
        write_permutation(table, model, singles, RUN, 30)
    one, other = (
        read_table(tmp_path / name, "permutation").to_pandas()
        for name in ("whole.parquet", "single.parquet")
    )
    np.testing.assert_allclose(one["difference"], other["difference"], atol=1e-12)
    # a single token has nothing to change places with
    assert one[one["length"] == 1]["difference"].isna().all()


def test_shuffles_that_change_no_weight_move_nothing(tmp_path):
    model = tiny_model(dtype=torch.float32, kind="uniform")
    with open_table(tmp_path / "p.parquet", "permutation", {}) as table:
        write_permutation(table, model, iter([batch_of((11, 7, 3))]), RUN, 30)
    rows = read_table(tmp_path / "p.parquet", "permutation").to_pandas()
    assert (rows[rows["kind"] == "all"]["difference"] == 0).all()
    assert rows[rows["kind"] != "all"]["difference"].isna().all()


# --- adversarial attention --------------------------------------------------------


def test_candidates_are_distributions_over_the_mask():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    support = torch.tensor([2, 3])
    free = candidate_distributions(logits, mask, None)
    kept = candidate_distributions(logits, mask, support)
    for p in (free, kept):
        torch.testing.assert_close(p.sum(-1), torch.ones(2, 3, dtype=p.dtype))
        assert (p[1, :, 3:] == 0).all()
    assert ((kept > 0).sum(-1) == support.unsqueeze(1)).all()
    # the largest logits keep their ratios
    top = logits[0, 0].topk(2).indices
    torch.testing.assert_close(
        kept[0, 0, top], (free[0, 0, top] / free[0, 0, top].sum())
    )


def test_search_finds_the_disjoint_weights_that_give_the_same_output():
    # Positions 0 and 1 stand for the same output, 2 for another: all weight on 1
    # differs from all weight on 0 as much as distributions can.
    hidden = hidden_states([3.0, 0.0], [3.0, 0.0], [-3.0, 0.0]).unsqueeze(0)
    weights = torch.tensor([[0.98, 0.01, 0.01]], dtype=torch.float64)
    mask = torch.ones(1, 3, dtype=torch.bool)
    noise = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0)).double()
    found = search(LinearModel(), hidden, mask, weights, noise, SearchSettings())
    assert found.divergence.item() > 0.6
    assert found.output_difference.item() <= 0.01
    assert found.weights[0, 1] > 0.9
    expected = jensenshannon(found.weights[0], weights[0]) ** 2
    assert found.divergence.item() == pytest.approx(expected)
    outputs = [
        LinearModel().decide(hidden, w).softmax(-1) for w in (weights, found.weights)
    ]
    assert found.output_difference.item() == pytest.approx(
        (outputs[0] - outputs[1]).abs().sum().item()
    )


def test_search_keeps_the_model_weights_where_any_change_shows():
    # A change of weights by d changes the first logit by 1000 d.
    hidden = hidden_states([1000.0, 0.0], [0.0, 0.0]).unsqueeze(0)
    weights = torch.tensor([[0.001, 0.999]], dtype=torch.float64)
    mask = torch.ones(1, 2, dtype=torch.bool)
    noise = torch.ones(1, 5, 2, dtype=torch.float64)
    found = search(LinearModel(), hidden, mask, weights, noise, QUICK)
    assert found.divergence.item() < 1e-4
    assert found.output_difference.item() <= QUICK.tolerance


def test_weights_that_differ_by_rounding_are_not_found():
    # The search starts at the model's own weights and moves them by rounding alone.
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 9, generator=generator)
    weights = scores.softmax(-1)
    hidden = torch.randn(4, 9, 2, generator=generator)
    mask = torch.ones(4, 9, dtype=torch.bool)
    at_rest = SearchSettings(steps=20, learning_rate=1e-7, noise=1.0)
    noise = scores.unsqueeze(1).repeat(1, 5, 1)
    found = search(LinearModel(), hidden, mask, weights, noise, at_rest)
    assert (found.divergence == 0).all()
    assert torch.equal(found.weights, weights)


@pytest.mark.parametrize("kind", ["softmax", "sparsemax"])
def test_search_of_a_batch_equals_that_of_each_instance(kind):
    model = tiny_model(n_classes=3, kind=kind)
    batch = batch_of((7, 4, 2))
    output = model(batch)
    weights = output.attention.detach()
    support = (weights > 0).sum(-1)
    noise = starting_noise(batch.instance_ids, batch.mask, 5, weights, "none", 0)
    together = search(model, output.hidden, batch.mask, weights, noise, QUICK, support)
    assert all(p.grad is None for p in model.parameters())
    for b, n in enumerate(batch.lengths):
        row = slice(b, b + 1)
        alone = search(
            model,
            output.hidden[row, :n],
            batch.mask[row, :n],
            weights[row, :n],
            noise[row, :, :n],
            QUICK,
            support[row],
        )
        torch.testing.assert_close(
            alone.divergence, together.divergence[row], rtol=1e-5, atol=1e-7
        )
        torch.testing.assert_close(
            alone.weights, together.weights[row, :n], rtol=1e-4, atol=1e-6
        )
        assert (together.weights[b] > 0).sum() <= support[b]


def best_of_a_fine_grid(readout, hidden, weights, tolerance, steps=4001):
    """The largest divergence over weights on two positions, looked for one by one."""
    own = readout.logits(hidden, weights[None]).softmax(-1)
    best = 0.0
    for i, j in itertools.combinations(range(len(weights)), 2):
        rows = torch.zeros(steps, len(weights), dtype=torch.float64)
        rows[:, i] = torch.linspace(0, 1, steps, dtype=torch.float64)
        rows[:, j] = 1 - rows[:, i]
        rows = rows * weights.sum()
        moved = (readout.logits(hidden, rows).softmax(-1) - own).abs().sum(-1)
        allowed = rows[moved <= tolerance]
        # not a number where rounding leaves less than no divergence
        apart = jensenshannon(allowed, weights.expand_as(allowed), axis=1)
        best = max(best, np.nanmax(apart, initial=0.0) ** 2)
    return best


@pytest.mark.parametrize("kind", ["sparsemax", "rela"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("slope", [1.0, 30.0])
def test_enumeration_finds_what_a_fine_grid_finds(kind, n_classes, slope):
    model = tiny_model(n_classes=n_classes, kind=kind)
    with torch.no_grad():
        model.output.weight.mul_(slope)  # the same output in narrow places
    readout = Readout(model)
    found = 0
    for seed in range(6):
        hidden = torch.randn(
            6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        weights = torch.tensor([0.7, 0.0, 0.3, 0.0, 0.0, 0.0], dtype=torch.float64)
        got = enumerate_small(readout, hidden, weights, 2, 0.05)
        expected = best_of_a_fine_grid(readout, hidden, weights, 0.05)
        assert got.divergence >= expected - 1e-6
        assert got.output_difference <= 0.05 + 1e-9
        if got.divergence > 0:
            found += 1
            assert got.divergence.item() == pytest.approx(
                jensenshannon(got.weights, weights) ** 2
            )
            moved = readout.logits(hidden, got.weights[None]).softmax(-1)
            own = readout.logits(hidden, weights[None]).softmax(-1)
            assert (moved - own).abs().sum().item() == pytest.approx(
                got.output_difference.item(), abs=1e-12
            )
    assert found >= 4


def test_one_position_is_compared_with_every_other():
    hidden = hidden_states([3.0, 0.0], [-3.0, 0.0], [3.001, 0.0], [2.9, 0.0])
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    got = enumerate_small(linear_readout(), hidden, weights, 1, 0.01)
    assert got.weights.tolist() == [0.0, 0.0, 1.0, 0.0] or got.weights[3] == 1
    assert got.divergence.item() == pytest.approx(np.log(2))
    none = enumerate_small(linear_readout(), hidden[:2], weights[:2], 1, 0.01)
    assert none.divergence == 0 and torch.equal(none.weights, weights[:2])


def test_what_exists_on_few_positions_is_found(tmp_path):
    model = tiny_model("bilstm", kind="sparsegen", lam=0.99)
    batches = [batch_of((9, 8, 7, 6, 5, 4), seed) for seed in range(3)]
    settings = SearchSettings(steps=20, tolerance=0.005)
    with open_table(tmp_path / "a.parquet", "adversarial", {}) as table:
        write_adversarial(table, model, iter(batches), RUN, settings)
    rows = read_table(tmp_path / "a.parquet", "adversarial").to_pandas()
    none, kept = (
        rows[rows["constraint"] == c].set_index("instance_id")
        for c in ("none", "support")
    )
    # what is found under a constraint is found without it
    assert (none["divergence"] >= kept["divergence"]).all()
    assert (kept["support"] <= 4).all() and kept["found"].any()
    readout = Readout(model)
    for batch in batches:
        output = model(batch)
        for b, name in enumerate(batch.instance_ids):
            n = int(batch.lengths[b])
            hidden = output.hidden[b, :n].detach()
            weights = output.attention[b, :n].detach()
            own = readout.logits(hidden, weights[None]).softmax(-1)
            alone = readout.logits(hidden, torch.eye(n, dtype=torch.float64))
            same = (alone.softmax(-1) - own).abs().sum(-1) <= settings.tolerance
            if (same & (weights == 0)).any():
                assert kept.loc[name, "divergence"] == pytest.approx(
                    np.log(2), abs=1e-5
                )


def test_adversarial_table_holds_both_constraints(tmp_path):
    model = tiny_model(kind="sparsegen", lam=0.9)
    batch = batch_of((7, 5, 1))
    with open_table(tmp_path / "a.parquet", "adversarial", {}) as table:
        write_adversarial(table, model, iter([batch]), RUN, QUICK)
    rows = read_table(tmp_path / "a.parquet", "adversarial").to_pandas()
    assert list(rows["constraint"]) == ["none"] * 3 + ["support"] * 3
    assert (rows["output_difference"] <= QUICK.tolerance).all()
    assert rows["divergence"].between(0, np.log(2)).all()
    kept = rows[rows["constraint"] == "support"]
    sizes = kept["attention"].map(lambda w: int((w > 0).sum()))
    assert (sizes <= kept["support"]).all()
    assert (rows["attention"].map(len) == rows["length"]).all()
    # one token has one distribution
    assert not rows[rows["length"] == 1]["found"].any()


# --- decision flips ---------------------------------------------------------------


def test_without_leading_removes_in_order_and_keeps_the_sum():
    got = without_leading(np.array([0.5, 0.0, 0.3, 0.2]), np.array([0, 2, 3]))
    np.testing.assert_allclose(got, [[0, 0, 0.6, 0.4], [0, 0, 0, 1]])


def test_removals_until_the_decision_flips_by_hand():
    # Votes for class 0 of 2, 1 and 1 against 3 for class 1, at equal weights.
    hidden = hidden_states([2.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 3.0])
    weights = torch.full((4,), 0.25, dtype=torch.float64)
    orders = [np.array(o) for o in ([0, 1, 2, 3], [1, 2, 0, 3], [3, 0, 1, 2])]
    # 4 against 3; without 2: 2 against 3. Without 1 and 1: 2 against 3. The last
    # order removes what speaks against and never flips.
    assert removals_to_flip(linear_readout(), hidden, weights, orders) == [1, 2, None]


def test_attention_gradient_equals_finite_differences():
    model = tiny_model(n_classes=3)
    ids, mask = tiny_batch((5, 3))
    output = model(text_batch(ids, mask))
    weights = output.attention.detach()
    got = attention_gradients(model, output.hidden, weights)
    step = 1e-6
    for b, n in enumerate((5, 3)):
        predicted = output.logits[b].argmax()
        for i in range(n):
            moved = weights.clone()
            moved[b, i] += step
            rise = (
                model.decide(output.hidden, moved).softmax(-1)[b, predicted]
                - output.logits[b].softmax(-1)[predicted]
            ) / step
            torch.testing.assert_close(
                got[b, i], (weights[b, i] * rise).detach(), rtol=1e-4, atol=1e-8
            )


def test_attention_gradient_of_a_certain_prediction_keeps_its_order():
    model = tiny_model(dtype=torch.float32, n_classes=3)
    ids, mask = tiny_batch((9,))
    with torch.no_grad():
        model.output.bias.copy_(torch.tensor([25.0, 1.0, 0.0]))
        output = model(text_batch(ids, mask))
    assert output.logits.softmax(-1)[0, 0] == 1
    got = attention_gradients(model, output.hidden, output.attention)
    exact = tiny_model(n_classes=3)
    exact.load_state_dict({k: v.double() for k, v in model.state_dict().items()})
    expected = attention_gradients(
        exact, output.hidden.double(), output.attention.double()
    )
    assert (got != 0).all()
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=0)


def test_flips_table_tells_never_from_the_last_weight_and_from_nothing_to_remove(
    tmp_path,
):
    model = tiny_model(kind="sparsegen", lam=0.9)
    batch = batch_of((9, 7, 5, 1))
    with open_table(tmp_path / "f.parquet", "flips", {}) as table:
        write_flips(table, model, iter([batch]), RUN, 3)
    rows = read_table(tmp_path / "f.parquet", "flips").to_pandas()
    assert len(rows) == 4 * 5
    assert rows["draw"].tolist() == [0, 0, 0, 1, 2] * 4
    single = rows["support"] < 2
    assert single.any() and not single.all()
    assert (rows["never"].isna() == single).all()
    # a decision flips with weights left, or never
    assert (rows["removed"].isna() == (single | (rows["never"] == True))).all()  # noqa: E712
    flipped = rows.dropna(subset=["removed"])
    assert (flipped["removed"] >= 1).all()
    assert (flipped["removed"] < flipped["support"]).all()


# --- erasure ----------------------------------------------------------------------


def by_hand(model, ids, keep):
    """Class probabilities (K,) of one text's tokens at ``keep``, read on their own."""
    left = ids[torch.tensor(keep, dtype=torch.bool)]
    if not len(left):
        return model.output.bias.softmax(-1)
    return model(text_batch(left.unsqueeze(0))).logits[0].softmax(-1)


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
def test_erasure_equals_reading_what_is_left_of_each_text(encoder):
    model = tiny_model(encoder, n_classes=3)
    lengths, shares = (7, 5, 1), (0.01, 0.2, 0.5)
    ids, mask = tiny_batch(lengths)
    rng = np.random.default_rng(0)
    ranks = torch.zeros(2, 3, 7, dtype=torch.long)
    for a, b in itertools.product(range(2), range(3)):
        ranks[a, b, : lengths[b]] = torch.from_numpy(rng.permutation(lengths[b]))
    got = erase(
        model, text_batch(ids, mask), ranks, token_counts(shares, np.array(lengths))
    )
    # 0.2 of 5 tokens is one token, whatever 0.2 * 5 rounds to
    counts = {7: (1, 2, 4), 5: (1, 1, 3), 1: (1, 1, 1)}
    for a, (b, n) in itertools.product(range(2), enumerate(lengths)):
        full = by_hand(model, ids[b, :n], [True] * n)
        k = full.argmax()
        for s, count in enumerate(counts[n]):
            top = [int(ranks[a, b, i]) < count for i in range(n)]
            rest = [not t for t in top]
            expected = (
                full[k] - by_hand(model, ids[b, :n], rest)[k],
                full[k] - by_hand(model, ids[b, :n], top)[k],
            )
            for part, value in zip(got, expected, strict=True):
                assert part[a, b, s] == pytest.approx(value.item(), abs=1e-6)


def test_erasure_does_not_depend_on_neighbours_or_on_rounding():
    model = tiny_model(dtype=torch.float32)
    lengths = (9, 5, 2)
    ids, mask = tiny_batch(lengths)
    ranks = torch.arange(9).expand(2, 3, 9)
    counts = token_counts((0.3, 0.5, 1.0), np.array(lengths))
    whole = erase(model, text_batch(ids, mask), ranks, counts)
    for b, n in enumerate(lengths):
        row = slice(b, b + 1)
        alone = erase(model, text_batch(ids[row, :n]), ranks[:, row, :n], counts[row])
        for part, expected in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(part[:, 0], expected[:, b])
    # all tokens kept: exactly the text as it was
    assert (whole.sufficiency[..., -1] == 0).all()
    assert (whole.comprehensiveness != 0).any()


def test_the_papers_mean_over_shares_counts_the_empty_set():
    model = tiny_model()
    ids, mask = tiny_batch((9,))
    ranks = torch.stack([torch.arange(9), torch.arange(9).flip(0)]).unsqueeze(1)
    shares = (0.01, 0.05, 0.1, 0.2, 0.5)
    counts = np.append(0, token_counts(shares, np.array([9])))[np.newaxis]
    found = erase(model, text_batch(ids, mask), ranks, counts)
    # the code of the benchmark divides by |B|, its paper's formula by |B| + 1
    ours = found.comprehensiveness[..., 1:].mean(-1)
    assert (found.comprehensiveness[..., 0] == 0).all() and (ours != 0).all()
    papers = found.comprehensiveness.mean(-1)
    np.testing.assert_allclose(papers, ours * 5 / 6, rtol=1e-12)
    # what is left of the empty set says nothing of a ranking
    left = found.sufficiency[..., 0]
    assert left[0] == left[1] != 0


def test_ranks_are_descending_and_ties_are_broken_at_random():
    rng = np.random.default_rng(0)
    assert descending_ranks(np.array([0.1, 0.7, 0.2]), rng).tolist() == [2, 0, 1]
    places = {
        tuple(descending_ranks(np.array([0.0, 1.0, 0.0, 0.0]), rng)) for _ in range(200)
    }
    assert len(places) == 6
    assert all(place[1] == 0 for place in places)


def attention_table(path, batch, weights, scores=None):
    """A table of the weights of each text, and of scores where they matter."""
    lists = [list(map(float, row)) for row in weights]
    columns = {
        **RUN,
        "instance_id": batch.instance_ids,
        "length": batch.lengths,
        "label": 0,
        "predicted": 0,
        "targets": None,
        "probabilities": [[0.5, 0.5]] * len(lists),
        "scores": lists if scores is None else scores,
        "attention": lists,
        "support": [sum(w > 0 for w in row) for row in lists],
        "entropy": [0.0] * len(lists),
        **dict.fromkeys(("cell", "gold", "guess", "times"), [None] * len(lists)),
    }
    write_table(path, "attention", columns, {})
    return path


def erased(path, write, *arguments) -> pd.DataFrame:
    """The table that a function writes, by subject and instance."""
    with open_table(path, "erasure", {}) as table:
        write(table, *arguments)
    rows = read_table(path, "erasure").to_pandas()
    return rows.set_index(["subject", "instance_id"])


SHARES = (0.2, 0.5)
FALLS = ("comprehensiveness", "sufficiency")


def test_erasure_table_has_a_row_a_ranking(tmp_path):
    model = tiny_model()
    batch = batch_of((6, 3))
    attention = model(batch).attention.detach()
    lists = [attention[b, :n].tolist() for b, n in enumerate(batch.lengths)]
    common = {**RUN, "instance_id": batch.instance_ids, "length": batch.lengths}
    path = attention_table(tmp_path / "attention.parquet", batch, lists)
    importance = {**common, "method": "same", "importance": lists}
    importance["completeness_error"] = None
    write_table(tmp_path / "same.parquet", "importance", importance, {})
    rows = erased(
        tmp_path / "erasure.parquet",
        write_erasure,
        model,
        [batch],
        RUN,
        path,
        {"same": tmp_path / "same.parquet"},
        SHARES,
        4,
    )
    subjects = rows.index.get_level_values("subject")
    assert list(subjects) == ["attention"] * 2 + ["same"] * 2 + ["random"] * 2
    # an importance that equals attention scores as attention does
    for column in FALLS:
        values = np.stack(rows[column])
        np.testing.assert_array_equal(values[:2], values[2:4])
        # every text attends everywhere: at that size no ranking takes other tokens
        assert rows[f"{column}_at_support"].isna().all()


def test_erasure_at_the_support_takes_as_many_tokens_of_every_ranking(tmp_path):
    model = tiny_model(n_classes=3)
    batch = batch_of((7, 4, 3, 5))
    weights = [
        [0, 0.2, 0, 0.5, 0, 0, 0.3],
        [0, 0, 1, 0],
        [0, 0, 0],
        [0.2, 0.2, 0.2, 0.2, 0.2],
    ]
    path = attention_table(tmp_path / "attention.parquet", batch, weights)
    rng = np.random.default_rng(0)
    importance = {
        **RUN,
        "instance_id": batch.instance_ids,
        "length": batch.lengths,
        "method": "grad",
        "importance": [rng.random(n) for n in batch.lengths],
        "completeness_error": None,
    }
    write_table(tmp_path / "grad.parquet", "importance", importance, {})
    rows = erased(
        tmp_path / "erasure.parquet",
        write_erasure,
        model,
        [batch],
        RUN,
        path,
        {"grad": tmp_path / "grad.parquet"},
        SHARES,
        1,
    )
    assert rows["support"].tolist() == [3, 1, 0, 5] * 3
    for subject in ("attention", "grad"):
        by = weights if subject == "attention" else importance["importance"]
        for b, support in ((0, 3), (1, 1)):
            n, row = batch.lengths[b], rows.loc[subject, batch.instance_ids[b]]
            top = np.argsort(-np.asarray(by[b]))[:support]
            keep = np.isin(np.arange(n), top)
            ids = batch.token_ids[b, :n]
            full = by_hand(model, ids, [True] * n)
            k = full.argmax()
            for column, left in zip(FALLS, (~keep, keep), strict=True):
                expected = (full[k] - by_hand(model, ids, left)[k]).item()
                assert row[f"{column}_at_support"] == pytest.approx(expected, abs=1e-6)
    # without a token, or with all, of the top there is nothing that a ranking ranks
    without = rows.loc[(slice(None), batch.instance_ids[2:]), :]
    assert without[[f"{column}_at_support" for column in FALLS]].isna().all(axis=None)
    known = rows.loc[(slice(None), batch.instance_ids[:2]), :]
    assert known[[f"{column}_at_support" for column in FALLS]].notna().all(axis=None)


def test_ties_among_zeros_move_large_shares_but_not_the_support(tmp_path):
    model = tiny_model()
    batch = batch_of((9, 8))
    weights = [[0, 0.6, 0, 0, 0.4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0]]
    path = attention_table(tmp_path / "attention.parquet", batch, weights)
    found = [
        erased(
            tmp_path / "erasure.parquet",
            write_erasure,
            model,
            [batch],
            RUN,
            path,
            {},
            (0.01, 0.5),
            1,
            seed,
        ).loc["attention"]
        for seed in range(5)
    ]
    for column in FALLS:
        at_support = np.stack([rows[f"{column}_at_support"] for rows in found])
        assert (at_support == at_support[0]).all()
        assert (at_support != 0).all()
        curves = np.array([np.stack(rows[column]) for rows in found])  # (5, B, S)
        assert (curves[..., 0] == curves[0, :, 0]).all()
        # beyond the support, the draw decides
        assert (np.ptp(curves[..., 1], axis=0) > 1e-4).all()


def test_a_run_that_is_its_cut_reference_equals_its_control(tmp_path):
    model = tiny_model()
    batch = batch_of((9, 6, 5))
    rng = np.random.default_rng(1)
    dense = [rng.dirichlet(np.ones(n)) for n in batch.lengths]
    kept = [np.where(w >= np.sort(w)[-2], w, 0) for w in dense]
    reference = attention_table(tmp_path / "reference.parquet", batch, dense)
    attention = attention_table(tmp_path / "attention.parquet", batch, kept)
    named = RUN | {"normalizer": "softmax cut to n"}
    own = erased(
        tmp_path / "own.parquet",
        write_erasure,
        model,
        [batch],
        RUN,
        attention,
        {},
        SHARES,
        1,
    )
    cut = erased(
        tmp_path / "cut.parquet",
        write_cut,
        model,
        [batch],
        named,
        attention,
        reference,
        SHARES,
    )
    assert set(cut["normalizer"]) == {"softmax cut to n"}
    own = own.loc[["attention"]]
    pd.testing.assert_frame_equal(
        own.drop(columns="normalizer"), cut.drop(columns="normalizer")
    )
    assert (cut["support"] == 2).all()
    # another run's reference is something else
    other = attention_table(
        tmp_path / "other.parquet", batch, [1 - w for w in map(np.asarray, dense)]
    )
    cut = erased(
        tmp_path / "cut.parquet",
        write_cut,
        model,
        [batch],
        named,
        attention,
        other,
        SHARES,
    )
    assert (
        cut["comprehensiveness_at_support"] != own["comprehensiveness_at_support"]
    ).any()


def test_scores_under_softmax_rank_what_has_no_weight(tmp_path):
    model = tiny_model()
    batch = batch_of((8, 5))
    scores = [[3, 2, 1, 0, -1, -2, -3, -4], [1, 5, 2, 4, 3]]
    weights = [[0.6, 0.4, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
    attention = attention_table(tmp_path / "a.parquet", batch, weights, scores)
    path = tmp_path / "softmax.parquet"
    ranked = [
        erased(
            path, write_softmax, model, [batch], RUN, attention, (0.5, 0.8), seed
        ).loc["attention"]
        for seed in range(3)
    ]
    # no ties: no draw decides
    for rows in ranked[1:]:
        pd.testing.assert_frame_equal(rows, ranked[0])
    own = erased(
        path, write_erasure, model, [batch], RUN, attention, {}, (0.5, 0.8), 1
    ).loc["attention"]
    for column in FALLS:
        # what has weight has the largest scores
        at_support = f"{column}_at_support"
        np.testing.assert_array_equal(ranked[0][at_support], own[at_support])
        assert (np.stack(ranked[0][column]) != np.stack(own[column])).any()
