"""Importance from gradients."""

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, grouped
from attention_audit.models.layers import lstm_in_parts
from attention_audit.models.outputs import asked_output, steep_outputs

# Groups of decisions in one forward pass, and decisions of each: enough to fill the
# processor. With fewer decisions there are more passes forwards; with more, backward ones
# go over more that comes behind the decision.
GROUPS_PER_PASS = 8
PLACES_PER_PASS = 16


def gradient_importance(
    model: DecisionModel,
    batch: Batch,
    of: str,
    attention: str,
    output: str | None = None,
) -> Tensor:
    """sum_k |d y_k / d v_t . v_t| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities, or scores; v_t is the input embedding or, for ``of =
    "hidden_states"``, the hidden state at t as the attention finds it. With ``attention =
    "detached"`` the weights are constants and no gradient flows through them, as in the
    paper; with ``"attached"`` it does. Of classes, with ``output = "label"`` or ``"predicted"`` it is
    |d log y_k / d v_t . v_t| of that class alone; None is what the model's modality has.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding, not normalized.
    """
    output = asked_output(model, output)
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
    outputs = steep_outputs(logits, model.link)

    total = torch.zeros_like(mask, dtype=leaf.dtype)
    rest = torch.zeros_like(total)
    for k in range(outputs.shape[-1]):
        (gradient,) = torch.autograd.grad(outputs[:, k].sum(), leaf, retain_graph=True)
        product = (gradient * leaf).sum(-1).detach()
        total += product.abs()
        rest -= product
    if model.link == "softmax":
        # The outputs sum to one, so the products of all classes sum to zero and the last
        # one costs no backward pass: half the work in the binary case.
        total += rest.abs()
    return total * mask


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

    Decisions go together that come at like places of groups of like lengths, so that little
    of what is read is padding, or behind the decision that it is read for.
    """
    found = torch.zeros_like(batch.mask, dtype=model.output.weight.dtype)
    groups = sorted(grouped(batch), key=lambda rows: batch.lengths[rows[0]])
    for start in range(0, len(groups), GROUPS_PER_PASS):
        some = groups[start : start + GROUPS_PER_PASS]
        for place in range(0, max(map(len, some)), PLACES_PER_PASS):
            span = slice(place, place + PLACES_PER_PASS)
            rows = np.sort(np.concatenate([rows[span] for rows in some]))
            values = _of_some_groups(model, batch.take(rows), attention, output)
            found[rows, : values.shape[1]] = values
    return found


def _of_some_groups(
    model: DecisionModel, batch: Batch, attention: str, output: str
) -> Tensor:
    """The same in one batched backward pass.

    What a decision makes of hidden states and query is no other's: its slope by these takes
    one pass for all. From there on groups do not depend on each other: the first decisions
    of all of them are a row of the batched pass, and so are the second, and so on.
    """
    groups = grouped(batch)
    firsts = batch.take(np.array([rows[0] for rows in groups]))
    leaf = model.embed(firsts).detach().requires_grad_()
    with lstm_in_parts():
        hidden, mask = model.encode(leaf, firsts.mask)
        query = model.query(hidden, mask, batch)
    group = torch.from_numpy(batch.groups).to(leaf.device)
    place = torch.cat([torch.arange(len(rows)) for rows in groups]).to(leaf.device)
    read = [hidden.detach()[group].requires_grad_()]
    if query is not None:
        read.append(query.detach().requires_grad_())
    logits = _decided(model, read[0], mask[group], (*read, None)[1], attention)
    values = _log_probabilities(logits, batch, output)
    by_hidden, *by_query = torch.autograd.grad(
        values.sum(), read, allow_unused=True, materialize_grads=True
    )
    places = int(place.max()) + 1
    made, slopes = [hidden], [hidden.new_zeros(places, *hidden.shape)]
    slopes[0][place, group] = by_hidden
    if query is not None and query.requires_grad:
        made.append(query)
        slopes.append(query.new_zeros(places, *query.shape))
        slopes[1][place, torch.arange(len(query))] = by_query[0]
    (gradient,) = torch.autograd.grad(made, leaf, slopes, is_grads_batched=True)
    return (gradient * leaf).sum(-1).detach().abs()[place, group] * batch.mask
