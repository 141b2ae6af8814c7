"""Importance from leaving things out."""

from collections.abc import Iterator

import torch
from torch import Tensor

from attention_audit.batches import UNK
from attention_audit.model import Classifier

# Tokens in one forward pass: enough to fill the processor, little enough to bound
# memory whatever the length of a text.
TOKENS_PER_PASS = 32_768


def chunks(lengths: Tensor) -> Iterator[slice]:
    """Cut rows, sorted by length, so that padded chunks hold at most TOKENS_PER_PASS."""
    start = 0
    while start < len(lengths):
        rows = max(1, TOKENS_PER_PASS // max(1, int(lengths[start])))
        yield slice(start, start + rows)
        start += rows


def _without(token_ids: Tensor, removed: Tensor) -> Tensor:
    """Delete position ``removed[r]`` from row r: (R, n), (R,) -> (R, n - 1)."""
    keep = torch.arange(token_ids.shape[1] - 1, device=token_ids.device)
    return token_ids.gather(1, keep + (keep >= removed.unsqueeze(1)))


def probabilities(model: Classifier, token_ids: Tensor, mask: Tensor) -> Tensor:
    """Class probabilities (R, K); a row without any token has an empty context."""
    some = mask.any(-1)
    if some.all():
        return model(token_ids, mask).logits.softmax(-1)
    outputs = model.output.bias.softmax(-1).repeat(len(mask), 1)
    if some.any():
        outputs[some] = model(token_ids[some], mask[some]).logits.softmax(-1)
    return outputs


@torch.no_grad()
def _of_inputs(
    model: Classifier, token_ids: Tensor, mask: Tensor, removal: str
) -> Tensor:
    full = model(token_ids, mask).logits.softmax(-1)
    importance = torch.zeros(mask.shape, dtype=full.dtype, device=mask.device)
    lengths = mask.sum(-1)
    # One row for every token of every instance, longest first.
    instance, position = mask.nonzero(as_tuple=True)
    order = torch.argsort(lengths[instance], descending=True, stable=True)
    instance, position = instance[order], position[order]
    for chunk in chunks(lengths[instance]):
        rows, removed = instance[chunk], position[chunk]
        longest = int(lengths[rows].max())
        ids, present = token_ids[rows, :longest], mask[rows, :longest]
        if removal == "replace":
            ids = ids.scatter(1, removed.unsqueeze(1), UNK)
        else:
            ids, present = _without(ids, removed), present[:, 1:]
        outputs = probabilities(model, ids, present)
        importance[rows, removed] = (outputs - full[rows]).abs().mean(-1)
    return importance


@torch.no_grad()
def _of_hidden_states(model: Classifier, token_ids: Tensor, mask: Tensor) -> Tensor:
    hidden = model.encode(model.embed(token_ids), mask)
    scores = model.pooling.scorer(hidden)
    full = model.classify(hidden, model.pooling.normalizer(scores, mask)).softmax(-1)
    importance = torch.zeros(mask.shape, dtype=full.dtype, device=mask.device)
    others = ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    for b in range(len(mask)):
        n = int(mask[b].sum())
        # Row t: the same scores with position t masked, normalized anew. (n, n)
        weights = model.pooling.normalizer(scores[b, :n].expand(n, n), others[:n, :n])
        outputs = model.classify(hidden[b, :n].expand(n, n, -1), weights).softmax(-1)
        importance[b, :n] = (outputs - full[b]).abs().mean(-1)
    return importance


def leave_one_out(
    model: Classifier,
    token_ids: Tensor,
    mask: Tensor,
    of: str,
    removal: str = "delete",
) -> Tensor:
    """mean_k |y_k(without t) - y_k| over the outputs y_k (Jain & Wallace 2019, sec. 4.1).

    y are the class probabilities. Of inputs: token t is deleted and the shorter text
    read again, or, for ``removal = "replace"``, its token becomes the unknown one. Of
    hidden states: position t is masked, and the scores of the others, which do not
    depend on it, are normalized anew. What remains of a text of one token is an empty
    context.

    Returns (B, n), exactly 0 at padding, not normalized.
    """
    if of == "hidden_states":
        return _of_hidden_states(model, token_ids, mask)
    return _of_inputs(model, token_ids, mask, removal)
