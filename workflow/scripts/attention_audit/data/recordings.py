"""From recordings to moments and targets: streams of features, smoothed reactions, splits.

`prepare_dataset` writes what training reads: a row a recording, with its features on a grid
of moments and its reactions second by second. Decisions, one a second, are cut out of it
when batches are made, since the moments of one second are those of the next.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from attention_audit.data.moments import (
    Sampling,
    as_array,
    as_streams,
    stream_arrays,
)
from attention_audit.data.recording_sources import Line, Measured, Recording
from attention_audit.data.splits import (
    DROPPED,
    SOURCE_SPLITS,
    SPLITS,
    Texts,
    apply_caps,
    assign_splits,
    check_ids,
    check_splits,
    length_card,
)
from attention_audit.data.tokens import tokenize
from attention_audit.data.vectors import read_vectors
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

_BATCH = 4  # recordings held at once

# ---------------------------------------------------------------- features of subtitles

SUBTITLE_STREAMS = ("words", "silence", "since_line", "speaker")


def _words(line: Line) -> list[str]:
    """As the words of pretrained vectors are."""
    return tokenize(line.text, lowercase=True, replace_digits=False, strip_markup=True)


def subtitle_streams(
    lines: Sequence[Line], moments: np.ndarray, vectors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Streams of features of ``moments`` (m,) seconds, (m, d) float32 each.

    - words: the mean of the ``vectors`` of the words on screen, zeros where there are none;
      left out where there are no vectors.
    - silence: 1 where no line is on screen.
    - since_line: log(1 + seconds since the last line was on screen), 0 where one is. Before
      the first, seconds count from the start.
    - speaker: 1 where the last line to start is another speaker's than the one before it,
      and log(1 + seconds since the last such change). That of an unknown speaker is none.
    """
    starts = np.array([line.start for line in lines])
    ends = np.maximum.accumulate([line.end for line in lines])
    # the last line to start by each moment, -1 before the first
    last = np.searchsorted(starts, moments, side="right") - 1
    gone = np.where(last < 0, moments, moments - ends[last])
    silent = (last < 0) | (gone >= 0)
    since = np.log1p(np.where(silent, np.maximum(gone, 0), 0))

    speakers = [line.speaker for line in lines]
    changed = np.array(
        [
            i > 0 and None not in speakers[i - 1 : i + 1] and speaker != speakers[i - 1]
            for i, speaker in enumerate(speakers)
        ]
    )
    at = np.maximum.accumulate(np.where(changed, starts, 0.0))
    changes = np.stack(
        [
            np.where(last < 0, False, changed[last]),
            np.log1p(moments - np.where(last < 0, 0.0, at[last])),
        ],
        axis=1,
    )
    found = {"silence": silent[:, None], "since_line": since[:, None]}
    found["speaker"] = changes
    if vectors:
        means = [
            np.mean(known, axis=0) if known else np.zeros(size)
            for size in [len(next(iter(vectors.values())))]
            for line in lines
            for known in [[vectors[w] for w in _words(line) if w in vectors]]
        ]
        # a last row for silence
        table = np.stack([*means, np.zeros(len(means[0]))])
        found["words"] = table[np.where(silent, -1, last)]
    return {
        name: found[name].astype(np.float32)
        for name in SUBTITLE_STREAMS
        if name in found
    }


def _measured_at(
    stream: Measured, moments: np.ndarray, max_gap: float
) -> tuple[np.ndarray, np.ndarray]:
    """The features last measured at each moment (m, d), and whether they still hold (m,)."""
    last = np.searchsorted(stream.times, moments, side="right") - 1
    held = (last >= 0) & (moments - stream.times[last] < max_gap)
    return np.where(held[:, None], stream.values[last], 0), held


# ---------------------------------------------------------------- smoothing

# What each kind of filter is told, besides its kind.
FILTERS = {
    "none": (),
    "gaussian": ("sigma",),
    "median": ("width",),
    "butterworth": ("order", "cutoff"),
}


