"""Attribution against hand-computed gradients, plain loops, and captum."""

import captum.attr
import numpy as np
import pytest
import torch

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.importance import load_function
from attention_audit.attribution.influence import (
    batched_jacobian_norms,
    jacobian_norms,
    summarise,
)
from attention_audit.attribution.weights import write_attention
from attention_audit.methods import (
    EFFECTS,
    METHODS,
    WITHOUT_CONTEXT,
    bound_to_weights,
    method_function,
)
from attention_audit.models.encoder_kinds import ENCODERS as ENCODER_KINDS
from attention_audit.records import tables
from tests.unit.instances import instances
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model
from tests.unit.programs import PRINT_COMPILER, output_of

encoders = pytest.mark.parametrize("encoder", ENCODERS)
normalizers = pytest.mark.parametrize("kind", ["softmax", "sparsemax", "rela"])
subjects = pytest.mark.parametrize("of", ["inputs", "hidden_states"])


def probabilities(model, ids):
    return model(text_batch(ids.unsqueeze(0))).logits[0].softmax(-1)


@encoders
@normalizers
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("attention", ["detached", "attached"])
def test_gradient_importance_is_the_sum_over_outputs(encoder, kind, classes, attention):
    model = tiny_model(encoder, n_classes=classes, kind=kind)
    ids, mask = tiny_batch((5, 3))
    got = gradient_importance(model, text_batch(ids, mask), "inputs", attention)
    for b, n in enumerate((5, 3)):
        row, ones = ids[b : b + 1, :n], mask[b : b + 1, :n]
        fixed = model(text_batch(row, ones)).attention.detach()

        def outputs(x, ones=ones, fixed=fixed):
            hidden, states = model.encode(x, ones)
            weights = model.weights(hidden, states)
            return model.decide(
                hidden, fixed if attention == "detached" else weights
            ).softmax(-1)[0]

        x = model.embed(text_batch(row)).detach()
        jacobian = torch.autograd.functional.jacobian(outputs, x)  # (K, 1, n, E)
        expected = (jacobian * x).sum(-1).abs().sum(0)[0]
        torch.testing.assert_close(got[b, :n], expected)
    assert (got[~mask] == 0).all()


def test_gradient_importance_of_hidden_states_with_weights_held():
    model = tiny_model("bilstm", kind="sparsemax")
    ids, mask = tiny_batch((6,))
    output = model(text_batch(ids, mask))
    y = output.logits.softmax(-1)[0]
    # d y_k / d h_t = a_t (dy_k / dlogits) W, in closed form for fixed weights a.
    slope = torch.diag(y) - torch.outer(y, y)
    per_class = slope @ model.output.weight  # (K, H)
    expected = (
        ((per_class @ output.hidden[0].T) * output.attention[0]).abs().sum(0)
    )  # (n,)
    got = gradient_importance(model, text_batch(ids, mask), "hidden_states", "detached")
    torch.testing.assert_close(got[0], expected.detach())
    assert ((output.attention[0] == 0) == (got[0] == 0)).all()


@encoders
@normalizers
def test_leave_one_out_of_inputs_deletes_one_token_at_a_time(encoder, kind):
    model = tiny_model(encoder, n_classes=3, kind=kind)
    lengths = (6, 2, 4)
    ids, mask = tiny_batch(lengths)
    got = leave_one_out(model, text_batch(ids, mask), "inputs", "delete")
    for b, n in enumerate(lengths):
        full = probabilities(model, ids[b, :n])
        for t in range(n):
            shorter = torch.cat([ids[b, :t], ids[b, t + 1 : n]])
            expected = (probabilities(model, shorter) - full).abs().mean()
            torch.testing.assert_close(got[b, t], expected)
    assert (got[~mask] == 0).all()


def test_leave_one_out_does_not_depend_on_how_rows_are_cut(monkeypatch):
    model = tiny_model("bilstm")
    ids, mask = tiny_batch((9, 1, 5, 1, 7))
    whole = leave_one_out(model, text_batch(ids, mask), "inputs", "delete")
    monkeypatch.setattr("attention_audit.models.outputs.INPUTS_PER_PASS", 20)
    torch.testing.assert_close(
        leave_one_out(model, text_batch(ids, mask), "inputs", "delete"), whole
    )


@encoders
def test_replacing_agrees_with_captums_feature_ablation(encoder):
    model = tiny_model(encoder)
    ids, mask = tiny_batch((6,))
    full = probabilities(model, ids[0])

    def difference(tokens):
        return (model(text_batch(tokens)).logits.softmax(-1) - full).abs().mean(-1)

    ablation = captum.attr.FeatureAblation(difference)
    expected = -ablation.attribute(ids, baselines=1)
    got = leave_one_out(model, text_batch(ids, mask), "inputs", "replace")
    torch.testing.assert_close(got, expected.to(got))


