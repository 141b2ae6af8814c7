"""What an encoder that learns nothing makes of a data set: hidden states, stored once.

Training then reads these, whatever the scorer, the normalizer above them and the seed, and
not the texts once an epoch. What is learned, the attention and the output, is the same, up
to the rounding that batches bring.

Shapes: N examples of W inputs in all, B of a batch, n inputs, H hidden size.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from attention_audit.data.batches import in_order_of_length
from attention_audit.models.decisions import DecisionModel, Examples
from attention_audit.models.tensors import read_tensors
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import mismatch

logger = logging.getLogger(__name__)

# Fixed, and not that of training: stored states do not hang on how they are learned from.
BATCH_SIZE = 32


@dataclass(frozen=True)
class EncodedBatch:
    """Hidden states of B decisions, as a `Head` reads them."""

    labels: Tensor
    hidden: Tensor  # (B, n, H), 0 at padding
    mask: Tensor  # (B, n) bool


@dataclass(frozen=True)
class EncodedExamples:
    """One split as hidden states; see `models.decisions.Examples`."""

    instance_ids: Sequence[str]
    states: Tensor  # (W, H), those of a text in a row
    starts: np.ndarray  # (N,) the row of each text's first
    labels: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Sequence[int]) -> Self:
        """The examples of some rows, in that order."""
        return replace(
            self,
            instance_ids=[self.instance_ids[row] for row in rows],
            starts=self.starts[rows],
            labels=self.labels[rows],
            lengths=self.lengths[rows],
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> EncodedBatch:
        """Some rows, padded to the longest."""
        lengths = self.lengths[rows]
        of_rows = zip(self.starts[rows], lengths, strict=True)
        hidden = pad_sequence(
            [self.states[start : start + n] for start, n in of_rows], batch_first=True
        )
        mask = torch.arange(hidden.shape[1]) < torch.from_numpy(lengths).unsqueeze(1)
        labels = torch.as_tensor(self.labels[rows], device=device)
        return EncodedBatch(labels, hidden.to(device), mask.to(device))


class Head(DecisionModel):
    """What of a model comes behind its encoder, the same modules: it learns for the model."""

    def __init__(self, model: DecisionModel):
        nn.Module.__init__(self)
        if any(p.requires_grad for p in model.encoder.parameters()):
            raise AuditError(
                "hidden states of this encoder change as it learns. Set its trained to none, "
                "or its stored to false."
            )
        self.settings, self.link = model.settings, model.link
        self.pooling, self.output = model.pooling, model.output

    def logits(self, batch: EncodedBatch) -> Tensor:
        """Logits (B, K) of hidden states."""
        return self.decide(batch.hidden, self.weights(batch.hidden, batch.mask))


@torch.no_grad()
def encoded(
    model: DecisionModel, examples: Examples, device: torch.device, name: str = "encode"
) -> dict[str, Tensor]:
    """The hidden states of a split: ``states`` (W, H) float32 and ``lengths`` (N,) int64."""
    model.eval()
    lengths = np.asarray(examples.lengths, np.int64)
    starts = _starts(lengths)
    states = torch.empty(int(lengths.sum()), model.encoder.output_size)
    with tqdm(total=len(examples), desc=name, unit="text", disable=None) as bar:
        for rows in in_order_of_length(lengths, BATCH_SIZE):
            batch = examples.batch(rows, device)
            hidden, _ = model.encode(model.embed(batch), batch.mask)
            for row, found in zip(rows, hidden.cpu(), strict=True):
                states[starts[row] : starts[row] + lengths[row]] = found[: lengths[row]]
            bar.update(len(rows))
    if not states.isfinite().all():
        raise AuditError(
            f"{name}: hidden states are not finite. Name another encoder, or give its "
            "self_attention another normalizer."
        )
    logger.info("%s: %d words, %d numbers each", name, *states.shape)
    return {"states": states, "lengths": torch.from_numpy(lengths)}


def stored(examples: Examples, path: str | Path) -> EncodedExamples:
    """A split as the hidden states in a file of `encoded`, which stay on disk.

    Raises `AuditError` where the file is damaged, or is of other examples.
    """
    tensors, _ = read_tensors(path)
    lengths = np.asarray(examples.lengths, np.int64)
    if not np.array_equal(tensors["lengths"].numpy(), lengths):
        raise mismatch(path, "holds hidden states of other texts")
    return EncodedExamples(
        examples.instance_ids,
        tensors["states"],
        _starts(lengths),
        examples.labels,
        lengths,
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths
