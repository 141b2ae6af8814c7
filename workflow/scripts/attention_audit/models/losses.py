"""What models learn by: cross-entropy of classes, and losses of scores in [0, 1].

Shapes: B decisions, K outputs. A loss of scores takes their logits (B, K), whose sigmoid
they are, and what they are to be, (B, K) in [0, 1]; it is a mean over both.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from attention_audit.models.decisions import DecisionModel


def l1(logits: Tensor, targets: Tensor) -> Tensor:
    """|y - t|."""
    return functional.l1_loss(logits.sigmoid(), targets)


def kl(logits: Tensor, targets: Tensor) -> Tensor:
    """t ln(t / y) + (1 - t) ln((1 - t) / (1 - y)) in nats, a score as one of two classes.

    0 where y = t. Scores of a decision sum to nothing, and are no distribution together.
    """
    crossed = functional.binary_cross_entropy_with_logits(logits, targets)
    own = torch.special.entr(targets) + torch.special.entr(1 - targets)
    return crossed - own.mean()


def concordance_correlation(outputs: Tensor, targets: Tensor) -> Tensor:
    """2 s_yt / (s_y^2 + s_t^2 + (mean y - mean t)^2), (B, K) -> (K,), by Lin 1989.

    With variances over B, not B - 1. 0 where neither varies.
    """
    apart = outputs.mean(0) - targets.mean(0)
    y, t = outputs - outputs.mean(0), targets - targets.mean(0)
    spread = y.square().mean(0) + t.square().mean(0) + apart.square()
    # Without any spread the numerator is 0, and so is its slope.
    return 2 * (y * t).mean(0) / spread.clamp(min=torch.finfo(spread.dtype).tiny)


def concordance(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - `concordance_correlation` over the decisions: what it is of one says nothing."""
    return 1 - concordance_correlation(logits.sigmoid(), targets).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "kl": kl,
    "concordance": concordance,
}


def loss_of(
    model: DecisionModel,
    logits: Tensor,
    labels: Tensor,
    smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """The loss of a batch: of classes cross-entropy, else what ``model.losses`` weighs.

    ``smoothing`` is of the labels of classes; ``reduction = "sum"`` is B times the mean.
    """
    if model.link == "softmax":
        return functional.cross_entropy(
            logits, labels, reduction=reduction, label_smoothing=smoothing
        )
    mean = sum(
        model.losses[name] * loss(logits, labels)
        # in this order, for a model that is read from its files has another
        for name, loss in LOSSES.items()
        if model.losses.get(name)
    )
    return mean if reduction == "mean" else mean * len(logits)
