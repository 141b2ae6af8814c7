"""A run on sentence pairs: decisions that share them, their gold, and what is drawn."""

import pandas as pd

from attention_audit.records.decision_ids import parts
from attention_audit.records.tables import read_table
from tests.workflow import project
from tests.workflow.conftest import TRANSLATED

RUN = "bible_greek/translator/additive/entmax15/seed0"


def test_every_figure_is_drawn_and_nothing_is_left_to_do(translated):
    for target in TRANSLATED:
        assert (translated / target).stat().st_size
    assert project.planned(translated, *TRANSLATED) == {}


def test_decisions_are_the_next_words_of_whole_pairs_and_their_gold_the_links(
    translated,
):
    path = translated / f"results/attributions/{RUN}/attention.parquet"
    rows = read_table(path, "attention").to_pylist()
    split = translated / "results/data/bible_greek/test.parquet"
    pairs = {
        row["instance_id"]: row
        for row in read_table(split, "sentence_pairs").to_pylist()
    }
    steps: dict[str, list[int]] = {}
    for row in rows:
        pair, step = parts(row["instance_id"])
        steps.setdefault(pair, []).append(step)
        words = pairs[pair]
        assert len(row["attention"]) == row["length"] == words["source_length"]
        if step == words["target_length"]:
            assert row["gold"] is None
            continue
        assert row["label"] == words["target_ids"][step]
        linked = {i["source"] for i in words["sure"] if i["target"] == step}
        assert {s for s, gold in enumerate(row["gold"]) if gold} == linked
    assert len(steps) == 4
    for pair, found in steps.items():
        assert found == list(range(pairs[pair]["target_length"] + 1))


def test_statistics_resample_sentence_pairs(translated):
    path = translated / "results/statistics/explanation_summary.parquet"
    summary = read_table(path, "summary").to_pandas()
    assert summary["n_clusters"].max() == 4 and summary["n_instances"].max() > 20


def test_importance_is_held_against_gold_beside_attention(translated):
    numbers = pd.read_parquet(translated / "results/figures/alignment_error.parquet")
    assert {"attention", "input_gradient"} <= {*numbers["subject"]}
    assert numbers["mean"].dropna().between(0, 1).all()
