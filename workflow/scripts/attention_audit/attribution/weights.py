"""What the model attends to: predictions and attention weights."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from attention_audit.models.decisions import (
    Batch,
    DecisionModel,
    cell_array,
    ragged,
)
from attention_audit.models.laws import lawful
from attention_audit.models.outputs import exact_outputs
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.distributions import entropy, support_size


def _wanted(model: DecisionModel, batch: Batch, outputs: np.ndarray) -> dict[str, Any]:
    """The label and what is predicted for it, or the true scores; null where it has none."""
    known = batch.labels.cpu().numpy()
    if model.link == "softmax":
        return {"label": known, "predicted": outputs.argmax(-1), "targets": None}
    return {"label": None, "predicted": None, "targets": list(known)}


@torch.no_grad()
def write_attention(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
) -> None:
    """Predictions, scores and attention weights, with their support and entropy (nats).

    The entropy is that of weights scaled to sum to one; null without any weight. With
    them stands what they are to be compared with: in whose cell an input lies, which
    inputs are marked, which of them a guess would mark, and when they are.
    Raises `AuditError` where a normalizer, in self-attention too, breaks a law.
    """
    cell = cell_array(model)
    for batch in batches:
        with lawful(model):
            output = model(batch)
        states = model.states(batch.lengths)
        scores = model.pooling.scores(output.hidden, output.query)
        outputs = exact_outputs(output.logits, model.link).numpy()
        weights, mask = output.attention.cpu().numpy(), output.mask.cpu().numpy()
        table.write(
            {
                **run,
                "instance_id": batch.instance_ids,
                "length": batch.lengths,
                **_wanted(model, batch, outputs),
                "probabilities": list(outputs),
                "scores": ragged(scores, states),
                "attention": ragged(output.attention, states),
                "support": support_size(weights, mask),
                "entropy": pa.array(
                    entropy(weights, mask), pa.float32(), from_pandas=True
                ),
                "cell": [cell] * len(states),
                "gold": batch.gold,
                "guess": [batch.guess] * len(states),
                "times": None
                if batch.times is None
                else ragged(batch.times, batch.lengths),
            }
        )
