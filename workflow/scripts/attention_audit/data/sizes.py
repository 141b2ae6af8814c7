"""How large a data set is: as its card says once it is prepared, and by guess before.

Jobs ask for memory and time by these numbers, and a plan's cost is added up from them.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPLITS = ("train", "dev", "test")
# Texts of a source whose size is not known before it is fetched: the most that a declared
# one has, for what jobs ask for, and what is typical, for what a plan may cost.
UNKNOWN, TYPICAL = 25_000, 4_000
# Bytes of a short text with its label, and what packing makes of them. Small numbers make
# for many texts: too much memory costs less than a job that is done twice.
BYTES_A_TEXT = 40
PACKED = {".gz": 4, ".parquet": 4}
# Height and width of pictures of a size that nobody said, and words of a sentence.
SIDES = (32, 32)
WORDS = 100
# Seconds of a recording, how many texts are as much as one, and bytes of a number.
SECONDS, TEXTS_A_RECORDING, BYTES_A_NUMBER = 1000, 100, 8


@dataclass(frozen=True)
class Size:
    """Examples of a data set by split, and inputs of one: tokens of a text after the cut.

    Of a sentence pair these are the source's. ``tokens`` is the mean, ``longest`` the most.
    Of recordings ``examples`` are the seconds to learn from in train and dev, and the
    recordings of test, each with as many audited ``decisions``, whose inputs are moments.
    """

    examples: Mapping[str, int]
    tokens: float
    longest: int
    decisions: float = 1.0

    def of(self, *splits: str) -> int:
        """The examples of some splits together."""
        return sum(self.examples[split] for split in splits)


def size_of(
    card: str | Path, dataset: Mapping[str, Any], unknown: int = UNKNOWN
) -> Size:
    """The size of a data set, by its card where these settings made it, else by guess."""
    path = Path(card)
    if path.is_file():
        settings, size = _prepared(path, path.stat().st_mtime_ns)
        if settings == dataset:
            return size
    return expected_size(dataset, unknown)


@functools.cache
def _prepared(card: Path, time: int) -> tuple[dict[str, Any] | None, Size | None]:
    """The settings that made a card, and the size that it tells; ``time`` is its own."""
    try:
        found = json.loads(card.read_text(encoding="utf-8"))
        examples = {split: sum(found["counts"][split].values()) for split in SPLITS}
        if "decisions" in found:
            recordings, decisions = examples["test"], found["decisions"]
            examples = decisions | {"test": recordings}
            audited = decisions["test"] / recordings
            size = Size(examples, found["moments"], found["moments"], audited)
        else:
            tokens = sum(examples[s] * found["length"][s]["mean"] for s in SPLITS)
            longest = max(found["length"][split]["max"] for split in SPLITS)
            size = Size(examples, tokens / sum(examples.values()), longest)
        return found["provenance"]["params"]["dataset"], size
    # A damaged card is for its readers to name.
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None, None


def expected_size(dataset: Mapping[str, Any], unknown: int = UNKNOWN) -> Size:
    """The size that a data set has at most, by its settings and the size of its files.

    ``unknown`` stands for the texts of a source that is not there yet.
    """
    source = dataset["source"]
    if "sampling" in dataset:
        return _expected_recordings(dataset, unknown)
    found = unknown
    if source["kind"] in ("local", "aligned_files"):
        # of files that belong together line by line, those of one side
        files = [
            named if isinstance(named, str) else named["source"]
            for named in source["files"].values()
        ]
        found = sum(_texts_in(Path(file), unknown) for file in files)
    limits = dataset["max_examples"] or {}
    inputs = dataset.get("max_length") or (
        _patches(dataset) if "patch" in dataset else WORDS
    )
    examples = {split: min(found, limits.get(split) or found) for split in SPLITS}
    return Size(examples, inputs, inputs)


def _expected_recordings(dataset: Mapping[str, Any], unknown: int) -> Size:
    source, sampling = dataset["source"], dataset["sampling"]
    recordings = unknown // TEXTS_A_RECORDING
    if source["kind"] == "reaction_tables":
        row = BYTES_A_NUMBER * (2 + len(source["reactions"]))
        files = [Path(named["labels"]) for named in source["files"].values()]
        rows = [
            _texts_in(f, unknown * SECONDS // TEXTS_A_RECORDING, row) for f in files
        ]
        recordings = -(-sum(rows) // SECONDS)
    limits = dataset["max_examples"] or {}
    of = {split: min(recordings, limits.get(split) or recordings) for split in SPLITS}
    learned = {s: of[s] * SECONDS // dataset["train_every"] for s in ("train", "dev")}
    moments = round(sampling["rate"] * sampling["span"])
    audited = SECONDS / dataset["audit_every"]
    return Size(learned | {"test": of["test"]}, moments, moments, audited)


def _patches(dataset: Mapping[str, Any]) -> int:
    """Patches of a picture, whose size may be known to its files alone."""
    return math.prod(-(-side // dataset["patch"]) for side in dataset["size"] or SIDES)


def _texts_in(file: Path, unknown: int, text: int = BYTES_A_TEXT) -> int:
    """Texts of a file, of so many bytes each."""
    try:
        size = file.stat().st_size
    except OSError:
        return unknown
    return 1 + size * PACKED.get(file.suffix, 1) // text
