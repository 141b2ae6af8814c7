"""Outputs of logits, and what a change does to them beyond rounding.

An importance compares outputs that may differ by less than they are accurate. Ranked, a
difference of 1e-8 counts as much as one of 0.1, so that what is not there has to be
told from what is small.

A model's link says what outputs are: class probabilities, which sum to one, or scores in
[0, 1], each by itself.

Shapes: R changes of one decision, m hidden states, H hidden size, Q size of a query, K
outputs.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.errors import AuditError

# How many units of rounding a difference counts from. Against the same models in double
# precision, differences of single-precision logits were off by at most 5.1 units, by 2
# in the median model: trained BiLSTMs and Transformers of 18 runs, 25 texts of up to 60
# tokens each, every token left out. At 400 tokens it was no more (1.6).
RESOLUTION = 16

# Inputs in one forward pass: enough to fill the processor, little enough for its cache.
# Four times as many take up to twice as long.
INPUTS_PER_PASS = 8_192


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _sigmoid(logits: Tensor) -> Tensor:
    """Of each logit alone, as one of two classes.

    `torch.sigmoid` computes the last few numbers of a row in another way than the others:
    equal logits would have unequal outputs.
    """
    return torch.stack([logits, torch.zeros_like(logits)], -1).softmax(-1)[..., 0]


# What makes outputs of logits, by the link that a model names.
LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
}


def linked(logits: Tensor, link: str) -> Tensor:
    """Outputs (..., K) of logits (..., K), in their precision."""
    return LINKS[link](logits)


def exact_outputs(logits: Tensor, link: str = "softmax") -> Tensor:
    """Outputs (..., K) in double precision, on the CPU.

    In single precision 1 - 4e-8 is 1: confident predictions would all be alike.
    """
    # Some GPUs know no double precision.
    return linked(logits.cpu().double(), link)


def steep_outputs(logits: Tensor, link: str) -> Tensor:
    """What outputs have slopes by, where these would vanish in rounding; as `exact_outputs`.

    Of classes all but the most probable, whose slope is that of the others and less: (..., K
    - 1), in ascending order. Of scores y_k or, where that is smaller, 1 - y_k, whose slope has
    the same size: (..., K).
    """
    if link == "softmax":
        return exact_outputs(logits).sort(-1).values[..., :-1]
    return exact_outputs(torch.where(logits > 0, -logits, logits), link)


def asked_output(model: DecisionModel, output: str | None) -> str:
    """Which outputs an importance is of; None is what the model's modality has.

    Raises `AuditError` where it is one class and outputs are none.
    """
    output = output or model.importance_of
    if output != "all" and model.link != "softmax":
        raise AuditError(
            f"output '{output}' of a method is one class, and the outputs of this model are "
            "scores. Set it to 'all', or leave it out."
        )
    return output


class LogitSize:
    """Sum of the sizes of a logit's terms for features (F,), the largest over classes.

    Rounding goes by these and not by the logit, in which they may cancel.
    """

    def __init__(self, output: nn.Linear):
        self.weight, self.bias = output.weight.abs(), output.bias.abs()

    def __call__(self, features: Tensor) -> float:
        return (self.weight @ features.abs() + self.bias).max().item()


def changed_logits(own: Tensor, changed: Tensor, size: float) -> Tensor:
    """Logits (1 + R, K) in double precision, of ``own`` (1, K) and ``changed`` (R, K).

    What a change does to a logit is rounded to multiples of its resolution, that is
    RESOLUTION units of rounding of ``size`` (see `LogitSize`). So outputs that differ
    by less than they are accurate are equal to the last bit, and those that differ by
    more keep their order, however confident the prediction.
    """
    kind = torch.finfo(own.dtype)
    step = max(RESOLUTION * kind.eps * size, kind.tiny)
    own = own.cpu().double()
    logits = torch.cat([own, changed.cpu().double()])
    # In place: of a vocabulary they are many.
    logits[1:].sub_(own).div_(step).round_().mul_(step).add_(own)
    return logits


def changed_outputs(
    own: Tensor, changed: Tensor, size: float, link: str = "softmax"
) -> tuple[Tensor, Tensor]:
    """Outputs (1, K) and (R, K) of `changed_logits`."""
    # In one call, so that equal logits have equal outputs.
    outputs = linked(changed_logits(own, changed, size), link)
    return outputs[:1], outputs[1:]


def read_anew(model: DecisionModel, batch: Batch) -> Tensor:
    """Logits (B, K) of a batch, in passes of at most INPUTS_PER_PASS.

    A decision without any input has an empty context.
    """
    empty = np.flatnonzero(batch.lengths == 0)
    logits = model.output.weight.new_empty(
        len(batch.lengths), model.output.out_features
    )
    if len(empty):
        logits[empty] = model.decide_without(batch.take(empty))
    # Longest first, so that a pass has little padding.
    order = np.argsort(-batch.lengths, kind="stable")
    order = order[: np.count_nonzero(batch.lengths)]
    start = 0
    while start < len(order):
        longest = int(batch.lengths[order[start]])
        rows = order[start : start + max(1, INPUTS_PER_PASS // longest)]
        logits[rows] = model(batch.take(rows)).logits
        start += len(rows)
    return logits


def outputs_of_read(
    model: DecisionModel, batch: Batch, read: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """`changed_outputs` of each of the G decisions of a batch.

    ``read`` (R G, K) are the logits of what became of all of them, R times.
    """
    own = model(batch)
    context = model.pooling.context(own.hidden, own.attention)
    features = model.finish(context, own.query)
    read = read.unflatten(0, (-1, len(features)))  # (R, G, K)
    size = LogitSize(model.output)
    for g, own_features in enumerate(features):
        logits = own.logits[g : g + 1]
        yield changed_outputs(logits, read[:, g], size(own_features), model.link)


def outputs_anew(
    model: DecisionModel, batch: Batch, changed: Batch
) -> Iterator[tuple[Tensor, Tensor]]:
    """`changed_outputs` of each decision of a batch and of R others made of it.

    ``changed`` holds what became of all decisions, R times; see `Batch.without`.
    """
    return outputs_of_read(model, batch, read_anew(model, changed))


class Readout:
    """What a model makes of hidden states and weights, in double precision on the CPU.

    Hidden states have the precision of the device. What follows them is cheap enough to
    add no rounding of its own.
    """

    def __init__(self, model: DecisionModel):
        self.model = deepcopy(model).cpu().double().requires_grad_(False)
        self.pooling, self.output = self.model.pooling, self.model.output

    @cached_property
    def size(self) -> LogitSize:
        """Of the logits' terms; once for all decisions, for a vocabulary has many."""
        return LogitSize(self.output)

    def distance(self, changes: Tensor) -> Tensor:
        """How much outputs change, (R, K) -> (R,).

        The mean over outputs of the size of their changes (Jain & Wallace 2019); of a
        vocabulary, where that is next to nothing, half their sum, the total variation. Of
        two classes both are the same.
        """
        sizes = changes.abs()
        if self.model.importance_of == "all":
            return sizes.mean(-1)
        return sizes.sum(-1) / 2

    def logits_of(self, context: Tensor, query: Tensor | None = None) -> Tensor:
        """Logits (R, K) of contexts (R, H), all asked for by one query (Q,)."""
        if query is not None:
            query = query.expand(*context.shape[:-1], -1)
        return self.output(self.model.finish(context, query))

    def logits(
        self, hidden: Tensor, weights: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """Logits (R, K) of hidden states (m, H) pooled with each of weights (R, m)."""
        pooled = weights @ self.pooling.values(hidden)
        return self.logits_of(self.pooling.normalizer.context(pooled), query)

    def outputs(
        self, hidden: Tensor, weights: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """Outputs (R, K) of these logits."""
        return linked(self.logits(hidden, weights, query), self.model.link)

    def changed_outputs(
        self, hidden: Tensor, own: Tensor, changed: Tensor, query: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """`changed_outputs` of hidden states (m, H) by their weights.

        ``own`` (m,) are those of the model, ``changed`` (R, m) others, and ``query`` (Q,)
        what asks, where something does. All double.
        """
        logits = self.changed_logits(hidden, own, changed, query)
        outputs = linked(logits, self.model.link)
        return outputs[:1], outputs[1:]

    def changed_logits(
        self, hidden: Tensor, own: Tensor, changed: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """The logits (1 + R, K) of these outputs, whose order is the same."""
        pooled = own @ self.pooling.values(hidden)
        features = self.model.finish(self.pooling.normalizer.context(pooled), query)
        return changed_logits(
            self.logits(hidden, own.unsqueeze(0), query),
            self.logits(hidden, changed, query),
            self.size(features),
        )
