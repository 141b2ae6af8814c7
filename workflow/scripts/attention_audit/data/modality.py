"""Modalities: what the stages have to know of what is read.

A modality is a module of ``data/modalities/`` and one of ``models/modalities/``, both of
its name. The first has

    ENCODERS                                    kinds of encoders that can read it
    fetch(source, path, provenance)             copies a data set of the hub; optional
    prepare(name, settings, files, outputs, provenance, vectors)
    read_examples(path, reading) -> Examples    a split, to train on
    audited(reading) -> Audited                 how audited instances are read

where ``outputs`` and ``reading`` are paths: `prepare` writes ``train``, ``dev``, ``test``,
``card`` and ``reading``, a table of whatever training data says of how inputs are read,
such as a vocabulary. The second module has

    SETTINGS                                    what a model is rebuilt from
    declare(encoder, scorer, normalizer, reading, n_classes) -> these, and vectors
    vectors_of(reading) -> Tensor | None        what embeddings start from

see `models.decisions`. The workflow tells each job what it takes of both, so that a job
depends on that and no more.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa


class Audited(NamedTuple):
    """How the rows of a split become batches: ``batch(rows, path, device)``.

    ``a_pass`` is how many rows are read at once, each with all of its decisions. It is
    fixed, because results depend in their last digits on what shares a pass.
    """

    table: str | pa.Schema  # the schema of a split, or its name
    columns: Sequence[str]
    batch: Callable[[pa.Table, str | Path, Any], Any]
    a_pass: int = 32


def of_data(modality: str, name: str) -> Any:
    """What a modality's module of ``data/modalities/`` calls ``name``."""
    module = importlib.import_module(f"attention_audit.data.modalities.{modality}")
    return getattr(module, name)
