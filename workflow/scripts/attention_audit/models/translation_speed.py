"""How fast translators train and translate, each measured beside all others."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from torch import Tensor, nn

from attention_audit.data.pair_batches import PairBatch
from attention_audit.models.speed import seconds
from attention_audit.models.training import build_optimizer, descend
from attention_audit.models.translating import translations
from attention_audit.models.translation import Translator

# The same arithmetic at any rate, and at this one the same model after it: what is
# measured does not drift.
_STANDING = {"learning_rate": 0.0, "weight_decay": 0.0, "warmup_steps": 0}


class _Training:
    """Passes of training over some batches: of the loss, back, and of the optimizer."""

    def __init__(self, model: Translator, batches: Sequence[PairBatch], clip: float):
        self.model, self.batches = deepcopy(model).train(), batches
        self.settings = {**_STANDING, "gradient_clip": clip}
        self.optimizer = build_optimizer(self.model, self.settings)
        self.words = sum(len(batch.labels) for batch in batches)

    def __call__(self) -> None:
        for batch in self.batches:

            def loss(batch: PairBatch = batch) -> Tensor:
                logits = self.model.logits(batch)
                return nn.functional.cross_entropy(logits, batch.labels)

            descend(self.model, self.optimizer, loss, self.settings, "speed")


class _Decoding:
    """Greedy search for the translations of some batches."""

    def __init__(
        self,
        model: Translator,
        batches: Sequence[PairBatch],
        limits: Mapping[str, float],
    ):
        self.model, self.limits = model, limits
        self.sources = [
            ids[mask].numpy()
            for batch in batches
            for ids, mask in zip(batch.source_ids, batch.source_mask, strict=True)
        ]
        self.words = 0

    def __call__(self) -> None:
        found = translations(self.model, self.sources, beam=1, **self.limits)
        # with the end, which takes a step like any other
        self.words = sum(len(hypothesis.tokens) + 1 for hypothesis in found)


def translation_speeds(
    runs: Sequence[Mapping[str, Any]],
    models: Sequence[tuple[Translator, Sequence[PairBatch]]],
    reference: str,
    rounds: int,
    *,
    gradient_clip: float,
    limits: Mapping[str, float],
    clock: Callable[[], float] = time.process_time,
) -> list[dict[str, Any]]:
    """The rows of the table "translation_speed" for runs, each with its model.

    ``reference`` is the normalizer that the others are compared with, where all else is
    equal: the ratio is the median over rounds of those of words per second. ``limits`` go to
    `translating.translations`.
    """
    of = [
        (kind, place, reader)
        for place, (model, batches) in enumerate(models)
        for kind, reader in (
            ("training", _Training(model, batches, gradient_clip)),
            ("decoding", _Decoding(model, batches, limits)),
        )
    ]
    taken = seconds([reader for *_, reader in of], rounds, clock)
    words = np.array([reader.words for *_, reader in of])
    rates = words[:, None] / taken
    by_run = {
        (*runs[place].items(), kind): rate
        for (kind, place, _), rate in zip(of, rates, strict=True)
    }
    rows = []
    for (kind, place, reader), rate in zip(of, rates, strict=True):
        run = runs[place]
        other = by_run.get((*{**run, "normalizer": reference}.items(), kind))
        rows.append(
            {
                **run,
                "of": kind,
                "words_per_second": np.median(rate),
                "slowest": rate.min(),
                "fastest": rate.max(),
                "ratio": None if other is None else np.median(rate / other),
                "n_rounds": rounds,
                "n_words": reader.words,
            }
        )
    return rows
