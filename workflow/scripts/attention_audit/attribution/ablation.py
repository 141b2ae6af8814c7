"""Importance from leaving things out."""

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.outputs import RESOLUTION, Readout, probabilities_anew


def _of_inputs(model: DecisionModel, one: Batch, removal: str) -> Tensor:
    each = torch.eye(int(one.lengths[0]), dtype=torch.bool, device=one.mask.device)
    own, without = probabilities_anew(model, one, one.without(each, removal))
    return (without - own).abs().mean(-1)


def _of_hidden_states(readout: Readout, hidden: Tensor) -> Tensor:
    n = len(hidden)
    hidden = hidden.cpu().double()
    scores = readout.pooling.scorer(hidden.unsqueeze(0))
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
    own, changed = readout.probabilities(hidden, weights, without)
    return (changed - own).abs().mean(-1)


@torch.no_grad()
def leave_one_out(
    model: DecisionModel, batch: Batch, of: str, removal: str | None = None
) -> Tensor:
    """mean_k |y_k(without t) - y_k| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities. Of inputs: input t is removed, in one of the ways of the
    modality, its usual one where ``removal`` is None, and what is left read again. Of
    hidden states: state t is masked, and the scores of the others, which do not depend on
    it, are normalized anew. What remains of a decision with one input is an empty context.
    Where the output changes by less than it is accurate, the importance is exactly 0; see
    `outputs`.

    Decisions are read one by one, so that none depends on its neighbours.

    Returns (B, n), of hidden states (B, m), in double precision on the CPU, exactly 0 at
    padding, not normalized.
    """
    removal = removal or batch.removal
    lengths, shape = batch.lengths, batch.mask.shape
    if of == "hidden_states" and model.cell is not None:
        lengths = model.states(lengths)
        shape = len(lengths), int(lengths.max())
    importance = torch.zeros(shape, dtype=torch.float64)
    # Without context, deleting an input leaves the other hidden states as they are.
    contextual = getattr(model.encoder, "contextual", True)
    reads = of == "inputs" and (contextual or removal != "delete")
    readout = Readout(model)
    for b, n in enumerate(lengths.tolist()):
        one = batch.take(np.array([b]))
        if reads:
            importance[b, :n] = _of_inputs(model, one, removal)
        else:
            hidden, _ = model.encode(model.embed(one), one.mask)
            importance[b, :n] = _of_hidden_states(readout, hidden[0])
    return importance
