"""Adversarial attention (Jain & Wallace 2019, sec. 4.2.2).

Weights that are as far as possible from the model's, but lead to the same output. If
they exist, the model's weights are not the only explanation of its output. On few
positions they are enumerated, otherwise searched by gradient.

Shapes: B instances, C candidates each, n positions (hidden states), H hidden size, K
outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.models.decisions import Batch, DecisionModel, Output, ragged
from attention_audit.models.normalizers import Normalizer
from attention_audit.models.optimizer import AMSGrad
from attention_audit.models.outputs import RESOLUTION, Readout, linked
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter

# "support": no more positions with weight than the model's own weights have.
CONSTRAINTS = ("none", "support")

# Supports up to this size are also looked through, by pairs of positions.
SMALL_SUPPORT = 4

# Points of a line between two positions at which the output is looked at, and halvings
# of what lies between two of them.
_GRID = 33
_HALVINGS = 50

# How many times as fast as anywhere that was looked at the output may change between.
_STEEPER = 10.0


@dataclass(frozen=True)
class SearchSettings:
    """How the search goes; the defaults are the paper's.

    ``tolerance`` bounds sum_k |y_k' - y_k|, the total change of the class
    probabilities or scores, and ``penalty`` is the price of exceeding it. Candidates start from
    normally distributed logits of standard deviation ``noise``.
    """

    candidates: int = 5
    steps: int = 500
    learning_rate: float = 0.01
    noise: float = 3.0
    penalty: float = 500.0
    tolerance: float = 0.01


class Found(NamedTuple):
    """The best weights found for each instance; the model's own where none were."""

    weights: Tensor  # (B, n)
    divergence: Tensor  # (B,) nats, 0 where none were found
    output_difference: Tensor  # (B,)


def _entropy(p: Tensor) -> Tensor:
    """-sum p ln p over the last axis, with a finite gradient at zeros."""
    return -(p * p.clamp(min=torch.finfo(p.dtype).tiny).log()).sum(-1)


def candidate_distributions(
    logits: Tensor, mask: Tensor, support: Tensor | None
) -> Tensor:
    """Softmax of logits (B, C, n) over the mask (B, n).

    With ``support`` (B,) only that many positions, those of the largest logits, get
    any weight.
    """
    z = logits.masked_fill(~mask.unsqueeze(1), -torch.inf)
    if support is not None:
        largest = z.topk(int(support.max()), dim=-1).values
        last = (support - 1).view(-1, 1, 1).expand(-1, z.shape[1], 1)
        z = z.masked_fill(z < largest.gather(-1, last), -torch.inf)
    return z.softmax(-1)


