"""Prepared data sets: splits, vocabulary, cards; and any other text read alike."""

import json
import random

import numpy as np
import pytest

from attention_audit.data.batches import (
    UNK,
    read_examples,
    read_vocabulary,
)
from attention_audit.data.sources import Document
from attention_audit.data.text import TextReader, prepare_dataset
from attention_audit.data.vocabulary import build_vocabulary
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

# ---------------------------------------------------------------- preparing

SETTINGS = {
    "source": {"labels": None},
    "vectors": None,
    "lowercase": True,
    "replace_digits": True,
    "strip_markup": True,
    "max_length": None,
    "min_length": 1,
    "max_examples": None,
    "min_count": 1,
    "max_vocabulary": None,
    "split": {"dev": 0.2, "test": 0.3, "parts": False},
    "note": None,
}
FILES = ("train", "dev", "test", "vocabulary")


def prepare(folder, documents, give=None, **changes):
    outputs = {key: folder / f"{key}.parquet" for key in FILES}
    outputs["card"] = folder / "card.json"
    prepare_dataset("toy", SETTINGS | changes, documents, give, outputs, {"code": "x"})
    return outputs


def texts_of(outputs, split) -> list[str]:
    tokens = tables.read_table(outputs[split], "examples")["tokens"].to_pylist()
    return [" ".join(text) for text in tokens]


def labelled_of(outputs, split) -> set[tuple[str, str]]:
    names = json.loads(outputs["card"].read_text())["label_names"]
    labels = read_examples(outputs[split]).labels
    return {
        (t, names[i]) for t, i in zip(texts_of(outputs, split), labels, strict=True)
    }


def many(number: int, split: str = "all", prefix: str = "text") -> list[Document]:
    return [
        Document(split, f"{prefix} w{i} x{i % 7}", "ab"[i % 2]) for i in range(number)
    ]


def three_splits() -> list[Document]:
    return [d for s in ("train", "dev", "test") for d in many(6, s, s)]


def test_every_text_lands_in_one_split_with_its_label_and_ids(tmp_path):
    documents = many(500)
    outputs = prepare(tmp_path, documents)
    splits = {split: labelled_of(outputs, split) for split in FILES[:3]}
    assert set.union(*splits.values()) == {(d.text, d.label) for d in documents}
    assert sum(map(len, splits.values())) == 500
    # 3 standard deviations of a binomial share
    assert abs(len(splits["test"]) - 150) < 31
    assert abs(len(splits["dev"]) - 100) < 27
    vocabulary, vectors = read_vocabulary(outputs["vocabulary"])
    assert vectors is None
    train = read_examples(outputs["train"])
    decoded = [" ".join(vocabulary[i] for i in ids) for ids in train.token_ids]
    assert decoded == texts_of(outputs, "train")
    assert train.lengths.tolist() == [len(ids) for ids in train.token_ids]
    ids = [i for s in FILES[:3] for i in read_examples(outputs[s]).instance_ids]
    assert len(set(ids)) == 500 and all(len(bytes.fromhex(i)) == 8 for i in ids)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        p.name for p in outputs.values()
    )
    assert tables.read_metadata(outputs["train"]) == {"code": "x"}


def test_split_of_a_text_does_not_depend_on_the_others(tmp_path):
    documents = many(400)
    full = prepare(tmp_path / "full", documents)
    some = documents[:150]
    random.Random(0).shuffle(some)
    part = prepare(tmp_path / "part", some)
    kept = {d.text for d in some}
    for split in FILES[:3]:
        assert set(texts_of(part, split)) == kept & set(texts_of(full, split))


def test_short_texts_are_dropped_before_any_cap(tmp_path):
    short = [Document("all", f"w{i}", "ab"[i % 2]) for i in range(20)]
    caps = {"train": 10, "dev": 10, "test": 10}
    outputs = prepare(
        tmp_path, many(80) + short, min_length=3, max_length=2, max_examples=caps
    )
    card = json.loads(outputs["card"].read_text())
    assert card["dropped"]["too_short"] == len(short)
    assert {part: sum(n.values()) for part, n in card["counts"].items()} == caps


