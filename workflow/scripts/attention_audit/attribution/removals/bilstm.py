"""Texts without each of their words, of LSTMs in both directions; see `removals`."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from attention_audit.attribution.removals import Left
from attention_audit.models.encoders import BiLSTMEncoder
from attention_audit.models.layers import read_lstm

# By how many units of rounding two states of an LSTM that read the same words from there on
# may differ to count as met. Logits of BiLSTMs trained on reviews of 200 words were off by
# as much as those of reading anew, 2.6 units; with 16 it was 4.3, with 64 it was 17.
MET = 8

# Words that an LSTM reads before its states are compared. Half and twice as many take as
# long or longer.
STEPS = 16

# The words from which on it takes less time than reading every removal, of LSTMs that have
# learned from reviews, which forget a word after a hundred others.
FROM = 200


def left(
    encoder: BiLSTMEncoder, x: Tensor, stand_in: Tensor | None
) -> list[Left] | None:
    """Of long texts."""
    return None if len(x) < FROM else [bilstm_left(encoder, x, stand_in)]


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
