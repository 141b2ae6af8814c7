"""Decisions: all that the audits know of a model and of what it reads.

A **decision** is what a model outputs once, such as the class of a text. It has **inputs**,
such as words, of which the model makes **hidden states**, and over these it has one
**attention**. A modality is a `Batch` and a `DecisionModel`; whatever is in neither is
shared: training, attribution, interventions, statistics.

Shapes: B decisions, n inputs, m hidden states, E embedding size, H hidden size, Q size of
a query, K outputs.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.models.attention import AttentionPooling
from attention_audit.models.encoders import build_encoder
from attention_audit.records.errors import AuditError


class Batch(Protocol):
    """B decisions, their inputs padded to the longest."""

    instance_ids: Sequence[str]
    # What decisions share that are not independent; None where nobody said.
    cluster_ids: Sequence[str] | None
    # (B,) int64, of scores (B, K) float32; None where nobody gave them
    labels: Tensor | None
    lengths: np.ndarray  # (B,) inputs of each
    mask: Tensor  # (B, n) bool, True at inputs and False at padding
    # How an input is usually removed: "delete" where what is left closes ranks.
    removal: ClassVar[str]
    # Which inputs a person marked, (length,) bool each; None where nobody did.
    gold: Sequence[np.ndarray | None] | None
    # How much somebody would guess each input to matter without a look at the decision,
    # (n,), the same for all; None where nobody would.
    guess: np.ndarray | None
    # The row and column where each input lies, (n, 2), the same for all; None where inputs
    # lie on no grid.
    places: np.ndarray | None
    # When each input is, in seconds from its decision, (B, n), 0 at padding; None where
    # inputs have no times.
    times: Tensor | None
    # Which decisions have all their inputs in common, (B,) numbers from 0, each group in a
    # row; None where each has its own.
    groups: np.ndarray | None

    def take(self, rows: np.ndarray) -> Self:
        """The decisions of some rows, padded to the longest of them."""

    def without(self, removed: Tensor, removal: str = ...) -> Self:
        """What is left of the one decision of a batch, R times.

        Row r lacks the inputs where ``removed`` (R, n) is True. How an input is removed,
        and by default, is up to the modality: a word is deleted, a patch blanked. A row
        may have fewer inputs than the decision has, or none. Of G decisions that have
        their inputs in common, all are left, row by row: R times G.
        """


class Examples(Protocol):
    """One split of a data set: N decisions to train on."""

    instance_ids: Sequence[str]
    labels: np.ndarray  # (N,) int64, of scores (N, K) float32
    lengths: np.ndarray  # (N,) inputs of each

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int]) -> Self:
        """The examples of some rows, in that order."""

    def batch(self, rows: np.ndarray, device: torch.device) -> Batch:
        """Some rows, as a model reads them."""


class Output(NamedTuple):
    """What a model makes of a batch."""

    logits: Tensor  # (B, K)
    attention: Tensor  # (B, m), exactly 0 at padding
    hidden: Tensor  # (B, m, H)
    mask: Tensor  # (B, m) bool, of the hidden states
    query: Tensor | None = None  # (B, Q); None where no query asks

    def decision(self, row: int, states: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden states (m, H), weights (m,) and query (Q,) of one, as `Readout` takes them.

        In double precision on the CPU; ``states`` is m, its number of hidden states.
        """
        query = None if self.query is None else self.query[row].cpu().double()
        return (
            self.hidden[row, :states].cpu().double(),
            self.attention[row, :states].cpu().double(),
            query,
        )


class ModelSettings(Protocol):
    """All that a model is rebuilt from, apart from its weights: a dataclass.

    Every modality has its own, which adds what its inputs are.
    """

    modality: ClassVar[str]
    n_classes: int  # outputs, K
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    single_logit: bool

    def new_model(self) -> "DecisionModel":
        """A model of these settings, as torch's generator makes its parameters."""


