"""Guided models (Wiegreffe & Pinter 2019, sec. 3.4): does attention transfer?

A model without context pools its hidden states by weights that another model gave. If
it scores higher with them than with weights that it learned, or uniform ones, they hold
information about the task that is not tied to the model they came from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from attention_audit.data.batches import in_order_of_length
from attention_audit.interventions.fitting import attention_of, fit
from attention_audit.models.decisions import (
    DecisionModel,
    Examples,
    ModelSettings,
    cell_array,
)
from attention_audit.models.training import classes_absent, macro_f1, new_model
from attention_audit.statistics.cells import by_input, by_state


def given_weights(
    weights: Tensor, guide: DecisionModel, model: DecisionModel
) -> Tensor:
    """A guide's weights of its hidden states (m,) as weights of a model's own.

    Where these are not the same, by the inputs that lie in their cells.
    """
    if guide.cell is None and model.cell is None:
        return weights
    of_inputs = by_input(weights.cpu().double().numpy(), cell_array(guide))
    return torch.from_numpy(by_state(of_inputs, cell_array(model))).to(weights)


def train_guided(
    settings: ModelSettings,
    guide: DecisionModel | None,
    splits: Mapping[str, Examples],
    training: Mapping[str, Any],
    seed: int,
    device: torch.device,
    vectors: Tensor | None = None,
    name: str = "guided",
) -> dict[str, Any]:
    """Train a model whose weights are the guide's; its scores on dev and test.

    ``splits`` holds train, dev and test. With a guide the model's own scorer is never
    used; without one the model attends for itself, in the way of its normalizer.
    Returns accuracy, macro F1 and the number of absent classes by split, and the best
    epoch.
    """
    model = new_model(settings, seed, device, vectors)
    weights: dict[int, list[Tensor]] = {}
    if guide is not None:
        for split in splits.values():
            found, _ = attention_of(guide, split, training["batch_size"], device)
            weights[id(split)] = [given_weights(one, guide, model) for one in found]

    def logits(split: Examples, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        batch = split.batch(rows, device)
        if guide is None:
            return model(batch).logits, batch.labels
        fixed = pad_sequence([weights[id(split)][i] for i in rows], batch_first=True)
        hidden, _ = model.encode(model.embed(batch), batch.mask)
        return model.decide(hidden, fixed), batch.labels

    def loss(split: Examples, rows: np.ndarray) -> Tensor:
        return nn.functional.cross_entropy(*logits(split, rows), reduction="sum")

    best_epoch = fit(model, loss, splits["train"], splits["dev"], training, seed, name)
    scores: dict[str, Any] = {"best_epoch": best_epoch}
    for split in ("dev", "test"):
        examples = splits[split]
        predicted = np.empty(len(examples), dtype=np.int64)
        with torch.no_grad():
            for rows in in_order_of_length(examples.lengths, training["batch_size"]):
                predicted[rows] = logits(examples, rows)[0].argmax(-1).cpu().numpy()
        labels = examples.labels.astype(np.int64)
        scores[split] = {
            "accuracy": float((predicted == labels).mean()),
            "macro_f1": macro_f1(labels, predicted, settings.n_classes),
            "classes_absent": classes_absent(labels, settings.n_classes),
        }
    return scores
