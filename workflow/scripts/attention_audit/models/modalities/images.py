"""Pictures: what their models are, from settings.

Shapes: B pictures, n patches of d values, on a grid of rows and columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from attention_audit.data.image_batches import Normalization, PatchBatch
from attention_audit.models.decisions import DecisionModel

# Encoders that have to know where a patch lies.
ON_A_GRID = ("lit", "vit")


@dataclass(frozen=True)
class PatchModelSettings:
    """Everything that is needed to rebuild a model, apart from its weights."""

    modality: ClassVar[str] = "images"

    patch_size: int  # values in a patch, d
    n_classes: int
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    single_logit: bool = False

    def new_model(self) -> "PatchClassifier":
        """A model of these settings, as torch's generator makes its parameters."""
        return PatchClassifier(self)


class PatchClassifier(DecisionModel):
    """Pictures: normalized patches, encoder, attention pooling, linear output."""

    def __init__(self, settings: PatchModelSettings):
        super().__init__()
        self.build(settings, settings.patch_size)

    def embed(self, batch: PatchBatch) -> Tensor:
        """The patches as they are, (B, n, d): encoders project what they are given."""
        return batch.patches


SETTINGS = PatchModelSettings


def vectors_of(reading: str | Path) -> None:
    """No pretrained vectors: patches are read as they are."""


def declare(
    encoder: Mapping[str, Any],
    scorer: Mapping[str, Any],
    normalizer: Mapping[str, Any],
    reading: str | Path,
    n_classes: int,
) -> tuple[PatchModelSettings, None]:
    """The settings of a run's model, which starts from no vectors.

    ``reading`` is the table "channels" of its data set.
    """
    normalization = Normalization.read(reading)
    encoder = dict(encoder)
    single_logit = encoder.pop("single_logit", False)
    # what only texts have
    encoder.pop("embedding_size", None)
    encoder.pop("freeze_vectors", None)
    if encoder.get("self_attention") == "run":
        encoder["self_attention"] = dict(normalizer)
    if encoder["kind"] in ON_A_GRID:
        encoder["grid"] = list(normalization.grid)
    settings = PatchModelSettings(
        patch_size=normalization.side**2 * len(normalization.mean),
        n_classes=n_classes,
        encoder=encoder,
        scorer=dict(scorer),
        normalizer=dict(normalizer),
        single_logit=single_logit,
    )
    return settings, None
