"""Greedy and beam search, of any decoder that predicts one token after another.

A hypothesis is scored by its log-probability over a penalty for its length (Wu et al. 2016,
eq. 14, without the coverage penalty), in which T tokens, the end among them, count as

    ((5 + T) / 6) ** alpha:

with ``alpha`` 0 by its log-probability as it is, which favours short ones. While they
grow, hypotheses of a sentence are of one length, and compared without it.

Shapes: N sentences, W hypotheses each (the beam), m hidden states of the encoder, V tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from attention_audit.records.errors import AuditError

State = TypeVar("State")


class Decoder(Protocol[State]):
    """What predicts the next token of N hypotheses from those before it.

    A state is whatever the decoder keeps of them.
    """

    def start(self, hidden: Tensor, mask: Tensor) -> State:
        """The state before any token, of an encoder's states (N, m, H), (N, m)."""

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) of what follows ``tokens`` (N,), and the state behind these."""

    def select(self, state: State, rows: Tensor) -> State:
        """The state of some hypotheses, in that order; a row may be named repeatedly."""


class Hypothesis(NamedTuple):
    """A sentence that a decoder wrote."""

    tokens: list[int]  # without those that start and end it
    log_probability: float  # of these and of the end, in nats
    score: float  # that over the penalty for the length
    ended: bool  # False where the limit of its length ended it


def length_penalty(length: int, alpha: float) -> float:
    """What a log-probability of ``length`` tokens is divided by."""
    return ((5 + length) / 6) ** alpha


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of each row of (N, n) and their places, (N, count), largest first.

    Of equal ones the first comes first, which `torch.topk` does not promise.
    """
    top, places = values.topk(count)
    as_large = (values >= top[:, -1:]).sum(1)
    clear = (top[:, 1:] < top[:, :-1]).all(1) & (as_large == count)
    (rows,) = (~clear).nonzero(as_tuple=True)
    left = values[rows]
    for i in range(count if len(rows) else 0):
        top[rows, i], places[rows, i] = left.max(-1)
        left.scatter_(1, places[rows, i : i + 1], -torch.inf)
    return top, places


@torch.no_grad()
def search(
    decoder: Decoder[State],
    hidden: Tensor,
    mask: Tensor,
    limits: Sequence[int] | np.ndarray,
    *,
    beam: int,
    alpha: float,
    start: int,
    end: int,
    barred: Sequence[int] = (),
    floors: Sequence[int] | np.ndarray | None = None,
) -> list[Hypothesis]:
    """The best hypothesis that is found for each of N sentences.

    Of all continuations of a sentence's ``beam`` hypotheses those that are most probable are
    kept. One that ends is finished, and leaves its place to the next; a sentence is done
    when as many are finished as the beam is wide. A beam of 1 is greedy search: the most
    probable token, until that is ``end``. Of equals, the earlier hypothesis, then the lower
    token is taken.

    ``hidden`` (N, m, H) and ``mask`` (N, m) are of the encoder. A hypothesis of as many
    tokens as ``limits`` (N,) allows is ended, whatever the end's probability is, which counts
    for it like any other; one of fewer than ``floors`` (N,), where given, is not.
    ``start`` and ``end`` are the tokens around a sentence; it never
    holds one that is ``barred``. Raises `AuditError` where no continuation has a finite
    probability.
    """
    state = decoder.start(hidden, mask)
    # Of the hypotheses one is real, and the others have no probability.
    rows = torch.arange(len(hidden), device=hidden.device).repeat_interleave(beam)
    state = decoder.select(state, rows)
    live = hidden.new_full((len(hidden), beam), -torch.inf)
    live[:, 0] = 0.0
    tokens = rows.new_full((len(rows),), start)
    written = rows.new_empty((len(hidden), beam, 0))
    finished: list[list[Hypothesis]] = [[] for _ in range(len(hidden))]
    # the sentences that are not done
    open_ = np.arange(len(hidden))
    limits = np.asarray(limits)
    floors = np.zeros_like(limits) if floors is None else np.asarray(floors)

    for length in range(int(limits.max()) + 1):
        logits, state = decoder.step(tokens, state)
        totals = logits.log_softmax(-1).unflatten(0, (len(open_), beam))
        totals = totals + live.unsqueeze(-1)
        totals[..., list(barred)] = -torch.inf
        if (short := floors[open_] > length).any():
            totals[torch.from_numpy(short).to(totals.device), :, end] = -torch.inf
        if (full := limits[open_] <= length).any():
            others = torch.arange(totals.shape[-1], device=totals.device) != end
            full = torch.from_numpy(full).to(totals.device)
            totals.masked_fill_(full[:, None, None] & others, -torch.inf)

        # Enough to go on with as many as before, for each can end in one way only.
        scores, places = largest(totals.flatten(1), 2 * beam)
        parents, words = places // totals.shape[-1], places % totals.shape[-1]
        ends = words == end
        for i, rank in (ends & scores.isfinite())[:, :beam].nonzero().tolist():
            log_probability = scores[i, rank].item()
            finished[open_[i]].append(
                Hypothesis(
                    written[i, parents[i, rank]].tolist(),
                    log_probability,
                    log_probability / length_penalty(length + 1, alpha),
                    ended=bool(limits[open_[i]] > length),
                )
            )

        order = ends.byte().argsort(dim=1, stable=True)[:, :beam]
        live, parents, words = (x.gather(1, order) for x in (scores, parents, words))
        alive = live.isfinite().any(1).tolist()
        kept = [
            i
            for i, sentence in enumerate(open_)
            if alive[i] and len(finished[sentence]) < beam
        ]
        if not kept:
            break
        left = torch.tensor(kept, device=live.device)
        live, parents, words = live[left], parents[left], words[left]
        rows = (left.unsqueeze(1) * beam + parents).flatten()
        state = decoder.select(state, rows)
        before = written.flatten(0, 1)[rows].unflatten(0, (len(left), beam))
        written = torch.cat([before, words.unsqueeze(-1)], dim=-1)
        tokens, open_ = words.flatten(), open_[kept]

    if not all(finished):
        raise AuditError(
            "translation: the model gives no token a finite probability. Train it again "
            "with a lower training.learning_rate."
        )
    # of equal ones the first
    return [max(found, key=lambda h: h.score) for found in finished]
