"""Small translators and sentence pairs, whose attention may be known."""

from functools import cache

import numpy as np
import torch

from attention_audit.data.pair_batches import PairBatch, PairExamples
from attention_audit.models.training import train
from attention_audit.models.translation import Translator, TranslatorSettings
from tests.unit.test_training import CPU, SETTINGS

WORDS = 14
SOFTMAX = {"kind": "softmax"}
ENCODERS = {
    "lstm": {"kind": "bilstm", "hidden_size": 16},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 32,
        "heads": 2,
        "layers": 1,
        "feedforward_size": 64,
        "self_attention": SOFTMAX,
    },
}
DECODERS = {
    "lstm": {"kind": "lstm", "hidden_size": 32},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 32,
        "heads": 2,
        "layers": 1,
        "feedforward_size": 64,
        "self_attention": SOFTMAX,
        "cross_attention": SOFTMAX,
    },
}


def translator_settings(
    kind: str = "lstm",
    normalizer: dict | None = None,
    scorer: str = "scaled_dot_product",
    layers: int = 1,
    tied: bool = False,
) -> TranslatorSettings:
    return TranslatorSettings(
        source_vocabulary=WORDS,
        n_classes=WORDS,
        embedding_size=32,
        encoder={**ENCODERS[kind]},
        decoder={**DECODERS[kind], "layers": layers},
        scorer={"kind": scorer},
        normalizer=normalizer or SOFTMAX,
        tied=tied,
    )


def tiny_translator(*arguments, **named) -> Translator:
    torch.manual_seed(0)
    return translator_settings(*arguments, **named).new_model().eval()


def reversals(n: int, seed: int) -> PairExamples:
    """Sequences of 3 to 8 words, whose translation is the same from the end."""
    random = np.random.default_rng(seed)
    sources = [random.integers(4, WORDS, random.integers(3, 9)) for _ in range(n)]
    targets = [words[::-1].copy() for words in sources]
    lengths = np.array([2 * len(words) for words in sources])
    return PairExamples(
        [f"{seed}-{i:06d}" for i in range(n)], sources, targets, lengths
    )


def pair_batch(n: int = 4, seed: int = 3) -> PairBatch:
    return reversals(n, seed).batch(np.arange(n), CPU)


@cache
def reversing(kind: str, normalizer: str, **parameters) -> Translator:
    """A translator that has learned to reverse."""
    settings = {
        **SETTINGS,
        "max_epochs": 12,
        "batch_size": 32,
        "learning_rate": 0.004,
        "weight_decay": 0.0,
        "warmup_steps": 30,
    }
    declared = translator_settings(kind, {"kind": normalizer, **parameters})
    return train(
        declared, settings, reversals(1500, 1), reversals(100, 2), 0, CPU
    ).model
