"""The size of a data set, before and after it is prepared."""

import json

import pytest

from attention_audit.data.sizes import UNKNOWN, WORDS, expected_size, size_of

SOURCE = {"kind": "archive", "archive": "a", "files": {"all": "a.csv"}}


def dataset(source=SOURCE, **more):
    return {"source": source, "max_length": 60, "max_examples": {}, **more}


def local(path):
    return {"kind": "local", "files": {"all": str(path)}}


def write_card(path, made_by, train=80, mean=20.0):
    counts = {
        "train": {"a": train // 2, "b": train // 2},
        "dev": {"a": 10},
        "test": {"b": 10},
    }
    card = {
        "counts": counts,
        "length": {split: {"mean": mean, "max": 31} for split in counts},
        "provenance": {"params": {"dataset": made_by}},
    }
    path.write_text(json.dumps(card), encoding="utf-8")


def test_the_card_tells_the_size_of_what_is_prepared(tmp_path):
    card = tmp_path / "card.json"
    write_card(card, dataset())
    size = size_of(card, dataset())
    assert size.of("train", "dev", "test") == 100
    assert size.of("test") == 10
    assert (size.tokens, size.longest) == (20, 31)


def test_a_card_of_other_settings_tells_nothing(tmp_path):
    card = tmp_path / "card.json"
    write_card(card, dataset(max_length=10))
    assert size_of(card, dataset()) == expected_size(dataset())


def test_a_new_card_counts(tmp_path):
    card = tmp_path / "card.json"
    assert size_of(card, dataset()) == expected_size(dataset())
    for train in (80, 40):
        write_card(card, dataset(), train)
        assert size_of(card, dataset()).of("train") == train


@pytest.mark.parametrize("text", ["", "{", "[]", '{"counts": {}}'])
def test_a_damaged_card_tells_nothing(tmp_path, text):
    card = tmp_path / "card.json"
    card.write_text(text)
    assert size_of(card, dataset()) == expected_size(dataset())


def test_a_small_file_holds_few_texts(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(b"x" * 21_000)
    size = expected_size(dataset(local(path)))
    # shorter texts than forty bytes are rare, and none of a real set is
    assert size.of("train") == 526
    assert (size.tokens, size.longest) == (60, 60)
    path.rename(tmp_path / "own.csv.gz")
    packed = expected_size(dataset(local(tmp_path / "own.csv.gz")))
    assert packed.of("train") == 2101


def test_pairs_of_files_are_as_many_as_the_lines_of_one(tmp_path):
    for name, size in (("a", 8_000), ("b", 30_000)):
        (tmp_path / name).write_bytes(b"x" * size)
    files = {"source": str(tmp_path / "a"), "target": str(tmp_path / "b")}
    source = {"kind": "aligned_files", "files": {"train": files, "test": files}}
    size = expected_size(dataset(source, max_length=None))
    assert size.of("train") == 2 * 201
    # nobody said how long a sentence is
    assert (size.tokens, size.longest) == (WORDS, WORDS)


def test_what_is_not_there_is_large():
    assert expected_size(dataset()).of("train") == UNKNOWN
    assert expected_size(dataset(local("nowhere.csv"))).of("train") == UNKNOWN


def test_a_limit_is_the_most():
    capped = expected_size(dataset(max_examples={"train": 100, "dev": None}))
    assert capped.of("train") == 100
    assert capped.of("dev") == UNKNOWN
