"""Translators: an encoder, a decoder that asks, and attention between them.

Shapes: P sentence pairs, n source words, m = n hidden states of size H, T + 1 steps, B
decisions, E embedding size, Q size of a query, V words of the target's vocabulary.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.data.pair_batches import PairBatch
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel, Output
from attention_audit.models.decoders import Asked, build_decoder
from attention_audit.models.encoders import build_encoder
from attention_audit.models.heads import Heads
from attention_audit.records.errors import AuditError


@dataclass(frozen=True)
class TranslatorSettings:
    """Everything that is needed to rebuild a model, apart from its weights."""

    modality: ClassVar[str] = "translation"

    source_vocabulary: int
    n_classes: int  # words of the target's vocabulary
    embedding_size: int
    encoder: dict[str, Any]
    decoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    # Whether the output layer has the embeddings of the target's words (Press & Wolf 2017).
    tied: bool = False
    single_logit: bool = False

    def new_model(self) -> "Translator":
        """A model of these settings, as torch's generator makes its parameters."""
        return Translator(self)


class Reading(NamedTuple):
    """What a model makes of P sentence pairs on the way to all of their next words.

    The last cross-attention is ``attention``; lists are by layer, without it.
    """

    hidden: Tensor  # (P, m, H)
    mask: Tensor  # (P, m)
    query: Tensor  # (P, T + 1, Q)
    attention: Tensor  # (P, T + 1, m)
    encoder_heads: list[Tensor]  # (P, nh, m, m) each
    decoder_heads: list[Tensor]  # (P, nh, T + 1, T + 1) each
    cross_heads: list[Tensor]  # (P, nh, T + 1, m) each


class Written(NamedTuple):
    """Translations that are being written: the source of each, and its words so far."""

    hidden: Tensor  # (P, m, H)
    mask: Tensor  # (P, m)
    past: tuple[Tensor, ...]  # of the decoder


