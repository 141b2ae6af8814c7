"""Which instances are audited, and how they come: batch by batch, in one order."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from attention_audit.data.modality import of_data
from attention_audit.records.tables import iterate_table

# Instances that are read at once. Fixed, because results depend in their last digits on
# what shares a pass.
A_PASS = 32


def selected(path: str | Path, table: str | pa.Schema, instances: int) -> set[str]:
    """The ids of the ``instances`` examples with the smallest ids; ``table`` is the schema.

    An id is a hash of what the instance is, so this is a random sample that every run of
    a data set shares, and a larger sample contains a smaller one.
    """
    ids = (
        i
        for rows in iterate_table(path, table, columns=["instance_id"])
        for i in rows["instance_id"].to_pylist()
    )
    return set(heapq.nsmallest(instances, ids))


def audited(
    path: str | Path,
    reading: str | Path,
    modality: str,
    instances: int,
    device: torch.device,
    name: str = "audit",
) -> Iterator[Any]:
    """Yield the audited instances of a split in the order of the file, pass by pass.

    They are batches of the ``modality``, see `models.decisions.Batch`.
    """
    table, columns, batch = of_data(modality, "audited")(reading)
    chosen = selected(path, table, instances)
    wanted = pa.array(sorted(chosen))
    with tqdm(total=len(chosen), desc=name, unit=" instances", disable=None) as bar:
        pending: list[pa.Table] = []
        waiting = 0
        for rows in iterate_table(path, table, columns=columns):
            found = rows.filter(pc.is_in(rows["instance_id"], wanted))
            pending.append(found)
            waiting += len(found)
            while waiting >= A_PASS:
                whole = pa.concat_tables(pending)
                yield batch(whole.slice(0, A_PASS), path, device)
                bar.update(A_PASS)
                pending = [whole.slice(A_PASS)]
                waiting -= A_PASS
        if waiting:
            yield batch(pa.concat_tables(pending), path, device)
            bar.update(waiting)
