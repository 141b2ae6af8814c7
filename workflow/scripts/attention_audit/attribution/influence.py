"""Influence of every input embedding on every hidden state (Meister et al. 2021).

The influence of input j on hidden state i is the Frobenius norm of the Jacobian
d h_i / d x_j. It is exact here, not sampled. Shapes: n positions, E embedding size,
H hidden size.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.audit import Batch
from attention_audit.distributions import dispersion
from attention_audit.encoders import BiLSTMEncoder
from attention_audit.model import Classifier
from attention_audit.tables import TableWriter

# Rows of the Jacobian that one batched backward pass computes. More would wait for
# memory: at 80 positions, 512 rows took 2.5 times as long as 64.
ROWS_PER_PASS = 64


def jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """Norms (n, n) of d h_i / d x_j, hidden states by inputs, for one text x (n, E).

    Works for every encoder whose backward pass can be batched; a one-layer BiLSTM,
    whose cannot, takes `bilstm_jacobian_norms`.
    """
    if isinstance(encoder, BiLSTMEncoder) and len(encoder.forwards) == 1:
        return bilstm_jacobian_norms(encoder, x)
    return batched_jacobian_norms(encoder, x)


def batched_jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """`jacobian_norms` by reverse mode: one backward pass a hidden unit, in batches."""
    x = x.detach().requires_grad_()
    n = len(x)
    mask = torch.ones(1, n, dtype=torch.bool, device=x.device)
    hidden = encoder(x.unsqueeze(0), mask).reshape(-1)  # (n * H,)
    squares = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    of_state = torch.arange(n, device=x.device).repeat_interleave(len(hidden) // n)
    for start in range(0, len(hidden), ROWS_PER_PASS):
        rows = torch.arange(
            start, min(start + ROWS_PER_PASS, len(hidden)), device=x.device
        )
        units = torch.zeros(len(rows), len(hidden), dtype=x.dtype, device=x.device)
        units[torch.arange(len(rows)), rows] = 1.0
        (gradient,) = torch.autograd.grad(
            hidden, x, grad_outputs=units, retain_graph=True, is_grads_batched=True
        )
        squares.index_add_(0, of_state[rows], gradient.double().square().sum(-1))
    return squares.sqrt()


@torch.no_grad()
def bilstm_jacobian_norms(encoder: BiLSTMEncoder, x: Tensor) -> Tensor:
    """`jacobian_norms` of a one-layer bidirectional LSTM, by forward accumulation.

    Reverse mode needs n * 2H passes through a recurrence that cannot be batched. The
    derivatives of the state by all inputs so far obey the same recurrence as the state,
    so one pass carries them along: at step t, one product of the recurrent matrix with
    t * E columns.
    """
    forward = _direction_squares(encoder.forwards[0], x)
    backward = _direction_squares(encoder.backwards[0], x.flip(0)).flip(0, 1)
    return (forward + backward).sqrt()


def _direction_squares(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """Squared norms (n, n) for one direction, read from the first row of x on."""
    w_input, w_hidden = lstm.weight_ih_l0, lstm.weight_hh_l0  # (4H, E), (4H, H)
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    n, E = x.shape
    H = lstm.hidden_size
    h, c = x.new_zeros(H), x.new_zeros(H)
    # Derivatives of h and c by the inputs so far: columns j * E ... (j + 1) * E
    # belong to input j.
    dh, dc = x.new_zeros(H, n * E), x.new_zeros(H, n * E)
    squares = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    for t in range(n):
        old, seen = t * E, (t + 1) * E
        gates = w_input @ x[t] + w_hidden @ h + bias
        i, f, g, o = gates.view(4, H).unbind(0)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c_next = f * c + i * g
        squashed = c_next.tanh()

        # Slopes of c_next and h by the four gates before their squashing. (4, H)
        by_gate = torch.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g**2)])
        by_output = squashed * o * (1 - o)
        # d gates: (4, H, seen); the new input acts through w_input alone.
        d_gates = torch.cat([w_hidden @ dh[:, :old], w_input], dim=1).view(4, H, seen)
        dc[:, :seen] *= f.unsqueeze(1)
        dc[:, :seen] += torch.einsum("gh,ghk->hk", by_gate, d_gates[:3])
        dh[:, :seen] = by_output.unsqueeze(1) * d_gates[3]
        dh[:, :seen] += (o * (1 - squashed**2)).unsqueeze(1) * dc[:, :seen]
        h, c = o * squashed, c_next
        squares[t, : t + 1] = (
            dh[:, :seen].view(H, t + 1, E).double().square().sum((0, 2))
        )
    return squares


class InfluenceSummary(NamedTuple):
    """What is kept of a matrix of norms: one value a hidden state, (n,)."""

    dispersion: np.ndarray  # entropy over inputs / ln n, in [0, 1]; NaN for n = 1
    coindexed_share: np.ndarray  # share of the co-indexed input, in [0, 1]
    coindexed_rank: np.ndarray  # its rank, 1 = the most influential input


def summarise(norms: np.ndarray) -> InfluenceSummary:
    """Summarise norms (n, n), hidden states by inputs.

    The norms of each hidden state are normalized to a distribution over the inputs
    (Meister et al. 2021). A hidden state that no input moves has no distribution: NaN,
    and the last rank.
    """
    n = len(norms)
    total = norms.sum(1)
    with np.errstate(invalid="ignore"):
        share = np.diag(norms) / total
    own = np.diag(norms)[:, None]
    rank = np.where(total > 0, 1 + (norms > own).sum(1), n)
    spread = dispersion(norms, np.ones(norms.shape, dtype=bool))
    return InfluenceSummary(spread, share, rank.astype(np.int32))


def write_influence(
    table: TableWriter,
    model: Classifier,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    matrices: int,
) -> None:
    """Influence of inputs on hidden states; whole matrices for the first few texts."""
    kept = 0
    for batch in batches:
        for row, instance in enumerate(batch.instance_ids):
            n = int(batch.lengths[row])
            embeddings = model.embed(batch.token_ids[row, :n])
            norms = jacobian_norms(model.encoder, embeddings).cpu().numpy()
            summary = summarise(norms)
            table.write(
                {
                    **run,
                    "instance_id": [instance],
                    "length": [n],
                    "dispersion": [summary.dispersion],
                    "coindexed_share": [summary.coindexed_share],
                    "coindexed_rank": [summary.coindexed_rank],
                    "matrix": [list(norms) if kept < matrices else None],
                }
            )
            kept += 1
