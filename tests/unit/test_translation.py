"""Translators: one pass is the verbs, importance of shared inputs, a task that is known."""

import numpy as np
import pytest
import torch

from attention_audit.attribution import gradients
from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.influence import write_influence
from attention_audit.data.pair_batches import PairBatch
from attention_audit.interventions.adversarial import SearchSettings, search
from attention_audit.interventions.erasure import erase
from attention_audit.interventions.permutation import permutation_differences, shuffled
from attention_audit.methods import effects_of
from attention_audit.models.decisions import grouped
from attention_audit.models.model import load_model, save_model, settings_json
from attention_audit.models.outputs import Readout, exact_outputs
from attention_audit.models.training import evaluate
from attention_audit.models.translating import translations
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import open_table, read_table, write_json
from attention_audit.statistics.alignment import (
    Counts,
    alignment_average_precision,
    alignment_error_rate,
    links_by_argmax,
)
from tests.unit.test_training import CPU
from tests.unit.translators import (
    pair_batch,
    reversals,
    reversing,
    tiny_translator,
    translator_settings,
)

kinds = pytest.mark.parametrize("kind", ["lstm", "transformer"])
scorers = pytest.mark.parametrize("scorer", ["additive", "scaled_dot_product"])
NORMALIZERS = [
    {"kind": "softmax"},
    {"kind": "sparsemax"},
    {"kind": "top_k", "k": 2},
    {"kind": "rela", "gated": True},
    {"kind": "entmax", "alpha": "learned"},
    {"kind": "uniform"},
]
normalizers = pytest.mark.parametrize(
    "normalizer", NORMALIZERS, ids=[n["kind"] for n in NORMALIZERS]
)


def one_by_one(batch: PairBatch) -> list[PairBatch]:
    return [batch.take(np.array([row])) for row in range(len(batch.step))]


@kinds
@scorers
@normalizers
def test_a_pass_is_the_verbs_of_each_decision(kind, scorer, normalizer):
    layers = 2 if kind == "transformer" else 1
    model = tiny_translator(kind, normalizer, scorer, layers)
    batch = pair_batch()
    output = model(batch)
    for row, one in enumerate(one_by_one(batch)):
        hidden, mask = model.encode(model.embed(one), one.mask)
        query = model.query(hidden, mask, one)
        weights = model.weights(hidden, mask, query)
        logits = model.decide(hidden, weights, query)
        n = int(one.lengths[0])
        for whole, alone in (
            (output.logits, logits),
            (output.query, query),
            (output.attention[:, :n], weights),
            (output.hidden[:, :n], hidden),
        ):
            torch.testing.assert_close(whole[row], alone[0])
        assert (output.attention[row, n:] == 0).all()
    # all at once, each with its own copy of the source
    hidden, mask = model.encode(model.embed(batch), batch.mask)
    query = model.query(hidden, mask, batch)
    torch.testing.assert_close(query, output.query)
    torch.testing.assert_close(model.logits(batch), output.logits)


@kinds
def test_no_decision_sees_the_word_to_come_or_what_is_behind_it(kind):
    model = tiny_translator(kind, layers=2)
    (pair,) = [reversals(1, 5)]
    other = pair.targets[0].copy()
    other[2:] = 4
    batches = [
        PairBatch.of(["p"], pair.sources, [words], CPU)
        for words in (pair.targets[0], other)
    ]
    first, second = (model(batch).logits for batch in batches)
    torch.testing.assert_close(first[:3], second[:3])
    assert not torch.allclose(first[3], second[3])


def test_decisions_of_a_pair_and_their_gold_stay_together():
    batch = pair_batch(3)
    assert [len(rows) for rows in grouped(batch)] == [
        len(words) + 1 for words in reversals(3, 3).targets
    ]
    rows = np.arange(len(batch.step))[::-2].copy()
    taken = batch.take(rows)
    assert taken.instance_ids == [batch.instance_ids[row] for row in rows]
    assert (taken.labels == batch.labels[rows]).all()
    model = tiny_translator()
    torch.testing.assert_close(
        model(taken).logits, model(batch).logits[rows], atol=1e-6, rtol=1e-5
    )


def expected_importance(model, one, attention="attached", output=None):
    """|d log p / d x . x| of one decision (n,), by a pass of its own."""
    leaf = model.embed(one).detach().requires_grad_()
    hidden, mask = model.encode(leaf, one.mask)
    query = model.query(hidden, mask, one)
    weights = model.weights(hidden, mask, query)
    if attention == "detached":
        weights = weights.detach()
    outputs = model.decide(hidden, weights, query).log_softmax(-1)[0]
    chosen = one.labels[0] if output is None else outputs.argmax()
    (gradient,) = torch.autograd.grad(outputs[chosen], leaf)
    return (gradient * leaf).sum(-1)[0].abs().detach()


