"""Which instances are audited, and how they come: batch by batch, in one order."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from attention_audit.data.text_batches import TextBatch
from attention_audit.records.tables import iterate_table

# Texts that are read at once. Fixed, because results depend in their last digits on
# what shares a pass.
TEXTS_PER_PASS = 32


def selected(path: str | Path, instances: int) -> set[str]:
    """The ids of the ``instances`` examples with the smallest ids.

    An id is a hash of the text, so this is a random sample that every run of a data
    set shares, and a larger sample contains a smaller one.
    """
    ids = (
        i
        for table in iterate_table(path, "examples", columns=["instance_id"])
        for i in table["instance_id"].to_pylist()
    )
    return set(heapq.nsmallest(instances, ids))


def audited(
    path: str | Path,
    instances: int,
    device: torch.device,
    name: str = "audit",
) -> Iterator[TextBatch]:
    """Yield the audited instances of a split in the order of the file, pass by pass."""
    chosen = selected(path, instances)
    columns = ["instance_id", "cluster_id", "token_ids", "label"]
    with tqdm(total=len(chosen), desc=name, unit="text", disable=None) as bar:
        pending: list[dict[str, Any]] = []
        for table in iterate_table(path, "examples", columns=columns):
            pending += [r for r in table.to_pylist() if r["instance_id"] in chosen]
            while len(pending) >= TEXTS_PER_PASS:
                yield _batch(pending[:TEXTS_PER_PASS], device)
                bar.update(TEXTS_PER_PASS)
                pending = pending[TEXTS_PER_PASS:]
        if pending:
            yield _batch(pending, device)
            bar.update(len(pending))


def _batch(rows: list[dict[str, Any]], device: torch.device) -> TextBatch:
    return TextBatch.of(
        [row["instance_id"] for row in rows],
        [np.asarray(row["token_ids"]) for row in rows],
        device,
        [row["label"] for row in rows],
        [row["cluster_id"] for row in rows],
    )