def smoothed(
    seconds: np.ndarray, reactions: np.ndarray, settings: Mapping[str, Any]
) -> np.ndarray:
    """Reactions (T, K) of ``seconds`` (T,), filtered over time where these are without gap.

    ``settings`` has a ``kind`` of `FILTERS`: a Gaussian window of ``sigma`` seconds, cut at
    4 of them and normalized where it meets an end; the median of ``width`` seconds, an odd
    number; or a Butterworth filter of ``order`` that passes what is slower than ``cutoff``
    hertz, below 0.5, run forth and back, so that nothing comes late. None is below 0.
    """
    # Most data sets have no reactions.
    from scipy import signal

    kind = settings["kind"]
    found = np.array(reactions, dtype=float)
    for part in np.split(
        np.arange(len(seconds)), np.flatnonzero(np.diff(seconds) != 1) + 1
    ):
        values = found[part]
        if not len(part) or kind == "none":
            continue
        if kind == "gaussian":
            reach = int(np.ceil(4 * settings["sigma"]))
            window = signal.windows.gaussian(2 * reach + 1, settings["sigma"])[:, None]
            weight = signal.convolve(np.ones((len(part), 1)), window, method="direct")
            values = signal.convolve(values, window, method="direct") / weight
            found[part] = values[reach : reach + len(part)]
        elif kind == "median":
            found[part] = signal.medfilt(values, [settings["width"], 1])
        else:
            passing = signal.butter(
                settings["order"], settings["cutoff"], fs=1.0, output="sos"
            )
            # what scipy pads by itself, and less of what is shorter
            most = 3 * (2 * len(passing) + 1)
            found[part] = signal.sosfiltfilt(
                passing, values, axis=0, padlen=min(most, len(part) - 1)
            )
    return np.maximum(found, 0.0)


# ---------------------------------------------------------------- the spool

_floats = pa.list_(pa.float32())
_SPOOL = pa.schema(
    [
        pa.field("recording", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("known", pa.list_(pa.bool_()), nullable=False),
        pa.field("streams", pa.list_(_floats), nullable=False),
        pa.field("seconds", pa.list_(pa.int32()), nullable=False),
        pa.field("targets", _floats, nullable=False),  # before they are scaled
        pa.field("reactions", _floats, nullable=False),
        pa.field("events", pa.list_(pa.bool_())),
        pa.field("origin", pa.string(), nullable=False),
    ]
)


class _Index(NamedTuple):
    """What is held in memory of the recordings of the spool, in its order."""

    split: list[int]  # index in SOURCE_SPLITS
    words: list[bytes]  # the hash of the name of each


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=32).digest()


def _features(
    recording: Recording,
    moments: np.ndarray,
    vectors: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Streams (m, d) of the moments of a recording, and which of these are known (m,)."""
    if recording.lines is not None:
        found = subtitle_streams(recording.lines, moments, vectors)
        return found, np.ones(len(moments), bool)
    known = np.ones(len(moments), bool)
    streams = {}
    for name, stream in recording.streams.items():
        max_gap = settings["source"]["max_gap"]
        streams[name], held = _measured_at(stream, moments, max_gap)
        known &= held
    return streams, known


def _write_spool(
    path: Path,
    name: str,
    settings: Mapping[str, Any],
    sampling: Sampling,
    recordings: Iterable[Recording],
    vectors: Mapping[str, np.ndarray],
    left_out: Counter,
) -> tuple[_Index, dict[str, int]]:
    """Write recordings as they are read; return what is held of them and sizes of streams."""
    index = _Index([], [])
    sizes: dict[str, int] = {}
    met: dict[str, str] = {}
    progress = tqdm(recordings, desc=name, unit=" recordings", disable=None)
    with tables.open_table(path, _SPOOL, {}) as spool:
        for recording in progress:
            place = recording.origin
            if recording.name in met:
                raise AuditError(
                    f"{place}: the recording '{recording.name}' stands there twice, first "
                    f"at {met[recording.name]}. Take one of them out, or rename it."
                )
            met[recording.name] = place
            if not len(recording.seconds):
                if settings["unlabelled"] == "refuse":
                    raise AuditError(
                        f"{place}: '{recording.name}' has no reactions. Give it some, take "
                        f"it out, or set datasets.{name}.unlabelled to drop, which counts "
                        "such recordings in the card."
                    )
                left_out["recordings_without_reactions"] += 1
                continue
            moments = sampling.grid(recording.end)
            streams, known = _features(recording, moments, vectors, settings)
            left_out["moments_without_features"] += int((~known).sum())
            found = {key: values.shape[1] for key, values in streams.items()}
            sizes = sizes or found
            if found != sizes:
                raise AuditError(
                    f"{place}: '{recording.name}' has the streams {found}, and the "
                    f"recordings before it {sizes}. Store vectors of one length a stream."
                )
            targets = smoothed(
                recording.seconds, recording.reactions, settings["smoothing"]
            )
            # The features of the decision's own moment are needed, so that the decisions
            # are the same however moments are sampled.
            own = sampling.middle(recording.seconds)
            kept = own < len(moments)
            kept[kept] = known[own[kept]]
            left_out["seconds_without_features"] += int((~kept).sum())
            if not kept.any():
                left_out["recordings_without_features"] += 1
                continue
            events = recording.events
            spool.write(
                {
                    "recording": [recording.name],
                    "group": [recording.group],
                    "known": [known],
                    "streams": as_streams(streams),
                    "seconds": [recording.seconds[kept]],
                    "targets": [targets[kept].ravel()],
                    "reactions": [recording.reactions[kept].ravel()],
                    "events": [None if events is None else events[kept].ravel()],
                    "origin": [place],
                }
            )
            index.split.append(SOURCE_SPLITS.index(recording.split))
            index.words.append(_hash(recording.name))
    return index, sizes


def _rows(
    spool: Path, split: np.ndarray, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, row) of the recordings that are in a split, as values of Arrow."""
    start = 0
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, columns):
        for number in range(len(table)):
            if split[start + number] != DROPPED:
                yield start + number, {k: table[k][number] for k in table.column_names}
        start += len(table)


