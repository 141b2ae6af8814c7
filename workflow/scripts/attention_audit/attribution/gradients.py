"""Importance from gradients."""

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, grouped
from attention_audit.models.outputs import class_probabilities


def gradient_importance(
    model: DecisionModel,
    batch: Batch,
    of: str,
    attention: str,
    output: str | None = None,
) -> Tensor:
    """sum_k |d y_k / d v_t . v_t| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities; v_t is the input embedding or, for ``of =
    "hidden_states"``, the hidden state at t as the attention finds it. With ``attention =
    "detached"`` the weights are constants and no gradient flows through them, as in the
    paper; with ``"attached"`` it does. With ``output = "label"`` or ``"predicted"`` it is
    |d log y_k / d v_t . v_t| of that class alone; None is what the model's modality has.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding, not normalized.
    """
    output = output or model.importance_of
    if of == "inputs" and output != "all" and batch.groups is not None:
        return _of_groups(model, batch, attention, output)
    leaf, mask = model.embed(batch).detach(), batch.mask
    if of == "hidden_states":
        leaf, mask = model.encode(leaf, mask)
        leaf = leaf.detach()
        # What asks is taken as given: a state matters here by what attends to it.
        hidden, states, query = leaf, mask, model.query(leaf, mask, batch)
    leaf.requires_grad_()
    if of == "inputs":
        hidden, states = model.encode(leaf, mask)
        query = model.query(hidden, states, batch)
    logits = _decided(model, hidden, states, query, attention)
    if output != "all":
        (gradient,) = torch.autograd.grad(
            _log_probabilities(logits, batch, output).sum(), leaf
        )
        return (gradient * leaf).sum(-1).detach().abs() * mask
    outputs = class_probabilities(logits)
    # The outputs sum to one, so the products of all classes sum to zero and the last
    # one costs no backward pass: half the work in the binary case. That is the most
    # probable one, whose slope vanishes in rounding where it is nearly certain.
    outputs = outputs.sort(-1).values

    total = torch.zeros_like(mask, dtype=leaf.dtype)
    rest = torch.zeros_like(total)
    for k in range(outputs.shape[-1] - 1):
        (gradient,) = torch.autograd.grad(outputs[:, k].sum(), leaf, retain_graph=True)
        product = (gradient * leaf).sum(-1).detach()
        total += product.abs()
        rest -= product
    return (total + rest.abs()) * mask


def _decided(
    model: DecisionModel,
    hidden: Tensor,
    mask: Tensor,
    query: Tensor | None,
    attention: str,
) -> Tensor:
    weights = model.weights(hidden, mask, query)
    if attention == "detached":
        weights = weights.detach()
    return model.decide(hidden, weights, query)


def _log_probabilities(logits: Tensor, batch: Batch, output: str) -> Tensor:
    """Of the output in question, (B,); in double precision on the CPU."""
    logits = logits.cpu().double()
    chosen = logits.argmax(-1) if output == "predicted" else batch.labels.cpu()
    return logits.log_softmax(-1).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)


def _of_groups(
    model: DecisionModel, batch: Batch, attention: str, output: str
) -> Tensor:
    """The same of inputs that several decisions have in common, which are encoded once.

    Groups do not depend on each other: the first decisions of all of them take one backward
    pass together, and so do the second, and so on.
    """
    groups = grouped(batch)
    firsts = batch.take(np.array([rows[0] for rows in groups]))
    leaf = model.embed(firsts).detach().requires_grad_()
    hidden, mask = model.encode(leaf, firsts.mask)
    query = model.query(hidden, mask, batch)
    group = torch.from_numpy(batch.groups).to(leaf.device)
    logits = _decided(model, hidden[group], mask[group], query, attention)
    values = _log_probabilities(logits, batch, output)
    found = torch.zeros_like(batch.mask, dtype=leaf.dtype)
    for place in range(max(map(len, groups))):
        rows = torch.tensor([rows[place] for rows in groups if place < len(rows)])
        (gradient,) = torch.autograd.grad(values[rows].sum(), leaf, retain_graph=True)
        products = (gradient * leaf).sum(-1).detach().abs()
        rows = rows.to(found.device)
        found[rows] = products[group[rows]]
    return found * batch.mask