def search(
    model: DecisionModel,
    hidden: Tensor,
    mask: Tensor,
    weights: Tensor,
    noise: Tensor,
    settings: SearchSettings,
    support: Tensor | None = None,
    query: Tensor | None = None,
) -> Found:
    """Search weights far from the model's at an equal output, for a batch of instances.

    With candidates a_1 ... a_C, the model's weights a and its outputs y,
    maximizes the sum of JSD(a_i, a), plus the sum of JSD(a_i, a_j) over pairs divided
    by C (C - 1), less ``penalty`` / C times the sum of relu(sum_k |y_k(a_i) - y_k| -
    ``tolerance``), by Adam with AMSGrad on the logits. Of all weights that the search
    passes and that hold the tolerance, the farthest are kept: a lower bound of the
    largest divergence there is.

    Args:
        hidden, mask, weights: (B, n, H), (B, n) and (B, n) from the model.
        noise: (B, C, n) standard normal, where the search starts.
        support: (B,) how many positions may get weight, or None for all.
        query: (B, Q) what asked for the attention, or None.

    Weights that do not sum to one keep their sum; the divergence is that of weights
    scaled to one. An instance without any weight stays as it is.
    """
    B, C, n = noise.shape
    mass = weights.sum(-1)
    scaled = weights / mass.clamp(min=torch.finfo(weights.dtype).tiny).unsqueeze(-1)
    # A copy for every candidate: the only large tensor, made once and never
    # differentiated.
    repeated = hidden.detach().repeat_interleave(C, 0)
    asked = None if query is None else query.repeat_interleave(C, 0)
    with torch.no_grad():
        target = linked(model.decide(hidden, weights, query), model.link).unsqueeze(1)
    own_entropy = _entropy(scaled).unsqueeze(-1)
    # A divergence is a difference of entropies of up to ln n: below this, of their
    # rounding.
    rounding = RESOLUTION * torch.finfo(weights.dtype).eps
    least = rounding * mask.sum(-1, keepdim=True).log()  # (B, 1)
    first, second = torch.triu_indices(C, C, 1, device=noise.device)

    logits = (settings.noise * noise).requires_grad_()
    optimizer = AMSGrad(
        [{"params": [logits], "weight_decay": 0.0}], settings.learning_rate
    )
    best = weights.unsqueeze(1).repeat(1, C, 1)
    best_divergence = weights.new_zeros(B, C)
    best_difference = weights.new_zeros(B, C)
    for step in range(settings.steps + 1):
        p = candidate_distributions(logits, mask, support)
        pooled = (p * mass.view(-1, 1, 1)).view(B * C, n)
        y = linked(model.decide(repeated, pooled, asked), model.link).view(B, C, -1)
        difference = (y - target).abs().sum(-1)  # (B, C)
        entropy = _entropy(p)
        divergence = (
            _entropy((p + scaled.unsqueeze(1)) / 2) - (entropy + own_entropy) / 2
        )  # (B, C)
        with torch.no_grad():
            farther = divergence > torch.maximum(best_divergence, least)
            better = (difference <= settings.tolerance) & farther
            best_divergence = torch.where(better, divergence, best_divergence)
            best_difference = torch.where(better, difference, best_difference)
            best = torch.where(better.unsqueeze(-1), pooled.view(B, C, n), best)
        if step == settings.steps:
            break
        pairs = (
            _entropy((p[:, first] + p[:, second]) / 2)
            - (entropy[:, first] + entropy[:, second]) / 2
        )
        excess = (difference - settings.tolerance).relu()
        loss = settings.penalty / C * excess.sum() - divergence.sum()
        loss = loss - pairs.sum() / max(1, C * (C - 1))
        # The model's parameters take no gradient: only the logits are searched.
        (logits.grad,) = torch.autograd.grad(loss, logits)
        optimizer.step()
    top = best_divergence.argmax(1)
    rows = torch.arange(B, device=noise.device)
    return Found(
        best[rows, top].detach(),
        best_divergence[rows, top],
        best_difference[rows, top],
    )


# Of pairs of positions (P,) twice and a share of the weight for the first of each.
OfPairs = Callable[[Tensor, Tensor, Tensor], Tensor]


def _between(
    readout: Readout, hidden: Tensor, mass: Tensor, query: Tensor | None
) -> OfPairs:
    """Outputs by weights on two positions, as a function of (i, j, share)."""
    normalizer = readout.pooling.normalizer
    values = mass * readout.pooling.values(hidden)
    if query is None and type(normalizer).context is Normalizer.context:
        # Logits are linear in the weights: few numbers to mix in place of H.
        values, read = readout.output(values), lambda mixed: mixed
    else:

        def read(mixed: Tensor) -> Tensor:
            return readout.logits_of(normalizer.context(mixed), query)

    def outputs(i: Tensor, j: Tensor, share: Tensor) -> Tensor:
        share = share.unsqueeze(-1)
        logits = read(share * values[i] + (1 - share) * values[j])
        return linked(logits, readout.model.link)

    return outputs


