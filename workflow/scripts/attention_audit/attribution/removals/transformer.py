"""Texts without each of their words, of Transformers; see `removals`.

Shapes, beside those: nh heads of size hs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from attention_audit.attribution.removals import Left
from attention_audit.models.encoders import TransformerEncoder
from attention_audit.models.layers import TransformerLayer
from attention_audit.models.outputs import INPUTS_PER_PASS
from attention_audit.models.positions import sinusoidal_positions

# The words from which on it takes less time than reading every removal: it is even at 60.
FROM = 100


def left(
    encoder: TransformerEncoder, x: Tensor, stand_in: Tensor | None
) -> Iterator[Left] | None:
    """Of long texts, with softmax in the first layer."""
    if len(x) < FROM or encoder.layers[0].attention.normalizer.kind != "softmax":
        return None
    return transformer_left(encoder, x, stand_in)


class _Heads(NamedTuple):
    """What the first layer's attention makes of some states."""

    queries: Tensor  # (nh, n, hs), scaled
    keys: Tensor  # (nh, n, hs)
    values: Tensor  # (nh, n, hs + 1), double: a one behind each


def _heads(layer: TransformerLayer, h: Tensor) -> _Heads:
    attention = layer.attention
    projected = attention.project(layer.attention_norm(h))  # (n, 3 H)
    q, k, v = projected.unflatten(-1, (3, attention.heads, -1)).permute(1, 2, 0, 3)
    return _Heads(q * attention.scale, k, functional.pad(v.double(), (0, 1), value=1.0))


def transformer_left(
    encoder: TransformerEncoder, x: Tensor, stand_in: Tensor | None
) -> Iterator[Left]:
    """Of a text x (n, E), with softmax in the first layer: some rows after the others.

    In the first layer a word's state is one of two, at its own place or, where one before
    it was deleted, at the place ahead. With e_ij = exp q_i k_j, which are computed once, the
    context of word i without word t is

        (sum_{j<t} e_ij v_j + sum_{j>t} e_ij v_j) / (sum_{j<t} e_ij + sum_{j>t} e_ij),

    by sums that grow word by word from both ends, in place of a softmax for each t. What
    stands in for t adds its own terms; nothing is subtracted. The rest of the layer, and the
    layers above, work on all states of all rows, for all of them differ.
    """
    n = len(x)
    codes = sinusoidal_positions(n, encoder.output_size).to(x)
    projected = encoder.project(x)
    own = moved = projected + codes
    if stand_in is None:
        moved = projected + codes.roll(1, 0)
    heads = [_heads(encoder.layers[0], h) for h in (own, moved)]
    stands = None if stand_in is None else encoder.project(stand_in) + codes
    size = max(1, INPUTS_PER_PASS // n)
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        yield _rows_left(encoder, own, moved, heads, stands, rows)


def _rows_left(
    encoder: TransformerEncoder,
    own: Tensor,
    moved: Tensor,
    heads: list[_Heads],
    stands: Tensor | None,
    rows: slice,
) -> Left:
    """Without word t, those before it are ``own`` (n, H), those behind it ``moved`` (n, H).

    ``heads`` are those of both, and ``stands`` (n, H) what stands in for words.
    """
    layer, *deeper = encoder.layers
    attention = layer.attention
    n, R = len(own), rows.stop - rows.start
    places, row = (torch.arange(size, device=own.device) for size in (n, R))
    removed = row + rows.start
    other = None if stands is None else _heads(layer, stands[rows])
    sums = _grown(*heads, other, rows)  # (nh, n + R, R, hs + 1)
    contexts = (sums[..., :-1] / sums[..., -1:]).to(own).permute(2, 1, 0, 3).flatten(2)
    behind = places > removed.unsqueeze(1)  # (R, n)
    contexts = contexts[row.unsqueeze(1), torch.where(behind, places + R, places)]
    h = torch.where(behind.unsqueeze(-1), moved, own)
    mask = torch.ones_like(behind)
    if other is None:
        mask[row, removed] = False
    else:
        h[row, removed] = stands[rows]
        contexts[row, removed] = _of_stand_ins(heads[0], other, removed).to(own)
    h = layer.after_attention(h + attention.output(attention.through_context(contexts)))
    for above in deeper:
        h, _ = above(h, mask)
    which = torch.arange(R * n, device=own.device).view(R, n)
    return Left(encoder.norm(h).flatten(0, 1), which, mask)


def _grown(own: _Heads, moved: _Heads, other: _Heads | None, rows: slice) -> Tensor:
    """Sums of e_ij v_j, and of e_ij behind them, over what is left: (nh, n + R, R, hs + 1).

    Asked by all words up to the last of ``rows`` as ``own``, and by all from the first as
    ``moved``.
    """
    start, stop = rows.start, rows.stop
    q = torch.cat([own.queries[:, :stop], moved.queries[:, start:]], dim=1)
    keys = [own.keys[:, :stop], moved.keys[:, start:]]
    if other is not None:
        keys.append(other.keys)
    scores = (q @ torch.cat(keys, dim=1).mT).double()
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    ahead, behind, added = e.tensor_split([stop, stop + own.keys.shape[1] - start], -1)
    # Of the words of rows one by one, of those before and behind them all at once.
    terms = ahead[..., start:].unsqueeze(-1) * own.values[:, rows].unsqueeze(1)
    sums = functional.pad(terms[..., :-1, :].cumsum(-2), (0, 0, 1, 0))
    sums += (ahead[..., :start] @ own.values[:, :start]).unsqueeze(2)
    size = stop - start
    terms = behind[..., :size].unsqueeze(-1) * moved.values[:, rows].unsqueeze(1)
    from_end = terms[..., 1:, :].flip(-2).cumsum(-2).flip(-2)
    sums += functional.pad(from_end, (0, 0, 0, 1))
    sums += (behind[..., size:] @ moved.values[:, stop:]).unsqueeze(2)
    if other is not None:
        sums += added.unsqueeze(-1) * other.values.unsqueeze(1)
    return sums


def _of_stand_ins(own: _Heads, other: _Heads, removed: Tensor) -> Tensor:
    """Contexts (R, H) of what stands at ``removed`` (R,), among the words beside it."""
    row = torch.arange(len(removed), device=removed.device)
    scores = other.queries @ own.keys.mT  # (nh, R, n)
    scores[:, row, removed] = (other.queries * other.keys).sum(-1)
    weights = scores.double().softmax(-1)
    alone = weights[:, row, removed].unsqueeze(-1) * other.values
    weights[:, row, removed] = 0.0
    return (weights @ own.values + alone)[..., :-1].transpose(0, 1).flatten(1)
