"""Lexicons, and whether attention goes to the words at which people feel much."""

import zipfile

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from attention_audit.data.lexicons import ratings_of, read_lexicon
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import SCHEMAS
from attention_audit.records.tables import write_table
from attention_audit.statistics.in_step import Padded, Step
from attention_audit.statistics.run_measures import UNIFORM
from attention_audit.statistics.valence import valence_blocks

LINES = "Good\t1.9\t0.9\t[1, 2]\r\n\n:(\t-1.9\ngood\t7\nfilm\t0\n"


def test_words_are_read_with_their_first_rating(tmp_path):
    path = tmp_path / "felt.tsv"
    path.write_text(LINES, encoding="utf-8", newline="")
    expected = {"good": 1.9, ":(": -1.9, "film": 0.0}
    assert read_lexicon(path) == expected
    archive = tmp_path / "felt.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("felt/felt.tsv", LINES)
    assert read_lexicon(archive, "felt/felt.tsv") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("good\t1\nbad\n", "line 2: expected a word and its rating with a tab"),
        ("good 1\n", "line 1: expected a word and its rating"),
        ("\t1\n", "line 1: expected a word and its rating"),
        ("good\tnan\n", "line 1: expected a word and its rating"),
        ("good\t\n", "line 1: expected a word and its rating"),
        ("\n", "holds no word"),
        ("caf\xe9\t1\n", "line 1: cannot be read, found bytes that are not UTF-8"),
    ],
)
def test_a_line_that_rates_no_word_is_named(tmp_path, text, said):
    path = tmp_path / "felt.tsv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AuditError, match=said):
        read_lexicon(path)
    with pytest.raises(AuditError, match="Check the entry under lexicons"):
        read_lexicon(tmp_path / "nowhere.tsv")


def test_words_are_found_whatever_their_case_and_marks(tmp_path):
    path = tmp_path / "test.parquet"
    columns = {name: None for name in SCHEMAS["examples"].names} | {
        "dataset": "d",
        "instance_id": ["a", "b"],
        "cluster_id": ["a", "b"],
        "tokens": [["GOOD", "day"], ["ĠGood", "▁good", "Ġ"]],
        "token_ids": [[2, 3], [4, 5, 6]],
        "label": [0, 1],
        "length": [2, 3],
        "text": ["GOOD day", "Good good"],
        "gold": [None, None],
    }
    write_table(path, "examples", columns, {"by": "test"})
    found = ratings_of(path, {"good": 1.5})
    assert [ratings.tolist() for ratings in found.values()] == [[1.5, 0], [1.5, 1.5, 0]]


def step_of(weights: list[list[float]]) -> Step:
    ids = [f"text{i}" for i in range(len(weights))]
    lengths = np.array([len(row) for row in weights])
    mask = np.arange(lengths.max()) < lengths[:, None]
    values = np.zeros(mask.shape)
    values[mask] = np.concatenate(weights)
    table = pa.table({"instance_id": ids, "length": lengths})
    return Step(table, Padded("attention.parquet", ids, values, mask), {}, {}, None, {})


def test_valence_is_of_weights_and_of_how_strong_a_word_is():
    weights = [[0.5, 0.1, 0.1, 0.3], [0.2, 0.8], [0.6, 0.4, 0.0]]
    ratings = {
        "text0": np.array([-3.0, 0.0, 1.0, 2.0]),
        "text1": np.array([0.0, 0.0]),
        "text2": np.array([0.0, -1.0, 1.0]),
    }
    step = step_of(weights)
    subjects = {"attention": step.attention.values, UNIFORM: step.attention.mask}
    ids, blocks = valence_blocks(step, subjects, ratings, UNIFORM)
    # nobody feels anything at the second
    assert ids == ["text0", "text2"]
    found = {(measure, subject): values for measure, subject, _, values in blocks}
    assert set(found) == {
        ("valence_share", "attention"),
        ("valence_share", UNIFORM),
        ("valence_tau_b", "attention"),
    }
    np.testing.assert_allclose(found["valence_share", "attention"], [0.9, 0.4])
    np.testing.assert_allclose(found["valence_share", UNIFORM], [3 / 4, 2 / 3])
    expected = [
        scipy.stats.kendalltau(weights[row], np.abs(ratings[f"text{row}"])).statistic
        for row in (0, 2)
    ]
    np.testing.assert_allclose(found["valence_tau_b", "attention"], expected)


def test_texts_of_another_data_set_are_refused():
    step = step_of([[0.5, 0.5]])
    subjects = {"attention": step.attention.values}
    for ratings in ({}, {"text0": np.array([1.0])}):
        with pytest.raises(AuditError, match="'text0' is no text of its data set"):
            valence_blocks(step, subjects, ratings, UNIFORM)