def test_caps_are_nested_and_ids_do_not_follow_them(tmp_path):
    documents = many(400)
    found = {}
    for cap in (20, 60, None):
        outputs = prepare(tmp_path / str(cap), documents, max_examples={"train": cap})
        found[cap] = read_examples(outputs["train"]).instance_ids
        # the other splits have no cap
        assert len(read_examples(outputs["test"])) > 60
    assert len(found[20]) == 20 and len(found[60]) == 60
    assert set(found[20]) < set(found[60]) < set(found[None])
    assert set(found[20]) != set(sorted(found[None])[:20])
    card = json.loads((tmp_path / "60" / "card.json").read_text())
    assert card["dropped"] == {"over_cap": len(found[None]) - 60}


def test_copies_leave_the_training_data_first(tmp_path):
    extra = [
        Document("train", "Same TEXT", "a"),  # copy of a test text
        Document("train", "twice here", "b"),
        Document("train", "twice  HERE", "b"),
        Document("train", "in dev", "b"),
        Document("dev", "in dev", "b"),
        Document("train", "both labels", "a"),
        Document("test", "both labels", "b"),
        Document("train", "<br />", "a"),
        Document("train", None, "a"),
        Document("train", "no label", None),
        Document("test", "same text", "a"),
        Document("dev", "same text", "a"),
    ]
    outputs = prepare(tmp_path, three_splits() + extra)
    assert texts_of(outputs, "test").count("same text") == 1
    assert texts_of(outputs, "train").count("twice here") == 1
    assert texts_of(outputs, "dev").count("in dev") == 1
    everywhere = [t for s in FILES[:3] for t in texts_of(outputs, s)]
    assert len(everywhere) == len(set(everywhere)) == 18 + 3
    card = json.loads(outputs["card"].read_text())
    assert card["dropped"] == {
        "duplicate": 1,
        "duplicate_of_dev": 1,
        "duplicate_of_test": 2,
        "conflicting_label": 2,
        "empty": 2,
        "unlabelled": 1,
    }


def test_training_gives_up_dev_only_where_the_source_has_none(tmp_path):
    with_dev = prepare(tmp_path / "a", three_splits())
    assert set(texts_of(with_dev, "dev")) == {d.text for d in many(6, "dev", "dev")}
    documents = many(300, "train", "train") + many(20, "test", "test")
    without = prepare(tmp_path / "b", documents)
    assert set(texts_of(without, "test")) == {d.text for d in documents[300:]}
    train, dev = texts_of(without, "train"), texts_of(without, "dev")
    assert {*train, *dev} == {d.text for d in documents[:300]}
    assert abs(len(dev) - 60) < 21  # 3 standard deviations


def treebank(number=120, seed=0):
    """Sentences and phrases of them, shuffled, as SST-2 has them; and a test of its own."""
    rng = np.random.default_rng(seed)
    texts = {}
    for i in range(number):
        words = [f"w{w}" for w in rng.integers(60, size=7)] + [f"own{i}"]
        for start, stop in ((0, 8), (0, 5), (0, 2), (3, 8), (6, 8), (0, 1), (5, 6)):
            texts[" ".join(words[start:stop])] = "ab"[i % 2]
    order = rng.permutation(len(texts))
    rows = list(texts.items())
    documents = [Document("train", *rows[i]) for i in order]
    return documents + [Document("test", f"test w{i} w{i + 1}", "a") for i in range(9)]


def whole_texts(outputs, split) -> set[str]:
    return set(tables.read_table(outputs[split], "examples")["text"].to_pylist())


def shared_parts(outputs, one, other) -> list[str]:
    """Texts of one split that stand within a text of another."""
    others = [f" {text} " for text in whole_texts(outputs, other)]
    return [
        text
        for text in whole_texts(outputs, one)
        if any(f" {text} " in whole for whole in others)
    ]


