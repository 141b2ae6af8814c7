"""Every second of the test recordings as a model predicts it, and what it attends to there.

Shapes: N seconds of a split, K reactions, n moments of a decision.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from attention_audit.data.batches import in_order_of_length
from attention_audit.data.recording_batches import RecordingExamples, read_all
from attention_audit.models.decisions import DecisionModel, ragged
from attention_audit.models.outputs import exact_outputs
from attention_audit.records import tables

# Seconds that are predicted at once. Fixed, because results depend in their last digits on
# what shares a pass.
AT_ONCE = 256

_COLUMNS = ("recording", "seconds", "targets", "events")


@torch.no_grad()
def predictions(
    model: DecisionModel, examples: RecordingExamples, shown: int
) -> tuple[np.ndarray, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Outputs (N, K) of all decisions, and the attention and times of the first ``shown``.

    These are (n,) each, by the place of the decision.
    """
    device = model.output.weight.device
    outputs = np.empty((len(examples), examples.labels.shape[1]))
    looks: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with tqdm(total=len(examples), desc="react", unit=" seconds", disable=None) as bar:
        for rows in in_order_of_length(examples.lengths, AT_ONCE):
            batch = examples.batch(rows, device)
            output = model(batch)
            outputs[rows] = exact_outputs(output.logits, model.link).numpy()
            drawn = rows < shown
            if drawn.any():
                weights = ragged(output.attention, batch.lengths)
                times = ragged(batch.times, batch.lengths)
                found = zip(weights, times, strict=True)
                looks |= {
                    int(row): of_row
                    for row, of_row, one in zip(rows, found, drawn, strict=True)
                    if one
                }
            bar.update(len(rows))
    return outputs, looks


def write_reactions(
    table: tables.TableWriter,
    model: DecisionModel,
    path: str | Path,
    reading: str | Path,
    shown: int,
    run: Mapping[str, Any],
) -> None:
    """Fill a table "reaction_predictions": a row a second, recording by recording.

    ``path`` and ``reading`` are the split's tables "recordings" and "recording_reading". The
    first ``shown`` recordings have the attention to each moment and its time.
    """
    rows = tables.read_table(path, "recordings", list(_COLUMNS)).to_pylist()
    examples = read_all(path, reading)
    lengths = [len(row["seconds"]) for row in rows]
    outputs, looks = predictions(model, examples, sum(lengths[:shown]))
    n_reactions = outputs.shape[1]

    def by_second(values: list | None) -> list | None:
        return values and list(np.reshape(values, (-1, n_reactions)))

    start = 0
    for row, length in zip(rows, lengths, strict=True):
        places = range(start, start + length)
        start += length
        attention, times = (
            [looks[place][part] for place in places] if places[0] in looks else None
            for part in (0, 1)
        )
        table.write(
            {
                **run,
                "instance_id": [examples.instance_ids[place] for place in places],
                "recording": row["recording"],
                "second": row["seconds"],
                "outputs": list(outputs[places.start : places.stop]),
                "targets": by_second(row["targets"]),
                "events": by_second(row["events"]),
                "attention": attention,
                "times": times,
            }
        )
