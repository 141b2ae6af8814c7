"""Every kind of attribution method: what each promises, against captum, shap's definition, graphs."""

import itertools
import math

import captum.attr
import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from attention_audit.attribution import coalitions, self_attention
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.importance import attributed, load_function
from attention_audit.attribution.paths import gradient_shap, integrated_gradients
from attention_audit.attribution.sensitivity import gradient_norm, smooth_grad
from attention_audit.attribution.weighted import attention_gradient, value_norm
from attention_audit.methods import (
    METHODS,
    THROUGH_LAYERS,
    WITH_LAYERS,
    applies,
    method_function,
    not_applying,
)
from attention_audit.records.errors import AuditError
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model
from tests.unit.test_reaction_model import batch as recordings
from tests.unit.test_reaction_model import settings as of_recordings
from tests.unit.translators import pair_batch, tiny_translator

# What each kind is asked with, beside what it is of.
OPTIONS = {
    "gradient": {"attention": "attached"},
    "gradient_shap": {"samples": 3, "noise": 0.1},
    "integrated_gradients": {"steps": 4},
    "kernel_shap": {"samples": 24},
    "lime": {"samples": 24},
    "smooth_grad": {"samples": 3, "noise": 0.1},
}
OF_ONE = {
    "attention_gradient": "hidden_states",
    "value_norm": "hidden_states",
    **dict.fromkeys(THROUGH_LAYERS, "inputs"),
}
SUBJECTS = [
    (kind, of)
    for kind in METHODS
    for of in ("inputs", "hidden_states")
    if OF_ONE.get(kind, of) == of
]
every = pytest.mark.parametrize(("kind", "of"), SUBJECTS)


def found(kind, model, batch, of, **more):
    options = {"of": of, **OPTIONS.get(kind, {}), **more}
    return attributed(load_function(*method_function(kind)), model, batch, options)


def encoder_for(kind):
    return "transformer" if kind in THROUGH_LAYERS else "bilstm"


@every
@pytest.mark.parametrize("normalizer", ["sparsemax", "rela"])
def test_no_decision_depends_on_its_neighbours_or_padding(kind, of, normalizer):
    model = tiny_model(encoder_for(kind), n_classes=3, kind=normalizer)
    ids, mask = tiny_batch((6, 3, 1))
    whole = text_batch(ids, mask)
    importance, error = found(kind, model, whole, of)
    assert importance.shape == mask.shape
    assert (importance >= 0).all() and (importance[~mask] == 0).all()
    if normalizer == "sparsemax":  # ReLA may have no weight on the way
        assert importance[0].max() > 0
    for b in (2, 0, 1):
        alone, missed = found(kind, model, whole.take(np.array([b])), of)
        n = int(mask[b].sum())
        torch.testing.assert_close(alone[0, :n], importance[b, :n])
        assert error is None or missed[0].item() == pytest.approx(
            error[b].item(), abs=1e-9
        )


@every
def test_of_sentence_pairs_each_decision_has_its_own(kind, of):
    model = tiny_translator("transformer" if kind in THROUGH_LAYERS else "lstm").eval()
    batch = pair_batch(3)
    importance, _ = found(kind, model, batch, of)
    assert importance.shape == batch.mask.shape
    assert (importance >= 0).all() and (importance[~batch.mask] == 0).all()
    rows = np.flatnonzero(batch.pair == 1)
    alone, _ = found(kind, model, batch.take(rows), of)
    n = alone.shape[1]
    if kind not in OPTIONS or "samples" not in OPTIONS[kind]:
        torch.testing.assert_close(
            alone, importance[rows, :n].to(alone), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("kind", [k for k in METHODS if k not in THROUGH_LAYERS])
def test_of_scores_each_output_counts_and_times_have_no_part(kind):
    torch.manual_seed(0)
    model = of_recordings().new_model().eval()
    batch = recordings(6, 4)
    importance, error = found(kind, model, batch, OF_ONE.get(kind, "inputs"))
    assert (importance >= 0).all() and (importance[~batch.mask] == 0).all()
    assert error is None or (error < 0.5).all()


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
@pytest.mark.parametrize("classes", [2, 4])
def test_integrated_gradients_are_complete_and_those_of_captum(encoder, classes):
    model = tiny_model(encoder, n_classes=classes)
    ids, mask = tiny_batch((6, 4))
    batch = text_batch(ids, mask)
    got, error = integrated_gradients(model, batch, "inputs", steps=24)
    assert (error < 1e-6).all()
    coarse = integrated_gradients(model, batch, "inputs", steps=2)[1]
    assert (coarse > error).all()

    def outputs(x, mask):
        hidden, states = model.encode(x, mask)
        return model.decide(hidden, model.weights(hidden, states)).softmax(-1)

    expected = torch.zeros_like(got)
    x = model.embed(batch).detach()
    of_captum = captum.attr.IntegratedGradients(outputs, multiply_by_inputs=True)
    for k in range(classes):
        signed = of_captum.attribute(
            x, target=k, additional_forward_args=mask, n_steps=24
        )
        expected += signed.sum(-1).abs() * mask
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-8)