@pytest.mark.parametrize("max_length", [None, 4])
def test_no_phrase_of_dev_stands_in_a_training_sentence_or_the_other_way(
    tmp_path, max_length
):
    documents = treebank()
    for name in ("apart", "together", "fewer"):
        (tmp_path / name).mkdir()
    apart = prepare(tmp_path / "apart", documents)
    assert len(shared_parts(apart, "dev", "train")) > 0.5 * len(texts_of(apart, "dev"))

    parts = {"split": {**SETTINGS["split"], "parts": True}, "max_length": max_length}
    found = prepare(tmp_path / "together", documents, **parts)
    assert shared_parts(found, "dev", "train") == []
    assert shared_parts(found, "train", "dev") == []
    # a test that the source has is not touched
    sizes = {part: len(texts_of(found, part)) for part in ("train", "dev", "test")}
    assert sizes["test"] == 9 and 30 < sizes["dev"] < 0.5 * sizes["train"]
    dropped = json.loads(found["card"].read_text())["dropped"]
    assert dropped["part_of_several_splits"] > 0
    assert sum(sizes.values()) + sum(dropped.values()) == len(documents)

    # a sentence stays in its split when the source grows
    fewer = prepare(tmp_path / "fewer", treebank(60), **parts)
    for part in ("train", "dev"):
        sentences = {t for t in whole_texts(fewer, part) if "own" in t and len(t) > 20}
        assert sentences and sentences <= whole_texts(found, part)


def test_what_a_model_reads_stands_once_and_with_one_label(tmp_path):
    documents = [
        *many(9, "train", "train"),
        *many(6, "dev", "dev"),
        *many(6, "test", "test"),
        Document("train", "same start here x", "a"),  # as the test text below, when cut
        Document("train", "same start here x", "a"),
        Document("dev", "same start here y", "a"),
        Document("test", "same start here z", "a"),
        Document("train", "twice in train x", "b"),
        Document("train", "twice in train y", "b"),
        Document("train", "both labels here x", "a"),
        Document("train", "both labels here x", "a"),
        Document("test", "both labels here y", "b"),
        Document("train", "one text only of both", "a"),
        Document("dev", "one text only of both", "b"),
        Document("train", "one text only", "b"),
        Document("train", "not cut", "b"),
        Document("train", "not cut", "b"),
    ]
    outputs = prepare(tmp_path / "cut", documents, max_length=3)
    everywhere = [t for s in FILES[:3] for t in texts_of(outputs, s)]
    assert len(everywhere) == len(set(everywhere)) == 21 + 3
    assert "same start here" in texts_of(outputs, "test")
    assert "twice in train" in texts_of(outputs, "train")
    card = json.loads(outputs["card"].read_text())
    assert card["dropped"] == {
        "duplicate": 1,  # not cut
        "duplicate_after_cut": 4,  # three of "same start here", one of "twice in train"
        "conflicting_label": 2,
        "conflicting_label_after_cut": 4,  # "both labels here", and "one text only"
    }
    assert card["truncated"] == {"train": 1, "dev": 0, "test": 1}
    assert card["length"]["test"]["max"] == 3
    assert card["length_before_cut"]["test"]["max"] == 4
    whole = prepare(tmp_path / "whole", documents)
    card = json.loads(whole["card"].read_text())
    assert card["dropped"] == {"duplicate": 3, "conflicting_label": 2}


def test_a_cut_moves_no_text_and_no_id(tmp_path):
    """Nor does the order of the source choose which of several texts stays."""
    documents = [
        Document("all", f"text w{i % 40} then {'more ' * (i % 3)}x{i}", "ab"[i % 2])
        for i in range(400)
    ]
    whole = prepare(tmp_path / "whole", documents)
    home = {i: s for s in FILES[:3] for i in read_examples(whole[s]).instance_ids}
    assert len(home) == 400
    random.Random(0).shuffle(documents)
    found = {}
    for name, texts in (("cut", documents), ("other order", documents[::-1])):
        cut = prepare(tmp_path / name, texts, max_length=4)
        found[name] = {s: set(read_examples(cut[s]).instance_ids) for s in FILES[:3]}
        for split, ids in found[name].items():
            assert ids and {home[i] for i in ids} == {split}
    assert found["cut"] == found["other order"]
    assert 40 < sum(map(len, found["cut"].values())) < 400


