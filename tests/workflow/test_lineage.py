"""The chain behind a result leads back to the raw archive and notices every change."""

import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from attention_audit.records.lineage import broken, trace
from tests.workflow import project

RUN = "reviews/bilstm/additive/entmax15/seed1"
ARCHIVE = "results/raw/tiny_reviews.whl"
FIGURE = "results/figures/agreement.png"


def show(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of the documented command."""
    done = subprocess.run(
        [sys.executable, "workflow/scripts/show_provenance.py", *arguments],
        cwd=folder,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_a_figure_leads_back_to_the_checksum_of_the_archive(finished):
    status, output = show(finished, "--json", FIGURE)
    assert status == 0
    files = json.loads(output)
    pinned = project.config(finished)["archives"]["tiny_reviews"]["sha256"]
    assert files[ARCHIVE]["sha256"] == pinned
    assert files[ARCHIVE]["recorded"] == [pinned]
    # one step at a time, by the records alone
    steps = [FIGURE, "results/statistics/summary.parquet"]
    steps += [f"results/measures/{RUN}.parquet"]
    steps += [f"results/attributions/{RUN}/attention.parquet"]
    steps += [f"results/models/{RUN}/model.safetensors"]
    steps += ["results/data/reviews/train.parquet", ARCHIVE]
    for made, source in itertools.pairwise(steps):
        recorded = files[made]["record"]["inputs"][source]
        content = (finished / source).read_bytes()
        assert recorded == hashlib.sha256(content).hexdigest()


def test_a_record_says_what_made_a_file(finished):
    files = trace(FIGURE, finished)
    training = files[f"results/models/{RUN}/model.safetensors"].record["params"]
    assert training["run"]["seed"] == 1
    assert training["normalizer"] == {"kind": "entmax", "alpha": 1.5}
    assert {"torch", "numpy"} <= set(training["libraries"])
    assert len(training["code"]) == 16


def test_every_result_but_the_report_has_a_chain(finished):
    for path in project.results(finished):
        if path != ARCHIVE and Path(path).suffix != ".html":
            files = trace(path, finished)
            # The runs of the grid are made from the config alone.
            assert (ARCHIVE in files) == (Path(path).name != "runs.parquet"), path
            assert list(broken(files)) == [], path


def test_the_tree_names_each_stage(finished):
    status, output = show(finished, FIGURE)
    assert status == 0
    assert output.startswith(FIGURE)
    for rule in ("summary", "measure", "attend", "attribute", "train", "prepare"):
        assert f"rule {rule}, code " in output
    assert "0 missing or changed since" in output


def test_a_change_anywhere_in_the_chain_is_named(done):
    path = done / f"results/models/{RUN}/settings.json"
    path.write_text(path.read_text() + "\n")
    missing = done / f"results/attributions/{RUN}/influence.parquet"
    missing.unlink()
    status, output = show(done, FIGURE)
    assert status == 1
    for file, state in ((path, "changed since"), (missing, "missing")):
        assert f"{file.relative_to(done)}  {state}" in output
    assert "2 missing or changed since" in output


def test_a_damaged_table_ends_the_chain_and_stays_where_it_is(done):
    path = done / f"results/measures/{RUN}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    status, output = show(done, FIGURE)
    assert status == 1
    assert f"{path.relative_to(done)}  changed since" in output
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/figures/agreemnt.png", "no such file"),
        ("config.yaml", "carries no record of what made it"),
    ],
)
def test_a_file_without_a_chain_is_named(finished, path, message):
    status, output = show(finished, path)
    assert status == 2
    assert output.startswith(f"error: {path}: ") and message in output
