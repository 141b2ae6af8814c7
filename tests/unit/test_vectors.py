"""Word vectors of archives and files."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit.data import vectors
from attention_audit.data.vectors import read_vectors
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_zip

WORDS = ["the", "of", "cat", "dog", "the"]
ARCHIVE = {"kind": "archive", "matrix": "v.npy", "index": "i.parquet"}


def vector_wheel(path: Path, matrix: np.ndarray, words=WORDS) -> Path:
    stored, index = io.BytesIO(), io.BytesIO()
    np.save(stored, matrix)
    pq.write_table(pa.table({"index": words}), index)
    members = {"v.npy": stored.getvalue(), "i.parquet": index.getvalue()}
    return make_zip(path, members)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2"])
def test_archive_vectors_are_the_rows_of_the_matrix(
    tmp_path, monkeypatch, order, dtype
):
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 40)  # several blocks
    words = [f"w{i}" for i in range(23)]
    matrix = np.arange(69).reshape(23, 3).astype(dtype, order=order)
    wheel = vector_wheel(tmp_path / "v.whl", matrix, words)
    wanted = {"w0", "w4", "w5", "w22", "absent"}
    found = dict(read_vectors(ARCHIVE, wheel, wanted))
    assert set(found) == wanted - {"absent"}
    for word, vector in found.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, matrix[words.index(word)])


def test_of_a_repeated_word_the_first_vector_counts(tmp_path):
    wheel = vector_wheel(tmp_path / "v.whl", np.eye(5, dtype=np.float32))
    [(word, vector)] = read_vectors(ARCHIVE, wheel, {"the"})
    assert word == "the" and vector.tolist() == [1, 0, 0, 0, 0]
    text = tmp_path / "v.txt"
    text.write_text("the 1 2\nthe 3 4\n")
    [(_, vector)] = read_vectors({"kind": "file"}, text, {"the"})
    assert vector.tolist() == [1, 2]


def test_words_of_vectors_are_compared_in_the_form_of_tokens(tmp_path):
    # composed where form C is not, and the other way round
    words = ["\u0958", "cafe\u0301"]
    wanted = {"\u0915\u093c", "caf\u00e9"}
    matrix = np.eye(2, dtype=np.float32)
    wheel = vector_wheel(tmp_path / "v.whl", matrix, words)
    text, table = tmp_path / "v.txt", tmp_path / "v.parquet"
    text.write_text(f"{words[0]} 1 0\n{words[1]} 0 1\n")
    pq.write_table(
        pa.table({"token": [*words, None], "vector": [[1, 0], [0, 1.0], None]}), table
    )
    file = {"kind": "file"}
    for settings, path in ((ARCHIVE, wheel), (file, text), (file, table)):
        assert set(dict(read_vectors(settings, path, wanted))) == wanted


def test_archive_faults_are_named(tmp_path):
    matrix = np.ones((5, 2), np.float32)
    matrix[2, 1] = np.nan
    wheel = vector_wheel(tmp_path / "v.whl", matrix)
    assert len(list(read_vectors(ARCHIVE, wheel, {"the", "dog"}))) == 2
    with pytest.raises(AuditError, match=r"v\.npy', row 2.*NaN"):
        list(read_vectors(ARCHIVE, wheel, {"cat"}))
    wheel = vector_wheel(tmp_path / "short.whl", np.ones((4, 2), np.float32))
    with pytest.raises(AuditError, match=r"5 rows.*\(4, 2\)"):
        list(read_vectors(ARCHIVE, wheel, {"cat"}))
    wheel = vector_wheel(tmp_path / "int.whl", np.ones((5, 2), np.int64))
    with pytest.raises(AuditError, match="int64"):
        list(read_vectors(ARCHIVE, wheel, {"cat"}))


@pytest.mark.parametrize("header", ["", "4 2\n", "\ufeff", "\ufeff4 2\r\n"])
def test_text_vectors(tmp_path, header):
    file = tmp_path / "v.txt"
    # a phrase with a space, a word with a no-break space, a trailing space
    file.write_text(
        header + "the 0.5 -1e-3\ncat nap 9 9\na\u00a0b 3 4 \ndog 1 2\n",
        encoding="utf-8",
    )
    found = dict(read_vectors({"kind": "file"}, file, {"the", "cat", "a\u00a0b"}))
    assert set(found) == {"the", "a\u00a0b"}
    np.testing.assert_array_equal(found["the"], np.float32([0.5, -1e-3]))
    np.testing.assert_array_equal(found["a\u00a0b"], [3, 4])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("the 1 2\ncat 1\n", "line 2: 1 values, expected 2"),
        ("the 1 2\ncat 1 2 3\n", "line 2: 3 values, expected 2"),
        ("9 3\nthe 1 2\n", "line 2: 2 values, expected 3"),
        ("the 1 2\ncat 1 nan\n", "line 2: .*NaN"),
        ("the 1 2\ncat 1 x\n", "line 2: not a vector of numbers"),
        (b"the 1 2\ncat\xe9 1 2\n", "line 2: .*not UTF-8"),
    ],
)
def test_faults_of_text_vectors_are_named(tmp_path, content, match):
    file = tmp_path / "v.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AuditError, match=match):
        list(read_vectors({"kind": "file"}, file, {"cat", "the"}))


def test_parquet_vectors(tmp_path):
    file = tmp_path / "v.parquet"
    rows = {"token": ["a", "b", "c", "a"], "vector": [[1.0, 2], [3, 4], [5], [7, 8]]}
    pq.write_table(pa.table(rows), file)
    found = dict(read_vectors({"kind": "file"}, file, {"a", "b"}))
    assert {k: v.tolist() for k, v in found.items()} == {"a": [1, 2], "b": [3, 4]}
    with pytest.raises(AuditError, match="row 2: 1 values, expected 2"):
        list(read_vectors({"kind": "file"}, file, {"c"}))
    pq.write_table(pa.table({"word": ["a"], "vector": [[1.0]]}), file)
    with pytest.raises(AuditError, match="no column 'token'"):
        list(read_vectors({"kind": "file"}, file, {"a"}))
    with pytest.raises(AuditError, match="no such file"):
        list(read_vectors({"kind": "file"}, tmp_path / "no.txt", {"a"}))
