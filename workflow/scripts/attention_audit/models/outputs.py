"""Class probabilities, and what a change does to them beyond rounding.

An importance compares outputs that may differ by less than they are accurate. Ranked, a
difference of 1e-8 counts as much as one of 0.1, so that what is not there has to be
told from what is small.

Shapes: R changes of one decision, m hidden states, H hidden size, K classes.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.models.decisions import Batch, DecisionModel

# How many units of rounding a difference counts from. Against the same models in double
# precision, differences of single-precision logits were off by at most 5.1 units, by 2
# in the median model: trained BiLSTMs and Transformers of 18 runs, 25 texts of up to 60
# tokens each, every token left out. At 400 tokens it was no more (1.6).
RESOLUTION = 16

# Inputs in one forward pass: enough to fill the processor, little enough for its cache.
# Four times as many take up to twice as long.
INPUTS_PER_PASS = 8_192


def class_probabilities(logits: Tensor) -> Tensor:
    """Softmax over the last axis in double precision, on the CPU.

    In single precision 1 - 4e-8 is 1: confident predictions would all be alike.
    """
    # Some GPUs know no double precision.
    return logits.cpu().double().softmax(-1)


def logit_size(output: nn.Linear, context: Tensor) -> float:
    """Sum of the sizes of a logit's terms for a context (H,), the largest over classes.

    Rounding goes by these and not by the logit, in which they may cancel.
    """
    return (output.weight.abs() @ context.abs() + output.bias.abs()).max().item()


def changed_probabilities(
    own: Tensor, changed: Tensor, size: float
) -> tuple[Tensor, Tensor]:
    """Class probabilities (1, K) of logits ``own`` and (R, K) of logits ``changed``.

    What a change does to a logit is rounded to multiples of its resolution, that is
    RESOLUTION units of rounding of ``size`` (see `logit_size`). So outputs that differ
    by less than they are accurate are equal to the last bit, and those that differ by
    more keep their order, however confident the prediction.
    """
    kind = torch.finfo(own.dtype)
    step = max(RESOLUTION * kind.eps * size, kind.tiny)
    own, changed = own.cpu().double(), changed.cpu().double()
    moved = ((changed - own) / step).round() * step
    # In one call, so that equal logits have equal probabilities.
    probabilities = torch.cat([own, own + moved]).softmax(-1)
    return probabilities[:1], probabilities[1:]


def read_anew(model: DecisionModel, batch: Batch) -> Tensor:
    """Logits (B, K) of a batch, in passes of at most INPUTS_PER_PASS.

    A decision without any input has an empty context.
    """
    logits = model.output.bias.detach().repeat(len(batch.lengths), 1)
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


def probabilities_anew(
    model: DecisionModel, one: Batch, changed: Batch
) -> tuple[Tensor, Tensor]:
    """`changed_probabilities` of one decision and of R others made of it."""
    own = model(one)
    (context,) = model.pooling.context(own.hidden, own.attention)
    return changed_probabilities(
        own.logits, read_anew(model, changed), logit_size(model.output, context)
    )


class Readout:
    """Pooling and output layer of a model, in double precision on the CPU.

    Hidden states have the precision of the device. What follows them is cheap enough to
    add no rounding of its own.
    """

    def __init__(self, model: DecisionModel):
        copies = deepcopy(model.pooling), deepcopy(model.output)
        self.pooling, self.output = (
            copy.cpu().double().requires_grad_(False) for copy in copies
        )

    def logits(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Logits (R, K) of hidden states (m, H) pooled with each of weights (R, m)."""
        context = self.pooling.normalizer.context(weights @ hidden)
        return self.output(context)

    def probabilities(
        self, hidden: Tensor, own: Tensor, changed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`changed_probabilities` of hidden states (m, H) by their weights.

        ``own`` (m,) are those of the model, ``changed`` (R, m) others. All double.
        """
        context = self.pooling.normalizer.context(own @ hidden)
        return changed_probabilities(
            self.logits(hidden, own.unsqueeze(0)),
            self.logits(hidden, changed),
            logit_size(self.output, context),
        )
