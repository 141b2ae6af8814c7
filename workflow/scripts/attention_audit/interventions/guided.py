"""Guided models (Wiegreffe & Pinter 2019, sec. 3.4): does attention transfer?

A model without context pools its hidden states by weights that another model gave. If
it scores higher with them than with weights that it learned, or uniform ones, they hold
information about the task that is not tied to the model they came from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from attention_audit.data.batches import in_order_of_length
from attention_audit.interventions.fitting import attention_of, fit
from attention_audit.models.decisions import (
    Batch,
    DecisionModel,
    Examples,
    ModelSettings,
    cell_array,
)
from attention_audit.models.losses import loss_of
from attention_audit.models.outputs import exact_outputs
from attention_audit.models.scores import agreement_scores, class_scores
from attention_audit.models.training import new_model
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
    Returns by split `class_scores` or, of scores, `agreement_scores`; and the best epoch.
    """
    model = new_model(settings, seed, device, vectors)
    weights: dict[int, list[Tensor]] = {}
    if guide is not None:
        for split in splits.values():
            found, _ = attention_of(guide, split, training["batch_size"], device)
            weights[id(split)] = [given_weights(one, guide, model) for one in found]

    def logits(split: Examples, rows: np.ndarray) -> tuple[Tensor, Batch]:
        batch = split.batch(rows, device)
        if guide is None:
            return model(batch).logits, batch
        fixed = pad_sequence([weights[id(split)][i] for i in rows], batch_first=True)
        hidden, _ = model.encode(model.embed(batch), batch.mask)
        return model.decide(hidden, fixed), batch

    def loss(split: Examples, rows: np.ndarray) -> Tensor:
        made, batch = logits(split, rows)
        return loss_of(model, made, batch.labels, reduction="sum")

    best_epoch = fit(model, loss, splits["train"], splits["dev"], training, seed, name)
    scores: dict[str, Any] = {"best_epoch": best_epoch}
    for split in ("dev", "test"):
        examples = splits[split]
        found = torch.empty(len(examples), settings.n_classes)
        recordings = np.full(len(examples), "", dtype=object)
        with torch.no_grad():
            for rows in in_order_of_length(examples.lengths, training["batch_size"]):
                made, batch = logits(examples, rows)
                found[rows] = made.cpu()
                if batch.cluster_ids is not None:
                    recordings[rows] = batch.cluster_ids
        if model.link == "softmax":
            labels = examples.labels.astype(np.int64)
            predicted = found.argmax(-1).numpy()
            scores[split] = class_scores(labels, predicted, settings.n_classes)
        else:
            outputs = exact_outputs(found, model.link).numpy()
            scores[split] = agreement_scores(outputs, examples.labels, recordings)
    return scores
