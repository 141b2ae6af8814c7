"""A trained model and its files; where it computes."""

import importlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_audit.models.decisions import DecisionModel, ModelSettings
from attention_audit.models.normalizers import Normalizer
from attention_audit.models.tensors import read_tensors, write_tensors
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import mismatch, read_json


def learned_alphas(model: DecisionModel) -> dict[str, float]:
    """Every alpha that the model learns, by name, in the order of its parts.

    The encoder's come first, layer by layer and head by head, as
    ``encoder.layers.0.head_1``; that of the pooling is called ``pooling``.
    """
    found = {}
    for path, module in model.named_modules():
        if isinstance(module, Normalizer) and isinstance(module.alpha, Tensor):
            name = path.removesuffix(".normalizer").removesuffix(".attention")
            values = module.alpha.detach().flatten().tolist()
            if name == "pooling":
                found[name] = values[0]
            else:
                found |= {f"{name}.head_{h}": a for h, a in enumerate(values)}
    return found


def save_model(
    model: DecisionModel, path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Write a model's weights as safetensors, atomically, with their provenance."""
    # Copies: the format refuses tensors that share memory, as tied weights do.
    state = {
        name: values.detach().cpu().contiguous().clone()
        for name, values in model.state_dict().items()
    }
    write_tensors(path, state, provenance)


def settings_json(settings: ModelSettings, **more: Any) -> dict[str, Any]:
    """What ``settings.json`` holds: the model's settings and whatever goes with them."""
    return {"modality": settings.modality, "model": asdict(settings), **more}


def of_models(modality: str, name: str) -> Any:
    """What a modality's module of ``models/modalities/`` calls ``name``."""
    module = importlib.import_module(f"attention_audit.models.modalities.{modality}")
    return getattr(module, name)


def load_model(
    weights: str | Path, settings: str | Path, device: str | torch.device = "cpu"
) -> DecisionModel:
    """Rebuild a trained model, in evaluation mode, from its two files.

    Raises `AuditError` where the weights are damaged, which sets them aside, and where
    the two files do not belong together, which touches neither.
    """
    described = read_json(settings)
    try:
        parts = {**described["model"]}
        if "folder" in parts["encoder"]:
            parts["encoder"] = _with_folder(parts["encoder"], Path(settings))
        model = of_models(described["modality"], "SETTINGS")(**parts).new_model()
    except (ImportError, KeyError, TypeError) as error:
        raise mismatch(settings, f"not the settings of a model ({error})") from error
    state, made = read_tensors(weights)
    # Weights of one shape fit the settings of many runs: one job made both files.
    if described.get("provenance", made) != made:
        raise mismatch(weights, f"was not made with {settings}: their records differ")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise mismatch(weights, f"does not fit {settings}: {reason}") from error
    return model.to(device).eval()


def _with_folder(encoder: Mapping[str, Any], settings: Path) -> dict[str, Any]:
    """An encoder's settings with the folder of its pretrained model as it is from here.

    It stands in the results that hold ``settings``, wherever these are now.
    """
    inner = Path("raw", "pretrained", encoder["model"])
    for above in (Path.cwd() / settings).parents:
        if (above / inner).is_dir():
            return {**encoder, "folder": os.path.relpath(above / inner)}
    raise AuditError(
        f"{settings}: the pretrained model that it was trained from is in no {inner} of a "
        "folder above it. Put it back, or run snakemake to fetch it."
    )


def resolve_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one; a device that is not there is an error.

    A GPU computes in single precision, as a CPU does: cuDNN's LSTMs would round their
    products to ten bits.
    """
    torch.backends.cudnn.allow_tf32 = False
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise AuditError(
            f"training.device is '{name}', which this machine does not have. "
            "Use 'auto' or 'cpu'."
        )
    return torch.device(name)
