"""What a model makes of its inputs, kept: hidden states of an encoder that learns nothing.

Training then reads these, and not the texts once an epoch. What is learned, the attention
and the output, is the same, up to the rounding that batches bring.

Shapes: N examples, B of a batch, n inputs, H hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from attention_audit.data.batches import in_order_of_length
from attention_audit.models.decisions import DecisionModel, Examples

# Numbers of hidden states that are kept at most, a gigabyte of them: of more, the texts are
# read again every epoch.
NUMBERS_KEPT = 2**28


@dataclass(frozen=True)
class EncodedBatch:
    """Hidden states of B decisions, as a `Head` reads them."""

    labels: Tensor
    hidden: Tensor  # (B, n, H), 0 at padding
    mask: Tensor  # (B, n) bool


@dataclass(frozen=True)
class EncodedExamples:
    """One split as hidden states: N float32 arrays (n, H). See `models.decisions.Examples`."""

    instance_ids: Sequence[str]
    states: list[Tensor]
    labels: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.states)

    def take(self, rows: Sequence[int]) -> Self:
        """The examples of some rows, in that order."""
        return EncodedExamples(
            [self.instance_ids[row] for row in rows],
            [self.states[row] for row in rows],
            self.labels[rows],
            self.lengths[rows],
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> EncodedBatch:
        """Some rows, padded to the longest."""
        hidden = pad_sequence([self.states[row] for row in rows], batch_first=True)
        lengths = torch.from_numpy(self.lengths[rows])
        mask = torch.arange(hidden.shape[1]) < lengths.unsqueeze(1)
        labels = torch.as_tensor(self.labels[rows], device=device)
        return EncodedBatch(labels, hidden.to(device), mask.to(device))


class Head(DecisionModel):
    """What of a model comes behind its encoder, the same modules: it learns for the model."""

    def __init__(self, model: DecisionModel):
        nn.Module.__init__(self)
        self.settings, self.link = model.settings, model.link
        self.pooling, self.output = model.pooling, model.output

    def logits(self, batch: EncodedBatch) -> Tensor:
        """Logits (B, K) of hidden states."""
        return self.decide(batch.hidden, self.weights(batch.hidden, batch.mask))


def can_be_kept(model: DecisionModel, *splits: Examples) -> bool:
    """Whether hidden states of splits stay as they are in training, and are not too many."""
    if any(p.requires_grad for p in model.encoder.parameters()):
        return False
    inputs = sum(int(examples.lengths.sum()) for examples in splits)
    return inputs * model.encoder.output_size <= NUMBERS_KEPT


@torch.no_grad()
def encoded(
    model: DecisionModel, examples: Examples, batch_size: int, device: torch.device
) -> EncodedExamples:
    """The hidden states of a split, in its order."""
    model.eval()
    states: list[Tensor] = [torch.empty(0)] * len(examples)
    for rows in in_order_of_length(examples.lengths, batch_size):
        batch = examples.batch(rows, device)
        hidden, _ = model.encode(model.embed(batch), batch.mask)
        for row, found in zip(rows, hidden.cpu(), strict=True):
            states[row] = found[: examples.lengths[row]].clone()
    return EncodedExamples(
        examples.instance_ids, states, examples.labels, examples.lengths
    )
