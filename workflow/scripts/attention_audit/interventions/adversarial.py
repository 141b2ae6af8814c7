"""Adversarial attention (Jain & Wallace 2019, sec. 4.2.2).

Weights that are as far as possible from the model's, but lead to the same output. If
they exist, the model's weights are not the only explanation of its output.

Shapes: B instances, C candidates each, n positions, H hidden size, K classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from attention_audit.audit import Batch, ragged
from attention_audit.model import Classifier
from attention_audit.optimizer import AMSGrad
from attention_audit.outputs import RESOLUTION
from attention_audit.randomness import generator
from attention_audit.tables import TableWriter

# "support": no more positions with weight than the model's own weights have.
CONSTRAINTS = ("none", "support")


@dataclass(frozen=True)
class SearchSettings:
    """How the search goes; the defaults are the paper's.

    ``tolerance`` bounds sum_k |y_k' - y_k|, the total change of the class
    probabilities, and ``penalty`` is the price of exceeding it. Candidates start from
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
    model: Classifier,
    hidden: Tensor,
    mask: Tensor,
    weights: Tensor,
    noise: Tensor,
    settings: SearchSettings,
    support: Tensor | None = None,
) -> Found:
    """Search weights far from the model's at an equal output, for a batch of instances.

    With candidates a_1 ... a_C, the model's weights a and its class probabilities y,
    maximizes the sum of JSD(a_i, a), plus the sum of JSD(a_i, a_j) over pairs divided
    by C (C - 1), less ``penalty`` / C times the sum of relu(sum_k |y_k(a_i) - y_k| -
    ``tolerance``), by Adam with AMSGrad on the logits. Of all weights that the search
    passes and that hold the tolerance, the farthest are kept: a lower bound of the
    largest divergence there is.

    Args:
        hidden, mask, weights: (B, n, H), (B, n) and (B, n) from the model.
        noise: (B, C, n) standard normal, where the search starts.
        support: (B,) how many positions may get weight, or None for all.

    Weights that do not sum to one keep their sum; the divergence is that of weights
    scaled to one. An instance without any weight stays as it is.
    """
    B, C, n = noise.shape
    mass = weights.sum(-1)
    scaled = weights / mass.clamp(min=torch.finfo(weights.dtype).tiny).unsqueeze(-1)
    # A copy for every candidate: the only large tensor, made once and never
    # differentiated.
    repeated = hidden.detach().repeat_interleave(C, 0)
    with torch.no_grad():
        target = model.classify(hidden, weights).softmax(-1).unsqueeze(1)
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
        y = model.classify(repeated, pooled).softmax(-1).view(B, C, -1)
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


def starting_noise(
    batch: Batch, candidates: int, like: Tensor, constraint: str, seed: int
) -> Tensor:
    """Standard normal (B, C, n), 0 at padding; an instance's does not depend on others."""
    noise = np.zeros((len(batch.instance_ids), candidates, batch.mask.shape[1]))
    for b, (instance, n) in enumerate(
        zip(batch.instance_ids, batch.lengths, strict=True)
    ):
        rng = generator(("adversarial", constraint, instance), seed)
        noise[b, :, :n] = rng.standard_normal((candidates, n))
    return torch.from_numpy(noise).to(like)


def _search_batch(
    model: Classifier,
    hidden: Tensor,
    weights: Tensor,
    batch: Batch,
    settings: SearchSettings,
    seed: int,
) -> Iterator[tuple[str, Found]]:
    """What is found for a batch under each constraint."""
    support = (weights > 0).sum(-1)
    noise = {
        constraint: starting_noise(
            batch, settings.candidates, weights, constraint, seed
        )
        for constraint in CONSTRAINTS
    }
    free = search(model, hidden, batch.mask, weights, noise["none"], settings)
    yield "none", free
    # Where no weight is zero the second constraint is none, and where all are there
    # is nothing to search.
    rows = ((support < batch.mask.sum(-1)) & (support > 0)).nonzero().squeeze(-1)
    if len(rows):
        constrained = search(
            model,
            hidden[rows],
            batch.mask[rows],
            weights[rows],
            noise["support"][rows],
            settings,
            support[rows],
        )
        free = Found(
            *(
                old.index_copy(0, rows, new)
                for old, new in zip(free, constrained, strict=True)
            )
        )
    yield "support", free


def write_adversarial(
    table: TableWriter,
    model: Classifier,
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
            output = model(batch.token_ids, batch.mask)
        weights = output.attention
        support = (weights > 0).sum(-1).tolist()
        for constraint, found in _search_batch(
            model, output.hidden, weights, batch, settings, seed
        ):
            divergences = found.divergence.tolist()
            table.write(
                {
                    **run,
                    "instance_id": batch.instance_ids,
                    "length": batch.lengths,
                    "support": support,
                    "constraint": constraint,
                    "found": [d > 0 for d in divergences],
                    "divergence": [
                        d if s else None
                        for d, s in zip(divergences, support, strict=True)
                    ],
                    "output_difference": found.output_difference.tolist(),
                    "attention": ragged(found.weights, batch.lengths),
                }
            )
