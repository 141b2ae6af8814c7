"""The encoders by kind, the decoders behind those that translate, and the scorers.

The workflow reads these tables and tells each job what its model is made of, so that a job
depends on that and not on the others. Settings are those of a validated config.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from attention_audit.records.errors import AuditError, suggestion

# kind -> module and class, relative to the package
ENCODERS: dict[str, tuple[str, str]] = {
    "average": ("models.encoders", "AverageEncoder"),
    "bilstm": ("models.encoders", "BiLSTMEncoder"),
    "finished": ("models.finished", "FinishedEncoder"),
    "gated": ("models.gated", "GatedEncoder"),
    "lit": ("models.lit", "LitEncoder"),
    "pretrained": ("models.pretrained", "PretrainedEncoder"),
    "transformer": ("models.encoders", "TransformerEncoder"),
    # the same, over a grid of patches
    "vit": ("models.encoders", "TransformerEncoder"),
}

DECODERS: dict[str, tuple[str, str]] = {
    "lstm": ("models.decoders", "LSTMDecoder"),
    "transformer": ("models.decoders", "TransformerDecoder"),
}

SCORERS: dict[str, tuple[str, str]] = {
    "additive": ("models.attention", "AdditiveScorer"),
    "last": ("models.attention", "LastScorer"),
    "own": ("models.finished", "OwnScorer"),
    "scaled_dot_product": ("models.attention", "ScaledDotProductScorer"),
}

# What results call the self-attention of an encoder that does not take that of the run.
OWN_ATTENTION = "own"


def made_of_kind(
    what: str,
    kinds: Mapping[str, tuple[str, str]],
    settings: Mapping[str, Any],
    *sizes: int | None,
) -> Any:
    """An instance of one of ``kinds``, for ``sizes``, as it is declared.

    Raises `AuditError`, naming ``what`` it is to be, where the kind is not known.
    """
    parameters = dict(settings)
    return class_of_kind(what, kinds, parameters.pop("kind"))(*sizes, **parameters)


def class_of_kind(what: str, kinds: Mapping[str, tuple[str, str]], kind: str) -> Any:
    """The class that one of ``kinds`` names; see `made_of_kind`."""
    if kind not in kinds:
        raise AuditError(f"unknown {what} kind '{kind}'.{suggestion(kind, kinds)}")
    module, name = kinds[kind]
    made = importlib.import_module(f"attention_audit.{module}")
    return getattr(made, name)


def has_heads(settings: Mapping[str, Any]) -> bool:
    """Whether an encoder has self-attention in a layer at least, or its decoder has."""
    parts = [settings, settings.get("decoder", {})]
    return (
        settings["kind"] in ("finished", "pretrained")
        or any("heads" in part for part in parts)
        or any(stage["kind"] == "attention" for stage in settings.get("stages", ()))
    )


def inner_normalizers(settings: Mapping[str, Any]) -> list[Mapping[str, Any] | str]:
    """The normalizers within an encoder and its decoder; ``run`` for that of the run."""
    parts = [settings, settings.get("decoder", {})]
    keys = ("self_attention", "cross_attention")
    found = [part[key] for part in parts for key in keys if key in part]
    # Where not all layers are swapped, the others keep their own.
    own = [{"kind": "softmax"}] if settings.get("swapped", "all") != "all" else []
    return found + own


def stores_states(settings: Mapping[str, Any], normalizer: Mapping[str, Any]) -> bool:
    """Whether an encoder's hidden states are made once, before any training.

    It learns nothing then: it is trained in no part, nor is an alpha of its self-attention,
    which may be by the ``normalizer`` of the run.
    """
    if settings["kind"] != "pretrained" or settings["trained"] != "none":
        return False
    inner = [normalizer if of == "run" else of for of in inner_normalizers(settings)]
    return settings["stored"] and all(of.get("alpha") != "learned" for of in inner)


def has_offsets(settings: Mapping[str, Any]) -> bool:
    """Whether an encoder merges tokens where learned offsets point, once at least."""
    return settings.get("merging") == "deformable" and len(settings["stages"]) > 1
