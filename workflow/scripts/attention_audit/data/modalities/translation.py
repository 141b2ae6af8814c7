"""Sentence pairs, as the stages know them: each next word a decision, its inputs the source words."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention_audit.data.modality import Audited

# Imported where they are used, as in `modalities.text`.

# The kinds of encoders that read sentences, each with a decoder that says the next word.
ENCODERS = ("bilstm", "transformer")


def fetch(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy the sentence pairs of a hub data set; see `pair_sources.fetch_pairs`."""
    from attention_audit.data.pair_sources import fetch_pairs

    fetch_pairs(source, path, provenance)


def prepare(
    name: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    vectors: None = None,
) -> None:
    """Write splits, vocabularies of both sides and card; see `pairs.prepare_dataset`."""
    from attention_audit.data.pair_sources import read_pairs
    from attention_audit.data.pairs import prepare_dataset

    notes: Counter = Counter()
    pairs = read_pairs(settings["source"], files, notes)
    prepare_dataset(name, settings, pairs, notes, outputs, provenance)


def read_examples(path: str | Path, reading: str | Path) -> Any:
    """One split, as `PairExamples`. Its ids stand for the words of ``reading``, the vocabularies."""
    from attention_audit.data import pair_batches

    return pair_batches.read_examples(path)


def audited(reading: str | Path) -> Audited:
    """How audited sentence pairs are read, each with all of its decisions."""
    from attention_audit.data.pair_batches import COLUMNS, batch_of

    return Audited("sentence_pairs", COLUMNS, batch_of)
