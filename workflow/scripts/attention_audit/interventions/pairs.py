"""Two runs side by side: how far their attention and their outputs are apart.

Runs that differ in the seed alone differ by chance, so their divergence is the
yardstick of every other one (Wiegreffe & Pinter 2019, sec. 3.3). A run whose weights
are held uniform tells what attention is worth at all (sec. 3.2).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.records.tables import TableWriter, read_table
from attention_audit.statistics.distributions import jensen_shannon
from attention_audit.statistics.in_step import check_run


def _instances(path: str | Path, run: Mapping[str, Any]) -> pd.DataFrame:
    columns = ["instance_id", "label", "predicted", "probabilities", "attention"]
    table = read_table(path, "attention", [*RUN_COLUMNS, *columns])
    check_run(table, run, path)
    return table.to_pandas().set_index("instance_id")[columns[1:]]


def compare_runs(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Compare two attention tables by instance.

    ``jsd`` (nats) is between the weights, undefined where either has none; ``tvd``,
    half the sum of absolute differences, between the class probabilities; ``gain`` is 1
    where only the first is right, -1 where only the other is, else 0. Of scores ``tvd`` is
    the mean of absolute differences, and ``gain`` undefined.
    """
    pairs = one.merge(
        other,
        left_index=True,
        right_index=True,
        suffixes=("", "_other"),
        validate="one_to_one",
    )
    right = pairs["predicted"] == pairs["label"]
    right_other = pairs["predicted_other"] == pairs["label"]
    classes = pairs["label"].notna()
    return pd.DataFrame(
        {
            "jsd": [
                jensen_shannon(a[None], b[None], np.ones((1, len(a)), dtype=bool))[0]
                for a, b in zip(
                    pairs["attention"], pairs["attention_other"], strict=True
                )
            ],
            "tvd": [
                float(np.abs(a.astype(np.float64) - b).sum() / (2 if known else len(a)))
                for a, b, known in zip(
                    pairs["probabilities"],
                    pairs["probabilities_other"],
                    classes,
                    strict=True,
                )
            ],
            "gain": (right.astype(float) - right_other.astype(float)).where(classes),
        },
        index=pairs.index,
    )


def write_pairs(
    table: TableWriter,
    run: Mapping[str, Any],
    attention: str | Path,
    others: Sequence[Mapping[str, Any]],
    paths: Sequence[str | Path],
) -> None:
    """Compare a run with each of ``others``, a row an (instance, other run)."""
    own = _instances(attention, run)
    for other, path in zip(others, paths, strict=True):
        pairs = compare_runs(own, _instances(path, other))
        if len(pairs) != len(own):
            raise AuditError(
                f"{path}: holds {len(pairs)} of the {len(own)} instances of "
                f"{attention}. Delete both files and run snakemake again to rebuild "
                "them."
            )
        table.write(
            {
                **run,
                "instance_id": pairs.index.to_list(),
                "other_normalizer": other["normalizer"],
                "other_seed": other["seed"],
                "jsd": [None if np.isnan(v) else v for v in pairs["jsd"]],
                "tvd": pairs["tvd"].to_list(),
                "gain": [None if np.isnan(v) else v for v in pairs["gain"]],
            }
        )
