"""Valence: whether attention and importances go to the words at which people feel much.

The ratings of words by themselves, from a lexicon, are neither told to the model nor a
rationale: nobody said that they decide a text.
"""

from collections.abc import Mapping

import numpy as np

from attention_audit.records.tables import mismatch
from attention_audit.statistics.distributions import Floats
from attention_audit.statistics.in_step import Step
from attention_audit.statistics.ranks import kendall_tau_b

VALENCE = "valence"


def valence_blocks(
    step: Step,
    subjects: Mapping[str, Floats],
    ratings: Mapping[str, Floats],
    uniform: str,
) -> tuple[list[str], list[tuple[str, str, str, Floats]]]:
    """How each of ``subjects`` goes with the strength |r| of the words of a step.

    ``subjects`` are (B, n), of inputs, or (B, m), of hidden states, the one called
    ``uniform`` with equal weights, whose share is that of the words. ``ratings`` (n,) are
    those of each text's words, 0 of what nobody rated. Returns the ids (R,) of the texts
    with a rated word, and of these measure, subject, reference and values (R,).
    """
    lengths = step.table["length"].to_numpy()
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
    strength = np.zeros(mask.shape)
    for row, (name, n) in enumerate(zip(step.attention.ids, lengths, strict=True)):
        if len(ratings.get(name, ())) != n:
            raise mismatch(step.attention.path, f"'{name}' is no text of its data set")
        strength[row, :n] = np.abs(ratings[name])
    rows = np.flatnonzero(strength.any(axis=1))
    if not len(rows):
        return [], []
    strength, mask = strength[rows], mask[rows]
    blocks = []
    for subject, values in subjects.items():
        weights = np.where(mask, step.of_inputs(values)[rows], 0.0)
        with np.errstate(invalid="ignore"):
            share = weights.sum(axis=1, where=strength > 0) / weights.sum(axis=1)
        blocks.append(("valence_share", subject, VALENCE, share))
        if subject != uniform:
            tau_b, _ = kendall_tau_b(weights, strength, mask)
            blocks.append(("valence_tau_b", subject, VALENCE, tau_b))
    return [step.attention.ids[row] for row in rows], blocks
