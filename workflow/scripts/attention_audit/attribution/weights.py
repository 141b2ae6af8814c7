"""What the model attends to: predictions and attention weights."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import torch

from attention_audit.models.decisions import (
    Batch,
    DecisionModel,
    cell_array,
    ragged,
)
from attention_audit.models.laws import lawful
from attention_audit.models.outputs import class_probabilities
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.distributions import entropy, support_size


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
    inputs are marked, and which of them a guess would mark.
    Raises `AuditError` where a normalizer, in self-attention too, breaks a law.
    """
    cell = cell_array(model)
    for batch in batches:
        with lawful(model):
            output = model(batch)
        states = model.states(batch.lengths)
        scores = model.pooling.scores(output.hidden, output.query)
        probabilities = class_probabilities(output.logits).numpy()
        weights, mask = output.attention.cpu().numpy(), output.mask.cpu().numpy()
        table.write(
            {
                **run,
                "instance_id": batch.instance_ids,
                "length": batch.lengths,
                "label": batch.labels.cpu().numpy(),
                "predicted": probabilities.argmax(-1),
                "probabilities": list(probabilities),
                "scores": ragged(scores, states),
                "attention": ragged(output.attention, states),
                "support": support_size(weights, mask),
                "entropy": pa.array(
                    entropy(weights, mask), pa.float32(), from_pandas=True
                ),
                "cell": [cell] * len(states),
                "gold": batch.gold,
                "guess": [batch.guess] * len(states),
            }
        )