def test_vocabulary_counts_training_texts_only_and_orders_ties(tmp_path):
    documents = [
        Document("train", "b b a a c rare", "x"),
        Document("train", "b zz zz", "y"),
        Document("dev", "unseen unseen unseen", "x"),
        Document("test", "a new", "y"),
    ]
    vectors = {"a": np.float32([1, 2]), "zz": np.float32([3, 4])}
    asked = []

    def give(words):
        asked.append(set(words))
        return ((w, v) for w, v in vectors.items() if w in words)

    outputs = prepare(tmp_path, documents, give, min_count=2, vectors="mine")
    tokens, matrix = read_vocabulary(outputs["vocabulary"])
    assert tokens == ["<pad>", "<unk>", "b", "a", "zz"]
    assert asked == [{"b", "a", "zz"}]
    nan = np.nan
    np.testing.assert_array_equal(
        matrix, np.float32([[nan, nan], [nan, nan], [nan, nan], [1, 2], [3, 4]])
    )
    first = read_examples(outputs["train"]).token_ids[0]
    assert first.tolist() == [2, 2, 3, 3, UNK, UNK]
    card = json.loads(outputs["card"].read_text())
    assert card["vocabulary"] == {
        "size": 5,
        "types_in_train": 5,
        "share_unknown": {"train": 2 / 9, "dev": 1.0, "test": 0.5},
    }
    assert card["vectors"] == {
        "name": "mine",
        "dimension": 2,
        "covered_types": 2,
        "share_of_types": 2 / 3,
        "share_of_training_tokens": 4 / 9,
    }


def test_vocabulary_size_includes_the_specials():
    counts = {"a": 1, "c": 3, "b": 3, "d": 2}
    assert build_vocabulary(counts, 1, 4) == ["<pad>", "<unk>", "b", "c"]
    assert build_vocabulary(counts, 2, None)[2:] == ["b", "c", "d"]


def test_label_ids_follow_the_mapping_else_the_alphabet(tmp_path):
    documents = three_splits()
    outputs = prepare(tmp_path / "1", documents)
    assert json.loads(outputs["card"].read_text())["label_names"] == ["a", "b"]
    mapping = {"labels": {"1": "b ", "0": "a", "2": "b"}}
    mapped = prepare(tmp_path / "2", documents, source=mapping)
    card = json.loads(mapped["card"].read_text())
    assert card["label_names"] == ["b", "a"]
    assert card["counts"]["train"] == {"b": 3, "a": 3}
    swapped = 1 - read_examples(mapped["train"]).labels
    np.testing.assert_array_equal(swapped, read_examples(outputs["train"]).labels)


