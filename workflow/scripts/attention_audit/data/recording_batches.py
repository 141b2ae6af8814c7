"""Recordings as a model reads them: a decision is one second, its inputs sampled moments.

Shapes: N decisions of a split, B of a batch, n moments of a decision, d values of a stream,
K reactions, M moments of all recordings of a split.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from attention_audit.data.moments import Sampling, as_array, stream_arrays
from attention_audit.records import tables
from attention_audit.records.decision_ids import SECOND_DIGITS, decision_id

# What is read of a table "recordings".
COLUMNS = ("instance_id", "cluster_id", "known", "streams", "seconds", "targets")

_ROWS = 4  # recordings that are read at once


class Reading(NamedTuple):
    """How recordings are read, as `recordings.prepare_dataset` has written it."""

    sampling: Sampling
    sizes: dict[str, int]  # values of a moment, by stream
    center: dict[str, np.ndarray]  # (d,) by stream
    scale: dict[str, np.ndarray]
    reactions: list[str]
    train_every: int  # seconds, of which one is a decision to learn from
    audit_every: int

    @classmethod
    def read(cls, path: str | Path) -> Self:
        rows = tables.read_table(path, "recording_reading").to_pylist()
        streams = [row for row in rows if row["kind"] == "stream"]
        first = rows[0]
        sampling = Sampling.of(
            first["rate"], first["span"], first["side"], where=str(path)
        )
        return cls(
            sampling,
            {row["name"]: row["size"] for row in streams},
            {row["name"]: np.array(row["center"]) for row in streams},
            {row["name"]: np.array(row["scale"]) for row in streams},
            [row["name"] for row in rows if row["kind"] == "reaction"],
            first["train_every"],
            first["audit_every"],
        )


@dataclass(frozen=True)
class RecordingBatch:
    """B seconds of recordings. See `models.decisions.Batch`.

    Their inputs are moments, in order of time. Moments before a recording starts, after it
    ends, and without features are none, so that decisions differ in length.
    """

    instance_ids: list[str]
    cluster_ids: list[str]
    labels: Tensor  # (B, K) float32, from 0 to 1
    lengths: np.ndarray  # (B,)
    mask: Tensor  # (B, n) bool
    times: Tensor  # (B, n) float32, seconds from the decision; 0 at padding
    streams: dict[str, Tensor]  # (B, n, d) float32 each; 0 at padding

    removal: ClassVar[str] = "delete"
    # Nobody marked moments, or guesses at any, and they lie on no grid of two sides.
    gold = None
    guess = None
    places = None
    # The moments of neighbouring seconds are the same in part, and never all of them.
    groups = None

    def take(self, rows: np.ndarray) -> Self:
        """The decisions of some rows, padded to the longest of them."""
        lengths = self.lengths[rows]
        n = int(lengths.max())
        chosen = torch.as_tensor(rows, device=self.mask.device)
        return RecordingBatch(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            self.labels[chosen],
            lengths,
            self.mask[chosen, :n],
            self.times[chosen, :n],
            {name: values[chosen, :n] for name, values in self.streams.items()},
        )

    def without(self, removed: Tensor, removal: str = "delete") -> Self:
        """The one decision of a batch R times, without the moments at ``removed`` (R, n).

        ``removal`` is "delete", where the others close ranks and stay at their times, or
        "replace", which puts the mean of the training moments in their place.
        """
        copies = len(removed)
        if removal == "replace":
            mask = self.mask.expand(copies, -1)
            times = self.times.expand(copies, -1)
            streams = {
                name: values.masked_fill(removed[:, :, None], 0.0)
                for name, values in self.streams.items()
            }
        else:
            # What is left moves to the front, in its order.
            mask, order = (~removed).sort(dim=-1, descending=True, stable=True)
            times = self.times[0, order].masked_fill(~mask, 0.0)
            streams = {
                name: values[0, order].masked_fill(~mask[:, :, None], 0.0)
                for name, values in self.streams.items()
            }
        return RecordingBatch(
            self.instance_ids * copies,
            self.cluster_ids * copies,
            self.labels.expand(copies, -1),
            mask.sum(-1).cpu().numpy(),
            mask,
            times,
            streams,
        )


class _Moments(NamedTuple):
    """The moments of all recordings of a split, one recording behind the other."""

    sampling: Sampling
    known: np.ndarray  # (M,) bool
    streams: dict[str, np.ndarray]  # (M, d) float32 each, on the scale of train


@dataclass(frozen=True)
class RecordingExamples:
    """N decisions of a split. See `models.decisions.Examples`.

    ``own`` (N,) are the places of their own moments, and ``first`` and ``end`` (N,) those
    between which the moments of their recordings lie.
    """

    instance_ids: list[str]
    cluster_ids: list[str]
    labels: np.ndarray  # (N, K) float32
    lengths: np.ndarray  # (N,)
    own: np.ndarray
    first: np.ndarray
    end: np.ndarray
    moments: _Moments

    def __len__(self) -> int:
        return len(self.instance_ids)

    def take(self, rows: Sequence[int]) -> Self:
        """The decisions of some rows, in that order."""
        rows = np.asarray(rows)
        return RecordingExamples(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            self.labels[rows],
            self.lengths[rows],
            self.own[rows],
            self.first[rows],
            self.end[rows],
            self.moments,
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> RecordingBatch:
        """Some rows, padded to the longest."""
        rows = np.asarray(rows)
        sampling, known, streams = self.moments
        place, there = _sampled(
            self.own[rows], self.first[rows], self.end[rows], sampling, known
        )
        lengths = there.sum(1)
        # What is there moves to the front, in its order.
        order = np.argsort(~there, axis=1, kind="stable")[:, : lengths.max()]
        place = np.take_along_axis(place, order, axis=1)
        mask = np.take_along_axis(there, order, axis=1)
        times = np.where(mask, sampling.times[order], 0.0).astype(np.float32)
        return RecordingBatch(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            torch.from_numpy(self.labels[rows]).to(device),
            lengths,
            torch.from_numpy(mask).to(device),
            torch.from_numpy(times).to(device),
            {
                name: torch.from_numpy(
                    np.where(mask[:, :, None], values[place], np.float32(0))
                ).to(device)
                for name, values in streams.items()
            },
        )


def _sampled(
    own: np.ndarray,
    first: np.ndarray,
    end: np.ndarray,
    sampling: Sampling,
    known: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Places (B, n) of the moments that B decisions sample, and whether each is there.

    None is outside of the decision's own recording.
    """
    place = own[:, None] + sampling.steps
    there = (place >= first[:, None]) & (place < end[:, None])
    place = np.where(there, place, own[:, None])
    return place, there & known[place]


