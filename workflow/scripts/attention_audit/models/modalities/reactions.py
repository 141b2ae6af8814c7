"""Recordings: what their models are, from settings.

Shapes: B decisions, n moments, S streams of d values each, E values of a moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from attention_audit.data.recording_batches import Reading, RecordingBatch
from attention_audit.models.decisions import DecisionModel


@dataclass(frozen=True)
class ReactionModelSettings:
    """Everything that is needed to rebuild a model, apart from its weights."""

    modality: ClassVar[str] = "reactions"

    streams: dict[str, int]  # values of a moment, d, by stream
    horizon: float  # how far from the decision its farthest moment lies, in seconds
    n_classes: int  # reactions, K
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    losses: dict[str, float]
    single_logit: bool = False

    def new_model(self) -> "ReactionModel":
        """A model of these settings, as torch's generator makes its parameters."""
        return ReactionModel(self)


class ReactionModel(DecisionModel):
    """Recordings: streams of moments, encoder, attention pooling, a score a reaction.

    A moment is, stream by stream, its values and behind them its time as a share of the
    horizon, so that a stream is read by itself and knows when it was. E is the sum of all
    d + 1.
    """

    link = "sigmoid"

    def __init__(self, settings: ReactionModelSettings):
        super().__init__()
        self.losses = settings.losses
        sizes = [size + 1 for size in settings.streams.values()]
        self.build(settings, sum(sizes))
        times = torch.zeros(sum(sizes), dtype=torch.bool)
        times[torch.tensor(sizes).cumsum(0) - 1] = True
        self.register_buffer("is_time", times, persistent=False)

    def embed(self, batch: RecordingBatch) -> Tensor:
        """The values of the moments and when they are, (B, n, E)."""
        time = (batch.times / self.settings.horizon).unsqueeze(-1)
        parts = [
            part
            for name in self.settings.streams
            for part in (batch.streams[name], time)
        ]
        return torch.cat(parts, dim=-1)

    def encode(self, embeddings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, E), (B, n) -> hidden states (B, n, H) and their mask.

        Nothing has a slope by a time: what is important of a moment is what was in it.
        """
        x = torch.where(self.is_time, embeddings.detach(), embeddings)
        return super().encode(x, mask)


SETTINGS = ReactionModelSettings


def vectors_of(reading: str | Path) -> None:
    """No vectors: of words the streams hold what they are made of."""


def declare(
    encoder: Mapping[str, Any],
    scorer: Mapping[str, Any],
    normalizer: Mapping[str, Any],
    reading: str | Path,
    n_classes: int,
) -> tuple[ReactionModelSettings, None]:
    """The settings of a run's model.

    ``reading`` is the table "recording_reading" of its data set, whose reactions are its
    outputs; ``n_classes`` is of data sets with classes.
    """
    read = Reading.read(reading)
    encoder = dict(encoder)
    losses = encoder.pop("losses", {"l1": 1.0})
    # what only texts and classes have
    for key in ("embedding_size", "freeze_vectors", "single_logit"):
        encoder.pop(key, None)
    if encoder.get("self_attention") == "run":
        encoder["self_attention"] = dict(normalizer)
    if encoder["kind"] == "gated":
        encoder["streams"] = [size + 1 for size in read.sizes.values()]
        encoder["timed"] = True
    settings = ReactionModelSettings(
        streams=read.sizes,
        # of one moment alone there is nothing to tell apart
        horizon=float(abs(read.sampling.times).max()) or 1.0,
        n_classes=len(read.reactions),
        encoder=encoder,
        scorer=dict(scorer),
        normalizer=dict(normalizer),
        losses=dict(losses),
    )
    return settings, None