@kinds
@pytest.mark.parametrize("attention", ["detached", "attached"])
@pytest.mark.parametrize("output", [None, "predicted"])
def test_importance_of_shared_inputs_is_that_of_each_decision(kind, attention, output):
    model = tiny_translator(kind, {"kind": "sparsemax"}, layers=2)
    batch = pair_batch()
    together = gradient_importance(model, batch, "inputs", attention, output)
    for row, one in enumerate(one_by_one(batch)):
        expected = expected_importance(model, one, attention, output)
        torch.testing.assert_close(together[row, : len(expected)], expected)
        assert (together[row, len(expected) :] == 0).all()


@normalizers
def test_importance_of_shared_inputs_through_every_normalizer(normalizer):
    settings = translator_settings("transformer", normalizer, layers=2)
    settings.encoder.update(self_attention=normalizer)
    settings.decoder.update(self_attention=normalizer, cross_attention=normalizer)
    torch.manual_seed(0)
    model = settings.new_model().eval()
    batch = pair_batch(3)
    together = gradient_importance(model, batch, "inputs", "attached")
    for row, one in enumerate(one_by_one(batch)):
        expected = expected_importance(model, one)
        torch.testing.assert_close(together[row, : len(expected)], expected)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("places", [1, 2])
def test_importance_does_not_depend_on_what_goes_together(monkeypatch, groups, places):
    model, batch = tiny_translator(layers=2), pair_batch()
    together = gradient_importance(model, batch, "inputs", "attached")
    monkeypatch.setattr(gradients, "GROUPS_PER_PASS", groups)
    monkeypatch.setattr(gradients, "PLACES_PER_PASS", places)
    apart = gradient_importance(model, batch, "inputs", "attached")
    torch.testing.assert_close(apart, together)


@kinds
@pytest.mark.parametrize("output", [None, "predicted", "all"])
def test_a_source_word_left_out_is_read_without_it(kind, output):
    model = tiny_translator(kind, {"kind": "sparsemax"})
    batch = pair_batch(3)
    importance = leave_one_out(model, batch, "inputs", output=output)
    for row, one in enumerate(one_by_one(batch)):
        own = exact_outputs(model(one).logits)[0]
        for t in range(int(one.lengths[0])):
            ids = np.delete(one.source_ids[0].numpy(), t)
            words = one.target_ids[0, 1:].numpy()
            rest = PairBatch.of(["p"], [ids], [words], CPU)
            # behind the words that stand before the decision
            left = exact_outputs(model(rest).logits)[int(one.step[0])]
            if output == "all":
                expected = (left - own).abs().mean()
            else:
                k = one.labels[0] if output is None else own.argmax()
                expected = (left[k].log() - own[k].log()).abs()
            assert importance[row, t] == pytest.approx(expected.item(), abs=2e-5)


def test_what_is_left_of_a_source_of_one_word_is_an_empty_context():
    for kind in ("lstm", "transformer"):
        model = tiny_translator(kind, layers=2)
        batch = PairBatch.of(["p"], [np.array([5])], [np.array([6, 7])], CPU)
        found = leave_one_out(model, batch, "inputs")
        assert found.shape == (3, 1) and found.isfinite().all() and (found > 0).all()


@kinds
def test_hidden_states_without_weight_have_no_importance(kind):
    model = tiny_translator(kind, {"kind": "top_k", "k": 1})
    batch = pair_batch()
    weights = model(batch).attention
    for found in (
        gradient_importance(model, batch, "hidden_states", "detached"),
        leave_one_out(model, batch, "hidden_states"),
    ):
        assert (found[weights == 0] == 0).all()
        assert (found[weights > 0] > 0).any()


def test_tied_embeddings_are_one_and_survive_the_file(tmp_path):
    model = tiny_translator(tied=True)
    assert model.output.weight is model.target_embedding.weight
    settings = tmp_path / "settings.json"
    save_model(model, tmp_path / "model.safetensors", {"by": "test"})
    described = settings_json(model.settings, provenance={"by": "test"})
    write_json(settings, described)
    again = load_model(tmp_path / "model.safetensors", settings)
    assert again.output.weight is again.target_embedding.weight
    batch = pair_batch()
    assert torch.equal(again(batch).logits, model(batch).logits)


def test_tied_embeddings_of_another_size_are_named():
    settings = translator_settings(tied=True)
    settings.decoder["hidden_size"] = 8
    with pytest.raises(AuditError, match="Set embedding_size to 8, or tied to false"):
        settings.new_model()


