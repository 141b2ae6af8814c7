"""Texts, as the stages know them: a decision each, whose inputs are words."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from attention_audit.data.modality import Audited

# Imported where they are used: a job that prepares does not wait for torch, and one that
# reads what is prepared depends on nothing that prepared it.

# The kinds of encoders that read texts.
ENCODERS = ("average", "bilstm", "finished", "pretrained", "transformer")


def fetch(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy the texts of a hub data set; see `sources.fetch_hub`."""
    from attention_audit.data.sources import fetch_hub

    fetch_hub(source, path, provenance)


def prepare(
    name: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    vectors: tuple[Mapping[str, Any], str | Path] | None = None,
    tokenizer: str | Path | None = None,
) -> None:
    """Write splits, vocabulary and card; see `text.prepare_dataset`.

    ``vectors`` are the settings of pretrained vectors and their file, and ``tokenizer`` is
    that of the pretrained model that the setting of this name names.
    """
    from attention_audit.data.sources import read_documents
    from attention_audit.data.text import prepare_dataset
    from attention_audit.data.tokens import words_of
    from attention_audit.data.vectors import read_vectors

    prepare_dataset(
        name,
        settings,
        read_documents(settings["source"], files),
        None if vectors is None else partial(read_vectors, *vectors),
        {**outputs, "vocabulary": outputs["reading"]},
        provenance,
        None if tokenizer is None else words_of(tokenizer),
    )


def read_examples(path: str | Path, reading: str | Path) -> Any:
    """One split, as `TextExamples`. Its token ids stand for the words of ``reading``, the vocabulary."""
    from attention_audit.data import text_batches

    return text_batches.read_examples(path)


def audited(reading: str | Path) -> Audited:
    """How audited texts are read."""
    columns = ("instance_id", "cluster_id", "token_ids", "label", "gold")
    return Audited("examples", columns, _batch)


def _batch(rows: pa.Table, path: str | Path, device: Any) -> Any:
    from attention_audit.data.text_batches import TextBatch

    return TextBatch.of(
        rows["instance_id"].to_pylist(),
        [ids.values.to_numpy() for ids in rows["token_ids"]],
        device,
        rows["label"].to_pylist(),
        rows["cluster_id"].to_pylist(),
        [
            None if gold.values is None else gold.values.to_numpy(zero_copy_only=False)
            for gold in rows["gold"]
        ],
    )