def test_output_does_not_change_between_runs(tmp_path):
    for folder in ("1", "2"):
        prepare(tmp_path / folder, many(100))
    for name in ("train.parquet", "vocabulary.parquet", "card.json"):
        first, second = (tmp_path / f / name for f in ("1", "2"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("documents", "changes", "match"),
    [
        ([], {}, "train split is empty"),
        (many(30, "train"), {}, "test split is empty.*'all'"),
        (
            [d._replace(label=None) for d in many(30)],
            {},
            "train split is empty.*Dropped: unlabelled 30",
        ),
        ([Document("all", "a", "\udc80")], {}, "no valid Unicode"),
        (
            many(30),
            {"split": {"dev": 0.0, "test": 0.3, "parts": False}},
            r"dev split is empty.*split\.dev",
        ),
        ([d._replace(label="a") for d in three_splits()], {}, "one class only, 'a'"),
        ([*three_splits(), Document("test", "new", "c")], {}, "class 'c'"),
        ([Document("all", b"bytes", "a")], {}, "document 1 is bytes"),
        ([Document("all", "\ud800", "a")], {}, "no valid Unicode"),
        (three_splits(), {"min_count": 99}, "vocabulary; the commonest occurs 6 times"),
        (three_splits(), {"vectors": "mine"}, "'mine' cover no word"),
    ],
)
def test_faults_are_named_and_leave_nothing(tmp_path, documents, changes, match):
    give = (lambda words: iter(())) if "vectors" in changes else None
    with pytest.raises(AuditError, match=f"datasets.toy: .*{match}"):
        prepare(tmp_path, documents, give, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_source_leaves_nothing(tmp_path):
    def broken():
        yield from many(1500)
        raise AuditError("line 1501")

    with pytest.raises(AuditError, match="line 1501"):
        prepare(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []


def test_more_texts_than_a_batch(tmp_path):
    documents = many(2500)
    outputs = prepare(
        tmp_path, documents, split={"dev": 0.1, "test": 0.1, "parts": False}
    )
    found = set.union(*(labelled_of(outputs, s) for s in FILES[:3]))
    assert found == {(d.text, d.label) for d in documents}


# ---------------------------------------------------------------- reading one text

RAW = [
    "It\u2019s  <b>GREAT</b>,\tisn't it? 7/10",
    '"Quoted", and\nbroken <script>alert("x")</script> lines',
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u202ecafe\u0301\u202c \U0001f469\u200d\U0001f467",
    *(f"a film numbered {i} among many films" for i in range(20)),
]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("max_length", [4, None])
def test_a_text_is_read_as_it_was_prepared(tmp_path, lowercase, max_length):
    documents = [Document("all", text, "ab"[i % 2]) for i, text in enumerate(RAW)]
    outputs = prepare(
        tmp_path,
        documents,
        lowercase=lowercase,
        max_length=max_length,
        replace_digits=False,
        strip_markup=lowercase,
        min_count=2,
    )
    reader = TextReader.of(outputs["card"], outputs["vocabulary"])
    rows = [
        row
        for split in ("train", "dev", "test")
        for row in tables.read_table(outputs[split], "examples").to_pylist()
    ]
    # the text as it stands in the source, to the character
    assert {row["text"] for row in rows} <= set(RAW) and len(rows) >= 4
    for row in rows:
        read = reader.read(row["text"])
        assert read.instance_id == row["instance_id"]
        assert read.tokens == row["tokens"]
        assert read.token_ids.tolist() == row["token_ids"]


def reader(max_length=None) -> TextReader:
    settings = {key: SETTINGS[key] for key in ("lowercase", "replace_digits")}
    settings |= {"strip_markup": True, "max_length": max_length}
    return TextReader(settings, {"<pad>": 0, "<unk>": 1, "good": 2, "film": 3})


def test_what_a_model_does_not_read_is_told():
    assert reader().read("Good film").notes == []
    (cut,) = reader(2).read("good film, film").notes
    assert cut.startswith("cut to the first 2 of 4 tokens")
    (some,) = reader().read("good films").notes
    assert some.startswith("1 of 2 tokens")
    (none,) = reader().read("bad films").notes
    assert none.startswith("no token stands in the vocabulary")
    assert reader().read("bad films").token_ids.tolist() == [UNK, UNK]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no word"),
        (" \t<br>\u200b", "holds no word"),
        ("caf\udce9", "no valid Unicode"),
    ],
)
def test_what_is_no_text_is_an_error(text, words):
    with pytest.raises(AuditError, match=words):
        reader().read(text)


def test_a_card_that_does_not_say_how_texts_were_read_is_named(tmp_path):
    outputs = prepare(tmp_path, many(20))
    card = json.loads(outputs["card"].read_text())
    del card["tokenization"]
    outputs["card"].write_text(json.dumps(card))
    with pytest.raises(AuditError, match=r"card\.json: does not say how"):
        TextReader.of(outputs["card"], outputs["vocabulary"])
    assert outputs["card"].is_file()
