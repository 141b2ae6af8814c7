"""The encoders by kind, and the decoders behind those that translate.

The workflow reads this table and tells each job the encoder of its model, so that a job
depends on that one and not on this list. Settings are those of a validated config.
"""

from collections.abc import Mapping
from typing import Any

# kind -> module and class, relative to the package
ENCODERS: dict[str, tuple[str, str]] = {
    "average": ("models.encoders", "AverageEncoder"),
    "bilstm": ("models.encoders", "BiLSTMEncoder"),
    "lit": ("models.lit", "LitEncoder"),
    "transformer": ("models.encoders", "TransformerEncoder"),
    # the same, over a grid of patches
    "vit": ("models.encoders", "TransformerEncoder"),
}

DECODERS: dict[str, tuple[str, str]] = {
    "lstm": ("models.decoders", "LSTMDecoder"),
    "transformer": ("models.decoders", "TransformerDecoder"),
}


def has_heads(settings: Mapping[str, Any]) -> bool:
    """Whether an encoder has self-attention in a layer at least, or its decoder has."""
    parts = [settings, settings.get("decoder", {})]
    return any("heads" in part for part in parts) or any(
        stage["kind"] == "attention" for stage in settings.get("stages", ())
    )


def inner_normalizers(settings: Mapping[str, Any]) -> list[Mapping[str, Any] | str]:
    """The normalizers within an encoder and its decoder; ``run`` for that of the run."""
    parts = [settings, settings.get("decoder", {})]
    keys = ("self_attention", "cross_attention")
    return [part[key] for part in parts for key in keys if key in part]


def has_offsets(settings: Mapping[str, Any]) -> bool:
    """Whether an encoder merges tokens where learned offsets point, once at least."""
    return settings.get("merging") == "deformable" and len(settings["stages"]) > 1
