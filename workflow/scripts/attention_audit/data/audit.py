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
    table, columns, batch, a_pass = of_data(modality, "audited")(reading)
    chosen = selected(path, table, instances)
    wanted = pa.array(sorted(chosen))
    with tqdm(total=len(chosen), desc=name, unit=" instances", disable=None) as bar:
        pending: list[pa.Table] = []
        waiting = 0
        for rows in iterate_table(path, table, 32 * a_pass, columns):
            found = rows.filter(pc.is_in(rows["instance_id"], wanted))
            pending.append(found)
            waiting += len(found)
            while waiting >= a_pass:
                whole = pa.concat_tables(pending)
                yield batch(whole.slice(0, a_pass), path, device)
                bar.update(a_pass)
                pending = [whole.slice(a_pass)]
                waiting -= a_pass
        if waiting:
            yield batch(pa.concat_tables(pending), path, device)
            bar.update(waiting)
