"""The record in a result's file, which says what made it, and whether the file is whole.

A table and a model carry theirs in their metadata, a JSON file under the key
"provenance", a picture in the table of its numbers and an experiment's config in
experiment.json, beside it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
import safetensors.numpy

from attention_audit.records.tables import METADATA_KEY

# What reading a file raises that may look like anything.
UNREADABLE = (
    OSError,
    KeyError,
    TypeError,
    ValueError,
    pa.ArrowException,
    safetensors.SafetensorError,
)

# The format of a model has no checksum of its own; its record has one of the tensors.
TENSORS = "tensors_sha256"


def tensors_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """sha256 of names, types, shapes and values of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype} {values.shape} ".encode())
        # no copy, for hidden states are large
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a result's file; None where it has none, or is damaged."""
    if path.suffix in (".png", ".pdf"):
        path = path.with_suffix(".parquet")
    elif path.name == "config.yaml":
        path = path.with_name("experiment.json")
    try:
        if path.suffix == ".parquet":
            found = (pq.read_schema(path).metadata or {})[METADATA_KEY]
        elif path.suffix == ".safetensors":
            with safetensors.safe_open(path, "numpy") as file:
                found = (file.metadata() or {})[METADATA_KEY.decode()]
        elif path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))["provenance"]
        else:
            return None
        return json.loads(found)
    # A file of the user's may look like anything; what it says then is nothing.
    except UNREADABLE:
        return None


def made_otherwise(path: Path, params: Mapping[str, Any]) -> bool:
    """Whether a result is there and was made with other values of these ``params``."""
    record = read_record(path)
    if record is None:
        return False
    # as a record has them
    wanted = json.loads(json.dumps(params))
    return any(record["params"].get(key) != wanted[key] for key in wanted)


def is_whole(path: Path) -> bool:
    """Whether a table, a model or a JSON file is what was written, by its checksums."""
    try:
        if path.suffix == ".parquet":
            pq.read_table(path, page_checksum_verification=True)
        elif path.suffix == ".safetensors":
            tensors = safetensors.numpy.load_file(path)
            return (read_record(path) or {}).get(TENSORS) == tensors_digest(tensors)
        else:
            json.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE:
        return False
    return True
