"""Permuted attention (Jain & Wallace 2019, sec. 4.2.1).

If the output hardly changes when the weights change places, the placement of the
weights does not explain the output.

For sparse weights that is two questions: which positions are attended, and how much
each of them gets. Shuffles of the support answer the second, shuffles across its border
the first. Side by side they are fair only if both move as much weight, no weight stays
where it was, and both can be made of the same texts; and beside what the two would be if
weights had nothing to do with the states that they stand at.

Shapes: D draws, n positions (hidden states), H hidden size.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.outputs import Readout
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter

# What changes place: all weights, as in the paper; those of the support among each
# other, or with zeros, at equal mass; and the same two of weights placed at random.
KINDS = ("all", "support", "border", "null_support", "null_border")

# How often weights are placed at random. Each time the median over draws is taken as it
# is of the model's own placement, for a median over all would be another quantity.
PLACEMENTS = 10

# Less weight than this is none: rounding of single-precision weights.
_LEAST_MASS = 1e-6


def shuffled(
    weights: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Weights (n,) over all positions in random order: (D, n), or None where none is."""
    if len(weights) < 2 or not weights.any():
        return None
    return rng.permuted(np.tile(weights, (draws, 1)), axis=1)


def deranged(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Orders (D, n) of n > 1 places in which none stays, each as likely as any other."""
    orders = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    while len(rows := np.flatnonzero((orders == np.arange(n)).any(axis=1))):
        orders[rows] = rng.permuted(orders[rows], axis=1)
    return orders


def moved_mass(weights: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Share (D,) of the weight that stands elsewhere: half of sum |p' - p| over sum p."""
    return np.abs(moved - weights).sum(-1) / (2 * weights.sum())


def matched(
    weights: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights (n,) moved within the support and across its border, (D, n) each.

    Within it no weight stays where it was. Across it as many weights as there are zeros
    to trade with, or all of them, change places with a zero each. Of the two moves of a
    draw the one of more mass is made in part, so that both move the same. None where
    there is no border, fewer than two weights, or nothing but equal ones.
    """
    on, off = np.flatnonzero(weights > 0), np.flatnonzero(weights <= 0)
    if len(on) < 2 or not len(off):
        return None
    within = np.tile(weights, (draws, 1))
    within[:, on] = weights[on][deranged(len(on), draws, rng)]
    across = np.tile(weights, (draws, 1))
    traded = min(len(on), len(off))
    rows = np.arange(draws)[:, None]
    given = rng.permuted(np.tile(on, (draws, 1)), axis=1)[:, :traded]
    taken = rng.permuted(np.tile(off, (draws, 1)), axis=1)[:, :traded]
    across[rows, taken] = weights[given]
    across[rows, given] = 0.0
    masses = np.stack([moved_mass(weights, moved) for moved in (within, across)])
    smaller = masses.min(0)
    if smaller.max() <= _LEAST_MASS:
        return None
    parts = smaller / np.maximum(masses, _LEAST_MASS)
    within, across = (
        weights + part[:, None] * (moved - weights)
        for part, moved in zip(parts, (within, across), strict=True)
    )
    return within, across


def _median(readout: Readout, changes: Tensor) -> float:
    """Median over draws of how much the outputs change (D, K)."""
    return float(np.median(readout.distance(changes).numpy()))


@torch.no_grad()
def permutation_differences(
    readout: Readout,
    hidden: Tensor,
    weights: Tensor,
    draws: int,
    rngs: Mapping[str, np.random.Generator],
    query: Tensor | None = None,
) -> dict[str, tuple[float, float]]:
    """Median over draws of mean_k |y_k(moved) - y_k| and the mean mass moved, by kind.

    Of a vocabulary it is half the sum, see `Readout.distance`.

    ``hidden`` (n, H) and ``weights`` (n,) are those of one text without padding, in
    double precision on the CPU, and so is the ``query`` (Q,) that asked, where one did; y
    are the class probabilities, or scores. ``rngs`` holds a
    generator for "all" and one for "matched". For a null kind weights and moved weights
    are placed anew at random, together, and y is the output of the former; the mean over
    `PLACEMENTS`. NaN where nothing can move.
    """
    found = dict.fromkeys(KINDS, (np.nan, np.nan))
    numbers = weights.numpy()

    def change(moved: np.ndarray) -> float:
        own, outputs = readout.changed_outputs(
            hidden, weights, torch.from_numpy(moved), query
        )
        return _median(readout, outputs - own)

    everywhere = shuffled(numbers, draws, rngs["all"])
    if everywhere is not None:
        mass = moved_mass(numbers, everywhere).mean()
        found["all"] = change(everywhere), float(mass)
    pair = matched(numbers, draws, rngs["matched"])
    if pair is None:
        return found
    places = [rngs["matched"].permutation(len(numbers)) for _ in range(PLACEMENTS)]

    def outputs(rows: np.ndarray) -> Tensor:
        return readout.outputs(hidden, torch.from_numpy(rows), query)

    for kind, moved in zip(("support", "border"), pair, strict=True):
        mass = float(moved_mass(numbers, moved).mean())
        found[kind] = change(moved), mass
        anew = [
            _median(readout, outputs(moved[:, place]) - outputs(numbers[None, place]))
            for place in places
        ]
        found[f"null_{kind}"] = float(np.mean(anew)), mass
    return found


@torch.no_grad()
def write_permutation(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    draws: int,
    seed: int = 0,
) -> None:
    """Permutation differences of every kind, a row an (instance, kind)."""
    readout = Readout(model)
    for batch in batches:
        output = model(batch)
        states = model.states(batch.lengths).tolist()
        for b, (instance, n) in enumerate(zip(batch.instance_ids, states, strict=True)):
            hidden, weights, query = output.decision(b, n)
            rngs = {
                kind: generator(("permutation", kind, instance), seed)
                for kind in ("all", "matched")
            }
            found = permutation_differences(
                readout, hidden, weights, draws, rngs, query
            )
            differences, masses = zip(*found.values(), strict=True)
            table.write(
                {
                    **run,
                    "instance_id": instance,
                    "length": n,
                    "support": int((weights > 0).sum()),
                    "kind": list(KINDS),
                    "difference": [None if np.isnan(d) else d for d in differences],
                    "moved_mass": [None if np.isnan(m) else m for m in masses],
                }
            )
