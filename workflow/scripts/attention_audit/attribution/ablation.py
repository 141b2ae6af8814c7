"""Importance from leaving things out."""

import numpy as np
import torch
from torch import Tensor

from attention_audit.attribution.removals import logits_left
from attention_audit.models.decisions import Batch, DecisionModel, grouped
from attention_audit.models.outputs import (
    RESOLUTION,
    Readout,
    asked_output,
    outputs_of_read,
    read_anew,
)


def _change(own: Tensor, without: Tensor, output: str, label: int | None) -> Tensor:
    """How much outputs (R, K) differ from (1, K), a value a row."""
    if output == "all":
        return (without - own).abs().mean(-1)
    k = own.argmax() if output == "predicted" else label
    # A log-probability is finite: what underflows is as little as there is.
    smallest = torch.finfo(own.dtype).tiny
    own, without = own[:, k].clamp(min=smallest), without[:, k].clamp(min=smallest)
    return (without.log() - own.log()).abs()


def _of_inputs(
    model: DecisionModel, group: Batch, removal: str, output: str
) -> list[Tensor]:
    """Of each of the decisions of a batch, which have their inputs in common."""
    read = logits_left(model, group, removal)
    if read is None:
        n, device = int(group.lengths[0]), group.mask.device
        each = torch.eye(n, dtype=torch.bool, device=device)
        read = read_anew(model, group.without(each, removal))
    labels = _labels(group)
    changes = outputs_of_read(model, group, read)
    return [
        _change(own, without, output, label)
        for (own, without), label in zip(changes, labels, strict=True)
    ]


def _labels(batch: Batch) -> list[int | None]:
    if batch.labels is None:
        return [None] * len(batch.lengths)
    return batch.labels.tolist()


def _of_hidden_states(
    readout: Readout,
    hidden: Tensor,
    query: Tensor | None,
    output: str,
    label: int | None,
) -> Tensor:
    n = len(hidden)
    asked = None if query is None else query.unsqueeze(0)
    scores = readout.pooling.scores(hidden.unsqueeze(0), asked)
    normalizer = readout.pooling.normalizer
    (weights,) = normalizer(scores, torch.ones(1, n, dtype=torch.bool))
    # Row t: the same scores with position t masked, normalized anew. (n, n)
    others = ~torch.eye(n, dtype=torch.bool)
    without = normalizer(scores.expand(n, n), others)
    # Where t has no weight and the others keep theirs, nothing changes at all. Theirs
    # are compared in single precision, as mappings with a steep border (entmax beyond
    # alpha = 2) raise rounding above that of double precision.
    limit = RESOLUTION * torch.finfo(torch.float32).eps * weights.max()
    same = (weights == 0) & ((without - weights).abs() <= limit).all(-1)
    without = torch.where(same.unsqueeze(1), weights, without)
    own, changed = readout.changed_outputs(hidden, weights, without, query)
    return _change(own, changed, output, label)


@torch.no_grad()
def leave_one_out(
    model: DecisionModel,
    batch: Batch,
    of: str,
    removal: str | None = None,
    output: str | None = None,
) -> Tensor:
    """mean_k |y_k(without t) - y_k| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities, or scores. Of classes, with ``output = "label"`` or ``"predicted"`` it is
    |log y_k(without t) - log y_k| of that class alone; None is what the model's modality
    has. Of inputs: input t is removed, in one of the ways of the modality, its usual one
    where ``removal`` is None, and what is left read again. Of hidden states: state t is
    masked, and the scores of the others, which do not depend on it, are normalized anew.
    What remains of a decision with one input is an empty context. Where the output changes
    by less than it is accurate, the importance is exactly 0; see `outputs`.

    Decisions are read one by one, so that none depends on its neighbours; those that have
    their inputs in common are read together.

    Returns (B, n), of hidden states (B, m), in double precision on the CPU, exactly 0 at
    padding, not normalized.
    """
    removal, output = removal or batch.removal, asked_output(model, output)
    lengths, shape = batch.lengths, batch.mask.shape
    if of == "hidden_states" and model.cell is not None:
        lengths = model.states(lengths)
        shape = len(lengths), int(lengths.max())
    importance = torch.zeros(shape, dtype=torch.float64)
    # Without context, deleting an input leaves the other hidden states as they are.
    contextual = getattr(model.encoder, "contextual", True)
    reads = of == "inputs" and (contextual or removal != "delete")
    if reads:
        for rows in grouped(batch):
            values = _of_inputs(model, batch.take(rows), removal, output)
            for b, of_one in zip(rows, values, strict=True):
                importance[b, : len(of_one)] = of_one
        return importance
    readout, labels = Readout(model), _labels(batch)
    for b, n in enumerate(lengths.tolist()):
        one = batch.take(np.array([b]))
        hidden, mask = model.encode(model.embed(one), one.mask)
        query = model.query(hidden, mask, one)
        query = None if query is None else query[0].cpu().double()
        hidden = hidden[0, :n].cpu().double()
        importance[b, :n] = _of_hidden_states(readout, hidden, query, output, labels[b])
    return importance
