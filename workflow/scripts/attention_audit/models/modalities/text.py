"""Texts: what their models are, from settings.

Shapes: B texts, n words, V words of the vocabulary, E embedding size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.data.batches import read_vocabulary
from attention_audit.data.text_batches import TextBatch
from attention_audit.models.decisions import DecisionModel
from attention_audit.models.encoder_kinds import ENCODERS, class_of_kind


@dataclass(frozen=True)
class ModelSettings:
    """Everything that is needed to rebuild a model, apart from its weights."""

    modality: ClassVar[str] = "text"

    vocabulary_size: int
    n_classes: int
    # None where the encoder embeds words itself
    embedding_size: int | None
    freeze_vectors: bool
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    single_logit: bool = False

    @classmethod
    def from_config(
        cls,
        encoder: Mapping[str, Any],
        scorer: Mapping[str, Any],
        normalizer: Mapping[str, Any],
        vocabulary_size: int,
        n_classes: int,
        vectors: Tensor | None = None,
    ) -> "ModelSettings":
        """Settings from declared instances; pretrained vectors decide their own size."""
        encoder = dict(encoder)
        embedding_size = encoder.pop("embedding_size", None)
        freeze_vectors = encoder.pop("freeze_vectors", False)
        single_logit = encoder.pop("single_logit", False)
        if encoder.get("self_attention") == "run":
            encoder["self_attention"] = dict(normalizer)
        return cls(
            vocabulary_size=vocabulary_size,
            n_classes=n_classes,
            embedding_size=embedding_size if vectors is None else vectors.shape[1],
            freeze_vectors=freeze_vectors,
            encoder=encoder,
            scorer=dict(scorer),
            normalizer=dict(normalizer),
            single_logit=single_logit,
        )

    def new_model(self) -> DecisionModel:
        """A model of these settings, as torch's generator makes its parameters.

        An encoder that is a model of its own says which.
        """
        encoder = class_of_kind("encoder", ENCODERS, self.encoder["kind"])
        return getattr(encoder, "model", Classifier)(self)


class Classifier(DecisionModel):
    """Texts: embedding, encoder, attention pooling, linear output.

    An encoder that is pretrained has embeddings of its own, of the pieces of words.
    """

    def __init__(self, settings: ModelSettings):
        super().__init__()
        if settings.embedding_size is not None:
            self.embedding = nn.Embedding(
                settings.vocabulary_size, settings.embedding_size, padding_idx=0
            )
            self.embedding.weight.requires_grad_(not settings.freeze_vectors)
        self.build(settings, settings.embedding_size)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor) -> None:
        """Start from pretrained vectors (V, E); rows of NaN have none.

        Words without a vector are drawn from a normal distribution of the spread of
        those that have one, so that neither kind stands out by its length alone. A
        pretrained encoder takes the pieces of words, (V, P), instead.
        """
        if self.settings.embedding_size is None:
            self.encoder.set_pieces(vectors)
            return
        known = ~vectors.isnan().any(-1)
        drawn = torch.randn_like(vectors) * vectors[known].std()
        drawn[self.embedding.padding_idx] = 0.0
        self.embedding.weight.copy_(torch.where(known.unsqueeze(-1), vectors, drawn))

    def embed(self, batch: TextBatch) -> Tensor:
        """The embeddings of the words, (B, n, E)."""
        if self.settings.embedding_size is None:
            return self.encoder.embed(batch.token_ids)
        return self.embedding(batch.token_ids)


SETTINGS = ModelSettings


def vectors_of(reading: str | Path) -> Tensor | None:
    """The pretrained vectors (V, E) of a vocabulary; a row of NaN where a word has none."""
    return _tensor(read_vocabulary(reading)[1])


def _tensor(vectors: np.ndarray | None) -> Tensor | None:
    return None if vectors is None else torch.from_numpy(vectors)


def declare(
    encoder: Mapping[str, Any],
    scorer: Mapping[str, Any],
    normalizer: Mapping[str, Any],
    reading: str | Path,
    n_classes: int,
    pretrained: str | Path | None = None,
) -> tuple[ModelSettings, Tensor | None]:
    """The settings of a run's model, and the pretrained vectors (V, E) it starts from.

    ``reading`` is the vocabulary of its data set, and ``pretrained`` the folder of its
    pretrained encoder, where it has one: then it starts from the pieces of words, (V, P).
    """
    tokens, known = read_vocabulary(reading)
    if pretrained is not None:
        made = class_of_kind("encoder", ENCODERS, encoder["kind"])
        encoder, pieces = made.declared(encoder, pretrained, tokens)
        settings = ModelSettings.from_config(
            encoder, scorer, normalizer, len(tokens), n_classes
        )
        return settings, pieces
    vectors = _tensor(known)
    settings = ModelSettings.from_config(
        encoder, scorer, normalizer, len(tokens), n_classes, vectors
    )
    return settings, vectors
