"""Importance of inputs from the attention within an encoder, and of its pooling.

What each layer passes on from where is followed down to the inputs, from the states as
the model's last attention weighs them. Encoders are those with ``layers`` of
`models.layers.TransformerLayer` and a hidden state at each input, or with a method
``without_values``, as pretrained ones have, whose words stand for their pieces.

Shapes: G groups of decisions that have their inputs in common, B decisions, n inputs,
nh heads, hs the size of one, H = nh hs.
"""

from collections.abc import Iterable, Iterator
from functools import reduce

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, grouped
from attention_audit.models.layers import TransformerLayer
from attention_audit.records.errors import AuditError

# Whole numbers that a flow of all weight is counted in, which are 32 bits wide.
CAPACITY = 2**24

# Numbers of zeroed values and what a layer makes of them that are held at once.
NUMBERS_PER_PASS = 2**22


def _check(model: DecisionModel) -> None:
    known = hasattr(model.encoder, "layers") or hasattr(model.encoder, "without_values")
    if model.cell is not None or not known:
        raise AuditError(
            f"an encoder of kind '{model.settings.encoder['kind']}' has no layers of "
            "self-attention with a state at each input. Leave the method out, or name an "
            "encoder of kind transformer, vit or pretrained."
        )


def _firsts(batch: Batch) -> tuple[Batch, np.ndarray]:
    """One decision of each group, and the group of each decision (B,)."""
    groups = grouped(batch)
    of = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    return batch.take(np.array([rows[0] for rows in groups])), of


def _passed_on(weights: Tensor) -> Tensor:
    """Weights (G, nh, n, n) -> what a layer takes from where, (G, n, n), rows of sum 1.

    Half is what it attends to, a mean over heads, and half the state itself, which the
    residual keeps (Abnar & Zuidema 2020, section 3). A state that attends to nothing
    keeps all of itself. What goes to special tokens of a pretrained model is left out.
    """
    mixed = weights.double().mean(1)
    mass = mixed.sum(-1, keepdim=True)
    mixed = mixed / torch.where(mass > 0, mass, 1.0)
    mixed = mixed + torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
    return mixed / mixed.sum(-1, keepdim=True)


def _layers(model: DecisionModel, batch: Batch) -> tuple[list[Tensor], np.ndarray]:
    """`_passed_on` of each layer (G, n, n), the first one first, and the group (B,)."""
    _check(model)
    firsts, of = _firsts(batch)
    _, attention = model.encoder.with_attention(model.embed(firsts), firsts.mask)
    return [_passed_on(weights) for weights in attention], of


def _pooled(shares: list[Tensor], of: np.ndarray, attention: Tensor) -> Tensor:
    """Attention (B, n) followed through shares (G, n, n) of each layer: (B, n)."""
    down = reduce(lambda below, layer: layer @ below, shares)
    n = down.shape[-1]
    places = torch.as_tensor(of, device=down.device)
    return torch.einsum("bi,bij->bj", attention.double()[:, :n], down[places])


@torch.no_grad()
def attention_rollout(model: DecisionModel, batch: Batch, of: str) -> Tensor:
    """p A_L ... A_1, with A_l = (W_l + I) / 2 (Abnar & Zuidema 2020, equation 1).

    W_l is the mean over the heads of layer l, rows scaled to sum to one, and p the weights
    of the pooling: how much of what is pooled comes from each input where all that passes
    on is mixed in these shares.

    Returns (B, n), exactly 0 at padding, not normalized: it sums to what p does.
    """
    shares, groups = _layers(model, batch)
    return _pooled(shares, groups, model(batch).attention) * batch.mask


@torch.no_grad()
def attention_flow(model: DecisionModel, batch: Batch, of: str) -> Tensor:
    """The most that can flow to each input, by itself (Abnar & Zuidema 2020, section 3).

    From the pooled vector an edge of capacity p_t leads to each state, and edges of the
    capacities A_l of `attention_rollout` down the layers. Capacities are counted in whole
    numbers, `CAPACITY` to all of p.

    Returns (B, n), in double precision on the CPU, exactly 0 at padding, not normalized.
    """
    shares, groups = _layers(model, batch)
    attention = model(batch).attention.cpu().double()
    found = torch.zeros(batch.mask.shape, dtype=torch.float64)
    for b, n in enumerate(batch.lengths.tolist()):
        layers = [of_layer[groups[b], :n, :n].cpu().numpy() for of_layer in shares]
        found[b, :n] = torch.from_numpy(_flows(attention[b, :n].numpy(), layers))
    return found