def test_completeness_errors_are_what_the_sum_misses():
    """Of one word there is one attribution, so that its size is the sum's."""
    model = tiny_model("bilstm", kind="sparsemax")
    batch = text_batch(tiny_batch((1,))[0])
    got, error = integrated_gradients(model, batch, "inputs", steps=1)
    x = model.embed(batch).detach()

    def first(x):
        hidden, states = model.encode(x, batch.mask)
        return model.decide(hidden, model.weights(hidden, states)).softmax(-1)[0, 0]

    half = (x / 2).requires_grad_()
    (slope,) = torch.autograd.grad(first(half), half)
    attribution = (slope * x).sum()
    missed = (attribution - (first(x) - first(x * 0))).abs()
    assert error.item() == pytest.approx(missed.item(), rel=1e-6)
    assert missed > 1e-6
    assert got.sum().item() == pytest.approx(2 * attribution.abs().item())


def test_smooth_grad_without_noise_is_the_gradients_norm():
    model = tiny_model("bilstm", n_classes=3)
    batch = text_batch(*tiny_batch((5, 3)))
    for of in ("inputs", "hidden_states"):
        plain = gradient_norm(model, batch, of)
        torch.testing.assert_close(smooth_grad(model, batch, of, 2, 0.0), plain)
        assert not torch.allclose(smooth_grad(model, batch, of, 2, 0.3), plain)


def test_gradient_norm_is_the_length_of_the_jacobian_of_each_output():
    model = tiny_model("transformer", n_classes=3)
    batch = text_batch(tiny_batch((5,))[0])
    x = model.embed(batch).detach()

    def outputs(x):
        hidden, states = model.encode(x, batch.mask)
        return model.decide(hidden, model.weights(hidden, states)).softmax(-1)[0]

    jacobian = torch.autograd.functional.jacobian(outputs, x)[:, 0]  # (K, n, E)
    got = gradient_norm(model, batch, "inputs")
    torch.testing.assert_close(got[0], jacobian.norm(dim=-1).sum(0))


