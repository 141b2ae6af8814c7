"""Runs on recordings: every second decided, by moments sampled sparsely and densely."""

import numpy as np

from attention_audit.records.decision_ids import parts
from attention_audit.records.tables import read_table
from tests.workflow import project
from tests.workflow.conftest import REACTED

RUN = "{}/gated/additive/entmax15/seed0"
DATASETS = "sitcom_sparse", "sitcom_dense"


def table(folder, path, name):
    return read_table(folder / "results" / path, name).to_pandas()


def test_every_figure_is_drawn_and_nothing_is_left_to_do(reacted):
    for target in REACTED:
        assert (reacted / target).stat().st_size
    assert project.planned(reacted, *REACTED) == {}


def test_both_samplings_decide_the_same_seconds_by_as_many_moments(reacted):
    sparse, dense = (
        table(
            reacted, f"attributions/{RUN.format(name)}/attention.parquet", "attention"
        )
        for name in DATASETS
    )
    assert list(sparse["instance_id"]) == list(dense["instance_id"])
    assert sparse["length"].max() == dense["length"].max() == 8
    for rows, between in ((sparse, 1.0), (dense, 0.5)):
        for times in rows["times"]:
            assert times[-1] == 0
            assert (np.diff(times) == between).all()


def test_every_second_of_the_test_recordings_is_predicted_and_scored(reacted):
    split = table(reacted, "data/sitcom_sparse/test.parquet", "recordings")
    seconds = dict(zip(split["recording"], split["seconds"], strict=True))
    path = f"reactions/{RUN.format('sitcom_sparse')}.parquet"
    predicted = table(reacted, path, "reaction_predictions")
    assert len(seconds) == 3
    for recording, rows in predicted.groupby("recording"):
        assert list(rows["second"]) == list(seconds[recording])
        assert [parts(i)[1] for i in rows["instance_id"]] == list(rows["second"])
    scores = table(reacted, "statistics/reaction_scores.parquet", "reaction_scores")
    of_model = scores[scores["subject"] == "model"]
    assert {*of_model["recording"]} == {*seconds}
    assert {*scores["subject"]} == {"model", "base_rate", "last_seconds"}


def test_statistics_resample_recordings(reacted):
    path = "statistics/explanation_summary.parquet"
    summary = table(reacted, path, "summary")
    assert summary["n_clusters"].max() == 3 and summary["n_instances"].max() > 10