def _flows(top: np.ndarray, layers: list[np.ndarray]) -> np.ndarray:
    """Largest flows (n,) to each input from a source with edges ``top`` (n,).

    ``layers`` (n, n) are the capacities from each state to those below, the first layer
    first.
    """
    n = len(top)
    if len(layers) == 1:  # each path is by itself: no edge is shared
        return np.minimum(top[:, None], layers[0]).sum(0)
    # The source, then the states from the last layer down to the inputs.
    size = 1 + n * (len(layers) + 1)
    capacity = np.zeros((size, size), dtype=np.int32)
    # Weights that do not sum to one may come to more.
    unit = CAPACITY / max(1.0, top.sum())
    capacity[0, 1 : n + 1] = np.rint(top * unit)
    for depth, layer in enumerate(reversed(layers)):
        above, below = 1 + depth * n, 1 + (depth + 1) * n
        capacity[above : above + n, below : below + n] = np.rint(layer * unit)
    graph = csr_array(capacity)
    return np.array(
        [maximum_flow(graph, 0, size - n + j).flow_value / unit for j in range(n)]
    )


@torch.no_grad()
def value_zeroing(model: DecisionModel, batch: Batch, of: str) -> Tensor:
    """p C_L ... C_1 of the value zeroing scores C_l (Mohebbi et al. 2023, equations 3-5).

    C_l(i, j) is the cosine distance of what layer l makes of state i from what it makes
    of it where the value vectors of j, in all heads, are zero; rows are scaled to sum to
    one, and a state that no value changes keeps all of itself. The rest of the layer, with
    its residuals and feed-forward block, takes part. p are the weights of the pooling.

    Returns (B, n), exactly 0 at padding, not normalized: it sums to what p does.
    """
    _check(model)
    firsts, groups = _firsts(batch)
    alone = torch.eye(
        firsts.mask.shape[1], dtype=torch.float64, device=batch.mask.device
    )
    shares = []
    for of_layer in zip(*_zeroed_in_layers(model, firsts), strict=True):
        share = alone.repeat(len(of_layer), 1, 1)
        for g, scores in enumerate(of_layer):
            share[g, : len(scores), : len(scores)] = scores
        shares.append(share)
    return _pooled(shares, groups, model(batch).attention) * batch.mask


def _zeroed_in_layers(model: DecisionModel, firsts: Batch) -> Iterator[list[Tensor]]:
    """Value zeroing scores (n, n) of each layer, scaled, of one decision after the other."""
    x, encoder, lengths = model.embed(firsts), model.encoder, firsts.lengths.tolist()
    if hasattr(encoder, "without_values"):
        _, attention = encoder.with_attention(x, firsts.mask)
        for g, n in enumerate(lengths):
            layers = encoder.without_values(x[g, :n], NUMBERS_PER_PASS)
            yield [
                _scores(whole, lacking, weights[g, :, :n, :n])
                for (whole, lacking), weights in zip(layers, attention, strict=True)
            ]
        return
    read: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: read.append(given[0]))
        for layer in encoder.layers
    ]
    try:
        model.encode(x, firsts.mask)
    finally:
        for hook in hooks:
            hook.remove()
    for g, n in enumerate(lengths):
        layers = zip(encoder.layers, read, strict=True)
        yield [_zeroed(layer, states[g, :n]) for layer, states in layers]


def _zeroed(layer: TransformerLayer, x: Tensor) -> Tensor:
    """Value zeroing scores (n, n) of the states x (n, H) that a layer reads, scaled."""
    attention, n = layer.attention, len(x)
    normed, mask = layer.attention_norm(x.unsqueeze(0)), x.new_ones(1, n).bool()
    _, (weights,) = attention(normed, mask)  # (nh, n, n)
    heads = attention.heads
    *_, values = attention.project(normed)[0].unflatten(-1, (3, heads, -1)).unbind(1)
    values = values.transpose(0, 1)  # (nh, n, hs)
    own = weights @ values
    per_pass = max(1, NUMBERS_PER_PASS // (n * x.shape[-1]))
    lacking = (
        # (J, nh, n, hs): of each of J inputs, the contexts without its value
        own
        - weights[:, :, some].permute(2, 0, 1).unsqueeze(-1)
        * values[:, some].transpose(0, 1).unsqueeze(2)
        for some in torch.arange(n).split(per_pass)
    )

    def passed(contexts: Tensor) -> Tensor:
        joined = contexts.transpose(1, 2).flatten(2)  # (J, n, H)
        mixed = attention.output(attention.through_context(joined))
        return layer.after_attention(x + mixed)

    return _scores(passed(own.unsqueeze(0)), map(passed, lacking), weights)


def _scores(whole: Tensor, lacking: Iterable[Tensor], weights: Tensor) -> Tensor:
    """Value zeroing scores (n, n), scaled, of what a layer makes of n states.

    That is (n, H) as it is and, in parts (J, n, H), without the values of J inputs each;
    its weights are (nh, n, n).
    """
    whole = whole.double()
    distances = torch.cat(
        [1 - torch.cosine_similarity(part.double(), whole, dim=-1) for part in lacking]
    ).T.clamp(min=0.0)
    # Where nothing has a weight, nothing changes but by rounding.
    distances = distances * (weights > 0).any(0)
    mass = distances.sum(-1, keepdim=True)
    alone = torch.eye(len(distances), dtype=distances.dtype, device=distances.device)
    return torch.where(mass > 0, distances / torch.where(mass > 0, mass, 1.0), alone)
