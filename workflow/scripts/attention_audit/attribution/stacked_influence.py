"""Influence in Transformers of several layers, carried from layer to layer.

Shapes: n positions, E embedding size, H hidden size, nh heads of size hs; C columns, each
a direction in which one input is moved.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from attention_audit.attribution.layer_jacobians import (
    context_slopes,
    positionwise_jacobian,
)
from attention_audit.models.encoders import TransformerEncoder
from attention_audit.models.layers import TransformerLayer

# Columns that are carried at once, and numbers that a step of their way through attention
# works on: near the processor, and a bound of memory. Half and twice as many take about as
# long.
COLUMNS_PER_BLOCK = 100
NUMBERS_PER_STEP = 2**19


class _Derivatives(NamedTuple):
    """What a layer does to small changes of its states; see `stacked_squares`."""

    own: Tensor  # (n, H, H), of a state by the one at its position
    by_context: Tensor  # (n, H, nh * hs)
    keys_values: Tensor  # (n, 2 * nh * hs, H)
    queries: Tensor  # (nh, n, hs), scaled
    weights: Tensor  # (nh, n, n)
    slopes: Tensor  # (nh, n, hs, n), of the contexts by the scores


@torch.no_grad()
def directions(encoder: TransformerEncoder) -> Tensor:
    """(H, k) whose columns' images have the norm of those of the projection (H, E).

    k is the smaller of E and H. Of more inputs than hidden units the triangular factor
    says all that a norm needs: with W' = Q R, |J W| = |J R'|.
    """
    weight = encoder.project.weight
    if weight.shape[1] <= weight.shape[0]:
        return weight
    return torch.linalg.qr(weight.mT, mode="r").R.mT


@torch.no_grad()
def stacked_squares(encoder: TransformerEncoder, x: Tensor, moves: Tensor) -> Tensor:
    """How far each state moves, squared, when an input does: (S, n states, n inputs).

    ``moves`` (n, H, S) are S directions of each of the projected inputs of one text x
    (n, E). With all `directions` for moves, the sum over S is the squared norm.

    The derivatives J_i of the states by all moves pass a layer position by position, but
    for self-attention. With a head's query q_i, scaled, weights a_ij and the derivative
    g_ij (hs) of its context c_i by the score of j,

        d c_i = sum_j a_ij d v_j + sum_j g_ij (q_i d k_j) + (sum_j g_ij k_j') d q_i,

    of which the last is position-wise too. All that is so is multiplied out before, into
    one matrix for what a state does at its own position and one for its contexts: of a
    column a layer asks 4 n H^2 + 3 n^2 H multiplications, and less of the first, where a
    column moves one input alone. A batched backward pass asks as many for each hidden unit
    as the layer itself, and goes through memory for each of its steps.
    """
    n, size, S = moves.shape
    layers, hidden = [], encoder.placed(x.unsqueeze(0))
    for number, layer in enumerate(encoder.layers, start=1):
        last = number == len(encoder.layers)
        derivatives, hidden = _derivatives(
            layer, hidden, encoder.norm if last else nn.Identity()
        )
        layers.append(derivatives)
    squares = torch.empty(S, n, n, dtype=torch.float64, device=x.device)
    block = max(1, COLUMNS_PER_BLOCK // S)
    for start in range(0, n, block):
        at = slice(start, min(start + block, n))
        b = at.stop - at.start
        # (b, H, b, S): each input's columns, and 0 in those of the others
        change = torch.zeros(b, size, b, S, dtype=x.dtype, device=x.device)
        own = torch.arange(b, device=x.device)
        change[own, :, own] = moves[at]
        change, where = change.flatten(2), at
        for derivatives in layers:
            change, where = _carried(derivatives, change, where), slice(0, n)
        moved = torch.linalg.vector_norm(change, dim=1).double().square()
        squares[:, :, at] = moved.view(n, b, S).permute(2, 0, 1)
    return squares


def _derivatives(
    layer: TransformerLayer, hidden: Tensor, then: nn.Module
) -> tuple[_Derivatives, Tensor]:
    """Those of a layer at its states (1, n, H), and the next ones, behind ``then``."""
    attention = layer.attention
    n, heads = hidden.shape[1], attention.heads

    def mixed(contexts: Tensor) -> Tensor:
        return attention.output(attention.through_context(contexts))

    # (1, n, 3H) -> 3 x (nh, n, hs)
    q, k, v = (
        attention.project(layer.attention_norm(hidden))
        .view(n, 3, heads, -1)
        .permute(1, 2, 0, 3)
    )
    q = q * attention.scale
    scores = q @ k.mT
    # Normalizers with parameters for each head expect an axis of instances.
    everywhere = torch.ones(n, dtype=torch.bool, device=hidden.device)
    weights = attention.normalizer(scores.unsqueeze(0), everywhere)[0]
    contexts = (weights @ v).transpose(0, 1).reshape(1, n, -1)
    attended = hidden + mixed(contexts)

    def rest(h: Tensor) -> Tensor:
        return then(layer.after_attention(h))

    onwards = positionwise_jacobian(rest, attended)
    by_context = onwards @ positionwise_jacobian(mixed, contexts)
    normed = positionwise_jacobian(layer.attention_norm, hidden)
    by_state = attention.project.weight @ normed  # (n, 3H, H)
    by_query, keys_values = by_state.split([len(normed[0]), 2 * len(normed[0])], dim=1)
    slopes = context_slopes(attention.normalizer, scores, v)
    slopes = slopes.permute(1, 2, 0, 3).contiguous()  # (nh, n, hs, n)
    # sum_j g_ij k_j', (n, nh, hs, hs), of the context of a head by its query
    of_query = (slopes @ k.unsqueeze(1)).transpose(0, 1) * attention.scale
    by_own_query = of_query @ by_query.unflatten(1, (heads, -1))
    own = onwards + by_context @ by_own_query.flatten(1, 2)
    found = _Derivatives(own, by_context, keys_values.contiguous(), q, weights, slopes)
    return found, rest(attended)


def _carried(layer: _Derivatives, change: Tensor, at: slice) -> Tensor:
    """Changes (n, H, C) of the states behind a layer by those before it, (A, H, C).

    These stand at A positions ``at``; elsewhere they are 0.
    """
    heads, n, size = layer.queries.shape
    A, _, C = change.shape
    keys, values = (layer.keys_values[at] @ change).view(A, 2, heads, size, C).unbind(1)
    contexts = change.new_empty(n, heads, size, C)
    step = max(1, NUMBERS_PER_STEP // (A * C))
    for head in range(heads):
        pulled = keys[:, head].transpose(0, 1).reshape(size, -1)  # (hs, A * C)
        slopes = layer.slopes[head, :, :, at]
        summed = layer.weights[head, :, at] @ values[:, head].flatten(1)
        summed = summed.view(n, size, C)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            # d score of i by those of A positions, (I, A, C)
            scores = (layer.queries[head, rows] @ pulled).view(-1, A, C)
            contexts[rows, head] = torch.baddbmm(summed[rows], slopes[rows], scores)
    changed = layer.by_context @ contexts.flatten(1, 2)
    changed[at] += layer.own[at] @ change
    return changed


def stacked_jacobian_norms(encoder: TransformerEncoder, x: Tensor) -> Tensor:
    """See `influence.jacobian_norms`: norms (n, n) in a Transformer for one text (n, E)."""
    every = directions(encoder)
    return stacked_squares(encoder, x, every.expand(len(x), -1, -1)).sum(0).sqrt()
