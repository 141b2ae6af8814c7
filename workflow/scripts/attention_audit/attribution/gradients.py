"""Importance from gradients."""

import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.outputs import class_probabilities


def gradient_importance(
    model: DecisionModel, batch: Batch, of: str, attention: str
) -> Tensor:
    """sum_k |d y_k / d v_t . v_t| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities; v_t is the input embedding or, for ``of =
    "hidden_states"``, the hidden state at t. With ``attention = "detached"`` the
    weights are constants and no gradient flows through them, as in the paper; with
    ``"attached"`` it does.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding, not normalized.
    """
    leaf, mask = model.embed(batch).detach(), batch.mask
    if of == "hidden_states":
        hidden, mask = model.encode(leaf, mask)
        leaf = hidden.detach()
    leaf.requires_grad_()
    encoded = (leaf, mask) if of == "hidden_states" else model.encode(leaf, mask)
    hidden, weights = encoded[0], model.weights(*encoded)
    if attention == "detached":
        weights = weights.detach()
    outputs = class_probabilities(model.decide(hidden, weights))
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
