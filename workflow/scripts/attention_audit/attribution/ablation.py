"""Importance from leaving things out."""

import torch
from torch import Tensor

from attention_audit.data.batches import UNK
from attention_audit.models.model import Classifier
from attention_audit.models.outputs import (
    RESOLUTION,
    Readout,
    changed_probabilities,
    logit_size,
)

# Tokens in one forward pass: enough to fill the processor, little enough for its cache.
# Four times as many take up to twice as long.
TOKENS_PER_PASS = 8_192


def read_anew(model: Classifier, token_ids: Tensor, mask: Tensor) -> Tensor:
    """Logits (R, K) of token ids (R, n), in passes of at most TOKENS_PER_PASS.

    Tokens come first in a row and padding last. A row without any token has an empty
    context.
    """
    logits = model.output.bias.detach().repeat(len(mask), 1)
    lengths = mask.sum(-1)
    # Longest first, so that a pass has little padding.
    order = torch.argsort(lengths, descending=True, stable=True)
    order = order[: int((lengths > 0).sum())]
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + max(1, TOKENS_PER_PASS // longest)]
        output = model(token_ids[rows, :longest], mask[rows, :longest])
        logits[rows] = output.logits
        start += len(rows)
    return logits


def probabilities_anew(
    model: Classifier, token_ids: Tensor, changed: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """`changed_probabilities` of one text (n,) and of R others made of it.

    ``changed`` and ``mask`` are (R, m), as `read_anew` takes them.
    """
    text = token_ids.unsqueeze(0)
    own = model(text, torch.ones_like(text, dtype=torch.bool))
    (context,) = model.pooling.context(own.hidden, own.attention)
    return changed_probabilities(
        own.logits,
        read_anew(model, changed, mask),
        logit_size(model.output, context),
    )


def _of_inputs(model: Classifier, token_ids: Tensor, removal: str) -> Tensor:
    n = len(token_ids)
    rows = token_ids.expand(n, n)
    removed = torch.eye(n, dtype=torch.bool, device=token_ids.device)
    if removal == "replace":
        rows = rows.masked_fill(removed, UNK)
    else:
        rows = rows[~removed].view(n, n - 1)
    mask = torch.ones_like(rows, dtype=torch.bool)
    own, without = probabilities_anew(model, token_ids, rows, mask)
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
    context. Where the output changes by less than it is accurate, the importance is
    exactly 0; see `outputs`.

    Texts are read one by one, so that none depends on its neighbours.

    Returns (B, n) in double precision on the CPU, exactly 0 at padding, not normalized.
    """
    importance = torch.zeros(mask.shape, dtype=torch.float64)
    # Without context, deleting a token leaves the other hidden states as they are.
    contextual = getattr(model.encoder, "contextual", True)
    reads = of == "inputs" and (contextual or removal == "replace")
    readout = Readout(model)
    for b, n in enumerate(mask.sum(-1).tolist()):
        text = token_ids[b, :n]
        if reads:
            importance[b, :n] = _of_inputs(model, text, removal)
        else:
            embeddings = model.embed(text.unsqueeze(0))
            (hidden,) = model.encode(embeddings, mask[b : b + 1, :n])
            importance[b, :n] = _of_hidden_states(readout, hidden)
    return importance