def _examples(
    parts: Iterable[pa.Table], reading: Reading, every: int
) -> RecordingExamples:
    """The decisions of recordings with `COLUMNS`, or one in ``every`` of them.

    Recordings come in parts, so that no more than these are held as they were measured.
    """
    n_reactions = len(reading.reactions)
    found: dict[str, list[np.ndarray]] = {
        key: [] for key in ("labels", "lengths", "own", "first", "end")
    }
    features: dict[str, list[np.ndarray]] = {name: [] for name in reading.sizes}
    known: list[np.ndarray] = []
    instance_ids: list[str] = []
    cluster_ids: list[str] = []
    start = 0
    for part in parts:
        for number in range(len(part)):
            row = {key: part[key][number] for key in COLUMNS}
            there = as_array(row["known"])
            seconds = as_array(row["seconds"]).astype(np.int64)[::every]
            name, cluster = row["instance_id"].as_py(), row["cluster_id"].as_py()
            instance_ids += [
                decision_id(name, second, SECOND_DIGITS) for second in seconds
            ]
            cluster_ids += [cluster] * len(seconds)
            own = reading.sampling.middle(seconds)
            first, end = np.zeros_like(own), np.full_like(own, len(there))
            _, sampled = _sampled(own, first, end, reading.sampling, there)
            targets = as_array(row["targets"]).reshape(-1, n_reactions)
            found["labels"].append(targets[::every])
            found["lengths"].append(sampled.sum(1))
            found["own"].append(start + own)
            found["first"].append(start + first)
            found["end"].append(start + end)
            known.append(there)
            for key, values in stream_arrays(row["streams"], reading.sizes).items():
                scaled = (values - reading.center[key]) / reading.scale[key]
                features[key].append(scaled.astype(np.float32))
            start += len(there)
    moments = _Moments(
        reading.sampling,
        np.concatenate(known),
        # each stream goes as soon as it is joined
        {key: np.concatenate(features.pop(key)) for key in reading.sizes},
    )
    return RecordingExamples(
        instance_ids,
        cluster_ids,
        moments=moments,
        **{key: np.concatenate(values) for key, values in found.items()},
    )


def _split(path: str | Path) -> Iterator[pa.Table]:
    return tables.iterate_table(path, "recordings", _ROWS, list(COLUMNS))


def read_examples(path: str | Path, reading: str | Path) -> RecordingExamples:
    """The decisions of a split to learn from: one second in ``train_every`` of a recording.

    They are in the order of the file that `recordings.prepare_dataset` wrote.
    """
    how = Reading.read(reading)
    return _examples(_split(path), how, how.train_every)


def read_all(path: str | Path, reading: str | Path) -> RecordingExamples:
    """All decisions of a split, likewise: every second of each recording."""
    return _examples(_split(path), Reading.read(reading), 1)


def batch_of(
    reading: Reading, rows: pa.Table, path: str | Path, device: torch.device
) -> RecordingBatch:
    """The audited decisions of some rows of a table "recordings" with `COLUMNS`."""
    examples = _examples([rows], reading, reading.audit_every)
    return examples.batch(np.arange(len(examples)), device)
