"""How far attention is from that of models that differ in the seed alone.

Nothing but chance sets these models apart, so this is the yardstick of every other
divergence of attention (Wiegreffe & Pinter 2019, sec. 3.3).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_audit.distributions import jensen_shannon
from attention_audit.measures import check_run
from attention_audit.schemas import RUN_COLUMNS
from attention_audit.tables import TableWriter, read_table


def _attentions(path: str | Path, run: Mapping[str, Any]) -> dict[str, np.ndarray]:
    columns = [*RUN_COLUMNS, "instance_id", "attention"]
    table = read_table(path, "attention", columns)
    check_run(table, run, path)
    rows = table.to_pandas()
    return dict(zip(rows["instance_id"], rows["attention"], strict=True))


def write_seed_variance(
    table: TableWriter,
    run: Mapping[str, Any],
    attention: str | Path,
    other_seeds: Sequence[int],
    others: Sequence[str | Path],
) -> None:
    """Divergence (nats) of a run's attention from that of runs of other seeds alone.

    A row an (instance, other seed); null where either gives no weight at all.
    """
    own = _attentions(attention, run)
    for seed, path in zip(other_seeds, others, strict=True):
        other = _attentions(path, {**run, "seed": seed})
        shared = [i for i in own if i in other]
        divergences = [
            jensen_shannon(
                own[i][None], other[i][None], np.ones((1, len(own[i])), dtype=bool)
            )[0]
            for i in shared
        ]
        table.write(
            {
                **run,
                "instance_id": shared,
                "other_seed": seed,
                "divergence": [None if np.isnan(d) else d for d in divergences],
            }
        )
