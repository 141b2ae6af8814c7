"""Which texts disagree most, and the words that show it."""

import numpy as np
import pandas as pd
import pytest

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.examples import (
    EXTREMES,
    Files,
    example_table,
    extremes,
    marked,
)

NAN = float("nan")


def test_the_ends_of_a_ranking_with_ties_by_id():
    means = pd.Series({"d": 0.5, "b": -1.0, "c": -1.0, "a": 0.5, "e": 0.1, "f": NAN})
    assert list(extremes(means, 2)) == [
        ("worst", 1, "b"),
        ("worst", 2, "c"),
        ("best", 1, "a"),
        ("best", 2, "d"),
    ]
    # however the rows come
    assert list(extremes(means[::-1], 2)) == list(extremes(means, 2))


@pytest.mark.parametrize(
    ("defined", "worst", "best"), [(0, 0, 0), (1, 1, 0), (4, 3, 1), (6, 3, 3)]
)
def test_few_texts_stand_at_one_end_only(defined, worst, best):
    found = list(extremes(pd.Series(range(defined), map(str, range(defined))), 3))
    assert [end for end, *_ in found] == ["worst"] * worst + ["best"] * best
    assert len({instance for *_, instance in found}) == len(found)


def test_words_are_marked_by_weight_and_none_without():
    tokens = ["a", "b", "c", "d", "e"]
    assert marked(tokens, np.array([0.1, 0.4, 0.1, 0.4, 0.0])) == ["b", "d", "a"]
    assert marked(tokens, np.array([0, 0, 1, 0, 0])) == ["c"]
    assert marked(tokens, np.zeros(5)) == []


CELL = {
    "dataset": "toy",
    "encoder": "bilstm",
    "scorer": "additive",
    "normalizer": "softmax",
}
# by seed and instance
TAU = {0: [0.9, -0.8, NAN, 0.1, 0.2], 1: [0.1, -0.6, NAN, NAN, 0.0]}
INSTANCES = ["i0", "i1", "i2", "i3", "i4"]


def write_run(folder, seed) -> Files:
    run, n = CELL | {"seed": seed}, len(INSTANCES)
    rows = [
        run
        | {
            "instance_id": instance,
            "measure": measure,
            "subject": subject,
            "reference": reference,
            "value": value,
        }
        for measure, subject, reference in [
            ("kendall_tau_b", "attention", "grad"),
            ("kendall_tau_b", "grad", "other"),
            ("support", "attention", None),
        ]
        for instance, value in zip(
            INSTANCES, TAU[seed] if subject == "attention" else [9.0] * n, strict=True
        )
    ]
    files = Files(*(folder / f"{kind}{seed}.parquet" for kind in ("m", "a")), {})
    files.importances["grad"] = folder / f"g{seed}.parquet"
    tables.write_rows(files.measures, "measures", rows, {})
    weights = np.array([[0.7, 0.2, 0.1]] * n) if seed else np.array([[0, 1, 0.0]] * n)
    columns = run | {"instance_id": INSTANCES, "length": 3}
    tables.write_table(
        files.attention,
        "attention",
        columns
        | {
            "label": [0] * n,
            "predicted": [seed] * n,
            "targets": None,
            "probabilities": [[0.5, 0.5]] * n,
            "scores": list(weights),
            "attention": list(weights),
            "support": [1] * n,
            "entropy": [0.0] * n,
            **dict.fromkeys(("cell", "gold", "guess", "times"), [None] * n),
        },
        {},
    )
    tables.write_table(
        files.importances["grad"],
        "importance",
        columns
        | {
            "method": "grad",
            "importance": [[0.0, 0.0, 2.0]] * n,
            "completeness_error": None,
        },
        {},
    )
    return files


@pytest.fixture
def made(tmp_path):
    """The arguments of `example_table` for two seeds of one cell."""
    tables.write_table(
        tmp_path / "test.parquet",
        "examples",
        {
            "dataset": "toy",
            "instance_id": INSTANCES,
            "cluster_id": INSTANCES,
            "tokens": [[f"{i}x", f"{i}y", f"{i}z"] for i in INSTANCES],
            "token_ids": [[1, 2, 3]] * 5,
            "gold": None,
            "label": [0, 1, 0, 1, 0],
            "length": 3,
            "text": INSTANCES,
        },
        {},
    )
    tables.write_json(tmp_path / "card.json", {"label_names": ["no", "yes"]})
    return (
        [CELL | {"seed": seed} for seed in TAU],
        [write_run(tmp_path, seed) for seed in TAU],
        {"toy": tmp_path / "test.parquet"},
        {"toy": tmp_path / "card.json"},
        {"code": "x"},
        tmp_path / "examples.parquet",
    )


def test_texts_are_chosen_over_seeds_and_shown_by_seed(made):
    example_table(*made)
    rows = tables.read_table(made[-1], "agreement_examples").to_pandas()
    # i2 is undefined; i3 has one seed, and the same mean as i4
    first = rows[rows["seed"] == 0]
    assert list(
        zip(first["extreme"], first["rank"], first["instance_id"], strict=True)
    ) == [
        ("worst", 1, "i1"),
        ("worst", 2, "i3"),
        ("worst", 3, "i4"),
        ("best", 1, "i0"),
    ]
    assert EXTREMES == 3 and len(rows) == 2 * len(first)
    assert first["mean"].to_list() == pytest.approx([-0.7, 0.1, 0.1, 0.5])
    assert first["value"].to_list() == pytest.approx([-0.8, 0.1, 0.2, 0.9])
    worst = rows[rows["instance_id"] == "i1"].to_dict("records")
    assert [list(row["tokens"]) for row in worst] == [["i1x", "i1y", "i1z"]] * 2
    assert [(row["label"], row["predicted"]) for row in worst] == [
        ("yes", "no"),
        ("yes", "yes"),
    ]
    assert [list(r["attended"]) for r in worst] == [["i1y"], ["i1x", "i1y", "i1z"]]
    assert [list(row["important"]) for row in worst] == [["i1z"]] * 2


def test_the_same_runs_give_the_same_bytes(made):
    example_table(*made)
    before = made[-1].read_bytes()
    example_table(*made)
    assert made[-1].read_bytes() == before


def test_a_file_of_another_run_is_an_error(made):
    runs, files, *rest = made
    with pytest.raises(AuditError, match="belongs to another run"):
        example_table(runs, files[::-1], *rest)
