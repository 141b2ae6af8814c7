"""Two checkouts share archives, prepared data and models, and only what is the same."""

import pytest

from tests.workflow import project
from tests.workflow.project import planned, run, set_key, snakemake

MODEL = "results/models/reviews/bilstm/additive/softmax/seed0/model.safetensors"
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}


@pytest.fixture
def store(tmp_path):
    """The environment that names a shared folder."""
    folder = tmp_path / "store"
    folder.mkdir()
    return {"SNAKEMAKE_OUTPUT_CACHE": str(folder)}


def test_a_second_clone_takes_what_the_first_has_made(
    unstarted, finished, tmp_path, store, offline
):
    first = project.copy(unstarted, tmp_path / "first")
    second = project.copy(unstarted, tmp_path / "second")
    run(first, "--cache", "--cores", "2", MODEL, **store, **offline)
    # Without an index, it can only come from the store.
    output = run(second, "--cache", "--cores", "2", MODEL, **store, **NOWHERE)
    assert "Symlinking output file" in output and "epoch" not in output
    for folder in (first, second):
        made = project.results(folder)
        whole = project.results(finished)
        assert {path: whole[path] for path in made} == made
        assert MODEL in made
        assert planned(folder, MODEL, "--cache", **store) == {}

    # Of a model with other settings it takes all but the model.
    set_key(second, "training.learning_rate", 0.01)
    output = run(second, "--cache", "--cores", "2", MODEL, **store, **NOWHERE)
    assert (second / MODEL).read_bytes() != (first / MODEL).read_bytes()
    assert (first / MODEL).read_bytes() == (finished / MODEL).read_bytes()

    # What is damaged in the store is taken out of it.
    shared = (first / MODEL).resolve()
    shared.write_bytes(shared.read_bytes()[:100])
    asked = MODEL.replace("models", "attributions").replace(
        "model.safetensors", "attention.parquet"
    )
    status, output = snakemake(first, "--cache", "--cores", "1", asked, **store)
    assert status != 0 and "not a whole checkpoint" in output
    assert not shared.exists()
    run(first, "--cache", "--cores", "2", asked, **store)
    assert (first / MODEL).read_bytes() == (finished / MODEL).read_bytes()
    assert (first / asked).read_bytes() == (finished / asked).read_bytes()


def test_sharing_is_off_unless_asked_for(done):
    status, output = snakemake(done, "-n")
    assert status == 0 and "cach" not in output.lower()
