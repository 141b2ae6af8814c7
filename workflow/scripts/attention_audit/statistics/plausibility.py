"""Plausibility: how well attention and importances find what is marked as what matters.

Of marked inputs, the gold of an instance, nobody told the model. What is over hidden
states is spread evenly over the inputs of their cells first. Beside it stands a guess that
has seen nothing of the instance, such as the middle of a picture: what does not exceed it
says that people centre what they picture, and no more.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from attention_audit.statistics.distributions import Floats
from attention_audit.statistics.in_step import Step, padded_column
from attention_audit.statistics.ranks import (
    average_precision,
    intersection_over_union,
    reciprocal_rank,
    top_k_f1,
)

# What ranks the inputs besides attention and importances, and what all are held against.
GUESS = "guess"
GOLD = "gold"


def plausibility(
    step: Step, subjects: Mapping[str, Floats], guess: bool = False
) -> tuple[list[str], list[tuple[str, str, str, Floats]]]:
    """How well each of ``subjects`` finds the marked inputs of a step.

    ``subjects`` are (B, n), of inputs, or (B, m), of hidden states; with ``guess`` the
    guess of the table is one of them. Returns the ids (R,) of the instances that are
    marked, and of these measure, subject, reference and values (R,).
    """
    rows = np.flatnonzero(step.table["gold"].is_valid())
    if not len(rows):
        return [], []
    marked = step.table.take(pa.array(rows))
    gold = padded_column(marked, GOLD, step.attention.path)
    n = gold.mask.shape[1]
    ranking = {}
    for subject, values in subjects.items():
        ranking[subject] = step.of_inputs(values)[rows, :n]
    if guess and not marked[GUESS].null_count:
        ranking[GUESS] = padded_column(marked, GUESS, step.attention.path).values
    return gold.ids, [
        (measure, subject, GOLD, function(gold.values, values, gold.mask))
        for subject, values in ranking.items()
        for measure, function in (
            ("gold_average_precision", average_precision),
            ("gold_iou", intersection_over_union),
            ("gold_f1", top_k_f1),
            ("gold_reciprocal_rank", reciprocal_rank),
        )
    ]