def _borders(
    excess: OfPairs, i: Tensor, j: Tensor, on_grid: Tensor
) -> tuple[Tensor, Tensor]:
    """Pairs and shares at the borders of where the output is the same.

    ``excess`` is the change of the output less the tolerance, and ``on_grid`` (P, G)
    what it is on a grid of shares in [0, 1]. Returns places among the pairs, and shares.
    """
    grid = torch.linspace(0, 1, on_grid.shape[1], dtype=on_grid.dtype)
    inside = on_grid <= 0

    def border(p: Tensor, within: Tensor, beyond: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(_HALVINGS):
            middle = (within + beyond) / 2
            same = excess(i[p], j[p], middle) <= 0
            within = torch.where(same, middle, within)
            beyond = torch.where(same, beyond, middle)
        return p, within

    found = []
    # where the grid sees both sides of a border
    for step in (-1, 1):
        beside = inside.roll(-step, 1)
        crosses = inside & ~beside
        crosses[:, -1 if step == 1 else 0] = False
        p, g = crosses.nonzero(as_tuple=True)
        found.append(border(p, grid[g], grid[g + step]))
    # and where it steps over the same output: lowest points that are outside
    around = nn.functional.pad(on_grid, (1, 1), value=torch.inf)
    lowest = (on_grid <= around[:, :-2]) & (on_grid <= around[:, 2:]) & ~inside
    p, g = lowest.nonzero(as_tuple=True)
    low, high = grid[(g - 1).clamp(min=0)], grid[(g + 1).clamp(max=len(grid) - 1)]
    left, right = low, high
    steepest = on_grid.diff(dim=1).abs().amax(1)[p] * (len(grid) - 1)
    for _ in range(_HALVINGS):
        if not len(p):
            break
        first, second = (2 * left + right) / 3, (left + 2 * right) / 3
        of_first, of_second = excess(i[p], j[p], first), excess(i[p], j[p], second)
        slope = (of_first - of_second).abs() / (second - first)
        steepest = torch.maximum(steepest, slope)
        falls = of_first > of_second
        left, right = torch.where(falls, first, left), torch.where(falls, right, second)
        # Most lowest points are far above what is the same output.
        reach = _STEEPER * steepest * (right - left)
        near = torch.minimum(of_first, of_second) <= reach
        p, low, high, left, right, steepest = (
            part[near] for part in (p, low, high, left, right, steepest)
        )
    middle = (left + right) / 2
    same = excess(i[p], j[p], middle) <= 0
    found += [border(p[same], middle[same], side[same]) for side in (low, high)]
    # one position alone
    for g in (0, -1):
        p = inside[:, g].nonzero().squeeze(-1)
        found.append((p, grid[g].expand(len(p))))
    return tuple(torch.cat(part) for part in zip(*found, strict=True))


@torch.no_grad()
def enumerate_small(
    readout: Readout,
    hidden: Tensor,
    weights: Tensor,
    size: int,
    tolerance: float,
    query: Tensor | None = None,
) -> Found:
    """The farthest weights on one position, or on two, that hold the tolerance.

    ``hidden`` (n, H), ``weights`` (n,) and ``query`` (Q,), where one asked, are those of one
    ``hidden`` (n, H), ``weights`` (n,) and ``query`` (Q,), where one asked, are those of one
    decision, in double precision on the CPU; ``size`` is 1 or more, and more than 2 counts
    as 2. Divergence is convex in the weights, so that between two positions it is largest
    at an end of where the output is the same. With two classes or one score, and a context
    that is the weighted sum, that is all there is: weights at the same output are a simplex
    cut by two planes, whose corners have at most two positions with weight.
    """
    n, mass = len(weights), weights.sum()
    p = weights / mass
    own = readout.outputs(hidden, weights.unsqueeze(0), query)
    outputs = _between(readout, hidden, mass, query)

    def difference(i: Tensor, j: Tensor, share: Tensor) -> Tensor:
        return (outputs(i, j, share) - own).abs_().sum(-1)

    def excess(i: Tensor, j: Tensor, share: Tensor) -> Tensor:
        return difference(i, j, share) - tolerance

    if size == 1 or n == 1:
        i = torch.arange(n)
        j, share = i.roll(1), torch.ones(n, dtype=p.dtype)
        kept = excess(i, j, share) <= 0
        i, j, share = i[kept], j[kept], share[kept]
    else:
        first, second = torch.triu_indices(n, n, 1)
        grid = torch.linspace(0, 1, _GRID, dtype=p.dtype)
        on_grid = [excess(first, second, t.expand(len(first))) for t in grid]
        pair, share = _borders(excess, first, second, torch.stack(on_grid, 1))
        i, j = first[pair], second[pair]
    least = RESOLUTION * torch.finfo(torch.float32).eps * np.log(max(n, 2))
    nothing = Found(weights, weights.new_zeros(()), weights.new_zeros(()))
    if not len(i):
        return nothing
    candidates = torch.zeros(len(i), n, dtype=p.dtype)
    rows = torch.arange(len(i))
    candidates[rows, j] = 1 - share
    candidates[rows, i] = share
    divergence = (
        _entropy((candidates + p) / 2) - (_entropy(candidates) + _entropy(p)) / 2
    )
    best = divergence.argmax()
    if divergence[best] <= least:
        return nothing
    return Found(
        mass * candidates[best],
        divergence[best],
        difference(i[best], j[best], share[best])[0],
    )


def _farther(one: Found, other: Found) -> Found:
    """Of two for each instance, the one that is farther."""
    farther = other.divergence > one.divergence
    return Found(
        torch.where(farther.unsqueeze(-1), other.weights, one.weights),
        torch.where(farther, other.divergence, one.divergence),
        torch.where(farther, other.output_difference, one.output_difference),
    )


def starting_noise(
    instances: Sequence[str],
    mask: Tensor,
    candidates: int,
    like: Tensor,
    constraint: str,
    seed: int,
) -> Tensor:
    """Standard normal (B, C, n), 0 at padding; an instance's does not depend on others."""
    lengths = mask.sum(-1).tolist()
    noise = np.zeros((len(lengths), candidates, mask.shape[1]))
    for b, (instance, n) in enumerate(zip(instances, lengths, strict=True)):
        rng = generator(("adversarial", constraint, instance), seed)
        noise[b, :, :n] = rng.standard_normal((candidates, n))
    return torch.from_numpy(noise).to(like)


def _search_batch(
    model: DecisionModel,
    output: Output,
    instances: Sequence[str],
    settings: SearchSettings,
    seed: int,
) -> Iterator[tuple[str, Found]]:
    """What is found for a batch under each constraint, by what the model made of it.

    What is found under the second is allowed under the first, and what is found under
    the first counts under the second where its support is small enough.
    """
    hidden, weights, mask = output.hidden, output.attention, output.mask
    support = (weights > 0).sum(-1)
    noise = {
        constraint: starting_noise(
            instances, mask, settings.candidates, weights, constraint, seed
        )
        for constraint in CONSTRAINTS
    }
    query = output.query
    free = search(model, hidden, mask, weights, noise["none"], settings, query=query)
    # Where no weight is zero the second constraint is none, and where all are there
    # is nothing to search.
    kept = (free.weights > 0).sum(-1) <= support
    held = Found(
        torch.where(kept.unsqueeze(-1), free.weights, weights),
        torch.where(kept, free.divergence, 0.0),
        torch.where(kept, free.output_difference, 0.0),
    )
    rows = ((support < mask.sum(-1)) & (support > 2)).nonzero().squeeze(-1)
    if len(rows):
        constrained = search(
            model,
            hidden[rows],
            mask[rows],
            weights[rows],
            noise["support"][rows],
            settings,
            support[rows],
            None if query is None else query[rows],
        )
        placed = Found(
            *(
                old.index_copy(0, rows, new)
                for old, new in zip(held, constrained, strict=True)
            )
        )
        held = _farther(held, placed)
    readout = Readout(model)
    small = (support > 0) & (support <= SMALL_SUPPORT)
    for b in small.nonzero().squeeze(-1).tolist():
        n = int(mask[b].sum())
        states, own, asked = output.decision(b, n)
        found = enumerate_small(
            readout, states, own, int(support[b]), settings.tolerance, asked
        )
        if found.divergence > held.divergence[b]:
            held.weights[b, :n] = found.weights.to(weights)
            held.divergence[b] = found.divergence
            held.output_difference[b] = found.output_difference
    yield "none", _farther(free, held)
    yield "support", held


def write_adversarial(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    settings: SearchSettings,
    seed: int = 0,
) -> None:
    """The farthest weights found at an equal output, a row an (instance, constraint).

    Where none were found the row holds the model's own, at a divergence of 0. An
    instance without any attention has none that could diverge: null.
    """
    for batch in batches:
        with torch.no_grad():
            output = model(batch)
        support = (output.attention > 0).sum(-1).tolist()
        states = model.states(batch.lengths)
        for constraint, found in _search_batch(
            model, output, batch.instance_ids, settings, seed
        ):
            divergences = found.divergence.tolist()
            table.write(
                {
                    **run,
                    "instance_id": batch.instance_ids,
                    "length": states,
                    "support": support,
                    "constraint": constraint,
                    "found": [d > 0 for d in divergences],
                    "divergence": [
                        d if s else None
                        for d, s in zip(divergences, support, strict=True)
                    ],
                    "output_difference": found.output_difference.tolist(),
                    "attention": ragged(found.weights, states),
                }
            )
