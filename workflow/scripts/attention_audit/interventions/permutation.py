"""Permuted attention (Jain & Wallace 2019, sec. 4.2.1).

If the output hardly changes when the weights change places, the placement of the
weights does not explain the output.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_audit.audit import Batch
from attention_audit.model import Classifier
from attention_audit.outputs import Readout
from attention_audit.randomness import generator
from attention_audit.tables import TableWriter

# Which positions exchange their weights; see `shuffled`.
KINDS = ("all", "support", "border")


def shuffled(
    weights: np.ndarray, kind: str, draws: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Shuffle weights (n,) ``draws`` times: (draws, n), or None where nothing can move.

    - ``all``: over all positions, as in the paper;
    - ``support``: among the positions that have weight; the zeros stay;
    - ``border``: across the border of the support alone. As many weights as there are
      zeros to trade with, or all of them, change places with a zero each; the others
      stay. With at least as many zeros as weights, no position of the support keeps
      its weight.

    The multiset of weights stays as it is.
    """
    on, off = np.flatnonzero(weights > 0), np.flatnonzero(weights <= 0)
    moved = np.tile(weights, (draws, 1))
    if kind == "border":
        traded = min(len(on), len(off))
        if not traded:
            return None
        rows = np.arange(draws)[:, None]
        given = rng.permuted(np.tile(on, (draws, 1)), axis=1)[:, :traded]
        taken = rng.permuted(np.tile(off, (draws, 1)), axis=1)[:, :traded]
        moved[rows, taken] = weights[given]
        moved[rows, given] = 0.0
        return moved
    positions = on if kind == "support" else np.arange(len(weights))
    if len(positions) < 2 or not len(on):
        return None
    moved[:, positions] = rng.permuted(moved[:, positions], axis=1)
    return moved


@torch.no_grad()
def permutation_difference(
    readout: Readout,
    hidden: Tensor,
    weights: Tensor,
    kind: str,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """Median over shuffles of mean_k |y_k(shuffled) - y_k|; NaN where nothing can move.

    ``hidden`` (n, H) and ``weights`` (n,) are those of one text without padding, in
    double precision on the CPU; y are the class probabilities.
    """
    moved = shuffled(weights.numpy(), kind, draws, rng)
    if moved is None:
        return np.nan
    own, outputs = readout.probabilities(hidden, weights, torch.from_numpy(moved))
    return float(np.median((outputs - own).abs().mean(-1).numpy()))


@torch.no_grad()
def write_permutation(
    table: TableWriter,
    model: Classifier,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    draws: int,
    seed: int = 0,
) -> None:
    """Permutation differences of every kind, a row an (instance, kind)."""
    readout = Readout(model)
    for batch in batches:
        output = model(batch.token_ids, batch.mask)
        for b, instance in enumerate(batch.instance_ids):
            n = int(batch.lengths[b])
            hidden, weights = (
                of_batch[b, :n].cpu().double()
                for of_batch in (output.hidden, output.attention)
            )
            differences = [
                permutation_difference(
                    readout,
                    hidden,
                    weights,
                    kind,
                    draws,
                    generator(("permutation", kind, instance), seed),
                )
                for kind in KINDS
            ]
            table.write(
                {
                    **run,
                    "instance_id": instance,
                    "length": n,
                    "support": int((weights > 0).sum()),
                    "kind": list(KINDS),
                    "difference": [None if np.isnan(d) else d for d in differences],
                }
            )