def test_gradient_shap_is_that_of_captum_at_the_same_points(monkeypatch):
    model = tiny_model("bilstm")
    batch = text_batch(tiny_batch((5,))[0])
    x = model.embed(batch).detach()
    shares = np.random.default_rng(3).random(8)

    class Known:
        """Draws these shares of the way, and no noise."""

        def random(self, shape):
            return shares.reshape(shape)

        def standard_normal(self, shape, dtype):
            return np.zeros(shape, dtype)

    monkeypatch.setattr(
        "attention_audit.attribution.paths.generator", lambda key, seed: Known()
    )
    got, _ = gradient_shap(model, batch, "inputs", samples=8, noise=0.5)

    def outputs(x):
        hidden, states = model.encode(x, batch.mask.expand(len(x), -1))
        return model.decide(hidden, model.weights(hidden, states)).softmax(-1)

    monkeypatch.setattr("numpy.random.uniform", lambda *a: shares)
    signed = captum.attr.GradientShap(outputs).attribute(
        x, baselines=x * 0, n_samples=8, stdevs=0.0, target=0
    )
    expected = 2 * signed.sum(-1).abs()
    torch.testing.assert_close(got, expected.to(got), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_captums_deep_lift_of_our_models_is_gradient_times_value(encoder):
    """Its rules are of modules that none of them has, so it would be no other method."""

    class Decides(torch.nn.Module):
        def __init__(self, model, mask):
            super().__init__()
            self.model, self.mask = model, mask

        def forward(self, x):
            hidden, states = self.model.encode(x, self.mask.expand(len(x), -1))
            weights = self.model.weights(hidden, states)
            return self.model.decide(hidden, weights).softmax(-1)

    model = tiny_model(encoder)
    batch = text_batch(tiny_batch((5,))[0])
    x = model.embed(batch).detach()
    signed = captum.attr.DeepLift(Decides(model, batch.mask)).attribute(
        x.requires_grad_(), baselines=x.detach() * 0, target=0
    )
    expected = gradient_importance(model, batch, "inputs", "attached")
    torch.testing.assert_close(2 * signed.sum(-1).abs().detach(), expected)


def shapley_values(values, n):
    """By their definition, (n, K), of values (K,) of each set of positions."""
    found = np.zeros((n, len(values[frozenset()])))
    for t in range(n):
        others = [s for s in range(n) if s != t]
        for size in range(n):
            share = 1 / (n * math.comb(n - 1, size))
            for some in map(frozenset, itertools.combinations(others, size)):
                found[t] += share * (values[some | {t}] - values[some])
    return found


@pytest.mark.parametrize("of", ["inputs", "hidden_states"])
def test_kernel_shap_of_all_coalitions_are_shapley_values(of):
    n, model = 4, tiny_model("bilstm", n_classes=3)
    ids, mask = tiny_batch((n,))
    read = model(text_batch(ids, mask))
    values = {}
    for there in itertools.product([False, True], repeat=n):
        kept = torch.tensor(there)
        if not kept.any():
            logits = model.output.bias
        elif of == "inputs":
            logits = model(text_batch(ids[:, kept])).logits[0]
        else:
            weights = model.pooling.normalizer(
                model.pooling.scores(read.hidden), kept.unsqueeze(0)
            )
            logits = model.decide(read.hidden, weights)[0]
        values[frozenset(np.flatnonzero(there))] = logits.softmax(-1).detach().numpy()
    expected = np.abs(shapley_values(values, n)).sum(1)
    got, error = coalitions.kernel_shap(model, text_batch(ids, mask), of, samples=14)
    np.testing.assert_allclose(got[0], expected, rtol=1e-6)
    assert (error < 1e-12).all()


def test_kernel_shap_of_draws_comes_near_captums():
    model = tiny_model("average", kind="softmax")
    ids, mask = tiny_batch((7,))
    batch = text_batch(ids, mask)
    exact, _ = coalitions.kernel_shap(model, batch, "inputs", 2**7, "replace")
    drawn, _ = coalitions.kernel_shap(model, batch, "inputs", 120, "replace")
    assert not torch.equal(exact, drawn)
    torch.testing.assert_close(drawn, exact, rtol=0.2, atol=2e-4)
    torch.manual_seed(0)
    of_captum = captum.attr.KernelShap(
        lambda tokens: model(text_batch(tokens)).logits.softmax(-1)[:, :1]
    ).attribute(ids, baselines=1, n_samples=600, perturbations_per_eval=600)
    torch.testing.assert_close(2 * of_captum.abs().double(), exact, rtol=0.2, atol=5e-4)


def test_lime_is_scikit_learns_ridge_of_the_same_coalitions():
    model = tiny_model("bilstm", n_classes=3)
    ids, mask = tiny_batch((5,))
    batch = text_batch(ids, mask)
    rng = coalitions.generator(("lime", "text0"), seed=0)
    there, weights = coalitions._uniform_sizes(5, 30, rng)
    assert there[0].all() and weights[0] == 1
    values = []
    for row in there:
        kept = ids[:, torch.from_numpy(row)]
        logits = model(text_batch(kept)).logits[0] if row.any() else model.output.bias
        values.append(logits.softmax(-1).detach().numpy())
        d = 100 * (1 - np.sqrt(row.mean()))  # the authors' kernel
    assert weights[-1] == pytest.approx(np.sqrt(np.exp(-(d**2) / 25**2)))
    ridge = Ridge(alpha=1.0).fit(there, np.array(values), sample_weight=weights)
    got = coalitions.lime(model, batch, "inputs", 30)
    np.testing.assert_allclose(got[0], np.abs(ridge.coef_).sum(0), rtol=1e-6)


@pytest.mark.parametrize(
    "kind",
    ["gradient_norm", "integrated_gradients", "gradient_shap", "kernel_shap"],
)
def test_what_the_model_cannot_see_has_no_importance(kind):
    """A model without attention, which decides by its last state, and has no context."""
    model = tiny_model("average", scorer="last")
    batch = text_batch(tiny_batch((5,))[0])
    removal = {"removal": "replace"} if kind == "kernel_shap" else {}
    importance, _ = found(kind, model, batch, "inputs", **removal)
    assert importance[0, -1] > 0 and (importance[0, :-1] == 0).all()


@pytest.mark.parametrize("kind", ["integrated_gradients", "kernel_shap"])
def test_equal_inputs_in_symmetric_places_are_equal(kind):
    model = tiny_model("average")
    batch = text_batch(torch.tensor([[5, 9, 5, 7]]))
    importance, _ = found(
        kind, model, batch, "inputs", **({} if kind[0] == "i" else {"samples": 14})
    )
    assert importance[0, 0].item() == pytest.approx(importance[0, 2].item(), rel=1e-9)
    assert importance[0, 0].item() != pytest.approx(importance[0, 1].item(), rel=1e-3)


def test_attention_gradient_and_value_norm_by_hand():
    model = tiny_model("bilstm", kind="sparsemax")
    batch = text_batch(tiny_batch((6,))[0])
    output = model(batch)
    p, hidden = output.attention[0], output.hidden[0]
    y = output.logits.softmax(-1)[0]
    slope = (torch.diag(y) - torch.outer(y, y)) @ model.output.weight  # (K, H)
    expected = ((slope @ hidden.T) * p).abs().sum(0).detach()
    got = attention_gradient(model, batch, "hidden_states")
    torch.testing.assert_close(got[0], expected)
    norms = value_norm(model, batch, "hidden_states")[0]
    torch.testing.assert_close(norms, (p * hidden.norm(dim=-1)).detach())


def test_rollout_by_hand():
    """Two layers of two states, in one head, and weights of 1/4 and 3/4 over the states."""
    first = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    second = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])  # the other attends to nothing
    shares = [self_attention._passed_on(w.unsqueeze(0)) for w in (first, second)]
    expected = [[[1.0, 0.0], [0.25, 0.75]], [[0.75, 0.25], [0.0, 1.0]]]
    for got, by_hand in zip(shares, expected, strict=True):
        assert got[0].tolist() == by_hand
    pooled = self_attention._pooled(
        shares, np.zeros(1, dtype=int), torch.tensor([[0.25, 0.75]])
    )
    # 1/4 (3/4, 1/4) + 3/4 (0, 1) = (3/16, 13/16), and through the first layer
    assert pooled[0].tolist() == pytest.approx([3 / 16 + 13 / 64, 39 / 64])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_flows_are_the_largest_of_a_graph(layers):
    rng = np.random.default_rng(layers)
    n, total = 4, 1.5
    top = rng.dirichlet(np.ones(n)) * total
    down = [rng.dirichlet(np.full(n, 0.5), n) for _ in range(layers)]
    graph = nx.DiGraph()
    for t in range(n):
        graph.add_edge("pooled", (layers, t), capacity=top[t])
    for depth, layer in enumerate(down, 1):
        for i, j in np.ndindex(n, n):
            graph.add_edge((depth, i), (depth - 1, j), capacity=layer[i, j])
    expected = [nx.maximum_flow_value(graph, "pooled", (0, j)) for j in range(n)]
    got = self_attention._flows(top, down)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("normalizer", ["softmax", "rela"])
