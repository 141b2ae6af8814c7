"""Sentence pairs with their gold alignment, what models attend to and find important."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id
from attention_audit.statistics.alignment import padded_gold
from attention_audit.statistics.alignment_counts import scaled
from attention_audit.statistics.examples import rows_by_instance
from attention_audit.statistics.picture_examples import Files

# Sentence pairs of a data set: the aligned ones with the smallest ids, which is a random
# sample of those whose matrices are small enough to be read.
SHOWN = 3
MOST_SOURCE, MOST_TARGET = 14, 18


def shown_pairs(path: str | Path, audited: set[str]) -> dict[str, dict[str, Any]]:
    """The ``audited`` sentence pairs of a split that are shown, by id: words and links.

    ``sure`` and ``possible`` are (T, S).
    """
    columns = ["instance_id", "source_tokens", "target_tokens"]
    columns += ["source_length", "target_length", "sure", "possible"]
    found: dict[str, Any] = {}
    for table in tables.iterate_table(path, "sentence_pairs", columns=columns):
        for i, row in enumerate(table.to_pylist()):
            small = (
                row["source_length"] <= MOST_SOURCE
                and row["target_length"] <= MOST_TARGET
            )
            if row["sure"] and small and row["instance_id"] in audited:
                found[row["instance_id"]] = row, table.slice(i, 1)
        found = dict(sorted(found.items())[:SHOWN])
    shown = {}
    for pair, (row, alone) in found.items():
        gold = padded_gold(alone)
        shown[pair] = row | {"sure": gold.sure[0], "possible": gold.possible[0]}
    return shown


def example_rows(
    run: Mapping[str, Any], files: Files, shown: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Rows of the table "alignment_examples" for one run: a pair and subject each."""
    steps = {
        pair: [decision_id(pair, step) for step in range(row["target_length"])]
        for pair, row in shown.items()
    }
    wanted = {instance for instances in steps.values() for instance in instances}
    found = {
        "attention": rows_by_instance(
            files.attention, "attention", run, ["attention"], wanted
        ),
        **{
            method: rows_by_instance(path, "importance", run, ["importance"], wanted)
            for method, path in files.importances.items()
        },
    }
    for pair, row in shown.items():
        for subject, rows in found.items():
            column = "attention" if subject == "attention" else "importance"
            weights = np.array([rows[step][column] for step in steps[pair]])
            yield {
                **run,
                "instance_id": pair,
                "subject": subject,
                "source_tokens": row["source_tokens"],
                "target_tokens": row["target_tokens"],
                "weights": scaled(weights).ravel(),
                "sure": row["sure"].ravel(),
                "possible": row["possible"].ravel(),
            }


def alignment_example_table(
    runs: Sequence[Mapping[str, Any]],
    files: Sequence[Files],
    examples: Mapping[str, tuple[str | Path, set[str]]],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "alignment_examples"; ``examples`` are by data set.

    A split each, and the ids of its sentence pairs that are audited.
    """
    shown = {dataset: shown_pairs(*split) for dataset, split in examples.items()}
    rows = [
        row
        for run, own in zip(runs, files, strict=True)
        for row in example_rows(run, own, shown[run["dataset"]])
    ]
    tables.write_rows(path, "alignment_examples", rows, provenance)
