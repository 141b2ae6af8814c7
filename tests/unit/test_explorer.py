"""What the report's pages to browse instances hold: what stands in the runs' tables."""

import base64
import json
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit.figures.explorer import embedded, explorer_data, packed, rounded
from attention_audit.statistics.controls import cut
from attention_audit.statistics.explorer import (
    BESIDE,
    MOST_INFLUENCE,
    MOST_WEIGHTS,
    chosen_items,
)
from tests.unit.browsable import CELLS, METHODS, ODD, Results, make


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Results:
    return make(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def gathered(made) -> tuple[pa.Table, pa.Table]:
    return made.gather()


def unpacked(block: str):
    return json.loads(zlib.decompress(base64.b64decode(block)))


def test_weights_are_those_of_the_runs_tables(made, gathered):
    table, _ = gathered
    found = {
        (row["dataset"], row["normalizer"], row["instance_id"], row["subject"]): row
        for row in table.to_pylist()
    }
    compared = 0
    for run, files in zip(made.runs, made.files, strict=True):
        for subject, path, column in [
            ("attention", files.attention, "attention"),
            *((m, files.importances[m], "importance") for m in METHODS),
            ("influence", files.influence, "matrix"),
        ]:
            for row in pq.read_table(path).to_pylist():
                key = run["dataset"], run["normalizer"], row["instance_id"], subject
                if row[column] is None:
                    assert key not in found
                    continue
                weights = np.array(row[column], dtype=np.float32).ravel().tolist()
                assert found[key]["weights"] == weights
                compared += 1
    # two texts, a picture, three words and three seconds, by two runs
    assert compared == (9 * 3 + 4) * 2
    assert len(found) == len(table)


def test_agreement_adversaries_and_flips_stand_beside_the_weights(made, gathered):
    table, _ = gathered
    rows = table.to_pylist()
    columns = ("dataset", "normalizer", "instance_id", "reference")
    agreement = {
        tuple(row[name] for name in columns): row["value"]
        for files in made.files
        for row in pq.read_table(files.measures).to_pylist()
    }
    for row in rows:
        key = row["dataset"], row["normalizer"], row["instance_id"], row["subject"]
        assert row["agreement"] == agreement.get(key)
        attention = row["subject"] == "attention"
        assert row["removed"] == (1 if attention else None)
        assert row["never"] == (False if attention else None)
        assert (row["support"] is not None) == attention
        # what was not found is no attention
        assert row["subject"] != "adversarial_support"
        if row["subject"] == "adversarial_none":
            assert row["divergence"] == 0.5 and row["weights"][-1] == 1


def test_the_cut_has_as_many_places_as_the_run(made, gathered):
    table, _ = gathered
    rows = {
        (r["dataset"], r["normalizer"], r["instance_id"], r["subject"]): r
        for r in table.to_pylist()
    }
    cuts = [key for key in rows if key[3] == "cut"]
    assert {key[1] for key in cuts} == {"sparsemax"} and len(cuts) == 9
    for dataset, normalizer, instance, _ in cuts:
        dense = np.array([rows[dataset, "softmax", instance, "attention"]["weights"]])
        own = rows[dataset, normalizer, instance, "attention"]["support"]
        expected = cut(dense, [own], np.ones(dense.shape, dtype=bool))[0]
        found = rows[dataset, normalizer, instance, "cut"]["weights"]
        assert found == expected.astype(np.float32).tolist()
        assert np.count_nonzero(found) == own


def test_the_agreement_of_the_cut_is_that_of_the_controls_table(made, gathered):
    found = {
        (r["dataset"], r["instance_id"], r["subject"]): r["cut_agreement"]
        for r in gathered[0].to_pylist()
        if r["normalizer"] == "sparsemax"
    }
    compared = 0
    for files in made.files:
        for row in pq.read_table(files.cut).to_pylist():
            if row["normalizer"] != "softmax cut to sparsemax":
                continue
            key = row["dataset"], row["instance_id"], row["reference"]
            assert found.pop(key) == row["value"]
            compared += 1
    assert compared == 9 * len(METHODS)
    # of nothing but methods, and of no run that is not cut
    assert not any(value is not None for value in found.values())
    dense = [r for r in gathered[0].to_pylist() if r["normalizer"] == "softmax"]
    assert all(row["cut_agreement"] is None for row in dense)


def test_decisions_say_what_was_asked_and_answered(gathered):
    rows = [r for r in gathered[0].to_pylist() if r["subject"] == "attention"]
    of = {
        name: [r for r in rows if r["dataset"] == name] for name in ("texts", "pairs")
    }
    assert {r["label"] for r in of["texts"]} == {"bad <i>", "good"}
    assert {r["predicted"] for r in of["texts"]} == {"good"}
    assert {r["probability"] for r in of["texts"]} == {0.75}
    assert [r["label"] for r in of["pairs"][:3]] == ["word", "was", "it"]
    recorded = [r for r in rows if r["dataset"] == "recordings"]
    assert {r["item"] for r in recorded} == {"0b"}
    assert [r["targets"] for r in recorded[:3]] == [[0.0], [0.25], [0.5]]
    assert recorded[0]["times"] == [-2, -1, 0] and recorded[0]["label"] is None
    assert {tuple(r["cell"]) for r in rows if r["cell"]} == {tuple(CELLS)}


def test_a_data_set_has_an_equal_share_and_one_item_at_least():
    lengths = {
        "short": [(f"{i:02}", 10) for i in range(50)],
        "long": [("b", 900), ("a", 800)],
    }
    weights = {"short": 2, "long": 2}
    # a short one takes 10 weights and what comes with them, of each of two lists
    chosen = chosen_items(lengths, weights, 100, most=1000)
    fitting = 500 // (2 * (10 + BESIDE))
    assert chosen == {"short": [f"{i:02}" for i in range(fitting)], "long": ["a"]}
    chosen = chosen_items(lengths, weights, 7, most=10**6)
    assert len(chosen["short"]) == 7 and chosen["long"] == ["a", "b"]


def test_the_page_has_what_the_tables_have(made, gathered):
    index, blocks = explorer_data(*gathered, made.order)
    assert [d["name"] for d in index["datasets"]] == list(made.datasets)
    assert [len(d["items"]) for d in index["datasets"]] == [2, 1, 1, 1]
    assert [r["normalizer"] for r in index["runs"][:2]] == ["softmax", "sparsemax"]
    rows = {
        (r["item"], r["normalizer"], r["instance_id"], r["subject"]): r
        for r in gathered[0].to_pylist()
    }
    compared = 0
    items = [item for d in index["datasets"] for item in d["items"]]
    for item, packed_block in zip(items, blocks, strict=True):
        block = unpacked(packed_block)
        assert len(block["ids"]) == item["decisions"]
        for number, decisions in block["runs"].items():
            run = index["runs"][int(number)]
            for instance, found in zip(block["ids"], decisions, strict=True):
                for subject, weights in found["weights"].items():
                    row = rows[item["id"], run["normalizer"], instance, subject]
                    np.testing.assert_allclose(weights, row["weights"], rtol=5e-4)
                    compared += 1
    assert compared == len(rows)
    # right is what was predicted of the first text and not of the second
    assert index["runs"][0]["right"] == [0, 1]
    # a method's agreement is the mean of what is defined
    of_pairs = next(r for r in index["runs"] if r["dataset"] == "pairs")
    assert of_pairs["agreement"]["input_gradient"] == [
        pytest.approx(
            rows["0a", "softmax", "0a.000", "input_gradient"]["agreement"], abs=1e-4
        )
    ]


def test_no_text_can_end_what_it_stands_in(made, gathered):
    index, blocks = explorer_data(*gathered, made.order)
    said = embedded(index)
    assert "<" not in said and json.loads(said) == index
    assert json.loads(said)["datasets"][0]["items"][0]["text"] == " ".join(ODD)
    assert all(
        set(block) <= set("+/=") | set(map(chr, range(48, 123))) for block in blocks
    )
    assert unpacked(packed(ODD)) == ODD


@pytest.mark.parametrize("length", [3, 20])
def test_a_full_page_stays_below_15_mb(tmp_path, length):
    """1,000 texts of as few runs as there can be, and what a page takes that is full."""
    words = [[f"word{i * j % 997}" for j in range(length)] for i in range(1000)]
    few = make(tmp_path, words)
    index, blocks = explorer_data(*few.gather(1000), few.order)
    assert len(blocks) == len(index["datasets"][0]["items"]) == 1000
    size = len(embedded(index).encode()) + sum(map(len, blocks))
    assert size < 1.5e6
    # of two runs, lists as `explorer_tables` counts them
    counted = 1000 * (length + BESIDE) * 2 * (4 + len(METHODS))
    assert size / counted * (MOST_WEIGHTS + MOST_INFLUENCE) < 9e6


def test_numbers_are_short_and_whole_where_they_are():
    assert rounded([0.0, 1.0, 0.123456789, 1234567.0, 1.23456e-9]) == [
        0, 1, 0.1235, 1235000, 1.235e-9
    ]  # fmt: skip
    assert rounded(None) is None
