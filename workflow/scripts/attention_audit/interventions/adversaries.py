"""Adversarially trained models (Wiegreffe & Pinter 2019, sec. 4).

A second model learns to give the outputs of a base model from attention that is as far
from the base model's as possible. Unlike a search of weights for one instance, it has
to do so with one set of parameters for all texts. How far it gets at what loss of
output is a curve over the weight of the divergence, lambda.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from attention_audit.interventions.fitting import attention_of, fit
from attention_audit.models.decisions import Batch, DecisionModel, Examples
from attention_audit.models.outputs import exact_outputs, linked
from attention_audit.models.training import new_model
from attention_audit.records.tables import TableWriter

# Smallest weight inside a logarithm: keeps gradients finite at exact zeros.
_TINY = 1e-30


def _terms(p: Tensor, q: Tensor) -> Tensor:
    """p ln (p / q), 0 where p is 0."""
    return p * (p.clamp(min=_TINY).log() - q.clamp(min=_TINY).log())


def _scaled(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True).clamp(min=_TINY)


def kl(one: Tensor, other: Tensor) -> Tensor:
    """KL(one | other) in nats over the last axis, of one from the other.

    Infinite where the other is zero and the one is not, which weights with exact
    zeros are nearly always: only for normalizers without.
    """
    p, q = _scaled(one), _scaled(other)
    infinite = ((p > 0) & (q <= 0)).any(-1)
    return _terms(p, q).sum(-1).masked_fill(infinite, torch.inf)


def jsd(base: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats over the last axis, at most ln 2."""
    p, q = _scaled(base), _scaled(other)
    middle = (p + q) / 2
    return ((_terms(p, middle) + _terms(q, middle)).sum(-1) / 2).clamp(min=0)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the sum of absolute differences over the last axis, in [0, 1]."""
    return (p - q).abs().sum(-1) / 2


def mean_difference(p: Tensor, q: Tensor) -> Tensor:
    """Mean of absolute differences over the last axis: of scores, which sum to nothing."""
    return (p - q).abs().mean(-1)


# How far outputs are apart, by the link of their models.
DISTANCES = {"softmax": total_variation, "sigmoid": mean_difference}


def _bounded_kl(one: Tensor, other: Tensor) -> Tensor:
    """`kl` with a floor under the other's weights, so that its gradient stays finite.

    Softmax weights pass the floor only where they underflow.
    """
    return _terms(_scaled(one), _scaled(other)).sum(-1)


# What a model can be trained on, of the attention of the run and of the adversary. The
# paper writes KL(adversary | run), and its code computes it (PyTorch's `kl_div` takes
# the logarithm of the second argument first); an open report on the repository has it
# that the other direction was meant.
DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kl_adversary_run": lambda run, adversary: _bounded_kl(adversary, run),
    "kl_run_adversary": _bounded_kl,
    "jsd": jsd,
}


def paper_weight(weight: float, n_classes: int, link: str = "softmax") -> float | None:
    """Lambda on the paper's scale, whose output is one sigmoid: of two classes alone.

    Half the change of one probability is the paper's distance of outputs, half the
    changes of both together is ours, which is twice as much. So the same balance takes
    twice their lambda.
    """
    return weight / 2 if n_classes == 2 and link == "softmax" else None


def train_adversary(
    base: DecisionModel,
    examples: Examples,
    dev: Examples,
    training: Mapping[str, Any],
    weight: float,
    divergence: str,
    seed: int,
    device: torch.device,
    vectors: Tensor | None = None,
    name: str = "adversary",
) -> tuple[DecisionModel, int]:
    """A model of the base's settings, trained on its outputs and against its attention.

    The loss of an instance is TVD(y, y_base) - weight * D(attention_base, attention), of
    scores with mean_k |y_k - y_base_k| for TVD.
    All parameters start anew, the embeddings from the pretrained ``vectors`` where there
    are some. Returns the model and its best epoch by dev loss.
    """
    measure, apart = DIVERGENCES[divergence], DISTANCES[base.link]
    targets = {
        id(split): attention_of(base, split, training["batch_size"], device)
        for split in (examples, dev)
    }
    model = new_model(base.settings, seed, device, vectors)

    def loss(split: Examples, rows: np.ndarray) -> Tensor:
        attention, outputs = targets[id(split)]
        wanted = pad_sequence([attention[i] for i in rows], batch_first=True)
        output = model(split.batch(rows, device))
        distance = apart(linked(output.logits, model.link), outputs[rows])
        return (distance - weight * measure(wanted, output.attention)).sum()

    return model, fit(model, loss, examples, dev, training, seed, name)


@torch.no_grad()
def write_adversary(
    table: TableWriter,
    base: DecisionModel,
    adversary: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    weight: float,
    divergence: str,
) -> None:
    """How far an adversary's outputs and attention are from the base's, a row a text."""
    for batch in batches:
        ours = adversary(batch)
        theirs = base(batch)
        outputs = (exact_outputs(model.logits, base.link) for model in (ours, theirs))
        attention = [model.attention.cpu().double() for model in (theirs, ours)]
        directions = {
            "kl_run_adversary": kl(*attention),
            "kl_adversary_run": kl(*reversed(attention)),
        }
        table.write(
            {
                **run,
                "weight": weight,
                "paper_weight": paper_weight(
                    weight, base.output.out_features, base.link
                ),
                "trained_on": divergence,
                "instance_id": batch.instance_ids,
                "correct": (ours.logits.argmax(-1) == batch.labels).tolist()
                if base.link == "softmax"
                else None,
                "tvd": DISTANCES[base.link](*outputs).tolist(),
                "jsd": jsd(*attention).tolist(),
                **{
                    name: [v if np.isfinite(v) else None for v in kls.tolist()]
                    for name, kls in directions.items()
                },
            }
        )
