"""Importance of hidden states from their weights and what these multiply."""

import torch
from torch import Tensor

from attention_audit.attribution.explained import Explained
from attention_audit.models.decisions import Batch, DecisionModel


def attention_gradient(
    model: DecisionModel, batch: Batch, of: str, output: str | None = None
) -> Tensor:
    """sum_k |p_t d y_k / d p_t| of weights p over given hidden states.

    Attention times its gradient, as Serrano & Smith (2019) rank by it and Barkan et al.
    (2021) in every layer.

    Returns (B, m), exactly 0 at padding and where there is no weight, not normalized.
    """
    explained = Explained(model, batch, of, output)
    hidden, query = explained.values, explained.query
    with torch.no_grad():
        weights = model.weights(hidden, explained.mask, query)
    leaf = weights.clone().requires_grad_()
    outputs = explained.linked(model.decide(hidden, leaf, query))
    slopes = [
        torch.autograd.grad(outputs[:, j].sum(), leaf, retain_graph=True)[0]
        for j in range(outputs.shape[-1])
    ]
    return explained.importance(torch.stack(slopes).cpu().double() * weights.cpu())


@torch.no_grad()
def value_norm(model: DecisionModel, batch: Batch, of: str) -> Tensor:
    """p_t |v_t|_2 of weights p and what they sum, v (Kobayashi et al. 2020, section 3).

    v_t are the values that the pooling makes of hidden states, where it makes any, and
    else these themselves. It says nothing of one output and not of another.

    Returns (B, m), exactly 0 at padding and where there is no weight, not normalized.
    """
    output = model(batch)
    norms = model.pooling.values(output.hidden).norm(dim=-1)
    return output.attention * norms * output.mask