@subjects
def test_leaving_the_only_token_out_leaves_the_bias(of):
    model = tiny_model("bilstm")
    ids, mask = tiny_batch((1, 3))
    got = leave_one_out(model, text_batch(ids, mask), of, "delete")
    full = probabilities(model, ids[0, :1])
    expected = (model.output.bias.softmax(-1) - full).abs().mean()
    torch.testing.assert_close(got[0, 0], expected)


@encoders
@normalizers
def test_leave_one_out_of_hidden_states_normalizes_the_others_anew(encoder, kind):
    model = tiny_model(encoder, kind=kind)
    ids, mask = tiny_batch((6, 4))
    output = model(text_batch(ids, mask))
    got = leave_one_out(model, text_batch(ids, mask), "hidden_states")
    for b, n in enumerate((6, 4)):
        hidden = output.hidden[b : b + 1, :n]
        for t in range(n):
            others = torch.arange(n) != t
            rest = hidden[:, others]
            weights = model.pooling.weights(
                rest, torch.ones(1, n - 1, dtype=torch.bool)
            )
            y = model.decide(rest, weights).softmax(-1)[0]
            expected = (y - output.logits[b].softmax(-1)).abs().mean()
            torch.testing.assert_close(got[b, t], expected)


def jacobian_by_torch(encoder, x):
    mask = torch.ones(1, len(x), dtype=torch.bool)
    jacobian = torch.autograd.functional.jacobian(
        lambda e: encoder(e.unsqueeze(0), mask)[0], x
    )  # (n, H, n, E)
    return jacobian.square().sum((1, 3)).sqrt()


@encoders
@pytest.mark.parametrize("n", [1, 2, 9])
def test_influence_is_the_norm_of_the_jacobian(encoder, n):
    model = tiny_model(encoder)
    x = torch.randn(n, 5, dtype=torch.float64)
    torch.testing.assert_close(
        jacobian_norms(model.encoder, x), jacobian_by_torch(model.encoder, x)
    )


@pytest.mark.parametrize("encoder", ["bilstm", "bilstm2", "marked", "transformer1"])
@pytest.mark.parametrize("numbers", [1, 150, 2**17])
def test_influence_in_chunks_is_the_same(monkeypatch, encoder, numbers):
    model = tiny_model(encoder)
    x = torch.randn(7, 5, dtype=torch.float64)
    monkeypatch.setattr("attention_audit.attribution.backward_passes.ROWS_PER_PASS", 5)
    monkeypatch.setattr(
        "attention_audit.attribution.influence.NUMBERS_PER_STEP", numbers
    )
    whole = jacobian_by_torch(model.encoder, x)
    torch.testing.assert_close(batched_jacobian_norms(model.encoder, x), whole)
    torch.testing.assert_close(jacobian_norms(model.encoder, x), whole)


# Kinds that hardly raise rounding. ReLA divides by the size of its contexts, small ones
# here, and far above alpha = 2 the weights of entmax are steep.
STEADY = ("softmax", "sparsemax", "entmax", "sparsegen", "top_k", "uniform")


@pytest.mark.parametrize("settings", instances().values(), ids=instances())
@pytest.mark.parametrize("n", [1, 2, 9])
def test_influence_by_structure_agrees_with_backward_passes(settings, n):
    model = tiny_model("transformer1", self_attention=settings)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        # gains, gates and learned alphas differ between heads and from their start
        parameter.data += 0.3 * torch.randn(
            parameter.shape, dtype=torch.float64, generator=generator
        )
    x = torch.randn(n, 5, dtype=torch.float64, generator=generator)
    exact = batched_jacobian_norms(model.encoder, x)
    torch.testing.assert_close(
        jacobian_norms(model.encoder, x), exact, rtol=1e-10, atol=1e-13
    )
    steady = settings["kind"] in STEADY and settings.get("alpha") != 4
    single = jacobian_norms(model.encoder.float(), x.float())
    torch.testing.assert_close(
        single,
        batched_jacobian_norms(model.encoder, x.float()),
        rtol=1e-6 if steady else 1e-4,
        atol=1e-6 * float(exact.max()),
    )


SPARSE = [
    {"kind": "sparsemax"},
    {"kind": "entmax", "alpha": 1.5},
    {"kind": "entmax", "alpha": "learned"},
    {"kind": "sparsegen", "lam": 0.75},
    {"kind": "top_k", "k": 2},
    {"kind": "rela"},
    {"kind": "rela", "gated": True},
]
DECLARED = [
    {"kind": kind, "of": of} | more
    for kind, options in {
        "gradient": [{"attention": "detached"}, {"attention": "attached"}],
        "leave_one_out": [{"removal": "delete"}, {"removal": "replace"}],
    }.items()
    for of in ("inputs", "hidden_states")
    for more in options
]


