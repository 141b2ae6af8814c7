"""Pictures, as the stages know them: a decision each, whose inputs are patches."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from attention_audit.data.modality import Audited

# Imported where they are used, as in `modalities.text`.

# The kinds of encoders that read pictures.
ENCODERS = ("average", "lit", "vit")


def fetch(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy the pictures of a hub data set; see `image_sources.fetch_pictures`."""
    from attention_audit.data.image_sources import fetch_pictures

    fetch_pictures(source, path, provenance)


def prepare(
    name: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    vectors: None = None,
) -> None:
    """Write splits, statistics of train and card; see `images.prepare_dataset`."""
    from attention_audit.data.image_sources import read_pictures
    from attention_audit.data.images import prepare_dataset

    pictures = read_pictures(settings["source"], files)
    prepare_dataset(name, settings, pictures, outputs, provenance)


def read_examples(path: str | Path, reading: str | Path) -> Any:
    """One split, as `PictureExamples`, to be normalized and cut as ``reading`` says."""
    from attention_audit.data import image_batches

    return image_batches.read_examples(path, reading)


def audited(reading: str | Path) -> Audited:
    """How audited pictures are read."""
    from attention_audit.data.image_batches import COLUMNS, Normalization

    return Audited("pictures", COLUMNS, partial(_batch, Normalization.read(reading)))


def _batch(normalization: Any, rows: pa.Table, path: str | Path, device: Any) -> Any:
    from attention_audit.data.image_batches import unpacked

    examples = unpacked(rows, normalization, path)
    return examples.batch(np.arange(len(examples)), device)
