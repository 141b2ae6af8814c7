"""Recordings prepared and read: moments, features, smoothing, splits, batches."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from attention_audit.data.moments import Sampling
from attention_audit.data.recording_batches import (
    COLUMNS,
    Reading,
    batch_of,
    read_examples,
)
from attention_audit.data.recording_sources import Line, Measured, Recording
from attention_audit.data.recordings import (
    prepare_dataset,
    smoothed,
    subtitle_streams,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

CPU = torch.device("cpu")
PARTS = ("train", "dev", "test")
SETTINGS = {
    "source": {"kind": "reaction_tables", "max_gap": 1.0},
    "sampling": {"rate": 1, "span": 4, "side": "past"},
    "smoothing": {"kind": "none"},
    "scale": "max",
    "unlabelled": "refuse",
    "train_every": 1,
    "audit_every": 5,
    "max_examples": None,
    "split": {"dev": 0.2, "test": 0.2},
    "note": None,
}

# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize(
    ("rate", "span", "side", "base", "times"),
    [
        (1, 4, "past", 1, [-3, -2, -1, 0]),
        (0.5, 8, "past", 1, [-6, -4, -2, 0]),
        (4, 1, "past", 4, [-0.75, -0.5, -0.25, 0]),
        (1, 4, "both", 1, [-2, -1, 0, 1]),
        (3, 1, "both", 3, [-1 / 3, 0, 1 / 3]),
    ],
)
def test_moments_are_sampled_at_times_from_the_decision(rate, span, side, base, times):
    sampling = Sampling.of(rate, span, side, where="x.sampling")
    assert sampling.base == base
    assert sampling.times == pytest.approx(times)
    # a decision stands in the middle of its second
    grid = sampling.grid(3.0)
    assert grid[sampling.middle(np.arange(3))] == pytest.approx([0.5, 1.5, 2.5])
    assert grid[0] >= 0 and grid[-1] < 3 and len(grid) == 3 * base


@pytest.mark.parametrize(
    ("rate", "span", "told"),
    [(0.75, 4, r"x\.rate: 0\.75"), (0.5, 3, r"x\.span: 3 s .* are 1\.5 moments")],
)
def test_moments_on_no_grid_are_refused(rate, span, told):
    with pytest.raises(AuditError, match=told):
        Sampling.of(rate, span, "past", where="x")


# ---------------------------------------------------------------- features of subtitles


def test_features_of_subtitles():
    lines = [
        Line(1.0, 2.0, "A", "Good day"),
        Line(2.5, 4.0, "A", "day unheard"),
        Line(5.0, 6.0, "B", "..."),
        Line(6.0, 7.0, None, "good"),
    ]
    vectors = {"good": np.array([1.0, 0.0]), "day": np.array([0.0, 1.0])}
    moments = np.array([0.5, 1.0, 2.0, 2.5, 5.5, 6.5, 8.0])
    found = subtitle_streams(lines, moments, vectors)
    assert list(found) == ["words", "silence", "since_line", "speaker"]
    assert found["words"].tolist() == [
        [0, 0],
        [0.5, 0.5],
        [0, 0],
        [0, 1],
        [0, 0],
        [1, 0],
        [0, 0],
    ]
    assert found["silence"].ravel().tolist() == [1, 0, 1, 0, 0, 0, 1]
    since = np.expm1(found["since_line"].ravel())
    assert since == pytest.approx([0.5, 0, 0, 0, 0, 0, 1.0])
    assert found["speaker"][:, 0].tolist() == [0, 0, 0, 0, 1, 0, 0]
    since = np.expm1(found["speaker"][:, 1])
    assert since == pytest.approx([0.5, 1.0, 2.0, 2.5, 0.5, 1.5, 3.0])
    assert "words" not in subtitle_streams(lines, moments, {})


# ---------------------------------------------------------------- smoothing


def test_smoothing_keeps_to_what_is_without_a_gap():
    seconds = np.array([0, 1, 2, 3, 10, 11])
    reactions = np.array([0, 0, 0, 1, 0, 0], dtype=np.float32)[:, None]
    found = smoothed(seconds, reactions, {"kind": "gaussian", "sigma": 1.0}).ravel()
    assert (np.diff(found[:4]) > 0).all() and found[4:] == pytest.approx(0)
    even = smoothed(seconds, np.ones((6, 1)), {"kind": "gaussian", "sigma": 2.0})
    assert even == pytest.approx(1)


def test_the_filters_by_values_known_in_advance():
    seconds = np.arange(41)
    one = np.zeros((41, 1))
    one[20] = 1
    gaussian = smoothed(seconds, one, {"kind": "gaussian", "sigma": 1.0}).ravel()
    assert gaussian[20] == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-3)
    assert gaussian == pytest.approx(gaussian[::-1])
    assert not smoothed(seconds, one, {"kind": "median", "width": 3}).any()
    slow = 0.5 + 0.5 * np.cos(2 * np.pi * seconds / 40)[:, None]
    noise = 0.3 * np.cos(np.pi * seconds)[:, None]
    kept = smoothed(
        seconds, slow + noise, {"kind": "butterworth", "order": 2, "cutoff": 0.1}
    )
    assert np.abs(kept - slow)[5:-5].max() < 0.05
    assert smoothed(seconds, one, {"kind": "none"}) == pytest.approx(one)


# ---------------------------------------------------------------- prepared


def a_recording(name, count=12, split="all", missing=(), value=1.0, gap=()):
    """Features that are the time, and reactions in order; both may have gaps."""
    times = np.array([t / 2 for t in range(2 * count) if t // 2 not in gap])
    seconds = np.array([s for s in range(count) if s not in missing], dtype=int)
    reactions = value * (seconds[:, None] + 1.0) / count
    streams = {
        "clock": Measured(times, times[:, None].astype(np.float32)),
        "flat": Measured(times, np.full((len(times), 2), 3, np.float32)),
    }
    return Recording(
        split,
        name,
        None,
        float(count),
        None,
        streams,
        seconds,
        reactions.astype(np.float32),
        None,
        f"a.parquet, row of {name}",
    )


@pytest.fixture
def prepare(tmp_path):
    """Prepares recordings, and returns the paths and the card."""

    def run(recordings, **settings):
        outputs = {k: tmp_path / f"{k}.parquet" for k in (*PARTS, "reading")}
        outputs["card"] = tmp_path / "card.json"
        prepare_dataset(
            "mine", SETTINGS | settings, recordings, ["joy"], {"left": 1}, outputs, {}
        )
        return outputs, tables.read_json(outputs["card"])

    return run


def three(**more):
    return [
        a_recording(part, split=part, **(more if part == "train" else {}))
        for part in PARTS
    ]


def test_targets_and_features_are_on_the_scale_of_train_alone(prepare):
    recordings = [
        a_recording("train", split="train"),
        a_recording("dev", split="dev", value=2.0),
        a_recording("test", split="test", value=0.5),
    ]
    outputs, card = prepare(recordings)
    reading = Reading.read(outputs["reading"])
    assert reading.scale["clock"] == pytest.approx(np.arange(12).std())
    # what never changes stays as it is, less its mean
    assert reading.scale["flat"] == pytest.approx([1, 1])
    labels = {k: read_examples(outputs[k], outputs["reading"]).labels for k in PARTS}
    assert labels["train"].ravel() == pytest.approx((np.arange(12) + 1) / 12)
    assert labels["test"].max() == pytest.approx(0.5)
    assert labels["dev"].max() == 1
    assert card["splits"]["dev"]["clipped"] == {"joy": 6}
    assert card["left_out"] == {"left": 1}
    assert card["streams"] == {"clock": 1, "flat": 2}


def test_a_recording_is_in_one_split_and_in_the_same_for_every_sampling(prepare):
    recordings = [a_recording(f"r{n}") for n in range(40)]
    splits = []
    for sampling in (SETTINGS["sampling"], {"rate": 2, "span": 2, "side": "both"}):
        outputs, card = prepare(recordings, sampling=sampling)
        rows = {p: tables.read_table(outputs[p], "recordings") for p in PARTS}
        splits.append({p: rows[p]["recording"].to_pylist() for p in PARTS})
        assert card["moments"] == 4
    assert splits[0] == splits[1]
    found = [name for part in PARTS for name in splits[0][part]]
    assert sorted(found) == sorted(one.name for one in recordings)


def test_recordings_without_reactions_are_refused_or_counted(prepare):
    recordings = [*three(), a_recording("none", missing=range(12))]
    with pytest.raises(AuditError, match=r"row of none: 'none' has no reactions"):
        prepare(recordings)
    _, card = prepare(recordings, unlabelled="drop")
    assert card["left_out"]["recordings_without_reactions"] == 1
    with pytest.raises(AuditError, match=r"'dev' stands there twice, first at a\.parq"):
        prepare([*three(), a_recording("dev")])


def test_a_reaction_that_smoothing_leaves_nothing_of_is_refused(prepare):
    recordings = three(missing=range(1, 12), value=0.0)
    with pytest.raises(AuditError, match=r"mine\.smoothing: 'joy' is 0 throughout"):
        prepare(recordings)


# ---------------------------------------------------------------- batches


def raw(batch, reading, stream="clock"):
    """The features of a batch as they were measured, NaN at padding."""
    values = batch.streams[stream][..., 0].numpy() * reading.scale[stream]
    values = values + reading.center[stream]
    return np.where(batch.mask.numpy(), values, np.nan)


@pytest.mark.parametrize(
    "sampling",
    [
        {"rate": 1, "span": 4, "side": "past"},
        {"rate": 0.5, "span": 8, "side": "both"},
        {"rate": 2, "span": 2, "side": "past"},
    ],
)
def test_a_decision_reads_its_moments_and_none_of_another_recording(prepare, sampling):
    more = [a_recording("before", split="train"), a_recording("behind", split="train")]
    recordings = [more[0], *three(), more[1]]
    outputs, _ = prepare(recordings, sampling=sampling)
    reading = Reading.read(outputs["reading"])
    examples = read_examples(outputs["train"], outputs["reading"])
    assert len(examples) == 36 and len(set(examples.cluster_ids)) == 3
    assert examples.instance_ids[12:14] == [
        f"{examples.cluster_ids[12]}.{s:05d}" for s in (0, 1)
    ]
    batch = examples.batch(np.arange(36), CPU)
    assert batch.mask.sum(1).tolist() == batch.lengths.tolist()
    assert batch.lengths.tolist() == examples.lengths.tolist()
    own = np.tile(np.arange(12), 3)[:, None] + 0.5
    wanted = own + reading.sampling.times
    # clock features are measured twice a second and hold until the next
    wanted = np.where((wanted >= 0) & (wanted < 12), np.floor(wanted * 2) / 2, np.nan)
    for row, n in enumerate(batch.lengths):
        there = wanted[row][~np.isnan(wanted[row])]
        assert raw(batch, reading)[row, :n] == pytest.approx(there, abs=1e-4)
        assert np.isnan(raw(batch, reading)[row, n:]).all()
        times = batch.times[row, :n].numpy() + own[row]
        assert np.floor(times * 2) / 2 == pytest.approx(there, abs=1e-4)
    # the padding of a batch is that of its longest decision
    few = examples.take([14, 0]).batch(np.arange(2), CPU)
    again = batch.take(np.array([14, 0]))
    assert (
        few.instance_ids
        == again.instance_ids
        == [batch.instance_ids[14], batch.instance_ids[0]]
    )
    for one, other in ((few.times, again.times), (few.mask, again.mask)):
        assert torch.equal(one, other)
    assert torch.equal(few.streams["flat"], again.streams["flat"])
    assert torch.equal(few.labels, again.labels)


def test_gaps_leave_moments_and_seconds_out(prepare):
    recordings = three(missing=[2], gap=[5, 6, 7])
    outputs, card = prepare(recordings)
    examples = read_examples(outputs["train"], outputs["reading"])
    seconds = [int(i.rpartition(".")[2]) for i in examples.instance_ids]
    # features hold for a second; that of 4.5 is over at 5.5
    assert seconds == [0, 1, 3, 4, 8, 9, 10, 11]
    batch = examples.batch(np.arange(len(examples)), CPU)
    assert batch.times[4, :1].tolist() == [0] and batch.lengths[4] == 1
    assert batch.times[5, :2].tolist() == [-1, 0]
    assert card["left_out"]["seconds_without_features"] == 3
    assert card["left_out"]["moments_without_features"] == 3


def test_a_moment_is_dropped_and_the_others_stay_at_their_times(prepare):
    outputs, _ = prepare(three())
    reading = Reading.read(outputs["reading"])
    examples = read_examples(outputs["train"], outputs["reading"])
    batch = examples.batch(np.array([7]), CPU)
    removed = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    left = batch.without(removed)
    assert left.lengths.tolist() == [3, 4, 0]
    assert left.times[0].tolist() == [-3, -1, 0, 0]
    assert raw(left, reading)[0, :3] == pytest.approx([4.5, 6.5, 7.5], abs=1e-4)
    assert torch.equal(left.streams["clock"][1], batch.streams["clock"][0])
    assert left.labels.shape == (3, 1) and left.instance_ids == batch.instance_ids * 3
    replaced = batch.without(removed, "replace")
    assert replaced.lengths.tolist() == [4, 4, 4]
    assert replaced.streams["clock"][0, 1].tolist() == [0]
    assert torch.equal(replaced.times[0], batch.times[0])


def test_audited_are_some_seconds_of_each_recording(prepare):
    outputs, _ = prepare(three())
    rows = tables.read_table(outputs["test"], "recordings", list(COLUMNS))
    reading = Reading.read(outputs["reading"])
    batch = batch_of(reading, pa.concat_tables([rows, rows]), "test.parquet", CPU)
    assert [i[-5:] for i in batch.instance_ids] == ["00000", "00005", "00010"] * 2
    assert batch.labels[1].item() == pytest.approx(0.5)
    assert batch.labels.dtype == torch.float32