class DecisionModel(nn.Module):
    """What every model offers: five verbs, and a pass that uses them in turn.

    A modality adds ``embed``, and `build` the rest: an encoder, the pooling of its hidden
    states by attention, and a linear output. A decoder adds ``query`` and ``finish``.
    """

    # Which outputs an importance is of unless told: "all" of few classes, or of a
    # vocabulary the "label".
    importance_of: ClassVar[str] = "all"

    # What makes outputs of logits: "softmax" makes class probabilities, of which the
    # largest is the prediction; "sigmoid" makes scores in [0, 1], each by itself.
    link: ClassVar[str] = "softmax"

    # What scores are learned by: the weights of some of `losses.LOSSES` in their sum.
    losses: dict[str, float]

    settings: ModelSettings
    encoder: nn.Module
    pooling: AttentionPooling
    output: nn.Linear

    def build(self, settings: ModelSettings, input_size: int | None) -> None:
        """Make the parts that no modality has of its own, for embeddings of a size E.

        None where the encoder embeds inputs itself.
        """
        self.settings = settings
        self.encoder = build_encoder(settings.encoder, input_size)
        size = self.encoder.output_size
        self.pooling = AttentionPooling(size, settings.scorer, settings.normalizer)
        self.output = nn.Linear(size, settings.n_classes)
        if settings.single_logit:
            self._fix_first_logit()

    def _fix_first_logit(self) -> None:
        """The first of two logits stays 0: the other is that of one sigmoid."""
        if self.settings.n_classes != 2:
            raise AuditError(
                f"single_logit is for two classes, and this data set has "
                f"{self.settings.n_classes}. Take it from the encoder, or exclude the cell."
            )
        for parameter in self.output.parameters():
            with torch.no_grad():
                parameter[0] = 0.0
            # Without a gradient no step moves it, nor does decay move a zero.
            parameter.register_hook(_without_first)

    def embed(self, batch: Batch) -> Tensor:
        """The embeddings of the inputs, (B, n, E)."""
        raise NotImplementedError

    @property
    def cell(self) -> Tensor | None:
        """The hidden state in whose cell each input lies, (n,) int64; no cell is empty.

        None where state i stands at input i, and so m = n.
        """
        return getattr(self.encoder, "cell", None)

    def states(self, lengths: np.ndarray) -> np.ndarray:
        """How many hidden states decisions with ``lengths`` (B,) inputs have, (B,)."""
        if self.cell is None:
            return lengths
        return np.full_like(lengths, int(self.cell.max()) + 1)

    def encode(self, embeddings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, E), (B, n) -> hidden states (B, m, H) and their mask (B, m)."""
        hidden = self.encoder(embeddings, mask)
        if self.cell is not None:
            mask = mask.new_ones(hidden.shape[:2])
        return hidden, mask

    def query(self, hidden: Tensor, mask: Tensor, batch: Batch) -> Tensor | None:
        """Of hidden states (B, m, H), (B, m), what asks for attention to them: (B, Q).

        Of decisions that have their inputs in common, ``hidden`` and ``mask`` may be those
        of their groups instead, (G, m, H) and (G, m). None where nothing asks.
        """
        return None

    def weights(
        self, hidden: Tensor, mask: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """(B, m, H), (B, m), (B, Q) -> attention (B, m), exactly 0 where masked."""
        return self.pooling.weights(hidden, mask, query)

    def finish(self, context: Tensor, query: Tensor | None) -> Tensor:
        """What the output layer reads of a context (B, H) that a query (B, Q) asked for."""
        return context

    def decide(
        self, hidden: Tensor, weights: Tensor, query: Tensor | None = None
    ) -> Tensor:
        """Logits (B, K) of hidden states (B, m, H) pooled with given weights (B, m)."""
        return self.output(self.finish(self.pooling.context(hidden, weights), query))

    def decide_without(self, batch: Batch) -> Tensor:
        """Logits (B, K) of decisions that have no inputs: of an empty context."""
        return self.output.bias.detach().repeat(len(batch.lengths), 1)

    def logits(self, batch: Batch) -> Tensor:
        """Logits (B, K), as training asks for them."""
        return self(batch).logits

    def forward(self, batch: Batch) -> Output:
        hidden, mask = self.encode(self.embed(batch), batch.mask)
        query = self.query(hidden, mask, batch)
        weights = self.weights(hidden, mask, query)
        logits = self.decide(hidden, weights, query)
        return Output(logits, weights, hidden, mask, query)


def _without_first(gradient: Tensor) -> Tensor:
    rest = gradient.clone()
    rest[0] = 0.0
    return rest


def cell_array(model: DecisionModel) -> np.ndarray | None:
    """`DecisionModel.cell` as an array, for what reads tables."""
    return None if model.cell is None else model.cell.cpu().numpy()


def grouped(batch: Batch) -> list[np.ndarray]:
    """The rows of each group of decisions that have their inputs in common."""
    if batch.groups is None:
        return list(np.arange(len(batch.lengths)).reshape(-1, 1))
    starts = np.flatnonzero(np.diff(batch.groups, prepend=-1))
    return np.split(np.arange(len(batch.groups)), starts[1:])


def ragged(values: Tensor, lengths: np.ndarray) -> list[np.ndarray]:
    """Rows of (B, n) without their padding."""
    return [row[:n] for row, n in zip(values.cpu().numpy(), lengths, strict=True)]
