"""What becomes of a text without each of its words in turn, not all of it read again.

All removals of a text advance together, and what they have in common is computed once: the
words before the removed one, the words far enough behind it, the keys and values of self-
attention. Results are those of reading what is left; they differ by rounding, far less than
`outputs.RESOLUTION`.

Shapes: n words, N of them with markers, R removals, m places of a text, S different hidden
states, E embedding size, H hidden size, nh heads of size hs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from attention_audit.models.attention import AdditiveScorer, ScaledDotProductScorer
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.encoders import (
    AverageEncoder,
    BiLSTMEncoder,
    TransformerEncoder,
)
from attention_audit.models.layers import TransformerLayer, read_lstm
from attention_audit.models.outputs import INPUTS_PER_PASS
from attention_audit.models.positions import sinusoidal_positions

# By how many units of rounding two states of an LSTM that read the same words from there on
# may differ to count as met. Logits of BiLSTMs trained on reviews of 200 words were off by
# as much as those of reading anew, 2.6 units; with 16 it was 4.3, with 64 it was 17.
MET = 8

# Words that an LSTM reads before its states are compared. Half and twice as many take as
# long or longer.
STEPS = 16

# The words from which on it takes less time than reading every removal: of LSTMs that have
# learned from reviews, which forget a word after a hundred others, and of Transformers, for
# which it is even at 60.
FROM_LSTM, FROM_TRANSFORMER = 200, 100

# Scorers to which neither the place of a state matters nor the other states.
POINTWISE = (AdditiveScorer, ScaledDotProductScorer)


class Left(NamedTuple):
    """The hidden states of R texts that have some in common."""

    states: Tensor  # (S, H), each once
    which: Tensor  # (R, m), the one at each place
    mask: Tensor  # (R, m) bool, False where none is


def logits_left(model: DecisionModel, batch: Batch, removal: str) -> Tensor | None:
    """Logits (n, K) of the one text of a batch without each of its n words.

    As `outputs.read_anew` has them of ``batch.without``. None where that is as fast, or the
    only way: for short texts, scorers that look at more than a state, and encoders other
    than BiLSTMs, Transformers with softmax in their first layer and, where something stands
    in for the word, averages.
    """
    n, encoder = int(batch.lengths[0]), model.encoder
    if (
        # inputs of a line alone, all of this decision, are alike wherever they stand
        any(what is not None for what in (batch.groups, batch.places, batch.times))
        or n == 1
        or not isinstance(model.pooling.scorer, POINTWISE)
        or batch.mask.device.type == "mps"  # which knows no double precision
    ):
        return None
    (x,), stand_in = model.embed(batch), None
    if removal != "delete":
        nothing = batch.without(torch.ones_like(batch.mask), removal)
        stand_in = model.embed(nothing)[0, 0]
    if type(encoder) is BiLSTMEncoder and n >= FROM_LSTM:
        found = [bilstm_left(encoder, x, stand_in)]
    elif (
        type(encoder) is TransformerEncoder
        and n >= FROM_TRANSFORMER
        and _has_softmax(encoder.layers[0])
    ):
        found = transformer_left(encoder, x, stand_in)
    elif type(encoder) is AverageEncoder and stand_in is not None:
        found = [average_left(encoder, x, stand_in)]
    else:
        return None
    return torch.cat([_logits(model, left) for left in found])


def _logits(model: DecisionModel, left: Left) -> Tensor:
    """Logits (R, K)."""
    pooling = model.pooling
    (scores,) = pooling.scores(left.states.unsqueeze(0))
    weights = pooling.normalizer(scores[left.which], left.mask)
    contexts = functional.embedding_bag(
        left.which,
        pooling.values(left.states),
        mode="sum",
        per_sample_weights=weights,
    )
    return model.output(model.finish(pooling.normalizer.context(contexts), None))


# --- without context -----------------------------------------------------------------


def average_left(encoder: AverageEncoder, x: Tensor, stand_in: Tensor) -> Left:
    """Of a text x (n, E), whose words have a state each: one other for all removals."""
    n = len(x)
    read = torch.cat([x, stand_in.unsqueeze(0)]).unsqueeze(0)
    every = torch.ones(read.shape[:2], dtype=torch.bool, device=x.device)
    which = torch.arange(n, device=x.device).repeat(n, 1).fill_diagonal_(n)
    return Left(encoder(read, every)[0], which, every[0, :n].expand(n, n))


# --- LSTMs in both directions ----------------------------------------------------------


class _Direction(NamedTuple):
    """What one direction of a layer makes of a text, and of what is left of it."""

    states: Tensor  # (S, H), those of the whole text before the others
    which: Tensor  # (R, N), the one at each place of the whole text


def _cells(lstm: nn.LSTM, x: Tensor, states: Tensor) -> Tensor:
    """The cells (N, H) of an LSTM that made states (N, H) of x (N, E)."""
    before = functional.pad(states[:-1], (0, 0, 1, 0))
    pushed = torch.addmm(lstm.bias_ih_l0 + lstm.bias_hh_l0, x, lstm.weight_ih_l0.T)
    gates = torch.addmm(pushed, before, lstm.weight_hh_l0.T)
    i, f, g, _ = gates.chunk(4, dim=-1)
    cells = [torch.zeros_like(states[0])]
    for kept, added in zip(f.sigmoid(), i.sigmoid() * g.tanh(), strict=True):
        cells.append(torch.addcmul(added, kept, cells[-1]))
    return torch.stack(cells[1:])


def _direction(
    lstm: nn.LSTM,
    x: Tensor,
    which: Tensor,
    left: Tensor,
    first: Tensor,
    last: Tensor,
) -> _Direction:
    """``left`` (R, M) are the places of the text that are left, in the order of reading.

    The first N inputs x (S, E) are those of the whole text, and row r has input
    ``which[r, p]`` (R, N) at place p. Its inputs differ from the text's from ``first`` to
    ``last`` (R,), counted in ``left``. Before that its states are those of the text, and
    behind it so are they from where they meet.
    """
    N, M = which.shape[1], left.shape[1]
    (states,) = read_lstm(lstm, x[:N].unsqueeze(0))
    cells = _cells(lstm, x[:N], states)
    limit = MET * torch.finfo(x.dtype).eps
    rows, step = (torch.arange(size, device=x.device) for size in (len(left), STEPS))
    before = left[rows, (first - 1).clamp(min=0)]
    known = (first > 0).unsqueeze(-1)
    h, c = states[before] * known, cells[before] * known
    found, places = [states], []
    while len(rows):
        at = first.unsqueeze(1) + step
        row, valid = rows.unsqueeze(1).expand_as(at), at < M
        place = left[row, at.clamp(max=M - 1)]
        read, (h, c) = lstm(x[which[row, place]], (h.unsqueeze(0), c.unsqueeze(0)))
        found.append(read[valid])
        places.append(row[valid] * N + place[valid])
        h, c, own_c = h[0], c[0], cells[place[:, -1]]
        apart = (h - states[place[:, -1]]).abs().amax(-1)
        cells_apart = ((c - own_c).abs() / own_c.abs().clamp(min=1)).amax(-1)
        first = first + STEPS
        on = (torch.maximum(apart, cells_apart) > limit) | (first <= last)
        on &= first < M
        rows, first, last, h, c = (kept[on] for kept in (rows, first, last, h, c))
    found = torch.cat(found)
    which = torch.arange(N, device=x.device).repeat(len(left), 1)
    others = torch.arange(N, len(found), device=x.device)
    which.view(-1)[torch.cat(places)] = others
    return _Direction(found, which)


def _turned(which: Tensor, n: int) -> Tensor:
    """Of things (R, n), the first n of which are those of the whole text, read backwards."""
    return torch.where(which < n, n - 1 - which, which).flip(1)


def _turned_text(x: Tensor, n: int) -> Tensor:
    return torch.cat([x[:n].flip(0), x[n:]])


def bilstm_left(encoder: BiLSTMEncoder, x: Tensor, stand_in: Tensor | None) -> Left:
    """Of a text x (n, E) of two words at least.

    Nothing before the removed word changes for the direction that comes from there, and
    behind it an LSTM forgets it. A layer above reads anew from the first input that differs.
    """
    n = len(x)
    rows = torch.arange(n, device=x.device)
    removed = rows
    if encoder.markers is not None:
        mask = torch.ones(1, n, dtype=torch.bool, device=x.device)
        (x,), removed = encoder.marked(x.unsqueeze(0), mask)[0], rows + 1
    N = len(x)
    places = torch.arange(N, device=x.device)
    which = left = places.repeat(n, 1)
    mask = torch.ones_like(which, dtype=torch.bool)
    first = last = removed
    if stand_in is None:
        # The next word stands where the removed one did: none differs yet.
        left, last = left[:, :-1] + (left[:, :-1] >= removed.unsqueeze(1)), removed - 1
        mask[rows, removed] = False
    else:
        which = which.clone()
        which[rows, removed] = N
        x = torch.cat([x, stand_in.unsqueeze(0)])
    end = left.shape[1] - 1
    for ahead, back in zip(encoder.forwards, encoder.backwards, strict=True):
        forwards = _direction(ahead, x, which, left, first, last)
        backwards = _direction(
            back,
            _turned_text(x, N),
            _turned(which, N),
            N - 1 - left.flip(1),
            end - last,
            end - first,
        )
        behind = _turned(backwards.which, N)
        differ = (forwards.which >= N) | (behind >= N)
        # The text's own states, and behind them all that differ.
        x = torch.cat(
            [
                direction[torch.cat([places, chosen[differ]])]
                for direction, chosen in (
                    (forwards.states, forwards.which),
                    (_turned_text(backwards.states, N), behind),
                )
            ],
            dim=-1,
        )
        which = places.repeat(n, 1)
        which[differ] = torch.arange(N, len(x), device=x.device)
        differ = differ.gather(1, left).int()
        first, last = differ.argmax(-1), end - differ.flip(1).argmax(-1)
    if encoder.markers is not None:
        which, mask = which[:, 1:-1].contiguous(), mask[:, 1:-1]
    return Left(x, which, mask)


# --- Transformers ----------------------------------------------------------------------


class _Heads(NamedTuple):
    """What the first layer's attention makes of some states."""

    queries: Tensor  # (nh, n, hs), scaled
    keys: Tensor  # (nh, n, hs)
    values: Tensor  # (nh, n, hs + 1), double: a one behind each


def _has_softmax(layer: TransformerLayer) -> bool:
    return layer.attention.normalizer.kind == "softmax"


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
