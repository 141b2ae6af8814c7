"""Sources: streamed documents of archives, the hub and local files."""

import collections
import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit.data import sources
from attention_audit.data.columns import as_label
from attention_audit.data.sources import Document, read_documents
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_zip


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


# ---------------------------------------------------------------- local files


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
    with pytest.raises(AuditError, match=r"a\.csv, line 2: 3 fields, the header has 2"):
        list(read_documents(local_source(), {"all": shifted}))


@pytest.mark.parametrize(
    "name",
    [
        *("reviews[1].csv", "reviews?.csv", "reviews*.csv", "**.csv", "{all}.csv"),
        *("%41.csv", "#1.csv", "a b.csv", "crème.csv", "--help.csv", "~", "a::b.csv"),
        *("https:/reviews.csv", "zip:/reviews.csv", "[1]/reviews.csv", "$HOME.csv"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_exactly_the_named_file_is_read(tmp_path, monkeypatch, name, kind):
    """Beside files that the name would match as a pattern, in a relative path too."""
    monkeypatch.chdir(tmp_path)
    named = Path(name)
    named.parent.mkdir(parents=True, exist_ok=True)
    for file, text in ((named, "this"), *((Path(f"{c}.csv"), "no") for c in "1Ax")):
        target = file if file == named else named.with_name(f"reviews{file}")
        if kind == "csv":
            target.write_text(f"text,label\n{text},1\n")
        elif kind == "json":
            target.write_text(f'{{"text": "{text}", "label": 1}}\n')
        else:
            with target.open("wb") as stream:
                pq.write_table(pa.table({"text": [text], "label": [1]}), stream)
    source = local_source(format=kind)
    for path in (named, named.absolute()):
        assert list(read_documents(source, {"all": path})) == [("all", "this", "1")]


STRICT = [
    # a row with one field is neither dropped nor joined to the next
    ("text,label\nok,0\ngood\nfilm,1\n", "line 3: 1 fields, the header has 2"),
    ("text,label\nok,0\n  \nfilm,1\n", "line 3: 1 fields"),
    ("text,label\nok,0\na,b,1\n", "line 3: 3 fields"),
    # the row is named where it starts, not where it ends
    ('text,label\nok,0\n"a\nb\nc",1,2\n', "line 3: 3 fields"),
    ('text,label\nok,0\n\n"a,1\nb,0\n', "starts at line 4 cannot be read"),
    ('text,label\n"good" film,1\n', "starts at line 2 cannot be read"),
    ("text,label\nok,0\ngood\rbad,1\n", "line 3: .*lone carriage return"),
    ("text,label\nok,0\na,1\rb,1\n", "line 3: .*lone carriage return"),
    ("text,label\rok,0\ra,1\nb,0\r", "line 3: .*line feed"),
    ("text,label\nok,0\na\0b,1\n", "line 3: .*NUL"),
    (b"text,label\nok,0\n\xe9,1\n", "line 3: .*not UTF-8"),
    ("text,label\nok,0\n".encode("utf-16"), "line 1: .*UTF-8"),
    ("text,label\nok,0\n".encode("utf-16-le"), "line 1: .*NUL"),
    ("text,label,text\na,1,b\n", "2 columns are named 'text'"),
    ("text,label \na,1\n", "Did you mean 'label '"),
    ("text,label\n", "holds no rows"),
    ("", r"is empty.*\['text', 'label'\]"),
    ("\n\n", r"is empty"),
]


@pytest.mark.parametrize(("content", "match"), STRICT)
@pytest.mark.parametrize("place", ["archive", "local", "packed"])
def test_one_strict_reader_for_delimited_files(tmp_path, content, match, place):
    content = content if isinstance(content, bytes) else content.encode()
    if place == "archive":
        match = rf"texts\.whl, file 'data/texts\.csv'.*{match}"
        with pytest.raises(AuditError, match=match):
            read_csv(tmp_path, content)
        return
    file = tmp_path / ("a.csv.gz" if place == "packed" else "a.csv")
    file.write_bytes(gzip.compress(content) if place == "packed" else content)
    with pytest.raises(AuditError, match=rf"{file.name}.*{match}"):
        list(read_documents(local_source(), {"all": file}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufefftext,label\na,1\n", [("a", "1")]),
        ("text,label\r\na,1\r\n\r\nb,0", [("a", "1"), ("b", "0")]),
        ("text,label\ra,1\rb,0\r", [("a", "1"), ("b", "0")]),
        # a line end of any kind within quotes is part of the text
        ('text,label\n"a\rb\r\nc\nd",1\n', [("a\rb\r\nc\nd", "1")]),
        ("text,label\na\u2028b\x0bc\x85d,1\n", [("a\u2028b\x0bc\x85d", "1")]),
        # columns that nobody asks for may share a name
        ("text,x,label,x\na,,1,\n", [("a", "1")]),
        (",label,text\n0,1,a\n", [("a", "1")]),
    ],
)
def test_rows_are_never_merged_or_split(tmp_path, content, expected):
    file = tmp_path / "A.CSV"
    file.write_bytes(content.encode())
    found = list(read_documents(local_source(), {"all": file}))
    assert found == [("all", *row) for row in expected] == read_csv(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", r"a\.jsonl: holds no rows"),
        ("\n \n", r"a\.jsonl: holds no rows"),
        ("[]", r"a\.jsonl: holds no rows"),
        ('{"text": "a"}\n', r"line 1: no column 'label'.*found columns: text\."),
        ('{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: no column 'label'"),
        ('{"text": "a", "label": 1}\n\n3\n', "line 3: found int '3', expected an obj"),
        ('{"text": "a", "label": 1}\n{"text": \n', "line 2: not valid JSON"),
        ('{\n"text": "a", "label": 1}\n', "line 1: not valid JSON"),
        ('{"text": "a", "label": 1} {"text": "b", "label": 1}\n', "line 1: not valid"),
        ('{"text": "a", "label": 1, "label": 0}\n', "line 1: .*'label' twice"),
        ('[{"text": "a", "label": 1},\n{"text" 3}]', "line 2: not valid JSON"),
        ('[{"text": "a", "label": 1}, {"text": 3, "label": 1}]', "record 2: column 't"),
        ('{"text": ["a"], "label": 1}\n', "line 1: column 'text' .*list"),
        ('{"text": "a", "label": {"x": 1}}\n', "line 1: column 'label' .*dict"),
        ("[" * 100_000, "line 1: not valid JSON"),
        (b'{"text": "\xe9", "label": 1}\n', "line 1: .*not UTF-8"),
    ],
)
def test_faults_of_json_are_named(tmp_path, content, match):
    file = tmp_path / "a.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AuditError, match=rf"a\.jsonl.*{match}|{match}"):
        list(read_documents(local_source(), {"all": file}))


def test_sentences_and_root_labels_of_trees_are_read(tmp_path):
    file = tmp_path / "dev.txt"
    file.write_text(
        "(3 (2 It) (4 (2 's) (4 (2 good) (2 .))))\n\n"
        "(1 (2 -LRB-) (1 (2 no) (2 (2 and\\/or) (2 -RRB-))))\n"
    )
    source = local_source(format="trees", labels={"3": "positive", "1": "negative"})
    assert list(read_documents(source, {"dev": file})) == [
        ("dev", "It 's good .", "positive"),
        ("dev", "( no and/or )", "negative"),
    ]


@pytest.mark.parametrize(
    "line",
    ["(3 (2 a)", "(3 (2 a)))", "3 a", "(3)", "((2 a))", "(3 (2 a)) (2 b)", "a b"],
)
def test_what_is_no_tree_is_named(tmp_path, line):
    file = tmp_path / "dev.txt"
    file.write_text(f"(3 (2 a) (2 b))\n{line}\n")
    source = local_source(format="trees")
    with pytest.raises(AuditError, match=r"dev\.txt, line 2: not a labelled tree"):
        list(read_documents(source, {"dev": file}))


def test_the_treebank_has_as_many_sentences_as_its_paper_says():
    folder = Path(__file__).parents[3] / "shared/data/sst"
    if not folder.is_dir():
        pytest.skip(f"{folder}: the Stanford Sentiment Treebank is not here")
    labels = {"0": "negative", "1": "negative", "3": "positive", "4": "positive"}
    source = local_source(format="trees", labels=labels)
    files = {split: folder / f"{split}.txt" for split in ("train", "dev", "test")}
    found = collections.Counter(d.split for d in read_documents(source, files))
    # Socher et al. 2013, sec. 5: binary, neutral sentences left out
    assert found == {"train": 6920, "dev": 872, "test": 1821}


def test_json_columns_may_begin_with_nulls_and_change_their_kind(tmp_path):
    file = tmp_path / "a.jsonl"
    nulls = '{"text": null, "label": null}\n' * 2000
    rows = '{"label": 1, "text": "a\u2028b"}\n\n{"text": "b", "more": {}, "label": 1.0}\r\n'
    file.write_text("\ufeff" + nulls + rows + '{"text": "c", "label": "1"}')
    found = list(read_documents(local_source(), {"all": file}))
    assert found[:2000] == [("all", None, None)] * 2000
    assert found[2000:] == [("all", t, "1") for t in ("a\u2028b", "b", "c")]


def test_json_lines_are_read_as_they_come(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a", "label": 1}\nbroken\n')
    documents = read_documents(local_source(), {"all": file})
    assert next(documents) == ("all", "a", "1")
    with pytest.raises(AuditError, match="line 2"):
        next(documents)


def parquet_documents(tmp_path, table: pa.Table) -> list[Document]:
    file = tmp_path / "a.parquet"
    pq.write_table(table, file)
    return list(read_documents(local_source(), {"all": file}))


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["1", None, "0"]).dictionary_encode(),
        pa.array([1, None, 0], pa.int8()).dictionary_encode(),
        pa.array([1, None, 0], pa.uint64()),
        pa.array([1, None, 0], pa.float32()),
        pa.array(["1", " ", "0 "], pa.large_string()),
    ],
)
def test_parquet_labels_of_any_kind(tmp_path, labels):
    texts = pa.array(["a", "b", "c"]).dictionary_encode()
    found = parquet_documents(tmp_path, pa.table({"text": texts, "label": labels}))
    assert found == [("all", "a", "1"), ("all", "b", None), ("all", "c", "0")]


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pa.array([None, 0], pa.date32()), "row 1: column '.*' .*date"),
        (pa.array([None, 2**60], pa.timestamp("ms")), "cannot be read"),
        (pa.array([None, 0], pa.timestamp("ns")), "row 1: column '.*' .*Timestamp"),
        (pa.array([None, b"a"]), "row 1: column '.*' .*bytes"),
        (pa.array([None, ["a"]]), "row 1: column '.*' .*list"),
        (pa.array([None, "1.5"]).cast(pa.decimal128(3, 1)), "row 1: .*Decimal"),
        (pa.array([None, {"a": 1}]), "row 1: column '.*' .*dict"),
    ],
)
@pytest.mark.parametrize("key", ["text", "label"])
def test_parquet_columns_of_other_kinds_are_named(tmp_path, column, match, key):
    columns = {"text": ["a", "b"], "label": ["1", "0"]} | {key: column}
    with pytest.raises(AuditError, match=rf"a\.parquet.*{match}"):
        parquet_documents(tmp_path, pa.table(columns))


