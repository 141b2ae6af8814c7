"""Sentence pairs prepared: splits by group, near copies, pieces, links, the card."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from attention_audit.data.pair_sources import Pair, read_pairs
from attention_audit.data.pairs import (
    PAIR_SPECIALS,
    carry_links,
    cutter,
    near_copies,
    prepare_dataset,
    word_triples,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

SETTINGS = {
    "source": {"kind": "local"},
    "lowercase": True,
    "incomplete": "drop",
    "max_length": None,
    "max_examples": None,
    "min_count": 1,
    "max_vocabulary": None,
    "subwords": None,
    "split": {"dev": 0.2, "test": 0.2, "near": None},
    "note": None,
}


def a_pair(source, target, split="all", group=None, sure=None, possible=(), **more):
    return Pair(
        split,
        source.split(),
        target.split(),
        sure,
        None if sure is None else list(possible),
        group,
        more.get("classes"),
        more.get("origin", "a.tsv, line 2"),
    )


def many(groups=30, each=4):
    """Pairs of six words that no other pair has."""
    return [
        a_pair(
            " ".join(f"s{g}.{n}.{w}" for w in range(6)),
            " ".join(f"t{g}.{n}.{w}" for w in range(6)),
            group=f"chapter {g}",
        )
        for g in range(groups)
        for n in range(each)
    ]


PARTS = ("train", "dev", "test")


@pytest.fixture
def prepare(tmp_path):
    """Prepares pairs, and returns the rows of every split, the reading and the card."""

    def run(pairs, **settings):
        outputs = {k: tmp_path / f"{k}.parquet" for k in (*PARTS, "reading")}
        outputs["card"] = tmp_path / "card.json"
        settings = {**SETTINGS, **settings}
        prepare_dataset("mine", settings, pairs, {"left": 1}, outputs, {})
        rows = {
            part: tables.read_table(outputs[part], "sentence_pairs").to_pylist()
            for part in PARTS
        }
        reading = tables.read_table(outputs["reading"], "pair_vocabulary").to_pylist()
        return rows, reading, tables.read_json(outputs["card"])

    return run


def test_a_group_is_in_one_split_whatever_else_the_source_has(prepare):
    rows, _, card = prepare(many())
    splits = {
        r["group"]: {
            part for part in PARTS if any(r["group"] == o["group"] for o in rows[part])
        }
        for part in PARTS
        for r in rows[part]
    }
    assert len(splits) == 30 and all(len(found) == 1 for found in splits.values())
    assert [card["counts"][part]["pairs"] for part in PARTS] == [
        len(rows[part]) for part in PARTS
    ]
    fewer, _, _ = prepare(many()[40:])
    for part in PARTS:
        kept = {r["instance_id"] for r in fewer[part]}
        assert kept <= {r["instance_id"] for r in rows[part]}
    for row in rows["train"]:
        assert row["cluster_id"] == row["instance_id"] and len(row["instance_id"]) == 16


def test_words_of_held_out_pairs_are_in_no_vocabulary(prepare):
    pairs = [
        a_pair("A b b", "x y", "train"),
        a_pair("b c", "Y z", "dev"),
        a_pair("c b", "z w", "test"),
    ]
    rows, (source, target), card = prepare(pairs)
    assert source["tokens"] == [*PAIR_SPECIALS, "b", "a"]
    assert source["counts"] == [0, 0, 0, 0, 2, 1]
    assert target["tokens"] == [*PAIR_SPECIALS, "x", "y"]
    assert rows["test"][0]["source_ids"] == [1, 4]
    assert rows["dev"][0]["target_tokens"] == ["y", "z"]
    assert card["vocabulary"]["source"]["share_unknown"] == {
        "train": 0,
        "dev": 0.5,
        "test": 0.5,
    }
    assert rows["train"][0]["sure"] is None and card["left_out"] == {"left": 1}
    assert card["length"]["train"]["max"] == 3


def test_copies_and_long_pairs_are_dropped_and_counted(prepare):
    again = [
        a_pair("s0 s1 s2", "t0 t1", "train"),
        a_pair("S0 s1 s2", "t0 t1", "test"),
        a_pair("u", "v", "dev"),
        a_pair("long " * 5, "v", "train"),
        a_pair("other", "words", "train"),
    ]
    rows, _, card = prepare(again, max_length=4)
    assert [len(rows[part]) for part in PARTS] == [1, 1, 1]
    assert card["dropped"] == {"too_long": 1, "duplicate_of_test": 1}


def test_a_side_without_words_is_counted_or_refused(prepare):
    pairs = [
        *many(),
        a_pair("", "t"),
        a_pair("s", ""),
        a_pair("s", "t", origin="ROM 16:24")._replace(target=None),
    ]
    _, _, card = prepare(pairs)
    assert card["dropped"] == {
        "empty_source": 1,
        "empty_target": 1,
        "missing_target": 1,
    }
    with pytest.raises(AuditError, match=r"a\.tsv, line 2: the source side is empty\."):
        prepare(pairs, incomplete="refuse")
    with pytest.raises(AuditError, match=r"ROM 16:24: the target side is missing\."):
        prepare([*many(), pairs[-1]], incomplete="refuse")


def test_a_split_without_pairs_is_told(prepare):
    with pytest.raises(AuditError, match="the dev split is empty"):
        prepare(many(1))
    with pytest.raises(AuditError, match="vocabulary of the source side"):
        prepare(many(), min_count=2)


# ---------------------------------------------------------------- the New Testament

ROOT = Path(__file__).parents[2]


def test_the_new_testament_as_it_is(prepare):
    archive = ROOT / "results/raw/bible_alignments.whl"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there: fetch the data set bible_greek")
    source = {
        "kind": "bible",
        "greek": "lemma",
        "punctuation": False,
        "group": "book",
        "held_out": {"dev": ["ACT"], "test": ["JHN"]},
    }
    notes = Counter()
    pairs = list(read_pairs(source, {"archive": archive}, notes))
    assert notes == {"records_across_verses": 80, "links_across_verses": 454}
    assert sum(len(pair.sure) for pair in pairs if pair.sure) == 189_473
    split = {"dev": 0, "test": 0, "near": 0.5}
    rows, _, card = prepare(pairs, split=split, min_count=2)
    assert [len(rows[part]) for part in PARTS] == [5994, 1001, 878]
    assert {row["origin"][:3] for row in rows["test"]} == {"JHN"}
    assert card["dropped"]["missing_target"] == 3
    assert card["held_out_in_train"]["test_source"]["over"] < 0.01


# ---------------------------------------------------------------- near copies


def test_triples_of_words_by_hand():
    assert word_triples(["a", "b", "c", "d"]) == {"a b c", "b c d"}
    assert word_triples(["a", "b"]) == {"a b"}
    held_out = {7: ["a", "b", "c", "d", "e"], 9: ["x", "y"]}
    others = [(1, ["z", "a", "b", "c", "d"]), (2, ["b", "c", "d"]), (3, ["y", "x"])]
    known, knows = near_copies(held_out, others)
    assert known == {7: pytest.approx(2 / 3)}
    assert knows == {1: pytest.approx(2 / 3), 2: pytest.approx(1 / 3)}
    assert near_copies(held_out, [(4, ["x", "y"])])[0] == {9: 1.0}


def test_what_is_close_to_held_out_pairs_is_not_trained_on(prepare):
    told = "he who has ears to hear let him hear"
    pairs = [
        *many(),
        a_pair(f"and {told}", "a b c d", "test"),
        # close on the source side alone
        a_pair(f"{told} now", "e f g h", "train"),
        a_pair("he who has ears", "i j k l", "train"),
        a_pair("u v w", f"a b c d {told}", "dev"),
        a_pair("w v u", "o n m", "dev"),
    ]
    rows, _, card = prepare(pairs, split={"dev": 0.2, "test": 0.2, "near": 0.5})
    kept = {" ".join(r["source_tokens"]) for part in PARTS for r in rows[part]}
    assert "he who has ears" in kept and f"and {told}" in kept
    assert f"{told} now" not in kept and "u v w" not in kept
    assert card["dropped"] == {"near_copy_of_held_out": 2}
    # 7 of the 8 triples of the one sentence that training knew
    found = card["held_out_in_train"]["test_source"]
    n = len(rows["test"])
    assert found["mean"] == pytest.approx(7 / 8 / n) and found["over"] == pytest.approx(
        1 / n
    )
    assert card["held_out_in_train"]["dev_target"] == {"mean": 0, "over": 0}
    rows, _, card = prepare(pairs)
    assert card["held_out_in_train"] is None and not card["dropped"]


# ---------------------------------------------------------------- links and pieces


def test_a_piece_has_the_links_of_its_word():
    links = [(0, 1), (2, 0)]
    assert carry_links(links, ([2, 1, 1], [1, 3])) == [
        *((i, j) for i in (0, 1) for j in (1, 2, 3)),
        (3, 0),
    ]
    assert carry_links(links, ([1, 1, 1], [1, 1])) == links


def test_links_and_word_classes_by_word(prepare):
    sure = a_pair(
        "a b c",
        "x y",
        "train",
        None,
        [(0, 0), (1, 0)],
        [(1, 1)],
        classes=["n", "v", "p"],
    )
    pairs = [
        sure,
        a_pair("d", "w", "train"),
        *(a_pair("e", "q", part) for part in ("dev", "test")),
    ]
    pairs[-1] = a_pair("f", "q", "test", None, [])
    rows, _, card = prepare(pairs)
    row = next(r for r in rows["train"] if r["sure"])
    assert row["sure"] == [{"source": 0, "target": 0}, {"source": 1, "target": 0}]
    assert row["possible"] == [{"source": 1, "target": 1}]
    assert row["source_classes"] == ["n", "v", "p"]
    found = card["alignment"]["train"]
    assert found == {
        "pairs": 1,
        "pairs_without": 1,
        "sure_links": 2,
        "possible_links": 1,
        "links_per_source_word": 1.0,
        "links_per_target_word": 1.5,
        "share_of_source_words_without": pytest.approx(1 / 3),
        "share_of_target_words_without": 0.0,
    }
    assert card["alignment"]["dev"] == {"pairs": 0, "pairs_without": 1}
    assert card["alignment"]["test"]["sure_links"] == 0


def test_words_in_pieces_carry_links_and_classes(prepare):
    pytest.importorskip("sentencepiece")
    rng = np.random.default_rng(0)
    syllables = ["ka", "lo", "mi", "nu", "pe", "ti"]

    def sentence():
        return ["".join(rng.choice(syllables, 3)) for _ in range(4)]

    pairs = [
        a_pair(
            " ".join(words),
            " ".join(w.upper() for w in words),
            ("train", "dev", "test")[min(n % 10, 2)] if n % 10 < 3 else "train",
            None,
            [(i, i) for i in range(4)],
            classes=["a", "b", "c", "d"],
        )
        for n, words in enumerate(sentence() for _ in range(60))
    ]
    for kind, size in (("bpe", 22), ("unigram", 22)):
        subwords = {"kind": kind, "size": size}
        rows, (source, _), card = prepare(pairs, subwords=subwords)
        cut = cutter(source["pieces_model"])
        again = prepare(pairs, subwords=subwords)[1][0]
        assert again == source
        assert len(source["tokens"]) <= size + len(PAIR_SPECIALS)
        for row in rows["test"]:
            tokens = row["source_tokens"]
            assert len(tokens) > 4
            words = "".join(tokens).replace("▁", " ").split()
            assert tokens == [piece for word in words for piece in cut(word)]
            word_of = np.cumsum([t.startswith("▁") for t in tokens]) - 1
            assert [row["source_classes"][i] for i in range(len(tokens))] == [
                "abcd"[w] for w in word_of
            ]
            others = np.cumsum([t.startswith("▁") for t in row["target_tokens"]]) - 1
            expected = [
                {"source": i, "target": j}
                for i, w in enumerate(word_of)
                for j, v in enumerate(others)
                if w == v
            ]
            assert row["sure"] == expected
        # the card counts words
        assert card["alignment"]["train"]["links_per_source_word"] == 1
        assert card["words"]["source"]["train"]["max"] == 4


def test_more_pieces_than_words_have_are_told(prepare):
    pytest.importorskip("sentencepiece")
    with pytest.raises(
        AuditError, match=r"datasets\.mine\.subwords, source side: .* 5 "
    ):
        prepare(many(), subwords={"kind": "bpe", "size": 5})