def test_value_zeroing_is_that_of_layers_with_zeroed_values(normalizer):
    model = tiny_model("transformer", self_attention={"kind": normalizer})
    ids, mask = tiny_batch((5,))
    batch = text_batch(ids, mask)
    shares, x = [], None
    encoder = model.encoder
    codes = self_attention_input(encoder, model.embed(batch))
    x = codes
    for layer in encoder.layers:
        whole, _ = layer(x, mask)
        scores = torch.zeros(5, 5, dtype=torch.float64)
        for j in range(5):
            project = layer.attention.project

            def zeroed(module, given, made, j=j):
                made = made.clone()
                made[:, j, -8:] = 0.0  # of q, k and v the last, H = 8
                return made

            hook = project.register_forward_hook(zeroed)
            without, _ = layer(x, mask)
            hook.remove()
            scores[:, j] = 1 - torch.cosine_similarity(whole[0], without[0], dim=-1)
        alone = (scores == 0).all(-1)  # of those that no value changes
        scores[alone, alone] = 1.0
        shares.append(scores / scores.sum(-1, keepdim=True))
        x = whole
    expected = model(batch).attention[0] @ shares[1] @ shares[0]
    got = self_attention.value_zeroing(model, batch, "inputs")
    torch.testing.assert_close(got[0], expected.detach(), rtol=1e-5, atol=1e-9)
    assert got.sum().item() == pytest.approx(model(batch).attention.sum().item())


def self_attention_input(encoder, x):
    """What the first layer reads."""
    read = []
    hook = encoder.layers[0].register_forward_pre_hook(lambda _, g: read.append(g[0]))
    encoder(x, torch.ones(x.shape[:2], dtype=torch.bool))
    hook.remove()
    return read[0]


@pytest.mark.parametrize("kind", THROUGH_LAYERS)
def test_encoders_without_layers_are_told_so(kind):
    with pytest.raises(AuditError, match="'bilstm' has no layers of self-attention"):
        found(kind, tiny_model("bilstm"), text_batch(*tiny_batch((3,))), "inputs")


def test_what_does_not_apply_is_said_once():
    encoders = {
        "t": {"kind": "transformer"},
        "b": {"kind": "bilstm"},
        "l": {"kind": "lit"},
    }
    methods = {"roll": {"kind": "attention_rollout"}, "grad": {"kind": "gradient"}}
    notices = not_applying(methods, encoders)
    assert set(notices) == {"roll"} and "b, l" in notices["roll"]
    assert not not_applying(methods, {"t": encoders["t"]})
    for kind in METHODS:
        for encoder in (*WITH_LAYERS, "bilstm", "average", "gated", "lit"):
            expected = kind not in THROUGH_LAYERS or encoder in WITH_LAYERS
            assert applies({"kind": kind}, {"kind": encoder}) == expected