def test_faults_of_parquet_are_named(tmp_path):
    with pytest.raises(AuditError, match=r"a\.parquet: holds no rows"):
        parquet_documents(tmp_path, pa.table({"text": ["a"], "label": [1]})[:0])
    twice = pa.table([["a"], [1], ["b"]], names=["text", "label", "text"])
    with pytest.raises(AuditError, match="2 columns are named 'text'"):
        parquet_documents(tmp_path, twice)
    invalid = pa.Array.from_buffers(
        pa.string(), 1, pa.array([b"\xff"]).buffers()
    )  # a string that is not UTF-8
    with pytest.raises(AuditError, match=r"cannot be read .*utf-8"):
        parquet_documents(tmp_path, pa.table({"text": invalid, "label": [1]}))


def test_parquet_of_the_hub_keeps_the_names_of_its_classes(tmp_path):
    import datasets

    names = datasets.ClassLabel(names=["n", "p"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    rows = datasets.Dataset.from_dict(
        {"text": ["a", "b", "c"], "label": [1, 0, -1]}, features
    )
    rows.to_parquet(tmp_path / "a.parquet")
    found = list(read_documents(local_source(), {"all": tmp_path / "a.parquet"}))
    assert found == [("all", "a", "p"), ("all", "b", "n"), ("all", "c", None)]


def test_packed_files_that_are_cut_or_none_are_named(tmp_path):
    file = tmp_path / "a.csv.gz"
    rows = "".join(f"text {i * i},{i % 2}\n" for i in range(5000))
    whole = gzip.compress(("text,label\n" + rows).encode())
    for content in (
        whole[: len(whole) // 2],
        b"text,label\na,1\n",
        whole[:-8] + b"x" * 8,
    ):
        file.write_bytes(content)
        with pytest.raises(AuditError, match=r"a\.csv\.gz: cannot be read"):
            list(read_documents(local_source(), {"all": file}))


def test_local_files_need_no_library_of_the_hub(tmp_path):
    """It takes seconds to import."""
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1\n")
    code = (
        "import sys; from attention_audit.data.sources import read_documents; "
        f"list(read_documents({local_source()!r}, {{'all': {str(file)!r}}})); "
        "sys.exit('datasets' in sys.modules)"
    )
    scripts = Path(sources.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=scripts, check=True)


# ---------------------------------------------------------------- labels

CAFE = ["cafe\u0301", "caf\u00e9"]  # one word in two forms


def test_white_space_and_form_make_no_other_label(tmp_path):
    content = (
        f"text,label,source\na,pos,x \nb, pos\u00a0,x\nc,{CAFE[0]},\u3000x\nd, ,x\n"
    )
    found = read_csv(tmp_path, content, where={"source": " x"})
    assert [d.label for d in found] == ["pos", "pos", CAFE[1], None]
    mapping = {" pos": "good ", f"{CAFE[1]} ": CAFE[0]}
    found = read_csv(tmp_path, content, where={"source": "x"}, labels=mapping)
    assert [d.label for d in found] == ["good", "good", CAFE[1], None]


@pytest.mark.parametrize("other", ["Pos ", "ｐｏｓ", "p\u00ados", "\u200bpos", "POS"])
@pytest.mark.parametrize("labels", [None, {"pos": "p", "neg": "n"}])
def test_labels_that_look_alike_are_an_error(tmp_path, other, labels):
    content = f"text,label\na,neg\nb,pos\nc,{other}\n"
    with pytest.raises(AuditError, match=r"'pos' and .*source\.labels"):
        read_csv(tmp_path, content, labels=labels)
    both = {"pos": "p", "neg": "n", other: "p"}
    assert [d.label for d in read_csv(tmp_path, content, labels=both)] == [
        "n",
        "p",
        "p",
    ]


def test_a_number_written_in_two_ways_is_no_two_labels(tmp_path):
    content = "text,label\na,0\nb,1\nc,1.0\n"
    with pytest.raises(AuditError, match=r"'1' and '1\.0' .*source\.labels"):
        read_csv(tmp_path, content)
    labels = {"0": "n", "1": "p", "1.0": "p"}
    assert [d.label for d in read_csv(tmp_path, content, labels=labels)] == list("npp")


@pytest.mark.parametrize(
    "labels", [{"a": "x", "a ": "y"}, {" ": "x", "b": "y"}, {"a": " ", "b": "y"}]
)
def test_a_mapping_that_contradicts_itself_is_an_error(tmp_path, labels):
    with pytest.raises(AuditError, match=r"source\.labels"):
        read_csv(tmp_path, "text,label\nt,a\n", labels=labels)


# ---------------------------------------------------------------- scores and shapes


def written(folder: Path, kind: str, texts: list, labels: list) -> tuple[dict, dict]:
    """A source and its files that hold texts and labels, in any of the formats."""
    rows = [{"text": t, "label": x} for t, x in zip(texts, labels, strict=True)]
    path = folder / f"a.{kind}"
    if kind == "hub":
        documents = {"split": "all", "text": texts, "rationale": None}
        documents["label"] = [as_label(x, "row", "label") for x in labels]
        tables.write_table(path, "documents", documents, {})
        source = {"kind": "hub", "label": "label", "labels": None}
        return source, {"documents": path}
    if kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif kind == "parquet":
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    elif kind == "tsv":
        path.write_text(
            "\n".join(
                [
                    "text\tlabel",
                    *(f"{t}\t{x}" for t, x in zip(texts, labels, strict=True)),
                ]
            )
        )
    else:
        content = io.StringIO(newline="")
        writer = csv.writer(content)
        writer.writerows([["text", "label"], *(row.values() for row in rows)])
        path.write_text(content.getvalue())
    if kind == "archive":
        path = make_zip(folder / "a.whl", {"a.csv": content.getvalue()})
        return archive_source(files={"all": "a.csv"}), {"archive": path}
    return local_source(), {"all": path}


formats = pytest.mark.parametrize(
    "kind", ["csv", "tsv", "json", "jsonl", "parquet", "archive", "hub"]
)


@formats
@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (
            [1, 2, 3, 4, 5, 6, 7],
            r"label '6' is a score.* over 5; .*: 1, 2, 3, 4, 5, 6\.",
        ),
        ([-3, 0, 12, 1999, 7, 8], r"label '8' is a score.*: -3, 0, 7, 8, 12, 1999\."),
        ([1.0, 0.0, 0.5], r"label '0\.5' is a score.*not whole.*: 0(\.0)?, 0\.5, 1"),
        ([0.25, 0.75], r"label '0\.25' is a score"),
        ([1e-3, 2.0], r"label '0\.001' is a score"),
    ],
)
def test_scores_are_no_classes_unless_they_are_named(tmp_path, kind, labels, match):
    texts = [f"text {i}" for i in range(len(labels))]
    source, files = written(tmp_path, kind, texts, labels)
    with pytest.raises(AuditError, match=match) as error:
        list(read_documents(source, files))
    assert str(next(iter(files.values()))) in str(error.value)
    assert "source.labels" in str(error.value)
    found = map(str, labels)
    if kind in ("json", "jsonl", "parquet", "hub"):
        found = (f"{x:g}" for x in labels)
    named = dict(zip(found, "lh" * len(labels), strict=False))
    bins = [d.label for d in read_documents(source | {"labels": named}, files)]
    assert bins == list(("lh" * len(labels))[: len(labels)])


@formats
@pytest.mark.parametrize(
    "labels", [[1, 2, 3, 4, 5], [0, 1], ["1a", "2a", "3a", "4a", "5a", "6a", "7b"]]
)
def test_few_whole_numbers_and_names_with_digits_are_classes(tmp_path, kind, labels):
    texts = [f"text {i}" for i in range(len(labels))]
    source, files = written(tmp_path, kind, texts, labels)
    found = [d.label for d in read_documents(source, files)]
    assert found == list(map(str, labels))


@pytest.mark.parametrize("label", ["3,5", "+.5", "1e-2", "-0.5"])
def test_numbers_are_known_however_they_are_written(tmp_path, label):
    with pytest.raises(AuditError, match=r"is a score and no class"):
        read_csv(tmp_path, f'text,label\na,1\nb,"{label}"\n')


@formats
@pytest.mark.parametrize("label", ["['a', 'b']", "[0, 1]", '{"start": 3, "end": 5}'])
def test_a_list_written_as_text_is_no_label(tmp_path, kind, label):
    source, files = written(tmp_path, kind, ["a", "b"], ["x", label])
    with pytest.raises(AuditError, match=r"is a list\. A text has one label"):
        list(read_documents(source, files))
    named = {"x": "x", label: "y"}
    found = list(read_documents(source | {"labels": named}, files))
    assert [d.label for d in found] == ["x", "y"]


def test_a_label_in_brackets_is_one(tmp_path):
    found = read_csv(tmp_path, "text,label\na,[A]\nb,(b c)\n")
    assert [d.label for d in found] == ["[A]", "(b c)"]


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text", ["a premise", "a hypothesis"]),
        ("text", {"en": "a", "fr": "b"}),
        ("label", ["toxic", "rude"]),
        ("label", [0, 1, 0]),
        ("label", []),
        ("label", [{"start": 3, "end": 5}]),
    ],
)
def test_shapes_that_are_not_supported_are_told_what_is(tmp_path, kind, key, value):
    columns = {"text": ["a"], "label": ["x"]} | {key: [value]}
    source, files = written(tmp_path, kind, columns["text"], columns["label"])
    with pytest.raises(AuditError, match=rf"'{key}' .*one text and one label") as error:
        list(read_documents(source, files))
    assert "docs/terms.md" in str(error.value)


def test_a_pair_of_columns_is_told_what_is_read(tmp_path):
    content = "premise,hypothesis,label\na,b,x\n"
    with pytest.raises(AuditError, match=r"premise, hypothesis, label.*One column of"):
        read_csv(tmp_path, content)


# ---------------------------------------------------------------- the hub


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
