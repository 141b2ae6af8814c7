"""The experiments as parts of the workflow: all of them on, on real sentences."""

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.compute as pc
import pytest

from attention_audit.faults import RESERVED_METHODS
from attention_audit.records.tables import read_json, read_table
from tests.workflow import project
from tests.workflow.conftest import SHARE, TARGETS

RUNS = {
    f"reviews/bilstm/additive/{normalizer}/{seed}"
    for normalizer in ("entmax15", "uniform")
    for seed in (0, 1)
}


@pytest.fixture
def copied(explained, tmp_path) -> Path:
    return project.copy(explained, tmp_path / "project")


def test_every_experiment_has_its_tables_and_figures(explained):
    for run in RUNS:
        folder = explained / "results/explanations" / _seeded(run)
        for name in ("permutation", "adversarial", "flips", "erasure", "randomized"):
            table = read_table(folder / f"{name}.parquet", name)
            assert table.num_rows, (run, name)
        for name in ("seed_variance", "uniform"):
            read_table(folder / f"{name}.parquet", "pairs")
    for target in TARGETS:
        for suffix in (".png", ".pdf", ".parquet"):
            assert (explained / target).with_suffix(suffix).stat().st_size


def test_controls_of_erasure_stand_beside_their_runs(explained):
    """The reference is uniform, and the other runs have zeros."""
    results = explained / "results"
    for seed in (0, 1):
        run = f"reviews/bilstm/additive/entmax15/seed{seed}"
        own = read_table(results / f"explanations/{run}/erasure.parquet", "erasure")
        support = own.filter(pc.equal(own["subject"], "attention"))["support"]
        for control in ("cut", "softmax"):
            path = results / f"controls/{run}/erasure_{control}.parquet"
            table = read_table(path, "erasure")
            assert table["support"] == support
            assert table["subject"].unique().to_pylist() == ["attention"]
            path = results / f"controls/{run}/explanation_{control}.parquet"
            assert read_table(path, "measures").num_rows
    table = read_table(
        results / "statistics/explanation_summary.parquet", "explanation_summary"
    )
    assert set(table["normalizer"].to_pylist()) == {
        "entmax15",
        "uniform",
        "uniform cut to entmax15",
        "entmax15 under softmax",
    }


def test_a_learning_curve_ends_at_the_runs_themselves(explained):
    """Of the reference, which is uniform there, and of no other normalizer."""
    results = explained / "results"
    path = results / "statistics/learning_curve.parquet"
    rows = read_table(path, "learning_curve").to_pylist()
    texts = read_table(results / "data/reviews/train.parquet", "examples").num_rows
    points = {(r["normalizer"], r["seed"], r["share"], r["n_train"]) for r in rows}
    half = -(-texts // 2)
    assert points == {
        ("uniform", seed, share, n)
        for seed in (0, 1)
        for share, n in ((SHARE, half), (1.0, texts))
    }
    for row in rows:
        run = f"reviews/bilstm/additive/uniform/seed{row['seed']}"
        name = (
            "models/{}/metrics.json"
            if row["share"] == 1
            else "learning_curve/{}/share0.5.json"
        )
        metrics = read_json(results / name.format(run))
        assert metrics[row["split"]][row["metric"]] == row["value"]
    assert len(rows) == 2 * 2 * 2 * 3
    assert not [*results.glob("learning_curve/**/*.pt")]


def test_subjects_and_references_are_methods_or_names_that_no_method_may_have(
    explained,
):
    run = _seeded(min(RUNS))
    paths = [f"explanations/{run}/measures.parquet", f"measures/{run}.parquet"]
    for path in paths:
        table = read_table(explained / "results" / path, "measures")
        names = {
            name
            for column in ("subject", "reference")
            for name in table[column].unique().to_pylist()
        }
        others = names - {None} - set(project.config(explained)["methods"])
        assert others, path
        for name in others:
            assert any(fnmatchcase(name, p) for p in RESERVED_METHODS), name


def test_there_is_nothing_left_to_do(explained):
    assert project.planned(explained, *TARGETS) == {}


def test_a_setting_reruns_its_experiment_alone(copied):
    project.set_key(copied, "explanations.flips.random_orders", 3)
    plan = project.planned(copied, *TARGETS)
    assert plan["flips"] == plan["measure_explanations"] == RUNS
    assert not plan.keys() & {"train", "attend", "permutation", "erasure"}
    assert "train_adversary" not in plan


def test_the_shares_of_erasure_rerun_its_controls_and_random_orders_do_not(copied):
    controlled = {run for run in RUNS if "/entmax15/" in run}
    project.set_key(copied, "explanations.erasure.random_orders", 2)
    plan = project.planned(copied, *TARGETS)
    assert plan["erasure"] == RUNS
    assert not plan.keys() & {"train", "attend", "flips", "erase_controls"}
    project.set_key(copied, "explanations.erasure.shares", [0.1, 0.5])
    plan = project.planned(copied, *TARGETS)
    assert plan["erase_controls"] == plan["measure_erased_controls"] == controlled


def test_one_figure_is_made_anew_from_what_is_there(copied):
    target = "results/figures/decision_flips.png"
    (copied / target).unlink()
    assert project.planned(copied, target) == {"figure_decision_flips": {""}}


def test_an_adversary_is_trained_before_the_model_that_it_guides(copied):
    shutil.rmtree(copied / "results/adversaries")
    shutil.rmtree(copied / "results/diagnostics")
    table = "results/statistics/diagnostics.parquet"
    (copied / table).unlink()
    plan = project.planned(copied, table)
    run = "reviews/bilstm/additive/entmax15"
    assert plan["train_adversary"] == {f"{run}/{s}/jsd/0.1" for s in (0, 1)}
    assert plan["train_guided"] == {
        f"{run}/{seed}/{guide}"
        for seed in (0, 1)
        for guide in ("attention", "adversary")
    }
    # shared by the runs of all encoders, and uniform weights by those of all normalizers
    assert plan["train_learned"] == {
        "reviews/additive/entmax15/0",
        "reviews/additive/entmax15/1",
    }
    assert plan["train_uniform"] == {"reviews/additive/0", "reviews/additive/1"}
    assert "train" not in plan


def _seeded(run: str) -> str:
    folder, seed = run.rsplit("/", 1)
    return f"{folder}/seed{seed}"
