"""Every audit of decisions whose outputs are scores, against loops written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.importance import load_function, write_importance
from attention_audit.attribution.influence import write_influence
from attention_audit.attribution.weights import write_attention
from attention_audit.interventions.adversarial import SearchSettings, write_adversarial
from attention_audit.interventions.adversaries import train_adversary, write_adversary
from attention_audit.interventions.erasure import erase, write_erasure
from attention_audit.interventions.flips import (
    attention_gradients,
    removals_to_flip,
    without_leading,
    write_flips,
)
from attention_audit.interventions.guided import train_guided
from attention_audit.interventions.pairs import write_pairs
from attention_audit.interventions.permutation import (
    permutation_differences,
    shuffled,
    write_permutation,
)
from attention_audit.methods import method_function
from attention_audit.models.outputs import (
    Readout,
    changed_outputs,
    exact_outputs,
    steep_outputs,
)
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import open_table, read_table
from attention_audit.statistics.explanations import measure_explanations, point_rows
from attention_audit.statistics.run_measures import measure_run
from tests.unit.test_training import CPU, SETTINGS
from tests.unit.viewers import MOMENTS, seconds, viewer, viewer_settings

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
outputs_of = pytest.mark.parametrize("outputs", [1, 3])


def exact(kind="softmax", outputs=3):
    return viewer(kind, outputs).double().requires_grad_(False)


def batch_of(n=4, outputs=3):
    whole = seconds(n, 0, outputs).whole
    return replace(whole, values=whole.values.double())


# --- outputs ----------------------------------------------------------------------


def test_scores_are_sigmoids_and_equal_ones_are_equal_to_the_last_bit():
    logits = 4 * torch.randn(1, 15, generator=torch.Generator().manual_seed(0))
    y = exact_outputs(logits.expand(37, 15), "sigmoid")
    torch.testing.assert_close(y, logits.double().sigmoid().expand(37, 15))
    assert (y == y[:1]).all()
    before, after = changed_outputs(logits, logits.expand(37, 15), 5.0, "sigmoid")
    assert (before == after).all()


def test_slopes_of_scores_near_their_ends_do_not_vanish():
    logits = torch.tensor([[40.0, -40.0, 0.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(steep_outputs(logits, "sigmoid").sum(), logits)
    small = np.exp(-40.0) / (1 + np.exp(-40.0)) ** 2
    np.testing.assert_allclose(slope.abs()[0], [small, small, 0.25], rtol=1e-12)


# --- importance -------------------------------------------------------------------


@outputs_of
def test_gradient_importance_sums_over_all_scores(outputs):
    model, batch = exact(outputs=outputs), batch_of(outputs=outputs)
    got = gradient_importance(model, batch, "inputs", "attached")
    for b in range(len(batch.lengths)):
        values = batch.values[b : b + 1].requires_grad_()
        y = model(replace(batch, values=values)).logits.sigmoid()
        for t in range(MOMENTS):
            total = 0.0
            for k in range(outputs):
                (slope,) = torch.autograd.grad(y[0, k], values, retain_graph=True)
                total += abs(float(slope[0, t] @ values[0, t]))
            assert got[b, t].item() == pytest.approx(total)


@outputs_of
def test_leaving_out_is_a_mean_over_scores(outputs):
    model, batch = exact(outputs=outputs), batch_of(outputs=outputs)
    got = leave_one_out(model, batch, "inputs")
    of_hidden = leave_one_out(model, batch, "hidden_states")
    for b in range(len(batch.lengths)):
        one = batch.take([b])
        full = model(one)
        scores = model.pooling.scores(full.hidden, None)
        for t in range(MOMENTS):
            values = one.values.clone()
            values[0, t] = 0
            silent = model(replace(one, values=values)).logits.sigmoid()
            change = (silent - full.logits.sigmoid()).abs().mean()
            assert got[b, t].item() == pytest.approx(change.item(), abs=1e-9)
            mask = torch.ones(1, MOMENTS, dtype=torch.bool)
            mask[0, t] = False
            weights = model.pooling.normalizer(scores, mask)
            left = model.decide(full.hidden, weights).sigmoid()
            change = (left - full.logits.sigmoid()).abs().mean()
            assert of_hidden[b, t].item() == pytest.approx(change.item(), abs=1e-9)


@pytest.mark.parametrize("output", ["label", "predicted"])
def test_scores_have_no_class_to_ask_for(output):
    for function, more in (
        (gradient_importance, {"attention": "attached"}),
        (leave_one_out, {}),
    ):
        with pytest.raises(AuditError, match=f"output '{output}' .*scores"):
            function(exact(), batch_of(), "inputs", output=output, **more)


# --- interventions ----------------------------------------------------------------


def test_permutation_is_a_mean_over_scores():
    model, batch = exact(), batch_of(1)
    hidden, weights, _ = model(batch).decision(0, MOMENTS)
    rngs = {kind: np.random.default_rng(0) for kind in ("all", "matched")}
    found = permutation_differences(Readout(model), hidden, weights, 7, rngs)["all"][0]
    changes = []
    for row in shuffled(weights.numpy(), 7, np.random.default_rng(0)):
        moved = torch.from_numpy(row)
        pair = [model.output(w @ hidden).sigmoid() for w in (moved, weights)]
        changes.append((pair[0] - pair[1]).abs().mean().item())
    assert found == pytest.approx(np.median(changes), abs=1e-9)


def test_scores_flip_by_a_change_beyond_the_threshold():
    model, batch = exact(), batch_of(1)
    hidden, weights, _ = model(batch).decision(0, MOMENTS)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(MOMENTS) for _ in range(6)]
    own = model.output(weights @ hidden).sigmoid()
    moves = [
        [
            (model.output(torch.from_numpy(row) @ hidden).sigmoid() - own).abs().mean()
            for row in without_leading(weights.numpy(), order)
        ]
        for order in orders
    ]
    threshold = float(np.median([max(row) for row in moves]))
    expected = [
        next((1 + i for i, move in enumerate(row) if move > threshold), None)
        for row in moves
    ]
    assert None in expected and len(set(expected)) > 1
    readout = Readout(model)
    got = removals_to_flip(readout, hidden, weights, orders, threshold=threshold)
    assert got == expected


def test_scores_are_flipped_in_the_order_of_what_weights_change():
    model, batch = exact(), batch_of(2)
    output = model(batch)
    weights = output.attention.detach()
    got = attention_gradients(model, output.hidden, weights)
    step = 1e-6
    for b in range(2):
        for t in range(MOMENTS):
            moved = weights.clone()
            moved[b, t] += step
            rise = model.decide(output.hidden, moved).sigmoid()[b]
            rise = (rise - output.logits.sigmoid()[b]) / step
            expected = (weights[b, t] * rise).abs().sum().item()
            assert got[b, t].item() == pytest.approx(expected, rel=1e-4)


def test_erasure_is_how_far_scores_move():
    model, batch = exact(), batch_of(3)
    rng = np.random.default_rng(0)
    ranks = np.stack([[rng.permutation(MOMENTS) for _ in range(3)] for _ in range(2)])
    counts = np.tile([1, 3], (3, 1))
    found = erase(model, batch, torch.from_numpy(ranks), counts)
    for b in range(3):
        one = batch.take([b])
        own = model(one).logits.sigmoid()
        for a in range(2):
            for c in range(2):
                top = torch.from_numpy(ranks[a, b] < counts[b, c])
                for falls, gone in ((found[0], top), (found[1], ~top)):
                    left = model(one.without(gone[None])).logits.sigmoid()
                    move = (left - own).abs().mean().item()
                    assert falls[a, b, c] == pytest.approx(move, abs=1e-9)
    assert (np.array(found) > 0).all()


@outputs_of
@pytest.mark.parametrize("kind", ["softmax", "sparsemax"])
def test_adversaries_hold_the_tolerance_summed_over_scores(tmp_path, kind, outputs):
    model, batch = exact(kind, outputs), batch_of(6, outputs)
    settings = SearchSettings(candidates=2, steps=30, learning_rate=0.1, tolerance=0.02)
    with open_table(tmp_path / "a.parquet", "adversarial", {}) as table:
        write_adversarial(table, model, iter([batch]), RUN, settings)
    output = model(batch)
    rows = read_table(tmp_path / "a.parquet", "adversarial").to_pandas()
    assert rows["found"].any()
    for i, row in rows.iterrows():
        b = i % len(batch.lengths)
        moved = torch.tensor(row["attention"], dtype=torch.float64)
        y = model.output(moved @ output.hidden[b]).sigmoid()
        change = (y - output.logits[b].sigmoid()).abs().sum().item()
        assert change == pytest.approx(row["output_difference"], abs=1e-5)
        assert change <= settings.tolerance + 1e-6


def test_an_adversary_learns_scores_at_the_mean_of_their_differences(tmp_path):
    base = viewer("softmax", encoder="average")
    train, dev = seconds(60, 0), seconds(20, 1)
    training = {**SETTINGS, "max_epochs": 3}
    other, _ = train_adversary(base, train, dev, training, 0.1, "jsd", 0, CPU)
    with open_table(tmp_path / "a.parquet", "adversaries", {}) as table:
        write_adversary(table, base, other, iter([dev.whole]), RUN, 0.1, "jsd")
    rows = read_table(tmp_path / "a.parquet", "adversaries")
    y = [model(dev.whole).logits.double().sigmoid() for model in (base, other)]
    expected = (y[0] - y[1]).abs().mean(-1).detach().numpy()
    np.testing.assert_allclose(rows["tvd"], expected, atol=1e-12)
    assert rows["correct"].null_count == rows["paper_weight"].null_count == 20


def test_a_guided_model_is_scored_as_others_are():
    splits = {name: seconds(60, i) for i, name in enumerate(("train", "dev", "test"))}
    settings = viewer_settings("softmax", encoder="average")
    training = {**SETTINGS, "max_epochs": 4}
    found = train_guided(settings, viewer("sparsemax"), splits, training, 0, CPU)
    assert set(found["test"]) == {
        "pearson",
        "concordance",
        "absolute_error",
        "constant",
    }
    assert found["test"]["pearson"] > 0.3


# --- tables -----------------------------------------------------------------------


def test_every_audit_and_its_measures_take_scores(tmp_path):
    model, batch = viewer(), seconds(6, 0).whole

    def table(name, schema, write, *arguments, of=model):
        path = tmp_path / f"{name}.parquet"
        with open_table(path, schema, {}) as rows:
            write(rows, of, iter([batch]), RUN, *arguments)
        return path

    attention = table("attention", "attention", write_attention)
    rows = read_table(attention, "attention")
    y = exact_outputs(model(batch).logits.detach(), "sigmoid")
    np.testing.assert_allclose(np.stack(rows["probabilities"].to_numpy()), y, rtol=1e-6)
    np.testing.assert_array_equal(
        np.stack(rows["targets"].to_numpy()), batch.labels.numpy()
    )
    assert rows["label"].null_count == rows["predicted"].null_count == 6

    importances, methods = (
        {},
        {
            "gradient": {"of": "inputs", "attention": "detached"},
            "leave_one_out": {"of": "inputs"},
        },
    )
    for kind, parameters in methods.items():
        function = load_function(*method_function(kind))
        more = kind, function, parameters
        importances[kind] = table(kind, "importance", write_importance, *more)
    influence = table("influence", "influence", write_influence, 1)
    effects = {"gradient": "sum", "leave_one_out": "mean"}
    pieces = measure_run(RUN, attention, importances, influence, effects)
    found = {}
    for piece in pieces:
        for row in piece.to_pylist():
            key = row["measure"], row["subject"]
            found.setdefault(key, []).append(row["value"])
    error = (y - batch.labels).abs().mean(-1)
    key = "absolute_error", "prediction"
    np.testing.assert_allclose(found[key], error, atol=1e-6)
    assert "correct" not in {measure for measure, _ in found}
    left_out = leave_one_out(model, batch, "inputs").max(-1).values
    key = "largest_effect", "leave_one_out"
    np.testing.assert_allclose(found[key], left_out, rtol=1e-5)

    settings = SearchSettings(candidates=2, steps=3)
    paths = {
        "permutation": [table("permutation", "permutation", write_permutation, 5)],
        "flips": [table("flips", "flips", write_flips, 2, 0, 0.01)],
        "adversarial": [
            table("adversarial", "adversarial", write_adversarial, settings)
        ],
        "erasure": [
            table("e", "erasure", write_erasure, attention, importances, (0.5,), 1)
        ],
    }
    other = RUN | {"normalizer": "o"}
    beside = tmp_path / "other.parquet"
    with open_table(beside, "attention", {}) as rows:
        write_attention(rows, viewer(seed=1), iter([batch]), other)
    paths["uniform"] = [tmp_path / "pairs.parquet"]
    with open_table(paths["uniform"][0], "pairs", {}) as rows:
        write_pairs(rows, RUN, attention, [other], [beside])
    pairs = read_table(paths["uniform"][0], "pairs")
    apart = (exact_outputs(viewer(seed=1)(batch).logits.detach(), "sigmoid") - y).abs()
    np.testing.assert_allclose(pairs["tvd"], apart.mean(-1), atol=1e-6)
    assert pairs["gain"].null_count == 6
    measured = [t.to_pandas() for t in measure_explanations(RUN, paths)]
    names = {name for frame in measured for name in frame["measure"]}
    assert {"tvd", "jsd", "decision_stands", "comprehensiveness"} <= names
    assert "gain" not in names
    with open_table(tmp_path / "m.parquet", "measures", {}) as rows:
        for piece in measure_explanations(RUN, paths):
            rows.write(piece)
    keys = [("permutation_difference", "shuffled_all")]
    points = point_rows(RUN, tmp_path / "m.parquet", attention, keys)
    assert len(points) == 6 and points["predicted"].null_count == 6
