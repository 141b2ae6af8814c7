"""Ids of decisions of sentence pairs, and which of them share a pair."""

import pytest

from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id, parts
from attention_audit.records.errors import AuditError
from attention_audit.statistics.matrices import cluster_ids, cluster_places


def test_an_id_tells_pair_and_step_and_sorts_as_they_do():
    assert decision_id("0f3a", 7) == "0f3a.007"
    for pair in ("0f3a", "a.b", "a.1"):
        ids = [decision_id(pair, step) for step in range(1000)]
        assert sorted(ids) == ids
        assert [parts(i) for i in ids] == [(pair, step) for step in range(1000)]
    assert parts(decision_id("0f3a", 1234)) == ("0f3a", 1234)


@pytest.mark.parametrize(
    "text", ["", "0f3a", ".007", "0f3a.", "0f3a.-1", "0f3a.²", "a.b"]
)
def test_what_is_no_id_of_a_decision_is_told(text):
    with pytest.raises(
        AuditError, match=r"is no decision of a sentence pair: expected"
    ):
        parts(text)


def test_the_decisions_of_a_pair_share_it(tmp_path):
    path = tmp_path / "test.parquet"
    pairs = {
        "dataset": "mine",
        "instance_id": ["b", "a"],
        "cluster_id": ["b", "a"],
        "source_tokens": [["x"], ["x", "y"]],
        "target_tokens": [["u", "v"], ["u"]],
        "source_ids": [[4], [4, 5]],
        "target_ids": [[4, 5], [4]],
        "source_length": [1, 2],
        "target_length": [2, 1],
        "sure": [[{"source": 0, "target": 1}], None],
        "possible": [[], None],
        "source_classes": None,
        "group": None,
        "origin": "a file",
    }
    tables.write_table(path, "sentence_pairs", pairs, {})
    # a word each, and the end
    known = {"b.000": "b", "b.001": "b", "b.002": "b", "a.000": "a", "a.001": "a"}
    assert cluster_ids(path) == known
    measured = ["a.000", "b.001", "b.002"]
    assert cluster_places(measured, known, path).tolist() == [0, 1, 1]
    with pytest.raises(
        AuditError, match=r"has no instance 'b\.003', which was measured"
    ):
        cluster_places(["b.003"], cluster_ids(path), path)