@pytest.mark.parametrize("method", DECLARED, ids=lambda m: "-".join(m.values()))
@encoders
def test_what_is_bound_to_the_weights_is_0_wherever_they_are(encoder, method):
    """`bound_to_weights` says so of all normalizers, and of no method too much."""
    ids, mask = tiny_batch((7, 5, 6, 4))
    module, name = method_function(method["kind"])
    function = load_function(module, name)
    options = {key: value for key, value in method.items() if key != "kind"}
    elsewhere, zeros = 0.0, 0
    for normalizer in SPARSE:
        model = tiny_model(encoder, **normalizer)
        with torch.no_grad():  # apart, so that there are zeros
            model.pooling.scorer.score.weight.mul_(100)
        weights = model(text_batch(ids, mask)).attention
        importance = function(model, text_batch(ids, mask), **options).to(weights)
        without = mask & (weights == 0)
        zeros += bool(without.any())
        elsewhere = max(elsewhere, float((importance * without).max()))
    assert zeros >= len(SPARSE) - 2  # ReLA may have none
    assert bound_to_weights(method, ENCODERS[encoder]) == (elsewhere == 0)


def test_kinds_without_context_are_named():
    named = {
        kind
        for kind, place in ENCODER_KINDS.items()
        if not getattr(load_function(*place), "contextual", True)
    }
    assert named == set(WITHOUT_CONTEXT)
    # and each method that measures effects is among those tried above
    assert set(EFFECTS) == set(METHODS) == {method["kind"] for method in DECLARED}


def test_influence_does_not_wait_for_torchs_compiler():
    program = """
import torch
from attention_audit.attribution.influence import jacobian_norms
from tests.unit.models import tiny_model
for encoder in ("bilstm", "transformer1"):
    jacobian_norms(tiny_model(encoder).encoder, torch.randn(4, 5).double())
"""
    assert output_of(program + PRINT_COMPILER) == "[]"


def test_influence_of_an_encoder_without_context_is_its_own_input():
    model = tiny_model("average")
    summary = summarise(
        jacobian_norms(model.encoder, torch.randn(5, 5).double()).numpy()
    )
    np.testing.assert_allclose(summary.dispersion, 0, atol=1e-12)
    np.testing.assert_allclose(summary.coindexed_share, 1)
    np.testing.assert_array_equal(summary.coindexed_rank, 1)


def test_summary_by_hand():
    norms = np.array([[1.0, 1.0, 2.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    summary = summarise(norms)
    entropy = -(0.5 * np.log(0.25) + 0.5 * np.log(0.5))
    np.testing.assert_allclose(summary.dispersion[:2], [entropy / np.log(3), 0.0])
    np.testing.assert_allclose(summary.coindexed_share[:2], [0.25, 1.0])
    # ties with another input do not push the rank down
    np.testing.assert_array_equal(summary.coindexed_rank, [2, 1, 3])
    assert np.isnan(summary.dispersion[2]) and np.isnan(summary.coindexed_share[2])
    assert np.isnan(summarise(np.ones((1, 1))).dispersion[0])


@pytest.mark.parametrize("kind", ["rela", "top_k", "sparsemax", "entmax"])
def test_influence_reaches_through_self_attention_with_any_normalizer(kind):
    own = {"top_k": {"k": 2}, "entmax": {"alpha": "learned"}, "rela": {"gated": True}}
    attention = {"kind": kind, **own.get(kind, {})}
    model = tiny_model("transformer", self_attention=attention)
    x = model.embed(text_batch(*tiny_batch((5,))))[0].detach()
    ones = torch.ones(1, 5, dtype=torch.bool)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model.encoder(x.unsqueeze(0), ones)[0], x
    )  # (n, H, n, E)
    torch.testing.assert_close(
        jacobian_norms(model.encoder, x), jacobian.square().sum((1, 3)).sqrt()
    )


def test_an_instance_without_any_weight_is_told_apart(tmp_path):
    model = tiny_model("bilstm", kind="rela")
    ids, mask = tiny_batch((4, 3))
    batch = text_batch(ids, mask)
    scores = model.pooling.scorer(model(batch).hidden)

    class Scorer(torch.nn.Module):
        """The scores of the first instance, and none above zero in the second."""

        def forward(self, hidden):
            return torch.stack([scores[0].abs(), -scores[1].abs()])

    model.pooling.scorer = Scorer()
    output = model(text_batch(ids, mask))
    assert (output.attention[0] > 0).any() and (output.attention[1] == 0).all()
    torch.testing.assert_close(output.logits[1], model.output.bias)

    run = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "r", "seed": 0}
    path = tmp_path / "attention.parquet"
    with tables.open_table(path, "attention", {}) as table:
        write_attention(table, model, iter([batch]), run)
    written = tables.read_table(path, "attention")
    expected = [
        s[:n]
        for s, n in zip((scores[0].abs(), -scores[1].abs()), batch.lengths, strict=True)
    ]
    for row, values in zip(written["scores"].to_pylist(), expected, strict=True):
        assert row == pytest.approx(values.tolist())
    assert written["support"].to_pylist()[1] == 0
    assert written["entropy"].is_null().to_pylist() == [False, True]
