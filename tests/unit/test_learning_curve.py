"""Which texts a share holds, and the table of the scores on shares."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from attention_audit.data.moments import Sampling
from attention_audit.data.recording_batches import RecordingExamples, _Moments
from attention_audit.data.text_batches import TextExamples
from attention_audit.models.learning_curve import curve_table, on_share
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

RUN = {
    "dataset": "imdb",
    "encoder": "average",
    "scorer": "additive",
    "normalizer": "softmax",
    "seed": 0,
}


def examples(n: int) -> TextExamples:
    """Text i is i + 1 times the token i + 2, of class i mod 3."""
    texts = [np.full(i + 1, i + 2) for i in range(n)]
    names = [f"text{i}" for i in range(n)]
    return TextExamples(names, texts, np.arange(n) % 3, np.arange(n) + 1)


def chosen(n: int, share: float, seed: int) -> set[str]:
    return set(on_share(examples(n), share, seed)[0].instance_ids)


def test_a_share_holds_whole_texts_in_their_order():
    share, n_train = on_share(examples(20), 0.5, 0)
    rows = [int(name.removeprefix("text")) for name in share.instance_ids]
    assert len(share) == n_train == 10 and rows == sorted(rows) != list(range(10))
    assert share.labels.tolist() == [i % 3 for i in rows]
    assert share.lengths.tolist() == [i + 1 for i in rows]
    for row, ids in zip(rows, share.token_ids, strict=True):
        assert ids.tolist() == [row + 2] * (row + 1)


def test_a_larger_share_holds_the_smaller_and_a_seed_decides():
    for seed in range(5):
        nested = [chosen(40, share, seed) for share in (0.125, 0.25, 0.5, 0.99)]
        assert [len(names) for names in nested] == [5, 10, 20, 40]
        assert nested == sorted(nested, key=len)
        assert all(a < b for a, b in itertools.pairwise(nested))
        assert chosen(40, 0.5, seed) == nested[2]
    assert len({frozenset(chosen(40, 0.5, seed)) for seed in range(5)}) == 5


def test_the_order_does_not_change_between_versions():
    assert on_share(examples(8), 0.5, 0)[0].instance_ids == [
        "text0",
        "text1",
        "text3",
        "text6",
    ]


@pytest.mark.parametrize(
    ("n", "share", "count"),
    [(30, 0.1, 3), (100, 0.07, 7), (3, 0.5, 2), (7, 1e-05, 1), (8, 0.125, 1)],
)
def test_a_share_is_rounded_up_as_it_is_written(n, share, count):
    share_of, n_train = on_share(examples(n), share, 0)
    assert len(share_of) == n_train == count


def test_a_share_of_scores_is_one_of_whole_recordings():
    names = np.repeat(["c", "a", "b", "d"], [3, 1, 2, 4])
    own = np.arange(10)
    moments = _Moments(Sampling(Fraction(1), 1, "past"), np.ones(10, bool), {})
    ids = [f"{name}:{i}" for i, name in enumerate(names)]
    labels = np.zeros((10, 1), np.float32)
    split = RecordingExamples(
        ids, [*names], labels, np.ones(10), own, own, own + 1, moments
    )
    for seed in range(3):
        part, n_train = on_share(split, 0.5, seed)
        kept = [name for name in ids if name in part.instance_ids]
        assert n_train == 2 == len({*part.cluster_ids}) and part.instance_ids == kept
        assert all(
            (names == name).sum() == part.cluster_ids.count(name)
            for name in part.cluster_ids
        )


# --- the table ------------------------------------------------------------------------


def scores(path: Path, value: float, **more) -> Path:
    """A file of scores that has ``value`` for the accuracy on test."""
    dev = {"loss": 0.5, "accuracy": 0.75, "macro_f1": 0.7, "classes_absent": 0, "n": 5}
    found = {"dev": dev, "test": dev | {"accuracy": value}, "epochs": 3, **more}
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


POINTS = [RUN | {"share": 0.5}, RUN | {"share": 1.0}]


def test_a_row_a_point_split_and_metric(tmp_path):
    files = [
        scores(tmp_path / "share0.5.json", 0.8, n_train=13),
        scores(tmp_path / "metrics.json", 0.9),
    ]
    path = tmp_path / "learning_curve.parquet"
    curve_table(POINTS, files, {"imdb": 25}, {"rule": "test"}, path)
    rows = tables.read_table(path, "learning_curve").to_pylist()
    keys = [(r["share"], r["split"], r["metric"]) for r in rows]
    metrics = ("accuracy", "loss", "macro_f1")
    assert sorted(keys) == [
        (share, split, metric)
        for share in (0.5, 1.0)
        for split in ("dev", "test")
        for metric in metrics
    ]
    assert all(RUN.items() <= row.items() for row in rows)
    assert {(row["share"], row["n_train"]) for row in rows} == {(0.5, 13), (1.0, 25)}
    told = dict(zip(keys, (row["value"] for row in rows), strict=True))
    assert told[0.5, "test", "accuracy"] == 0.8
    assert told[1.0, "test", "accuracy"] == 0.9
    assert told[1.0, "dev", "accuracy"] == 0.75 and told[0.5, "dev", "loss"] == 0.5


def test_scores_have_metrics_of_their_own(tmp_path):
    of_split = dict.fromkeys(("absolute_error", "concordance", "loss"), 0.25)
    of_split |= {"pearson": None, "constant": 1, "n": 5}
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"dev": of_split, "test": of_split}), encoding="utf-8")
    path = tmp_path / "learning_curve.parquet"
    curve_table(POINTS[1:], [file], {"imdb": 25}, {"rule": "test"}, path)
    rows = tables.read_table(path, "learning_curve").to_pylist()
    told = {row["metric"]: row["value"] for row in rows if row["split"] == "test"}
    assert told == {
        "absolute_error": 0.25,
        "concordance": 0.25,
        "loss": 0.25,
        "pearson": None,
    }


@pytest.mark.parametrize("lacks", ["n_train", "test"])
def test_a_file_that_holds_no_such_scores_is_named(tmp_path, lacks):
    file = scores(tmp_path / "share0.5.json", 0.8, n_train=13)
    found = json.loads(file.read_text(encoding="utf-8"))
    del found[lacks]
    file.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(AuditError, match=f"share0.5.json: .* lacks '{lacks}'"):
        curve_table(POINTS[:1], [file], {"imdb": 25}, {}, tmp_path / "t.parquet")
