"""The learning curve: runs of the grid trained on shares of their training texts.

What the last doubling of the texts brought tells what more of them would, and so what a cap
on them (``max_examples``) costs.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from attention_audit.models.decisions import Examples
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.randomness import generator
from attention_audit.records.schemas import RUN_COLUMNS

SPLITS = ("dev", "test")
# Of classes, and of outputs that are scores.
OF_CLASSES = ("accuracy", "loss", "macro_f1")
OF_SCORES = ("absolute_error", "concordance", "loss", "pearson")


def on_share(examples: Examples, share: float, seed: int) -> tuple[Examples, int]:
    """The first ceil(``share`` N) of N texts in a random order, as they stand in the split.

    Scores are of decisions that share a recording, and with it their moments: of them a
    share is one of whole recordings. The order depends on N and the seed alone: a larger share
    holds the smaller one, and all models of a data set and seed are trained on the same
    texts. Returns them and their number.
    """
    of_scores = examples.labels.ndim == 2
    texts = examples.cluster_ids if of_scores else np.arange(len(examples))
    _, first, place = np.unique(texts, return_index=True, return_inverse=True)
    # The share as it is written, for 0.1 * 30 is more than 3.
    count = math.ceil(Fraction(str(share)) * len(first))
    order = generator(["learning_curve"], seed).permutation(len(first))
    # in the order of the split
    chosen = np.argsort(first)[order[:count]]
    return examples.take(np.flatnonzero(np.isin(place, chosen)).tolist()), count


def _metrics(scores: Mapping[str, object]) -> Sequence[str]:
    return OF_SCORES if "pearson" in scores else OF_CLASSES


def curve_table(
    points: Sequence[Mapping[str, object]],
    metrics_paths: Sequence[str | Path],
    n_train: Mapping[str, int],
    provenance: Mapping[str, object],
    path: str | Path,
) -> None:
    """Write the table "learning_curve": a row a point, split and metric.

    A point is a run with its ``share`` of the training texts. That of 1 is the run itself,
    on the ``n_train`` of its data set; the scores of others say how many they had.
    """
    rows = []
    for point, source in zip(points, metrics_paths, strict=True):
        metrics = tables.read_json(source)
        identity = {column: point[column] for column in (*RUN_COLUMNS, "share")}
        try:
            whole = point["share"] == 1
            identity["n_train"] = (
                n_train[point["dataset"]] if whole else metrics["n_train"]
            )
            rows += [
                identity
                | {"split": split, "metric": metric, "value": metrics[split][metric]}
                for split in SPLITS
                for metric in _metrics(metrics[split])
            ]
        except (KeyError, TypeError) as error:
            raise AuditError(
                f"{source}: expected {', '.join(OF_CLASSES)} of {' and '.join(SPLITS)}, or "
                f"{', '.join(OF_SCORES)}, and lacks {error}. Delete the file and run snakemake again to rebuild it."
            ) from error
    tables.write_rows(path, "learning_curve", rows, provenance)
