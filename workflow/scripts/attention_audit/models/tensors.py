"""Tensors on disk: safetensors with a record of what made them, and a checksum.

The format has no checksum of its own, so that what is damaged would be taken for numbers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from attention_audit.records.errors import AuditError
from attention_audit.records.metadata import TENSORS, tensors_digest
from attention_audit.records.tables import (
    METADATA_KEY,
    atomic_path,
    mismatch,
    set_aside,
)


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], provenance: Mapping[str, Any]
) -> None:
    """Write tensors, on the CPU and apart in memory, atomically, with their provenance."""
    # One metadata key only: the format does not keep the order of several, and the
    # same tensors must give the same bytes.
    made = {**provenance, TENSORS: _digest(tensors)}
    metadata = {METADATA_KEY.decode(): json.dumps(made, sort_keys=True)}
    with atomic_path(path) as temporary:
        # not by the library, whose error hides why: a full disk, for example
        temporary.write_bytes(safetensors.torch.save(dict(tensors), metadata))


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, which stay on disk until they are asked for, and their record.

    Raises `AuditError` where there is no such file, where it is damaged, which sets it
    aside, and where it is none of this pipeline's, which does not touch it.
    """
    try:
        tensors = safetensors.torch.load_file(path)
        made = read_tensors_record(path)
        expected = made.pop(TENSORS)
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to build it.") from error
    except KeyError as error:
        raise mismatch(path, "carries no checksum of this pipeline") from error
    except (safetensors.SafetensorError, ValueError) as error:
        fault = f"not a whole checkpoint ({error})"
        raise set_aside(path, fault, ".safetensors") from error
    if _digest(tensors) != expected:
        fault = "not a whole checkpoint (its checksum differs)"
        raise set_aside(path, fault, ".safetensors")
    return tensors, made


def read_tensors_record(path: str | Path) -> dict[str, Any]:
    """The provenance that a file carries, with the digest of its tensors."""
    with safetensors.safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {})[METADATA_KEY.decode()])


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """`tensors_digest` of tensors on the CPU."""
    return tensors_digest({name: values.numpy() for name, values in tensors.items()})