# ---------------------------------------------------------------- what train says


def _standards(
    spool: Path, train: np.ndarray, sizes: Mapping[str, int]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of the known moments of train, of each stream (d,).

    A value that is always the same has a deviation of 1.
    """
    count = 0
    sums = {name: np.zeros((2, size)) for name, size in sizes.items()}
    for _, row in _rows(spool, train, ["known", "streams"]):
        known = as_array(row["known"])
        count += int(known.sum())
        for name, values in stream_arrays(row["streams"], sizes).items():
            values = values[known].astype(float)
            sums[name] += values.sum(0), (values**2).sum(0)
    found = {}
    for name, (total, squares) in sums.items():
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        found[name] = mean, np.where(deviation > 1e-6, deviation, 1.0)
    return found


def _scales(
    spool: Path,
    train: np.ndarray,
    reactions: Sequence[str],
    settings: Mapping[str, Any],
    name: str,
) -> np.ndarray:
    """The largest smoothed reaction of train, (K,), or ones where ``scale`` is none."""
    largest = np.zeros(len(reactions))
    for _, row in _rows(spool, train, ["targets"]):
        values = as_array(row["targets"]).reshape(-1, len(reactions))
        largest = np.maximum(largest, values.max(0))
    for reaction, value in zip(reactions, largest, strict=True):
        # what a filter leaves of nothing
        if value <= 1e-9:
            raise AuditError(
                f"datasets.{name}.smoothing: '{reaction}' is 0 throughout the training "
                "recordings once it is smoothed. A median leaves nothing of events that "
                "are rarer than half of its width: set another kind, or width, or leave "
                "the reaction out."
            )
    return largest if settings["scale"] == "max" else np.ones(len(reactions))


# ---------------------------------------------------------------- prepared data sets


def _card_of(parts: Sequence[Mapping[str, Any]], reactions: Sequence[str]) -> dict:
    """What the card says of one split."""
    seconds = np.array([part["seconds"] for part in parts])
    total = int(seconds.sum())
    card: dict[str, Any] = {
        "seconds": total,
        "of_a_recording": length_card(seconds),
        "clipped": {},
        "target_mean": {},
        "reaction_mean": {},
    }
    for key in ("clipped", "target_mean", "reaction_mean"):
        sums = np.sum([part[key] for part in parts], axis=0)
        for name, value in zip(reactions, sums, strict=True):
            card[key][name] = int(value) if key == "clipped" else float(value / total)
    if parts[0]["event_rate"] is not None:
        sums = np.sum([part["event_rate"] for part in parts], axis=0) / total
        card["event_rate"] = dict(zip(reactions, map(float, sums), strict=True))
    return card


def prepare_dataset(
    name: str,
    settings: Mapping[str, Any],
    recordings: Iterable[Recording],
    reactions: Sequence[str],
    notes: Mapping[str, int],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    vectors: tuple[Mapping[str, Any], str | Path] | None = None,
) -> None:
    """Write train, dev and test tables, how they are read, and a card of recordings.

    ``settings`` is the data set's entry in the configuration with all defaults:
    ``source``; ``sampling`` ({"rate": moments a second, "span": seconds, "side": "past" or
    "both"}, see `Sampling`); ``smoothing`` (see `smoothed`); ``scale``, "max" where a
    target is divided by the largest of train, or "none"; either way it is then cut at 1;
    ``unlabelled``, whether a recording without reactions is an error ("refuse") or counted
    in the card ("drop"); ``train_every`` and ``audit_every`` (seconds, of which one is a
    decision); ``max_examples`` ({split: number of
    recordings or None} or None); ``split`` ({"dev": share, "test": share}); ``note`` (for
    the card, or None). ``reactions`` are the names of the K reactions, ``notes`` what
    `read_recordings` counted, once ``recordings`` are read, and ``vectors`` an entry of
    ``vectors`` and its file, for the words of subtitles, which are then held in memory.
    ``outputs`` has the paths "train", "dev", "test", "reading" and "card".

    Recordings are in one split as a whole: that of the source, or, by a hash of its name,
    the one that it is drawn to, so that it is there for every sampling of the same source.

    Outputs appear at the end, the card last, or not at all. Raises `AuditError` for an
    empty split, a recording that comes twice, and a reaction that smoothing leaves nothing
    of.
    """
    paths = {key: Path(path) for key, path in outputs.items()}
    sampling = Sampling.of(**settings["sampling"], where=f"datasets.{name}.sampling")
    known: dict[str, np.ndarray] = {}
    coverage = None
    if vectors is not None:
        recordings = list(recordings)
        said = Counter(
            word
            for recording in recordings
            for line in recording.lines or ()
            for word in _words(line)
        )
        known = dict(read_vectors(*vectors, said))
        if not known:
            raise AuditError(
                f"datasets.{name}.vectors: no word of the recordings has a vector. Name "
                "others, or none."
            )
        coverage = sum(said[word] for word in known) / sum(said.values())
    left_out: Counter = Counter()
    with tables.scratch_folder(paths["card"]) as folder:
        spool = folder / "spool.parquet"
        index, sizes = _write_spool(
            spool, name, settings, sampling, recordings, known, left_out
        )
        words = np.frombuffer(b"".join(index.words), ">u8").reshape(-1, 4)
        zeros = np.zeros(len(words), np.int64)
        texts = Texts(
            np.array(index.split, dtype=np.int64),
            zeros,
            words.astype(np.uint64),
            words[:, :2].astype(np.uint64),
            zeros,
        )
        dropped: Counter = Counter()
        split = assign_splits(
            texts, settings["split"]["dev"], settings["split"]["test"]
        )
        apply_caps(texts, split, settings["max_examples"] or {}, dropped)
        check_splits(name, split, dropped)
        check_ids(name, texts, split != DROPPED, "recording")
        train = np.where(split == SPLITS.index("train"), split, DROPPED)
        standards = _standards(spool, train, sizes)
        scales = _scales(spool, train, reactions, settings, name)
        cards = {}
        for part in SPLITS:
            rows = np.where(split == SPLITS.index(part), split, DROPPED)
            counts = []
            with tables.open_table(paths[part], "recordings", provenance) as table:
                for number, row in _rows(spool, rows):
                    raw = as_array(row["targets"]).reshape(-1, len(reactions)) / scales
                    targets = np.minimum(raw, 1.0)
                    instance = f"{texts.words[number, 0]:016x}"
                    events = row["events"]
                    counts.append(
                        {
                            "seconds": len(targets),
                            "clipped": (raw > 1 + 1e-6).sum(0),
                            "target_mean": targets.sum(0),
                            "reaction_mean": as_array(row["reactions"])
                            .reshape(targets.shape)
                            .sum(0),
                            "event_rate": as_array(events).reshape(targets.shape).sum(0)
                            if events.is_valid
                            else None,
                        }
                    )
                    table.write(
                        {
                            # By itself Arrow would look at every number of a list.
                            **{key: pa.repeat(value, 1) for key, value in row.items()},
                            "dataset": name,
                            "instance_id": instance,
                            "cluster_id": instance,
                            "targets": [targets.ravel()],
                        }
                    )
            every = settings["audit_every" if part == "test" else "train_every"]
            cards[part] = _card_of(counts, reactions) | {
                "recordings": len(counts),
                "decisions": sum(-(-one["seconds"] // every) for one in counts),
            }
        tables.write_table(
            paths["reading"],
            "recording_reading",
            {
                "dataset": name,
                "kind": ["stream"] * len(sizes) + ["reaction"] * len(reactions),
                "name": [*sizes, *reactions],
                "size": [*sizes.values(), *(1 for _ in reactions)],
                "center": [
                    *(standards[key][0] for key in sizes),
                    *([0.0] for _ in scales),
                ],
                "scale": [
                    *(standards[key][1] for key in sizes),
                    *([s] for s in scales),
                ],
                "rate": float(sampling.rate),
                "span": float(settings["sampling"]["span"]),
                "side": sampling.side,
                "train_every": settings["train_every"],
                "audit_every": settings["audit_every"],
            },
            provenance,
        )
    card = {
        "name": name,
        "note": settings["note"],
        "source": settings["source"],
        "reading": {key: settings[key] for key in ("sampling", "smoothing", "scale")},
        "moments": sampling.count,
        "streams": sizes,
        "reactions": list(reactions),
        "share_of_words_with_a_vector": coverage,
        "counts": {
            part: {"recordings": cards[part].pop("recordings")} for part in SPLITS
        },
        # to learn from, and of test those of an audit of all recordings
        "decisions": {part: cards[part].pop("decisions") for part in SPLITS},
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "left_out": {k: n for k, n in (Counter(notes) + left_out).items() if n},
        "splits": cards,
        "provenance": provenance,
    }
    tables.write_json(paths["card"], card)
