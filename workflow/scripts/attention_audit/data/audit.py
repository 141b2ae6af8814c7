"""Which instances are audited, and how they come: batch by batch, in one order."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from attention_audit.data.batches import pad_batch
from attention_audit.records.tables import iterate_table

# Texts that are read at once. Fixed, because results depend in their last digits on
# what shares a pass.
TEXTS_PER_PASS = 32


class Batch(NamedTuple):
    """Audited instances, padded to the longest."""

    instance_ids: list[str]
    labels: list[int]
    lengths: np.ndarray  # (B,)
    token_ids: Tensor  # (B, n)
    mask: Tensor  # (B, n) bool


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
) -> Iterator[Batch]:
    """Yield the audited instances of a split in the order of the file, pass by pass."""
    chosen = selected(path, instances)
    columns = ["instance_id", "token_ids", "label", "length"]
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


def _batch(rows: list[dict[str, Any]], device: torch.device) -> Batch:
    ids, mask = pad_batch([np.asarray(r["token_ids"]) for r in rows])
    return Batch(
        [r["instance_id"] for r in rows],
        [r["label"] for r in rows],
        mask.sum(-1),
        torch.from_numpy(ids).to(device),
        torch.from_numpy(mask).to(device),
    )


def ragged(values: Tensor, lengths: np.ndarray) -> list[np.ndarray]:
    """Rows of (B, n) without their padding."""
    return [row[:n] for row, n in zip(values.cpu().numpy(), lengths, strict=True)]
