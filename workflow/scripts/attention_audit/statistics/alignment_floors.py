"""Floors of alignment, and an aligner of reference: what links words without a model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_audit.records import tables
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.alignment import (
    Gold,
    Ids,
    diagonal_model_2,
    diagonal_weights,
    ibm_model_1,
    uniform_weights,
)
from attention_audit.statistics.alignment_counts import (
    GoldPairs,
    OnDev,
    count_columns,
)
from attention_audit.statistics.distributions import Floats

DIAGONAL, UNIFORM = "diagonal", "uniform"
# Fitted to the sentence pairs, and what by.
FITTED = {"ibm_model_1": ibm_model_1, "diagonal_model_2": diagonal_model_2}
# Of expectation maximization.
ITERATIONS = 4


class Sentences:
    """Both sides of the sentence pairs of all splits, as ids, without gold."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.source: list[Ids] = []
        self.target: list[Ids] = []
        self.places: dict[str, int] = {}
        columns = ["instance_id", "source_ids", "target_ids"]
        for path in paths:
            for table in tables.iterate_table(path, "sentence_pairs", columns=columns):
                for row in table.to_pylist():
                    self.places[row["instance_id"]] = len(self.source)
                    self.source.append(np.array(row["source_ids"]))
                    self.target.append(np.array(row["target_ids"]))


def without_the_empty_word(posterior: Floats) -> Floats:
    """Rows (T, S) of a posterior, none left where the empty word is the likeliest."""
    empty = 1 - posterior.sum(-1, keepdims=True)
    return np.where(empty > posterior.max(-1, keepdims=True), 0.0, posterior)


def floor_weights(
    gold: Gold, fitted: Mapping[str, Sequence[Floats]]
) -> Iterator[tuple[str, Floats]]:
    """Each floor and its weights (P, T, S) of the pairs of gold.

    ``fitted`` holds the posteriors of each pair, by model.
    """
    yield DIAGONAL, diagonal_weights(gold.mask)
    yield UNIFORM, uniform_weights(gold.mask)
    for name, posteriors in fitted.items():
        weights = np.zeros(gold.mask.shape)
        for into, posterior in zip(weights, posteriors, strict=True):
            t, s = posterior.shape
            into[:t, :s] = without_the_empty_word(posterior)
        yield name, weights


def write_floors(
    table: TableWriter,
    dataset: str,
    sentences: Sentences,
    test: GoldPairs | None,
    dev: GoldPairs | None,
) -> None:
    """Count the links of every floor on the test pairs that somebody aligned.

    Models are fitted to all ``sentences``, those of dev and test among them: they see no
    gold. A word that the empty word is likelier to have given is linked to none.
    """
    if test is None:
        return
    sides = sentences.source, sentences.target
    fitted = {name: fit(*sides, ITERATIONS) for name, fit in FITTED.items()}

    def of(aligned: GoldPairs) -> Mapping[str, Any]:
        places = [sentences.places[pair] for pair in aligned.ids]
        own = {n: [found[place] for place in places] for n, found in fitted.items()}
        return dict(floor_weights(aligned.gold, own))

    of_dev = {} if dev is None else of(dev)
    for floor, weights in of(test).items():
        chosen = OnDev.of(of_dev[floor], dev.gold) if dev is not None else None
        for columns in count_columns(test.ids, weights, test.gold, chosen):
            table.write({"dataset": dataset, "subject": floor, **columns})
