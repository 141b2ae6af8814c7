"""A training loop for models that learn from another model, by any loss.

`training` is the loop of the runs of the grid, with cross-entropy and checkpoints; the
models here are small, and take their loss from outside.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from attention_audit.data.batches import in_order_of_length, length_bucketed_batches
from attention_audit.models.decisions import DecisionModel, Examples
from attention_audit.models.laws import lawful
from attention_audit.models.training import (
    be_repeatable,
    build_optimizer,
    descend,
    restore,
)

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
    """Train in place until the dev loss has not fallen for ``patience`` epochs.

    ``settings`` has the keys of the section ``training``. The weights of the best epoch
    are kept, and its number returned. Raises `AuditError` where the loss diverges or a
    normalizer breaks a law.
    """

    def mean_loss(rows: np.ndarray) -> Tensor:
        return loss(examples, rows) / len(rows)

    be_repeatable(next(model.parameters()).device)
    optimizer = build_optimizer(model, settings)
    best: dict[str, Tensor] = {}
    best_loss, best_epoch = float("inf"), 0
    for epoch in tqdm(
        range(1, settings["max_epochs"] + 1), desc=name, unit="epoch", disable=None
    ):
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))
        model.train()
        batches = length_bucketed_batches(examples.lengths, settings["batch_size"], rng)
        with lawful(model, once=True):
            for rows in batches:
                descend(model, optimizer, partial(mean_loss, rows), settings, name)
        model.eval()
        with torch.no_grad(), lawful(model):
            total = sum(
                loss(dev, rows).item()
                for rows in in_order_of_length(dev.lengths, settings["batch_size"])
            )
        if total < best_loss:
            best_loss, best_epoch = total, epoch
            best = deepcopy(model.state_dict())
        if epoch - best_epoch >= settings["patience"]:
            break
    restore(model, best, settings, name)
    return best_epoch


def attention_of(
    model: DecisionModel, examples: Examples, batch_size: int, device: torch.device
) -> tuple[list[Tensor], Tensor]:
    """Attention of each text of a split, without padding, and probabilities (N, K)."""
    weights: list[Tensor] = [torch.empty(0)] * len(examples)
    outputs = torch.empty(len(examples), model.output.out_features, device=device)
    with torch.no_grad():
        for rows in in_order_of_length(examples.lengths, batch_size):
            output = model(examples.batch(rows, device))
            outputs[rows] = output.logits.softmax(-1).to(outputs)
            for row, attention, n in zip(
                rows, output.attention, examples.lengths[rows], strict=True
            ):
                weights[row] = attention[:n]
    return weights, outputs
