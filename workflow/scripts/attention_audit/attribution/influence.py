"""Influence of every input embedding on every hidden state (Meister et al. 2021).

The influence of input j on hidden state i is the Frobenius norm of the Jacobian
d h_i / d x_j. It is exact here; `probes` estimates it where that takes too long. Shapes:
n positions, E embedding size, H hidden size, nh heads of size hs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.attribution.backward_passes import row_squares
from attention_audit.attribution.layer_jacobians import (
    context_slopes,
    positionwise_jacobian,
)
from attention_audit.attribution.probes import ProbedNorms, probed_norms
from attention_audit.attribution.stacked_influence import stacked_jacobian_norms
from attention_audit.models.decisions import (
    Batch,
    DecisionModel,
    cell_array,
    grouped,
)
from attention_audit.models.encoders import BiLSTMEncoder, TransformerEncoder
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.cells import Cell, by_state
from attention_audit.statistics.distributions import dispersion

# Multiplications above which `auto` estimates: what takes about a minute.
EXACT_MULTIPLICATIONS = 1e12

# Numbers that a step of the other two ways works on: small enough to stay near the
# processor, and a bound of memory. Half and twice as many take as long.
NUMBERS_PER_STEP = 2**17


def jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """Norms (m, n) of d h_i / d x_j, hidden states by inputs, for one decision x (n, E).

    For an encoder in evaluation mode. BiLSTMs and Transformers have ways of their own:
    at 60 positions of the default sizes a Transformer of one layer takes 0.05 s in place of
    0.8 s, a BiLSTM 0.08 s in place of 5 s; encoders may bring one, ``jacobian_norms``, as
    that of recordings does. Others take `batched_jacobian_norms`.
    """
    if not getattr(encoder, "contextual", True):
        return own_jacobian_norms(encoder, x)
    if isinstance(encoder, BiLSTMEncoder):
        if encoder.markers is None:
            return bilstm_jacobian_norms(encoder, x)
        mask = torch.ones(1, len(x), dtype=torch.bool, device=x.device)
        (marked,), _ = encoder.marked(x.unsqueeze(0), mask)
        return bilstm_jacobian_norms(encoder, marked)[1:-1, 1:-1]
    if isinstance(encoder, TransformerEncoder):
        if len(encoder.layers) == 1:
            return transformer_jacobian_norms(encoder, x)
        return stacked_jacobian_norms(encoder, x)
    if hasattr(encoder, "jacobian_norms"):
        return encoder.jacobian_norms(x)
    return batched_jacobian_norms(encoder, x)


def own_jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """`jacobian_norms` of an encoder without context: 0 off the diagonal.

    Every position is a text of its own, so that a pass serves a hidden unit of them all.
    """
    x = x.detach().requires_grad_()
    alone = torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
    hidden = encoder(x.unsqueeze(1), alone).squeeze(1)  # (n, H)
    squares = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for unit in hidden.sum(0):
        (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
        squares += gradient.double().square().sum(-1)
    return squares.sqrt().diag()


def batched_jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """`jacobian_norms` by reverse mode: one backward pass a hidden unit, in batches."""
    x = x.detach().requires_grad_()
    n = len(x)
    mask = torch.ones(1, n, dtype=torch.bool, device=x.device)
    (states,) = encoder(x.unsqueeze(0), mask)
    m, size = states.shape
    squares = torch.zeros(m, n, dtype=torch.float64, device=x.device)
    of_unit = torch.arange(m, device=x.device).repeat_interleave(size)
    units = torch.eye(size, dtype=x.dtype, device=x.device).repeat(m, 1)
    for rows, of_rows in row_squares(states, x, of_unit, units):
        squares.index_add_(0, rows, of_rows)
    return squares.sqrt()


# --- one layer of self-attention ------------------------------------------------


@torch.no_grad()
def transformer_jacobian_norms(encoder: TransformerEncoder, x: Tensor) -> Tensor:
    """`jacobian_norms` of a one-layer Transformer, by its structure.

    All but self-attention is position-wise, and position j acts on i through the context
    c_i = sum_j a_ij v_j of each head alone. With the value V_j and key K_j of a head
    differentiated by x_j, (hs, E), its scaled query q_i, and the derivative g_ij (hs) of
    c_i by the score of j,

        d c_i / d x_j = a_ij V_j + g_ij (q_i K_j)',

    plus, for i = j, what the query and the residual path do. L_i, (H, nh * hs), leads
    from the contexts of all heads to h_i. As the second term has rank one, the norm of
    L_i times the heads' stacked derivatives comes from products of L_i' L_i with V_j V_j'
    and of vectors: n^2 H^2 multiplications in place of n^2 H^2 E, in double precision,
    for they cancel. The g are backward passes of the normalizer, whichever it is.
    """
    layer = encoder.layers[0]
    attention = layer.attention
    n, E = x.shape
    heads = attention.heads

    def normed(x: Tensor) -> Tensor:
        return layer.attention_norm(encoder.placed(x))

    def mixed(contexts: Tensor) -> Tensor:
        return attention.output(attention.through_context(contexts))

    # (n, 3H) -> 3 x (nh, n, hs)
    q, k, v = attention.project(normed(x)).view(n, 3, heads, -1).permute(1, 2, 0, 3)
    scores = q @ k.mT * attention.scale
    # Normalizers with parameters for each head expect an axis of instances.
    everywhere = torch.ones(n, dtype=torch.bool, device=x.device)
    a = attention.normalizer(scores.unsqueeze(0), everywhere)[0]  # (nh, n, n)
    contexts = (a @ v).transpose(0, 1).reshape(1, n, -1)
    attended = encoder.placed(x) + mixed(contexts)

    P = positionwise_jacobian(
        lambda h: encoder.norm(layer.after_attention(h)), attended
    )
    L = P @ positionwise_jacobian(mixed, contexts)  # (n, H, nh * hs)
    by_input = attention.project.weight @ positionwise_jacobian(normed, x.unsqueeze(0))
    Q, K, V = by_input.double().view(n, 3, heads, -1, E).unbind(1)  # (n, nh, hs, E)
    residual = (P @ encoder.project.weight).double()  # (n, H, E)
    values = V.flatten(1, 2)
    # V_j V_j' over pairs of heads, (nh, nh, hs * hs, n)
    values = (values @ values.mT).view(n, heads, -1, heads, V.shape[2])
    values = values.permute(1, 3, 2, 4, 0).flatten(2, 3)
    a, q, k, L = a.double(), q.double() * attention.scale, k.double(), L.double()

    squares = torch.empty(n, n, dtype=torch.float64, device=x.device)
    step = max(1, NUMBERS_PER_STEP // (n * L.shape[-1]))
    for start in range(0, n, step):
        rows = torch.arange(start, min(start + step, n), device=x.device)
        g = context_slopes(attention.normalizer, scores[:, rows], v).double()
        squares[rows] = _squares(L[rows], V, K, values, q[:, rows], a[:, rows], g)

        # i = j: residual path, value, key and query in one. (I, nh, hs, E)
        i, own = rows - start, a[:, rows, rows].T[..., None, None] * V[rows]
        by_key = torch.einsum("hid,ihde->ihe", q[:, rows], K[rows])
        own += g[:, :, i, rows].permute(2, 1, 0).unsqueeze(-1) * by_key.unsqueeze(2)
        own += torch.einsum("dhij,hjc->ihdc", g, k) @ (Q[rows] * attention.scale)
        whole = residual[rows] + L[rows] @ own.flatten(1, 2)
        squares[rows, rows] = whole.square().sum((1, 2))
    # Where parts cancel to nothing, rounding may leave less.
    return squares.clamp(min=0).sqrt()


def _squares(
    L: Tensor, V: Tensor, K: Tensor, values: Tensor, q: Tensor, a: Tensor, g: Tensor
) -> Tensor:
    """Squared norms (I, n) of L_i times the derivatives of i's contexts by all x_j.

    For I positions i: L (I, H, nh * hs), q (nh, I, hs), a (nh, I, n), g (hs, nh, I, n);
    for all j: V, K (n, nh, hs, E), ``values`` (nh, nh, hs * hs, n), the products V_j V_j'
    over pairs of heads. See `transformer_jacobian_norms`; i = j lacks the query there.
    """
    heads, size = V.shape[1:3]
    V = V.flatten(1, 2)
    s = torch.einsum("hid,jhde->jihe", q, K)  # d score / d x_j, (n, I, nh, E)
    G = L.mT @ L  # (I, nh * hs, nh * hs)
    # a_ij a_ij <G_i, V_j V_j'>
    metric = G.view(len(L), heads, size, heads, size).permute(1, 3, 0, 2, 4)
    squares = torch.einsum("hgij,hij,gij->ij", metric.flatten(3) @ values, a, a)
    # 2 a_ij g' G_i V_j s; pulled = G_i g, (n, I, nh, nh * hs), a row for the g of a head
    pulled = torch.einsum("ixhd,dhij->jihx", G.unflatten(-1, (heads, size)), g)
    valued = (s.flatten(1, 2) @ V.mT).view_as(pulled)
    shared = (pulled * valued).unflatten(-1, (heads, size)).sum((2, 4))
    squares += 2 * torch.einsum("hij,jih->ij", a, shared)
    # g' G_i g s's
    bent = torch.einsum("jihgd,dgij->jihg", pulled.unflatten(-1, (heads, size)), g)
    return squares + (bent * (s @ s.mT)).sum((2, 3)).T


# --- BiLSTMs --------------------------------------------------------------------


@torch.no_grad()
def bilstm_jacobian_norms(encoder: BiLSTMEncoder, x: Tensor) -> Tensor:
    """`jacobian_norms` of a bidirectional LSTM, by forward accumulation.

    Reverse mode needs n * 2H passes through a recurrence that cannot be batched. The
    derivatives of the states by the inputs obey a recurrence like that of the states, so
    one pass carries them along: a block of inputs at a time, layer by layer.
    """
    n, E = x.shape
    layers, hidden = [], x
    for forwards, backwards in zip(encoder.forwards, encoder.backwards, strict=True):
        steps = _Steps(forwards, hidden), _Steps(backwards, hidden.flip(0))
        layers.append(steps)
        hidden = torch.cat([steps[0].hidden, steps[1].hidden.flip(0)], dim=-1)
    squares = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    block = max(1, NUMBERS_PER_STEP // (E * hidden.shape[-1]))
    for start in range(0, n, block):
        inputs = torch.arange(start, min(start + block, n), device=x.device)
        derivatives = None
        for forward, backward in layers[:-1]:
            states = torch.zeros(n, len(inputs), E, hidden.shape[-1]).to(x)
            ahead, back = states.chunk(2, dim=-1)
            for t, by_inputs in forward.derivatives(inputs, derivatives):
                ahead[t] = by_inputs
            turned = None if derivatives is None else derivatives.flip(0)
            for t, by_inputs in backward.derivatives(n - 1 - inputs, turned):
                back[n - 1 - t] = by_inputs
            derivatives = states
        forward, backward = layers[-1]
        for t, by_inputs in forward.derivatives(inputs, derivatives):
            squares[t, inputs] += _square_norms(by_inputs)
        turned = None if derivatives is None else derivatives.flip(0)
        for t, by_inputs in backward.derivatives(n - 1 - inputs, turned):
            squares[n - 1 - t, inputs] += _square_norms(by_inputs)
    return squares.sqrt()


def _square_norms(derivatives: Tensor) -> Tensor:
    """Squared norms (m,) in double precision of matrices (m, E, H)."""
    return torch.linalg.vector_norm(derivatives, dim=(1, 2)).double().square()


class _Steps:
    """One direction of an LSTM along one text x (n, in), and its derivatives.

    A step is linear in small changes dh and dc of the states before it and dx of its
    input. With i, f, g, o the gates, c' the new cell, and the gates' slopes in M,

        dc' = f dc + M_c dh + N_c dx,    dh' = o (1 - tanh^2 c') dc' + M_o dh + N_o dx,

    so that one product with (H, 2H) numbers and two with scalars remain of it.
    """

    def __init__(self, lstm: nn.LSTM, x: Tensor):
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
        H = lstm.hidden_size
        pushed = x @ lstm.weight_ih_l0.T + bias
        h, c = x.new_zeros(H), x.new_zeros(H)
        hidden, slopes = [], []
        for push in pushed:
            i, f, g, o = (push + lstm.weight_hh_l0 @ h).view(4, H)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            new = f * c + i * g
            tanh = new.tanh()
            # of c' by i, f, g before their squashing, of h by o and by c', of c' by c
            slopes.append(
                torch.stack(
                    [
                        g * i * (1 - i),
                        c * f * (1 - f),
                        i * (1 - g**2),
                        tanh * o * (1 - o),
                        o * (1 - tanh**2),
                        f,
                    ]
                )
            )
            h, c = o * tanh, new
            hidden.append(h)
        self.hidden = torch.stack(hidden)  # (n, H)
        self.size = H
        gates = torch.stack(slopes)  # (n, 6, H)
        self.by_hidden = self._by(lstm.weight_hh_l0, gates)  # (n, H, 2H): M_c, and of h
        self.by_input = self._by(lstm.weight_ih_l0, gates)  # (n, in, 2H): N_c, and of h
        self.c_by_cell, self.h_by_cell = (
            gates[:, 5],
            gates[:, 4] * gates[:, 5],
        )  # (n, H)

    @staticmethod
    def _by(weight: Tensor, gates: Tensor) -> Tensor:
        """Derivatives of c' and h by what a weight (4H, in) multiplies, (n, in, 2H)."""
        gates = gates.unsqueeze(-1)
        i, f, g, o = weight.view(4, -1, weight.shape[1])
        cell = gates[:, 0] * i + gates[:, 1] * f + gates[:, 2] * g
        return torch.cat(
            [cell, gates[:, 4] * cell + gates[:, 3] * o], 1
        ).mT.contiguous()

    def derivatives(
        self, positions: Tensor, of_inputs: Tensor | None
    ) -> Iterator[tuple[int, Tensor]]:
        """Each step t, and the derivatives of its state by m inputs, (m, E, H).

        The inputs stand at ``positions`` in the order of reading. ``of_inputs``
        (n, m, E, in) are the derivatives of this layer's inputs by them; None where
        they are this layer's own. What is yielded changes with the next step.
        """
        n, size = self.by_input.shape[:2]
        m, E = (len(positions), size) if of_inputs is None else of_inputs.shape[1:3]
        dh, dc = self.hidden.new_zeros(2, m * E, self.size)
        changes = self.hidden.new_empty(m * E, 2 * self.size)
        place = {int(position): row for row, position in enumerate(positions)}
        first = min(place) if of_inputs is None else 0
        for t in range(first, n):
            torch.mm(dh, self.by_hidden[t], out=changes)
            if of_inputs is not None:
                changes.addmm_(of_inputs[t].flatten(0, 1), self.by_input[t])
            elif t in place:
                changes.view(m, E, -1)[place[t]] += self.by_input[t]
            of_cell, of_hidden = changes.chunk(2, dim=1)
            torch.addcmul(of_hidden, dc, self.h_by_cell[t], out=dh)
            torch.addcmul(of_cell, dc, self.c_by_cell[t], out=dc)
            yield t, dh.view(m, E, -1)


# --- what is kept ---------------------------------------------------------------


class InfluenceSummary(NamedTuple):
    """What is kept of a matrix of norms: one value a hidden state, (m,).

    Where a state's cell holds several inputs, the input that is co-indexed with it is all
    of these, and others are those of other cells.
    """

    dispersion: np.ndarray  # entropy over inputs / ln m, in [0, 1]; NaN for m = 1
    coindexed_share: np.ndarray  # share of the co-indexed input, in [0, 1]
    coindexed_rank: np.ndarray  # its rank, 1 = the most influential input
    # in inputs, of the centroid from the middle of the cell; None without a grid
    distance: np.ndarray | None


def summarise(
    norms: np.ndarray, cell: Cell | None = None, places: np.ndarray | None = None
) -> InfluenceSummary:
    """Summarise norms (m, n), hidden states by inputs, that are summed over cells.

    The norms of each hidden state are normalized to a distribution over the inputs
    (Meister et al. 2021), whose centroid is that of their ``places`` (n, 2). A hidden
    state that no input moves has no distribution: NaN, and the last rank.
    """
    distance = None if places is None else _distance(norms, cell, places)
    norms = by_state(norms, cell)
    n = len(norms)
    total = norms.sum(1)
    with np.errstate(invalid="ignore"):
        share = np.diag(norms) / total
    own = np.diag(norms)[:, None]
    rank = np.where(total > 0, 1 + (norms > own).sum(1), n)
    spread = dispersion(norms, np.ones(norms.shape, dtype=bool))
    return InfluenceSummary(spread, share, rank.astype(np.int32), distance)


def _distance(norms: np.ndarray, cell: Cell | None, places: np.ndarray) -> np.ndarray:
    """From the middle of each state's cell to the centroid of its influence, (m,)."""
    inside = by_state(np.eye(len(places)), cell).T  # (m, n), of the patches of a cell
    middle = inside @ places / inside.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        centroid = norms @ places / norms.sum(1, keepdims=True)
    return np.linalg.norm(centroid - middle, axis=1)


class Estimation(NamedTuple):
    """Which texts' influence is estimated, and how well; see the config's schema."""

    method: str = "auto"  # or "exact", "probes"
    error: float = 0.05
    probes: int = 64


def multiplications(encoder: nn.Module, x: Tensor) -> float:
    """About how many `jacobian_norms` asks for one decision x (n, E) that grow with n^3.

    0 of encoders with a quick way. Where a backward pass is all there is, each hidden unit
    has one, which multiplies by every parameter at every position.
    """
    n, E = x.shape
    if isinstance(encoder, TransformerEncoder):
        H = encoder.output_size
        columns = n * min(E, H)
        return (len(encoder.layers) - 1) * columns * (4 * n * H**2 + 3 * n**2 * H)
    quick = isinstance(encoder, BiLSTMEncoder) or hasattr(encoder, "jacobian_norms")
    if quick or not getattr(encoder, "contextual", True):
        return 0
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return n * encoder.output_size * n * parameters


def probed(encoder: nn.Module, x: Tensor, estimation: Estimation) -> bool:
    """Whether the influence of one decision x (n, E) is to be estimated."""
    if estimation.method == "auto":
        return multiplications(encoder, x) > EXACT_MULTIPLICATIONS
    return estimation.method == "probes"


def standard_errors(
    norms: ProbedNorms, cell: Cell | None, places: np.ndarray | None
) -> dict[str, np.ndarray | None]:
    """Of what `summarise` makes of the norms, by column; a rank has none."""
    columns = ["dispersion", "coindexed_share"]
    columns += [] if places is None else ["distance"]

    def summary(norms: np.ndarray) -> np.ndarray:
        found = summarise(norms, cell, places)
        return np.stack([getattr(found, column) for column in columns])

    errors = dict(zip(columns, norms.jackknifed(summary), strict=True))
    return {f"{column}_error": errors.get(column) for column in (*columns, "distance")}


def write_influence(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    matrices: int,
    estimation: Estimation | None = None,
) -> None:
    """Influence of inputs on hidden states; whole matrices for the first few texts.

    Of decisions that have their inputs in common it is the same: a row for the first.
    Errors are null where the norms are exact, which all are without an ``estimation``.
    """
    estimation = estimation or Estimation("exact")
    cell = cell_array(model)
    kept = 0
    for batch in batches:
        for row, *_ in grouped(batch):
            n = int(batch.lengths[row])
            (embeddings,) = model.embed(batch.take(np.array([row])))
            instance = batch.instance_ids[row]
            errors = dict.fromkeys(
                ("dispersion_error", "coindexed_share_error", "distance_error")
            )
            matrix_error = None
            if probed(model.encoder, embeddings, estimation):
                rng = generator(("influence", instance), run["seed"])
                found = probed_norms(
                    model.encoder, embeddings, rng, estimation.error, estimation.probes
                )
                norms, matrix_error = found.norms(), found.errors()
                errors = standard_errors(found, cell, batch.places)
            else:
                norms = jacobian_norms(model.encoder, embeddings).cpu().numpy()
            summary = summarise(norms, cell, batch.places)
            table.write(
                {
                    **run,
                    "instance_id": [instance],
                    "length": [n],
                    "dispersion": [summary.dispersion],
                    "coindexed_share": [summary.coindexed_share],
                    "coindexed_rank": [summary.coindexed_rank],
                    "distance": [summary.distance],
                    "matrix": [list(norms) if kept < matrices else None],
                    **{column: [values] for column, values in errors.items()},
                    "matrix_error": [
                        list(matrix_error)
                        if kept < matrices and matrix_error is not None
                        else None
                    ],
                }
            )
            kept += 1
