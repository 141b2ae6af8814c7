"""How fast models decide, each measured beside all others."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from attention_audit.models.decisions import Batch, DecisionModel


def seconds(
    readers: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> np.ndarray:
    """Seconds of a call of each reader in each round, (readers, rounds).

    In a round every reader is called once, in turn, so that what disturbs the machine for
    a while does so to all of them; a round before the first warms them up. By default the
    time is that of the processor: whatever else runs there takes next to none of it.
    """
    taken = np.empty((len(readers), rounds))
    turns = [(r, i) for r in range(-1, rounds) for i in range(len(readers))]
    for r, i in tqdm(turns, desc="speed", unit=" passes", disable=None):
        start = clock()
        readers[i]()
        if r >= 0:
            taken[i, r] = clock() - start
    return taken


def speeds(
    models: Sequence[tuple[DecisionModel, Sequence[Batch]]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> list[dict[str, float]]:
    """The columns of the table "speed" for models that each read batches of decisions."""

    def reader(model: DecisionModel, batches: Sequence[Batch]) -> Callable[[], None]:
        @torch.no_grad()
        def read() -> None:
            for batch in batches:
                model(batch)

        return read

    decisions = [sum(len(b.lengths) for b in batches) for _, batches in models]
    taken = seconds([reader(*its) for its in models], rounds, clock)
    return [
        {
            "decisions_per_second": count / np.median(own),
            "slowest": count / own.max(),
            "fastest": count / own.min(),
            "n_rounds": rounds,
            "n_instances": count,
        }
        for count, own in zip(decisions, taken, strict=True)
    ]
