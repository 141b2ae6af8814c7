"""Any working folder will do: the default profile and a config are found from there."""

import shutil

import pytest

from tests.workflow import project
from tests.workflow.project import planned, snakemake

CARD = "results/data/reviews/card.json"


@pytest.mark.parametrize("called_from", ["the project", "the working folder"])
def test_profile_and_config_are_found_from_any_working_folder(
    unstarted, tmp_path, called_from
):
    if called_from == "the project":
        where, which = unstarted, ["--directory", tmp_path]
    else:
        where, which = tmp_path, ["--snakefile", unstarted / "Snakefile"]
    status, output = snakemake(where, "-n", *which, CARD)
    assert status == 0, output
    # without it, a failed run would stop the others and a comment would retrain
    assert "profiles/default for setting default command line arguments" in output
    assert planned(where, *which, CARD) == {
        "fetch_archive": {"tiny_reviews"},
        "prepare": {"reviews"},
    }


def test_results_of_another_working_folder_are_the_same(
    unstarted, finished, tmp_path, offline
):
    project.run(unstarted, "-d", tmp_path, "--cores", "1", CARD, **offline)
    made = project.results(tmp_path)
    whole = project.results(finished)
    assert CARD in made
    assert {path: whole[path] for path in made} == made


def test_a_working_folder_with_a_config_of_its_own_uses_that(unstarted, tmp_path):
    shutil.copyfile(unstarted / "config.yaml", tmp_path / "config.yaml")
    project.set_key(tmp_path, "grid.normalizers", ["sparsemax"])
    project.set_key(tmp_path, "statistics.reference", "sparsemax")
    plan = planned(unstarted, "-d", tmp_path)
    assert plan["train"] == {f"reviews/bilstm/additive/sparsemax/{s}" for s in (0, 1)}
