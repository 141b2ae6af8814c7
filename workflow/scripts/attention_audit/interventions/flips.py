"""Decision flips (Serrano & Smith 2019): how many weights must go before it changes?

Weights are set to zero one after the other, the rest scaled to keep their sum, until
the predicted class changes. Scores have no class: their decision flips when they are farther
than a threshold from what they were, in the mean over them. If attention ranks what matters,
its order flips the decision sooner than other orders.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.outputs import Readout, linked, steep_outputs
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter

ORDERS = ("attention", "attention_gradient", "random")

# How far scores have to move for their decision to have flipped, unless told.
THRESHOLD = 0.1


def without_leading(weights: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Weights (n,) without the first 1, 2, ... of ``order``: (len(order) - 1, n).

    The remaining ones are scaled so that the sum stays the same.
    """
    kept = np.tile(weights.astype(np.float64), (len(order) - 1, 1))
    kept[:, order] *= np.arange(len(order)) > np.arange(len(order) - 1)[:, None]
    return kept * (weights.sum() / kept.sum(1, keepdims=True))


def removals_to_flip(
    readout: Readout,
    hidden: Tensor,
    weights: Tensor,
    orders: list[np.ndarray],
    query: Tensor | None = None,
    threshold: float = THRESHOLD,
) -> list[int | None]:
    """For each order, how many weights are removed when the decision first flips.

    ``hidden`` (n, H), ``weights`` (n,) and ``query`` (Q,), where one asked, are those of one
    ``hidden`` (n, H), ``weights`` (n,) and ``query`` (Q,), where one asked, are those of one
    decision, in double precision on the CPU; an order lists the positions of the support,
    at least two. None where the decision stands as long as any weight is left. That of
    scores flips by a change mean_k |dy_k| of more than ``threshold``.
    """
    numbers = weights.numpy()
    rows = np.concatenate([without_leading(numbers, order) for order in orders])
    logits = readout.changed_logits(hidden, weights, torch.from_numpy(rows), query)
    if readout.model.link == "softmax":
        own, *tried = logits.argmax(-1).tolist()
        flips = np.array(tried) != own
    else:
        outputs = linked(logits, readout.model.link)
        flips = (readout.distance(outputs[1:] - outputs[:1]) > threshold).numpy()
    flips = flips.reshape(len(orders), -1)
    return [1 + int(row.argmax()) if row.any() else None for row in flips]


def attention_gradients(
    model: DecisionModel, hidden: Tensor, weights: Tensor, query: Tensor | None = None
) -> Tensor:
    """w_i dy/dw_i (B, n) for the probability y of the predicted class.

    Of scores, which flip by a change in any direction, it is sum_k |w_i dy_k/dw_i|.
    """
    leaf = weights.detach().requires_grad_()
    outputs = steep_outputs(model.decide(hidden.detach(), leaf, query), model.link)
    if model.link == "softmax":
        # The predicted class has what the others leave.
        (gradient,) = torch.autograd.grad(-outputs.sum(), leaf)
        return gradient * leaf.detach()
    total = torch.zeros_like(weights)
    for k in range(outputs.shape[-1]):
        (gradient,) = torch.autograd.grad(outputs[:, k].sum(), leaf, retain_graph=True)
        total += (gradient * leaf.detach()).abs()
    return total


def _descending(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    return among[np.argsort(-values[among], kind="stable")]


def write_flips(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    random_orders: int,
    seed: int = 0,
    flip_threshold: float = THRESHOLD,
) -> None:
    """Removals until the decision flips, a row an (instance, order, draw).

    Orders run over the support: to remove a weight of zero changes nothing. ``random``
    has ``random_orders`` draws, the others one. Where the decision stands as long as any
    weight is left, ``never`` is true and ``removed`` null; where fewer than two positions
    have weight there is nothing to remove, and both are null.
    ``flip_threshold`` is of scores alone, see `removals_to_flip`.
    """
    readout = Readout(model)
    names = [*ORDERS[:2], *["random"] * random_orders]
    draws = [0, 0, *range(random_orders)]
    for batch in batches:
        with torch.no_grad():
            output = model(batch)
        gradients = attention_gradients(
            model, output.hidden, output.attention, output.query
        )
        states = model.states(batch.lengths).tolist()
        for b, (instance, n) in enumerate(zip(batch.instance_ids, states, strict=True)):
            hidden, weights, query = output.decision(b, n)
            numbers, slopes = weights.numpy(), gradients[b, :n].cpu().numpy()
            support = np.flatnonzero(numbers > 0)
            removed: list[int | None] = [None] * len(names)
            never: list[bool | None] = [None] * len(names)
            if len(support) > 1:
                rng = generator(("flips", instance), seed)
                orders = [_descending(numbers, support), _descending(slopes, support)]
                orders += [rng.permutation(support) for _ in range(random_orders)]
                removed = removals_to_flip(
                    readout, hidden, weights, orders, query, flip_threshold
                )
                never = [count is None for count in removed]
            table.write(
                {
                    **run,
                    "instance_id": instance,
                    "length": n,
                    "support": len(support),
                    "order": names,
                    "draw": draws,
                    "removed": removed,
                    "never": never,
                }
            )
