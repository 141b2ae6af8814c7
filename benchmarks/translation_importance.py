"""Importance of all source words for all target words of a batch, against loops.

The gradient is held against a pass forwards and one backwards for each target word, by
hand and by captum's InputXGradient, and against a pass backwards for each from one forwards
for each sentence pair. Leave-one-out, by the unknown word, is held against a pass for each
target and source word, and against captum's FeatureAblation of whole pairs, which has a
pass for each source word. Results are equal. All take turns in rounds and have their
medians compared, in seconds of the processor.
"""

from collections.abc import Callable

import captum.attr
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.data.batches import UNK
from attention_audit.data.pair_batches import PairBatch
from attention_audit.models.speed import seconds
from attention_audit.models.translation import Translator, TranslatorSettings

ROUNDS = 3
PAIRS = 16
FEW_PAIRS = 4  # where the loop is long
WORDS = 2_000
SIZE = 128
# Means of verses, over both sides.
SOURCE_WORDS, TARGET_WORDS = 17, 23
SOFTMAX = {"kind": "softmax"}
LAYERS = {"hidden_size": SIZE, "layers": 2, "feedforward_size": 2 * SIZE}
MODELS = {
    "lstm": (
        {"kind": "bilstm", "hidden_size": SIZE // 2},
        {"kind": "lstm", "hidden_size": SIZE},
    ),
    "transformer": (
        {"kind": "transformer", **LAYERS, "self_attention": SOFTMAX},
        {
            "kind": "transformer",
            **LAYERS,
            "heads": 4,
            "self_attention": SOFTMAX,
            "cross_attention": SOFTMAX,
        },
    ),
}

Pair = tuple[np.ndarray, np.ndarray]


def model_of(name: str) -> Translator:
    encoder, decoder = MODELS[name]
    torch.manual_seed(0)
    scorer = {"kind": "scaled_dot_product"}
    settings = TranslatorSettings(WORDS, WORDS, SIZE, encoder, decoder, scorer, SOFTMAX)
    return settings.new_model().eval()


def sentence_pairs(n: int) -> list[Pair]:
    """Random words; lengths are those of verses, where the longer has the longer other."""
    rng = np.random.default_rng(0)
    found = []
    for scale in rng.gamma(6, 1 / 6, n):
        means = scale * np.array([SOURCE_WORDS, TARGET_WORDS])
        lengths = np.maximum(rng.poisson(means), 3)
        found.append(tuple(rng.integers(4, WORDS, length) for length in lengths))
    return found


def batch_of(pairs: list[Pair]) -> PairBatch:
    names = [str(i) for i in range(len(pairs))]
    return PairBatch.of(names, *zip(*pairs, strict=True), torch.device("cpu"))


def gradients_in_a_loop(model: Translator, pairs: list[Pair]) -> list[Tensor]:
    """One pair at a time, a backward pass for each of its target words."""
    found = []
    for pair in pairs:
        batch = batch_of([pair])
        x = model.embedding(batch.source_ids).detach().requires_grad_()
        hidden = model.encoder(x, batch.source_mask)
        query = model.query(hidden, batch.source_mask, batch).unsqueeze(0)
        weights = model.pooling.weights(hidden, batch.source_mask, query)
        context = model.pooling.context(hidden, weights)
        outputs = model.output(model.finish(context, query))[0].log_softmax(-1)
        for t, word in enumerate(batch.labels):
            (gradient,) = torch.autograd.grad(outputs[t, word], x, retain_graph=True)
            found.append((gradient * x).sum(-1)[0].detach().abs())
    return found


def gradients_one_by_one(model: Translator, batch: PairBatch) -> list[Tensor]:
    """A pass forwards and one backwards for each target word."""
    found = []
    for row in range(len(batch.step)):
        one = batch.take(np.array([row]))
        x = model.embed(one).detach().requires_grad_()
        outputs = log_probabilities(model, x, one)
        (gradient,) = torch.autograd.grad(outputs.sum(), x)
        found.append((gradient * x).sum(-1)[0].detach().abs())
    return found


def gradients_by_captum(model: Translator, batch: PairBatch) -> list[Tensor]:
    found = []
    for row in range(len(batch.step)):
        one = batch.take(np.array([row]))
        x = model.embed(one).detach().requires_grad_()
        way = captum.attr.InputXGradient(
            lambda x, one=one: log_probabilities(model, x, one)
        )
        found.append(way.attribute(x).sum(-1)[0].detach().abs())
    return found


def log_probabilities(model: Translator, x: Tensor, one: PairBatch) -> Tensor:
    """Of the label of one decision, by the embeddings (1, n, E) of its source: (1,)."""
    hidden, mask = model.encode(x, one.mask)
    query = model.query(hidden, mask, one)
    weights = model.weights(hidden, mask, query)
    outputs = model.decide(hidden, weights, query).log_softmax(-1)
    return outputs.gather(-1, one.labels.unsqueeze(-1)).squeeze(-1)


def log_probabilities_of(model: Translator, batch: PairBatch) -> Tensor:
    """Of the label of each decision, (B,)."""
    outputs = model.logits(batch).log_softmax(-1)
    return outputs.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)


