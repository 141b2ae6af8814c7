"""Series of readings: what their models are."""

from dataclasses import dataclass
from typing import Any, ClassVar

from attention_audit.models.decisions import DecisionModel


@dataclass(frozen=True)
class SETTINGS:
    modality: ClassVar[str] = "series"

    n_classes: int
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    single_logit: bool = False

    def new_model(self):
        return Model(self)


class Model(DecisionModel):
    def __init__(self, settings):
        super().__init__()
        self.build(settings, 2)

    def embed(self, batch):
        return batch.values


def vectors_of(reading):
    return None


def declare(encoder, scorer, normalizer, reading, n_classes):
    kept = {k: encoder[k] for k in ("kind", "hidden_size")}
    return SETTINGS(n_classes, kept, dict(scorer), dict(normalizer)), None
