"""How fast translators train and translate, each measured beside all others."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.data.pair_batches import PairBatch
from attention_audit.models.decoding import search
from attention_audit.models.speed import seconds
from attention_audit.models.training import build_optimizer, descend
from attention_audit.models.translating import TOKENS
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

    def __call__(self) -> None:
        for batch in self.batches:

            def loss(batch: PairBatch = batch) -> Tensor:
                logits = self.model.logits(batch)
                return nn.functional.cross_entropy(logits, batch.labels)

            descend(self.model, self.optimizer, loss, self.settings, "speed")


class _Decoding:
    """Greedy search for translations of some batches, as long as those in the data.

    For all models that is the same number of steps, which their own ends would not be.
    """

    def __init__(self, model: Translator, batches: Sequence[PairBatch]):
        self.model, self.batches = model, batches

    @torch.no_grad()
    def __call__(self) -> None:
        for batch in self.batches:
            x, mask = self.model.embedding(batch.source_ids), batch.source_mask
            lengths = batch.target_mask.sum(-1).numpy() - 1
            search(
                self.model,
                *self.model.encode(x, mask),
                limits=lengths,
                floors=lengths,
                beam=1,
                alpha=0.0,
                **TOKENS,
            )


def translation_speeds(
    runs: Sequence[Mapping[str, Any]],
    models: Sequence[tuple[Translator, Sequence[PairBatch]]],
    reference: str,
    rounds: int,
    *,
    gradient_clip: float,
    clock: Callable[[], float] = time.process_time,
) -> list[dict[str, Any]]:
    """The rows of the table "translation_speed" for runs, each with its model.

    ``reference`` is the normalizer that the others are compared with, where all else is
    equal: the ratio is the median over rounds of those of words per second.
    """
    readers = {
        (place, of): reader
        for place, (model, batches) in enumerate(models)
        for of, reader in (
            ("training", _Training(model, batches, gradient_clip)),
            ("decoding", _Decoding(model, batches)),
        )
    }
    taken = seconds(list(readers.values()), rounds, clock)
    by_reader = dict(zip(readers, taken, strict=True))
    rows = []
    for (place, of), own in by_reader.items():
        words = sum(len(batch.labels) for batch in models[place][1])
        of_reference = {**runs[place], "normalizer": reference}
        ratio = None
        if of_reference in runs:
            ratio = np.median(by_reader[runs.index(of_reference), of] / own)
        rows.append(
            {
                **runs[place],
                "of": of,
                "words_per_second": words / np.median(own),
                "slowest": words / own.max(),
                "fastest": words / own.min(),
                "ratio": ratio,
                "n_rounds": rounds,
                "n_words": words,
            }
        )
    return rows
