"""Models that learn from another model, by any loss."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_audit.data.batches import in_order_of_length
from attention_audit.models import training
from attention_audit.models.decisions import DecisionModel, Examples
from attention_audit.models.laws import lawful
from attention_audit.models.outputs import linked

# Summed loss of the given rows of a split.
Loss = Callable[[Examples, np.ndarray], Tensor]


def fit(
    model: DecisionModel,
    loss: Loss,
    examples: Examples,
    dev: Examples,
    settings: Mapping[str, Any],
    seed: int,
    name: str,
) -> int:
    """Train in place, as `training.fit` does, by a loss that is summed over rows.

    Returns the number of the epoch whose weights are kept.
    """

    def mean_loss(rows: np.ndarray) -> Tensor:
        return loss(examples, rows) / len(rows)

    def score() -> dict[str, float]:
        batches = in_order_of_length(dev.lengths, settings["batch_size"])
        with lawful(model):
            return {"dev_loss": sum(loss(dev, rows).item() for rows in batches)}

    lengths = examples.lengths
    return training.fit(
        model, mean_loss, score, lengths, settings, seed, name
    ).best_epoch


def attention_of(
    model: DecisionModel, examples: Examples, batch_size: int, device: torch.device
) -> tuple[list[Tensor], Tensor]:
    """Attention of each decision of a split, without padding, and outputs (N, K)."""
    weights: list[Tensor] = [torch.empty(0)] * len(examples)
    outputs = torch.empty(len(examples), model.output.out_features, device=device)
    with torch.no_grad():
        for rows in in_order_of_length(examples.lengths, batch_size):
            output = model(examples.batch(rows, device))
            outputs[rows] = linked(output.logits, model.link).to(outputs)
            states = model.states(examples.lengths[rows])
            for row, attention, n in zip(rows, output.attention, states, strict=True):
                weights[row] = attention[:n]
    return weights, outputs
