"""How far the sampling points of deformable merging move, picture by picture."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.tables import TableWriter


@torch.no_grad()
def write_offsets(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
) -> None:
    """Sampling offsets of every instance and merging of a deformable pyramid.

    In tokens of the grid that is merged, cell by cell and point by point; see
    `models.merging`.
    """
    for batch in batches:
        found = model.encoder.read(model.embed(batch)).offsets
        for number, (merging, offsets) in enumerate(
            zip(model.encoder.mergings, found, strict=True)
        ):
            rows, columns = merging.grid
            # (B, m, 4, 2) -> 2 x (B, 4 m)
            down, right = offsets.flatten(1, 2).cpu().numpy().transpose(2, 0, 1)
            table.write(
                {
                    **run,
                    "instance_id": batch.instance_ids,
                    "length": batch.lengths,
                    "merging": number,
                    "rows": rows,
                    "columns": columns,
                    "down": list(down),
                    "right": list(right),
                }
            )
