"""Folders of experiments, and what one takes over from another."""

import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from attention_audit.models.model import save_model
from attention_audit.records.experiments import logs_of, made_now, results_of, split
from attention_audit.records.provenance import file_digest, record
from attention_audit.records.reuse import take_over, take_over_archive, twins
from attention_audit.records.tables import open_table, write_json
from tests.unit.models import tiny_model

RUN = "models/d/e/s/n/seed0"
TABLE = pa.schema([pa.field("x", pa.int64(), nullable=False)])


def record_of(experiment: str, **more):
    """What a job of an experiment records that has a path and an input within it."""
    folder = Path(results_of(experiment))
    source = folder / "data/d/train.parquet"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(b"rows")
    params = {"checkpoint": f"{folder}/{RUN}/checkpoint.pt", "lr": 0.1, **more}
    return record("train", params, [source])


def outputs(experiment: str) -> list[str]:
    folder = f"{results_of(experiment)}/{RUN}"
    return [
        f"{folder}/{name}"
        for name in ("model.safetensors", "history.parquet", "m.json")
    ]


def make(experiment: str, **more) -> None:
    model, table, scores = outputs(experiment)
    made = record_of(experiment, **more)
    save_model(tiny_model(), model, made)
    with open_table(table, TABLE, made) as rows:
        rows.write({"x": [1, 2, 3]})
        rows.write({"x": [4]})
    write_json(scores, {"accuracy": 0.5, "provenance": made})


def contents(experiment: str) -> list[bytes]:
    return [Path(path).read_bytes() for path in outputs(experiment)]


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_default_stands_in_results_and_others_below():
    assert results_of("default") == "results"
    assert results_of("mine") == "results/experiments/mine"
    assert logs_of("default") == "logs"
    assert logs_of("mine") == "logs/experiments/mine"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("results/figures/a.png", ("default", "figures/a.png")),
        ("results/experiments/mine/figures/a.png", ("mine", "figures/a.png")),
        ("results", None),
        ("reviews.csv", None),
        ("/results/figures/a.png", None),
    ],
)
def test_a_path_belongs_to_an_experiment(path, expected):
    found = split(path)
    assert (found and (found[0], str(found[1]))) == expected


@pytest.mark.parametrize(
    ("first", "second"), [("default", "b"), ("b", "default"), ("b", "c")]
)
def test_what_is_taken_over_has_the_bytes_that_the_job_would_write(first, second):
    make(first)
    assert take_over(outputs(second), record_of(second))
    taken = contents(second)
    make(second)
    assert taken == contents(second)


@pytest.mark.parametrize(
    "difference", ["settings", "code of a rule", "one file lacking"]
)
def test_what_differs_is_not_taken_over(tmp_path, difference):
    make("default", **({"lr": 0.2} if difference == "settings" else {}))
    wanted = record_of("b")
    if difference == "code of a rule":
        wanted["params"]["code"] = "123"
    if difference == "one file lacking":
        (tmp_path / outputs("default")[2]).unlink()
    assert not take_over(outputs("b"), wanted)
    assert not (tmp_path / results_of("b") / "models").exists()


def test_a_damaged_model_is_not_taken_over(tmp_path):
    make("default")
    model = tmp_path / outputs("default")[0]
    damaged = bytearray(model.read_bytes())
    damaged[-1] ^= 1
    model.write_bytes(damaged)
    assert not take_over(outputs("b"), record_of("b"))
    assert model.read_bytes() == damaged, "another's file is left as it is"


def test_an_intact_one_is_found_behind_a_damaged_one(tmp_path):
    make("default"), make("a")
    (tmp_path / outputs("default")[1]).write_bytes(b"PAR1")
    assert take_over(outputs("b"), record_of("b"))


def test_paths_outside_the_working_folder_have_no_twins():
    make("default")
    assert list(twins("/elsewhere/results/models/x")) == []
    assert not take_over(["/elsewhere/model.safetensors"], record_of("b"))


def test_an_archive_is_taken_over_by_its_checksum(tmp_path):
    fetched = tmp_path / "results/raw/a.whl"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"wheel")
    path = tmp_path.joinpath("results/experiments/b/raw/a.whl").relative_to(tmp_path)
    assert not take_over_archive(path, "0" * 64)
    assert take_over_archive(path, file_digest(fetched))
    assert path.read_bytes() == b"wheel"
    # to fetch another version replaces the file, and not the bytes that both share
    path.unlink()
    assert fetched.read_bytes() == b"wheel"


def git(*arguments) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout.strip()


def test_an_experiment_says_from_which_commit_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert made_now(tmp_path) == {
        "date": "1970-01-01 00:00 UTC",
        "commit": None,
        "changed": [],
    }
    (tmp_path / "a.py").write_text("1")
    git("init", "-q"), git("add", "a.py"), git("commit", "-q", "-m", "one")
    assert made_now(tmp_path)["commit"] == git("rev-parse", "HEAD")
    assert made_now(tmp_path)["changed"] == []
    (tmp_path / "a.py").write_text("2")
    assert made_now(tmp_path)["changed"] == ["a.py"]


def test_the_date_is_that_of_the_clock(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert json.dumps(made_now(tmp_path)["date"]) > '"2026'