@pytest.mark.parametrize(
    ("kind", "normalizer", "parameters"),
    [
        ("lstm", "sparsemax", {}),
        ("transformer", "rela", {"gated": True}),
        pytest.param("lstm", "softmax", {}, marks=pytest.mark.slow),
        pytest.param("transformer", "entmax", {"alpha": 1.5}, marks=pytest.mark.slow),
        ("transformer", "uniform", {}),
    ],
)
def test_attention_of_a_task_that_is_known(kind, normalizer, parameters):
    """To reverse is to attend to the word as far from the end as the next is from the start.

    Attention that cannot choose does not, and its translations are worse.
    """
    model = reversing(kind, normalizer, **parameters)
    test = reversals(50, 4)
    scored = evaluate(model, test, 32, CPU)
    batch = test.batch(np.arange(50), CPU)
    with torch.no_grad():
        reading = model.read_pairs(batch)
    weights = reading.attention[:, :-1].numpy()  # without the step that ends
    mask = (batch.target_mask[:, 1:, None] & batch.source_mask[:, None, :]).numpy()
    gold = np.zeros_like(mask)
    for p, words in enumerate(test.sources):
        gold[p, np.arange(len(words)), np.arange(len(words))[::-1]] = True
    links = Counts.of(links_by_argmax(weights, mask), gold, gold, mask).pooled()
    error = float(alignment_error_rate(links))
    precision = np.nanmean(alignment_average_precision(weights, gold, gold, mask))
    said = translations(
        model, test.sources, beam=2, length_penalty=0.6, max_ratio=2, max_more=2
    )
    right = np.mean(
        [
            np.array_equal(one.tokens, words)
            for one, words in zip(said, test.targets, strict=True)
        ]
    )
    if normalizer == "uniform":
        assert scored["accuracy"] < 0.85 and error > 0.6 and right < 0.5
    else:
        assert scored["accuracy"] > 0.9 and error < 0.3 and precision > 0.7
        assert right > 0.6
    assert scored["n"] == len(batch.step)


def test_what_importance_says_of_one_word_is_no_effect_on_all_outputs():
    methods = {
        "usual": {"kind": "gradient", "of": "inputs", "output": None},
        "of_all": {"kind": "leave_one_out", "of": "inputs", "output": "all"},
        "of_label": {"kind": "leave_one_out", "of": "inputs", "output": "label"},
    }
    assert effects_of(methods, "text") == {"usual": "sum", "of_all": "mean"}
    assert effects_of(methods, "translation") == {"of_all": "mean"}


@kinds
def test_every_audit_asks_with_the_query_of_the_decision(kind, tmp_path):
    model = tiny_translator(kind, {"kind": "sparsemax"}, layers=2)
    with torch.no_grad():  # apart, so that outputs and weights differ
        for parameter in (model.output.weight, model.pooling.scorer.ask.weight):
            parameter.mul_(8)
    batch = pair_batch(2)
    with torch.no_grad():
        output = model(batch)
    readout = Readout(model)
    states = model.states(batch.lengths)
    for row in range(len(batch.step)):
        hidden, weights, query = output.decision(row, int(states[row]))
        (again,) = readout.logits(hidden, weights.unsqueeze(0), query)
        torch.testing.assert_close(again.float(), output.logits[row])
    # of a vocabulary, half the sum of the changes
    rngs = {name: np.random.default_rng(0) for name in ("all", "matched")}
    found = permutation_differences(readout, hidden, weights, 5, rngs, query)
    moved = shuffled(weights.numpy(), 5, np.random.default_rng(0))
    own, others = (
        readout.logits(hidden, w, query).softmax(-1)
        for w in (weights.unsqueeze(0), torch.from_numpy(moved))
    )
    distances = (others - own).abs().sum(-1) / 2
    assert found["all"][0] == pytest.approx(np.median(distances.numpy()), abs=1e-6)
    assert found["all"][0] > 0
    # all candidates of a search are held against the output of their own decision
    noise = torch.randn(len(batch.step), 3, batch.mask.shape[1])
    settings = SearchSettings(3, 20, learning_rate=0.1, tolerance=0.05)
    far = search(
        model, output.hidden, output.mask, output.attention, noise, settings,
        query=output.query,
    )  # fmt: skip
    with torch.no_grad():
        y, moved = (
            model.decide(output.hidden, w, output.query).softmax(-1)
            for w in (output.attention, far.weights)
        )
    torch.testing.assert_close((moved - y).abs().sum(-1), far.output_difference)
    assert (far.output_difference <= 0.05 + 1e-6).all() and (far.divergence > 0).any()
    # and what is erased is erased from the source
    one = batch.take(np.array([3]))
    ranks = torch.arange(int(one.lengths[0])).view(1, 1, -1)
    falls = erase(model, one, ranks, np.array([[1]]))
    left = PairBatch.of(
        ["p"], [one.source_ids[0, 1:].numpy()], [one.target_ids[0, 1:].numpy()], CPU
    )
    with torch.no_grad():
        before, after = (
            exact_outputs(model(b).logits)[row] for b, row in ((one, 0), (left, 3))
        )
    top = before.argmax()
    expected = (before - after)[top].item()
    assert falls.comprehensiveness[0, 0, 0] == pytest.approx(expected, abs=1e-5)


def test_influence_is_of_a_sentence_and_so_a_row_a_pair(tmp_path):
    model, batch = tiny_translator(), pair_batch(2)
    run = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
    path = tmp_path / "influence.parquet"
    with open_table(path, "influence", {}) as table:
        write_influence(table, model, iter([batch]), run, 1)
    rows = read_table(path, "influence").to_pylist()
    assert [row["instance_id"] for row in rows] == [
        batch.instance_ids[rows[0]] for rows in grouped(batch)
    ]
