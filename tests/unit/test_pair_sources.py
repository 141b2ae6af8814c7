"""Sentence pairs: alignments as text, files, the hub, the New Testament."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from attention_audit.data.pair_sources import (
    BOOKS,
    fetch_pairs,
    read_links,
    read_pairs,
)
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_zip

# ---------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("line", "first", "sure", "possible"),
    [
        ("0-0 2-1", 0, [(0, 0), (2, 1)], []),
        ("2-1 0-0p 1-0?", 0, [(2, 1)], [(0, 0), (1, 0)]),
        ("1p0 1?1\t0-1\n", 0, [(0, 1)], [(1, 0), (1, 1)]),
        ("1-1 3-2p", 1, [(0, 0)], [(2, 1)]),
        # both ways, in either order, is sure
        ("0-0p 0-0 1-1 1-1p", 0, [(0, 0), (1, 1)], []),
        (" \n", 0, None, None),
    ],
)
def test_links_are_sure_or_possible(line, first, sure, possible):
    assert read_links(line, first, (3, 2), "a.links, line 1") == (sure, possible)


@pytest.mark.parametrize(
    ("line", "first", "told"),
    [
        ("0-0 1:1", 0, r"a.links, line 7: '1:1' is no link"),
        ("0-0-1", 0, "is no link"),
        ("0-", 0, "is no link"),
        ("-1-0", 0, "is no link"),
        ("1-0s", 0, "is no link"),
        ("1p0p", 0, "is no link"),
        ("٠-0", 0, "is no link"),
        ("3-0", 0, r"line 7: the link '3-0' names the source word 3, .* has 3 words"),
        (
            "0-2p",
            0,
            "target word 2, and .* has 2 words, counted from 0.*first_word to 1 ",
        ),
        ("0-1", 1, "source word 0, and .* counted from 1.*first_word to 0"),
    ],
)
def test_what_is_no_link_of_two_words_is_told(line, first, told):
    with pytest.raises(AuditError, match=told):
        read_links(line, first, (3, 2), "a.links, line 7")


# ---------------------------------------------------------------- columns

COLUMNS = {
    "kind": "local",
    "source": "el",
    "target": "en",
    "alignment": None,
    "group": None,
    "words": "spaces",
    "first_word": 0,
    "format": None,
    "delimiter": None,
}
LINES = {**COLUMNS, "kind": "aligned_files"}


def read(source, files):
    return list(read_pairs(source, files, Counter()))


def pair_of(found):
    return found.source, found.target, found.sure, found.possible, found.group


def test_two_columns_in_any_format(tmp_path):
    rows = [
        {"el": "ὁ  λόγος", "en": "the word", "links": "0-0 1-1p", "part": "a"},
        {"el": "φῶς", "en": "light, then", "links": None, "part": "b"},
    ]
    tsv = tmp_path / "a.tsv"
    lines = ["\t".join(rows[0])] + [
        "\t".join(v or "" for v in r.values()) for r in rows
    ]
    tsv.write_text("\n".join(lines) + "\n", encoding="utf-8")
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = {**COLUMNS, "alignment": "links", "group": "part"}
    for path in (tsv, jsonl):
        first, second = read(source, {"all": path})
        assert pair_of(first) == (
            ["ὁ", "λόγος"],
            ["the", "word"],
            [(0, 0)],
            [(1, 1)],
            "a",
        )
        assert pair_of(second) == (["φῶς"], ["light,", "then"], None, None, "b")
        assert first.split == "all" and first.origin.startswith(f"{path}, line ")
    tokenized = {**COLUMNS, "words": "tokenized"}
    assert read(tokenized, {"all": jsonl})[1].target == ["light", ",", "then"]


def test_columns_that_are_not_there_or_hold_no_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"el": "a", "en": 3}\n', encoding="utf-8")
    with pytest.raises(AuditError, match=r"line 1: source.target .* found int '3'"):
        read(COLUMNS, {"all": path})
    with pytest.raises(AuditError, match=r"no column 'links' \(source.alignment\)"):
        read({**COLUMNS, "alignment": "links"}, {"all": path})
    path.write_text('{"el": "a b", "en": "c", "links": "0-0 1-1"}\n', encoding="utf-8")
    with pytest.raises(AuditError, match=r"a.jsonl, line 1: the link '1-1'"):
        read({**COLUMNS, "alignment": "links"}, {"all": path})


def test_words_that_alignments_name_are_not_cut_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"el": "a", "en": "b", "links": "0-0"}\n', encoding="utf-8")
    source = {**COLUMNS, "alignment": "links", "words": "tokenized"}
    with pytest.raises(AuditError, match=r"source\.words: alignments"):
        read(source, {"all": path})


# ---------------------------------------------------------------- aligned files


def aligned(folder, source, target, links=None):
    files = {"source": source, "target": target, "alignment": links}
    paths = {}
    for key, text in files.items():
        if text is not None:
            paths[key] = folder / f"x.{key}"
            paths[key].write_text(text, encoding="utf-8")
    return {"train": paths}


def test_lines_of_two_files_belong_together(tmp_path):
    # a line separator of Unicode ends no line
    files = aligned(tmp_path, "a\u2028b\nc\n", "d e\r\nf", "0-1?\n\n")
    first, second = read(LINES, files)
    assert pair_of(first) == (["a", "b"], ["d", "e"], [], [(0, 1)], None)
    assert pair_of(second) == (["c"], ["f"], None, None, None)
    assert first.split == "train" and second.origin.endswith("x.source, line 2")
    packed = tmp_path / "x.source.gz"
    packed.write_bytes(gzip.compress(b"a b\nc\n"))
    files["train"]["source"] = packed
    assert [pair.source for pair in read(LINES, files)] == [["a", "b"], ["c"]]


def test_an_empty_line_is_told_where_it_is(tmp_path):
    found = read(LINES, aligned(tmp_path, "a\n\n\nb\n", "c\nd\n\n\n"))
    assert [(p.source, p.target, p.origin[-16:]) for p in found] == [
        (["a"], ["c"], "x.source, line 1"),
        ([], ["d"], "x.source, line 2"),
        ([], [], "x.source, line 3"),
        (["b"], [], "x.target, line 4"),
    ]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (("a\nb\n", "c\n"), r"x.target: ends after line 1, and .*x.source goes on"),
        (("a\n", "c\nd\n"), r"x.source: ends after line 1, and .*x.target goes on"),
        (("a\nb\n", "c\nd\n", "0-0\n"), r"x.alignment: ends after line 1"),
        (("a\nb\n", "c\nd\n", "0-0\n0-7\n"), r"x.alignment, line 2: the link '0-7'"),
        (("a\nb\n", "c\nd\n", "0-0\n0_0\n"), r"x.alignment, line 2: '0_0' is no link"),
        (("", "c\n"), r"x.source: holds no rows"),
        (("a\0\n", "c\n"), r"x.source, line 1: cannot be read"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, texts, told):
    with pytest.raises(AuditError, match=told):
        read(LINES, aligned(tmp_path, *texts))


def test_a_file_that_is_missing_or_cut_short(tmp_path):
    files = aligned(tmp_path, "a\n" * 5000, "b\n" * 5000)
    packed = tmp_path / "x.target.gz"
    whole = gzip.compress(b"b\n" * 5000)
    packed.write_bytes(whole[: len(whole) // 2])
    files["train"]["target"] = packed
    with pytest.raises(AuditError, match=r"x.target.gz: cannot be read \(EOFError"):
        read(LINES, files)
    packed.unlink()
    with pytest.raises(AuditError, match=r"no such file.*source\.files\.train\.target"):
        read(LINES, files)


# ---------------------------------------------------------------- the hub

HUB = {
    **COLUMNS,
    "kind": "hub",
    "path": "json",
    "name": None,
    "revision": None,
    "splits": {"train": "train", "test": "validation"},
    "rows": None,
    "translation": None,
}


@pytest.fixture
def hub(monkeypatch):
    """The hub is a dictionary of rows a split."""
    import datasets

    held = {}

    def load(path, name, split, revision, streaming):
        return datasets.Dataset.from_list(held[split]).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    return held


def test_translations_of_the_hub(tmp_path, hub):
    hub["train"] = [
        {"translation": {"en": f"word {n}", "el": "λόγος"}} for n in range(5)
    ]
    hub["validation"] = [{"translation": {"en": "", "el": None}}]
    source = {**HUB, "translation": "translation", "rows": {"train": 2}}
    fetch_pairs(source, tmp_path / "a.parquet", {})
    found = read(source, {"documents": tmp_path / "a.parquet"})
    assert [(p.split, p.source, p.target) for p in found] == [
        ("train", ["λόγος"], ["word", "0"]),
        ("train", ["λόγος"], ["word", "1"]),
        ("test", [], []),
    ]
    assert found[1].origin == "json, split 'train', row 1"
    with pytest.raises(AuditError, match=r"no language 'de' \(source.source\)"):
        fetch_pairs({**source, "source": "de"}, tmp_path / "b.parquet", {})
    with pytest.raises(AuditError, match=r"no column 'el' \(source.source\)"):
        fetch_pairs({**source, "translation": None}, tmp_path / "b.parquet", {})


def test_columns_of_the_hub(tmp_path, hub):
    row = {"el": "ὁ λόγος", "en": "word", "links": "1-0", "part": 3}
    hub["train"] = hub["validation"] = [row]
    source = {**HUB, "alignment": "links", "group": "part"}
    fetch_pairs(source, tmp_path / "a.parquet", {})
    first, _ = read(source, {"documents": tmp_path / "a.parquet"})
    assert pair_of(first) == (["ὁ", "λόγος"], ["word"], [(1, 0)], [], "3")
    hub["train"] = [{**row, "links": "2-0"}]
    fetch_pairs(source, tmp_path / "a.parquet", {})
    with pytest.raises(AuditError, match=r"split 'train', row 0: the link '2-0'"):
        read(source, {"documents": tmp_path / "a.parquet"})


# ---------------------------------------------------------------- the New Testament

BIBLE = {
    "kind": "bible",
    "greek": "lemma",
    "punctuation": False,
    "group": "chapter",
    "held_out": None,
}
GREEK = """id	altId	text	strongs	gloss	gloss2	lemma	pos	morph
n43011035001	-	ἐδάκρυσεν	-	"wept	-	δακρύω	verb	-
n43011035002	-	ὁ	-	-	-	ὁ	det	-
n43011035003	-	Ἰησοῦς	-	-	-	Ἰησοῦς	noun	-
n52005016001	-	Πάντοτε	-	-	-	πάντοτε	adv	-
n52005016002	-	χαίρετε	-	-	-	χαίρω	verb	-
n52005017001	-	ἀδιαλείπτως	-	-	-	ἀδιαλείπτως	adv	-
"""
ENGLISH = """id	source_verse	text	skip_space_after	exclude	id_range_end	source_verse_range_end
43011035001	43011035	Jesus
43011035002	43011035	wept
43011035003	43011035	.		y
52005016001	52005016	Rejoice
52005017001	52005016	always
66001001001	66001001	Amen
""".replace("\n4", "\t\t\t\t\n4")
RECORDS = [
    {"source": ["n43011035001"], "target": ["43011035002"]},
    {"source": ["n43011035002", "n43011035003"], "target": ["43011035001"]},
    {"source": ["n52005016002", "n52005017001"], "target": ["52005016001"]},
]


def test_the_config_knows_all_books():
    path = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert schema["$defs"]["books"]["items"]["enum"] == list(BOOKS)


def bible(path, greek=GREEK, english=ENGLISH, alignment=None):
    # every row has all of the header's fields
    lines = [line.split("\t") for line in english.splitlines()]
    english = "\n".join("\t".join([*cells, *[""] * 7][:7]) for cells in lines)
    members = {
        "data/sources/SBLGNT.tsv": greek,
        "data/eng/targets/BSB/nt_BSB.tsv": english,
        "data/eng/alignments/BSB/SBLGNT-BSB-manual.json": json.dumps(
            {"records": RECORDS} if alignment is None else alignment
        ),
    }
    return {"archive": make_zip(path / "bible.whl", members)}


def test_verses_with_the_links_within_them(tmp_path):
    notes = Counter()
    wept, rejoice, pray, amen = read_pairs(BIBLE, bible(tmp_path), notes)
    assert wept.source == ["δακρύω", "ὁ", "Ἰησοῦς"] and wept.target == ["Jesus", "wept"]
    assert wept.sure == [(0, 1), (1, 0), (2, 0)] and wept.possible == []
    assert wept.classes == ["verb", "det", "noun"]
    assert (wept.group, wept.origin, wept.split) == ("43011", "JHN 11:35", "all")
    # A word belongs to the verse that the file says, and not to that of its id.
    assert rejoice.target == ["Rejoice", "always"] and rejoice.sure == [(1, 0)]
    assert (pray.target, pray.sure) == (None, None)
    assert (amen.source, amen.target) == (None, ["Amen"])
    assert notes == {"records_across_verses": 1, "links_across_verses": 1}


def test_forms_punctuation_groups_and_books_held_out(tmp_path):
    source = {
        **BIBLE,
        "greek": "text",
        "punctuation": True,
        "group": "book",
        "held_out": {"test": ["JHN"], "dev": ["REV"]},
    }
    found = read(source, bible(tmp_path))
    assert found[0].source[0] == "ἐδάκρυσεν" and found[0].target[-1] == "."
    assert [(p.group, p.split) for p in found] == [
        ("43", "test"),
        ("52", "train"),
        ("52", "train"),
        ("66", "dev"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"greek": GREEK.replace("n43011035002", "n4301103500")}, "line 3: the id"),
        ({"greek": GREEK.replace("35003", "35002")}, "line 4: the id .* twice"),
        ({"greek": GREEK.replace("lemma", "word")}, r"no column 'lemma'"),
        ({"alignment": {"documents": []}}, "Scripture Burrito"),
        (
            {"alignment": {"records": [{"source": [], "target": 3}]}},
            "Scripture Burrito",
        ),
        (
            {"alignment": {"records": [{"source": ["n1"], "target": []}]}},
            "record 1: the source word 'n1'",
        ),
    ],
)
def test_an_archive_of_another_form(tmp_path, change, told):
    with pytest.raises(AuditError, match=told):
        read(BIBLE, bible(tmp_path, **change))