def left_out_one_by_one(model: Translator, batch: PairBatch) -> list[Tensor]:
    """A pass for each target word and source word."""
    found = []
    for row, n in enumerate(batch.lengths):
        one = batch.take(np.array([row]))
        own = log_probabilities_of(model, one)
        without = [
            log_probabilities_of(model, one.without(removed.unsqueeze(0), "replace"))
            for removed in torch.eye(n, dtype=torch.bool)
        ]
        found.append((torch.cat(without) - own).abs())
    return found


def left_out_by_captum(model: Translator, pairs: list[Pair], each: int) -> list[Tensor]:
    """Of one pair at a time, ``each`` perturbations a pass; a pass has all target words."""
    found = []
    for source, target in pairs:

        def outputs(ids: Tensor, target: np.ndarray = target) -> Tensor:
            batch = batch_of([(row, target) for row in ids.numpy()])
            return log_probabilities_of(model, batch).view(len(ids), -1)

        of_pair = captum.attr.FeatureAblation(outputs).attribute(
            torch.from_numpy(source).unsqueeze(0),
            baselines=UNK,
            perturbations_per_eval=each,
        )
        found += list(of_pair.abs())
    return found


def rows_of(batch: PairBatch, found: Tensor) -> list[Tensor]:
    """Of each decision, without padding."""
    return [row[:n] for row, n in zip(found, batch.lengths, strict=True)]


def compare(ways: list[Callable[[], list[Tensor]]], tolerance: float) -> list[str]:
    """Seconds of each way, and how many times those of the first; results are equal."""
    expected = ways[0]()
    for way in ways[1:]:
        for a, b in zip(expected, way(), strict=True):
            np.testing.assert_allclose(a, b, atol=tolerance, rtol=1e-3)
    first, *others = np.median(seconds(ways, ROUNDS), axis=1)
    return [f"{first:.2f} s", *(f"{s:.2f} s, {s / first:.1f}x" for s in others)]


@torch.no_grad()
def left_out(model: Translator, pairs: list[Pair]) -> list[str]:
    batch = batch_of(pairs)
    # ours is rounded to what single precision can tell apart
    return compare(
        [
            lambda: rows_of(batch, leave_one_out(model, batch, "inputs", "replace")),
            lambda: left_out_one_by_one(model, batch),
            lambda: left_out_by_captum(model, pairs, 1),
            lambda: left_out_by_captum(model, pairs, 64),
        ],
        2e-5,
    )


def gradients(model: Translator, pairs: list[Pair]) -> list[str]:
    batch = batch_of(pairs)
    return compare(
        [
            lambda: rows_of(
                batch, gradient_importance(model, batch, "inputs", "attached")
            ),
            lambda: gradients_one_by_one(model, batch),
            lambda: gradients_by_captum(model, batch),
            lambda: gradients_in_a_loop(model, pairs),
        ],
        1e-6,
    )


def main() -> None:
    torch.set_num_threads(1)
    pairs = sentence_pairs(PAIRS)
    table = Table("model", "ours", "both ways for each", "captum", "backwards for each")
    ablation = Table("model", "ours", "a pass for each", "captum, default", "batched")
    for name in MODELS:
        model = model_of(name)
        table.add_row(name, *gradients(model, pairs))
        ablation.add_row(name, *left_out(model, pairs[:FEW_PAIRS]))
    Console().print("gradients of all target words by all source words")
    Console().print(table)
    Console().print("each source word left out, for all target words")
    Console().print(ablation)


if __name__ == "__main__":
    main()