class Translator(DecisionModel):
    """Sentence pairs: the next target word, from the source by what stands before it.

    The verbs take decisions one by one, and so each source as often as it is asked. A pass
    over a batch encodes each once.
    """

    importance_of = "label"

    def __init__(self, settings: TranslatorSettings):
        super().__init__()
        self.settings = settings
        E, V = settings.embedding_size, settings.n_classes
        self.embedding = nn.Embedding(settings.source_vocabulary, E, padding_idx=0)
        self.target_embedding = nn.Embedding(V, E, padding_idx=0)
        self.encoder = build_encoder(settings.encoder, E)
        size = self.encoder.output_size
        self.decoder = build_decoder(settings.decoder, E, size)
        self.pooling = AttentionPooling(
            size,
            settings.scorer,
            settings.normalizer,
            self.decoder.query_size,
            **self.decoder.parts(),
        )
        self.output = nn.Linear(self.decoder.output_size, V)
        # As large as if they were not shared: of length one as outputs, E as embeddings.
        self.scale = E**0.5 if settings.tied else 1.0
        if settings.tied:
            self._tie()

    def _tie(self) -> None:
        size = self.decoder.output_size
        if size != self.settings.embedding_size:
            raise AuditError(
                f"decoder.tied: the output layer reads {size} numbers and an embedding has "
                f"{self.settings.embedding_size}. Set embedding_size to {size}, or tied to "
                "false."
            )
        nn.init.normal_(self.target_embedding.weight, std=1 / self.scale)
        with torch.no_grad():
            self.target_embedding.weight[0] = 0.0
        self.output.weight = self.target_embedding.weight

    def embed(self, batch: PairBatch) -> Tensor:
        """The embeddings of the source words of each decision, (B, n, E)."""
        return self.embedding(batch.source_ids[batch.pair])

    def _ask(
        self, hidden: Tensor, mask: Tensor, ids: Tensor, target_mask: Tensor
    ) -> Asked:
        embedded = self.target_embedding(ids) * self.scale
        return self.decoder(embedded, target_mask, hidden, mask)

    def query(self, hidden: Tensor, mask: Tensor, batch: PairBatch) -> Tensor:
        """What asks for the next word of each decision, (B, Q).

        ``hidden`` and ``mask`` are of decisions, or of the pairs of the batch.
        """
        ids, target_mask = batch.target_ids, batch.target_mask
        rows = batch.pair
        if len(hidden) != len(ids):
            ids, target_mask = ids[rows], target_mask[rows]
            rows = torch.arange(len(ids))
        return self._ask(hidden, mask, ids, target_mask).query[rows, batch.step]

    def finish(self, context: Tensor, query: Tensor | None) -> Tensor:
        """What the output layer reads of a context (..., H) that a query asked for."""
        return self.decoder.finish(context, query)

    def decide_without(self, batch: PairBatch) -> Tensor:
        """Logits (B, V) where no source word is left."""
        nothing = self.output.weight.new_zeros(
            len(batch.target_ids), 1, self.encoder.output_size
        )
        mask = torch.zeros_like(nothing[..., 0], dtype=torch.bool)
        query, rows = self.query(nothing, mask, batch), batch.pair
        return self.decide(nothing[rows], nothing[rows, :, 0], query)

    def read_pairs(self, batch: PairBatch) -> Reading:
        """Hidden states, queries and attention of the pairs of a batch, all steps at once."""
        x, mask = self.embedding(batch.source_ids), batch.source_mask
        heads: list[Tensor] = []
        if hasattr(self.encoder, "with_attention"):
            hidden, heads = self.encoder.with_attention(x, mask)
        else:
            hidden = self.encoder(x, mask)
        asked = self._ask(hidden, mask, batch.target_ids, batch.target_mask)
        attention = self.pooling.weights(hidden, mask, asked.query)
        own, cross = asked.self_attention, asked.cross_attention
        return Reading(hidden, mask, asked.query, attention, heads, own, cross)

    def heads(self, batch: PairBatch) -> list[Heads]:
        """The heads of all layers, of each pair of a batch of whole pairs once.

        The last layer of cross-attention has one head, which is the attention of audits.
        """
        reading = self.read_pairs(batch)
        source, target = reading.mask.unsqueeze(1), batch.target_mask.unsqueeze(2)
        own = target & target.mT  # (P, T + 1, T + 1)
        kinds = {
            "encoder": (reading.encoder_heads, source & source.mT),
            "decoder": (reading.decoder_heads, own & torch.ones_like(own[0]).tril()),
            "cross": (
                [*reading.cross_heads, reading.attention.unsqueeze(1)],
                source & target,
            ),
        }
        first = np.flatnonzero(batch.step == 0)
        ids, lengths = [batch.instance_ids[row] for row in first], batch.lengths[first]
        return [
            Heads(kind, layer, ids, lengths, weights, allowed)
            for kind, (layers, allowed) in kinds.items()
            for layer, weights in enumerate(layers)
        ]

    def logits_of(self, reading: Reading, batch: PairBatch) -> Tensor:
        """Logits (B, V) of the decisions of a batch."""
        context = self.pooling.context(reading.hidden, reading.attention)
        where = batch.pair, batch.step
        return self.output(self.finish(context[where], reading.query[where]))

    def logits(self, batch: PairBatch) -> Tensor:
        """Those of a whole pass, without what only audits ask for."""
        return self.logits_of(self.read_pairs(batch), batch)

    def start(self, hidden: Tensor, mask: Tensor) -> Written:
        """Before the first word; with the next two what `decoding.search` asks for."""
        return Written(hidden, mask, self.decoder.before(hidden, mask))

    def step(self, tokens: Tensor, state: Written) -> tuple[Tensor, Written]:
        """Logits (P, V) of what follows ``tokens`` (P,), in evaluation mode."""
        hidden, mask, past = state
        embedded = self.target_embedding(tokens) * self.scale
        query, past = self.decoder.step(embedded, past, hidden, mask)
        weights = self.weights(hidden, mask, query)
        return self.decide(hidden, weights, query), Written(hidden, mask, past)

    def select(self, state: Written, rows: Tensor) -> Written:
        """The translations of some rows."""
        hidden, mask, past = state
        return Written(hidden[rows], mask[rows], tuple(part[rows] for part in past))

    def forward(self, batch: PairBatch) -> Output:
        reading = self.read_pairs(batch)
        rows = batch.pair
        where = rows, batch.step
        return Output(
            self.logits_of(reading, batch),
            reading.attention[where],
            reading.hidden[rows],
            reading.mask[rows],
            reading.query[where],
        )
