"""Recordings, as the stages know them: each second a decision, its inputs sampled moments."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attention_audit.data.modality import Audited

# Imported where they are used, as in `modalities.text`.

# The kinds of encoders that read moments. A Transformer would tell them apart by their
# places, not by their times; and influence, as it is found of it and of an LSTM, would
# count when a moment was among what was in it.
ENCODERS = ("average", "gated")


def prepare(
    name: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    vectors: tuple[Mapping[str, Any], str | Path] | None = None,
) -> None:
    """Write splits, how moments are read, and card; see `recordings.prepare_dataset`.

    ``vectors`` are the settings of pretrained vectors and their file.
    """
    from attention_audit.data.recording_sources import reactions_of, read_recordings
    from attention_audit.data.recordings import prepare_dataset

    source = settings["source"]
    notes: Counter = Counter()
    recordings = read_recordings(source, files, notes)
    prepare_dataset(
        name,
        settings,
        recordings,
        reactions_of(source),
        notes,
        outputs,
        provenance,
        vectors,
    )


def read_examples(path: str | Path, reading: str | Path) -> Any:
    """What is learned from a split, as `RecordingExamples`: one second in ``train_every``."""
    from attention_audit.data import recording_batches

    return recording_batches.read_examples(path, reading)


def audited(reading: str | Path) -> Audited:
    """How audited recordings are read, each with one of its seconds in ``audit_every``."""
    from attention_audit.data.recording_batches import COLUMNS, Reading, batch_of

    batch = partial(batch_of, Reading.read(reading))
    # A recording of twenty minutes has a hundred decisions and more.
    return Audited("recordings", COLUMNS, batch, a_pass=4)
