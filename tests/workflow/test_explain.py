"""One sentence and one model: the same numbers as the pipeline's, from anywhere."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rich

from attention_audit.config import validate
from attention_audit.records.errors import AuditError
from attention_audit.records.lineage import broken, trace
from attention_audit.records.tables import read_metadata, read_table
from attention_audit.runs import DEFAULT_METHODS, load_run
from tests.workflow import project

RUN = "reviews/bilstm/additive/entmax15/seed1"
MODEL = f"results/models/{RUN}"
METHODS = ["input_gradient", "hidden_leave_one_out"]


def audited(folder: Path, table: str, run: str = RUN) -> dict[str, dict]:
    schema = table.split("/")[0]
    path = folder / f"results/attributions/{run}/{table}.parquet"
    rows = read_table(path, schema).to_pylist()
    return {row["instance_id"]: row for row in rows}


def texts(folder: Path) -> dict[str, str]:
    rows = read_table(folder / "results/data/reviews/test.parquet", "examples")
    return dict(
        zip(rows["instance_id"].to_pylist(), rows["text"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize("normalizer", ["softmax", "entmax15"])
def test_numbers_are_those_of_the_pipeline(finished, normalizer):
    name = f"reviews/bilstm/additive/{normalizer}/seed0"
    run = load_run(finished / f"results/models/{name}")
    assert run.name == name and run.labels == ["negative", "positive"]
    attention = audited(finished, "attention", name)
    importance = {m: audited(finished, f"importance/{m}", name) for m in METHODS}
    measures = read_table(
        finished / f"results/measures/{name}.parquet", "measures"
    ).to_pandas()
    tau = measures[
        (measures["measure"] == "kendall_tau_b") & (measures["subject"] == "attention")
    ].set_index(["instance_id", "reference"])["value"]
    assert len(attention) == 12
    of = texts(finished)
    for instance, row in attention.items():
        found = run.explain(of[instance])
        assert found.instance_id == instance
        assert found.prediction == run.labels[row["predicted"]]
        assert list(found.probabilities) == run.labels
        np.testing.assert_allclose(
            list(found.probabilities.values()), row["probabilities"], rtol=1e-5
        )
        frame = found.frame
        assert list(frame) == ["position", "token", "attention", *METHODS]
        assert frame["position"].to_list() == list(range(row["length"]))
        np.testing.assert_allclose(
            frame["attention"], row["attention"], rtol=1e-4, atol=1e-6
        )
        # what has no weight has none here
        assert ((frame["attention"] == 0) == (np.array(row["attention"]) == 0)).all()
        for method in METHODS:
            np.testing.assert_allclose(
                frame[method],
                importance[method][instance]["importance"],
                rtol=1e-3,
                atol=1e-7,
            )
            assert found.agreement[method] == pytest.approx(
                tau[instance, method], abs=0.05, nan_ok=True
            )


def test_a_run_is_found_from_any_folder(finished, tmp_path, monkeypatch):
    relative = load_run(finished / MODEL).explain("A good film.").frame
    monkeypatch.chdir(finished / "results/models")
    pd.testing.assert_frame_equal(load_run(RUN).explain("A good film.").frame, relative)
    moved = shutil.copytree(finished / "results", tmp_path / "elsewhere/results")
    again = load_run(moved / "models" / RUN).explain("A good film.").frame
    pd.testing.assert_frame_equal(again, relative)


def test_methods_are_those_that_measured_the_run_else_the_default_ones(done):
    run = load_run(done / MODEL)
    assert run.methods == {
        "hidden_leave_one_out": {
            "kind": "leave_one_out",
            "of": "hidden_states",
            "removal": None,
            "output": None,
        },
        "input_gradient": {
            "kind": "gradient",
            "of": "inputs",
            "attention": "detached",
            "output": None,
        },
    }
    chosen = {"mine": {"kind": "gradient", "of": "inputs", "attention": "attached"}}
    frame = load_run(done / MODEL, chosen).explain("a good film").frame
    assert list(frame) == ["position", "token", "attention", "mine"]
    assert len(frame) == 3
    (done / f"results/measures/{RUN}.parquet").unlink()
    assert load_run(done / MODEL).methods == DEFAULT_METHODS


def test_the_default_methods_are_those_of_the_default_config():
    config = project.config(project.CHECKOUT)
    schema = project.CHECKOUT / "workflow/schemas/config.schema.yaml"
    assert validate(config, schema)["methods"] == DEFAULT_METHODS


FAULTS = {
    "no such run": (
        lambda f: f"{MODEL}0",
        "holds no folder 'seed10'. Did you mean 'seed1'?",
    ),
    "no run": (lambda f: "results/models/reviews", "holds no settings.json"),
    "no data": (
        lambda f: (f / "results/data/reviews/card.json").unlink() or MODEL,
        "was trained with results/data/reviews/card.json, which is in no folder above",
    ),
    "other data": (
        lambda f: (f / "results/data/reviews/card.json").write_text("{}") and MODEL,
        "card.json: is not what",
    ),
    "weights of another run": (
        lambda f: (
            shutil.copy(
                f / MODEL.replace("seed1", "seed0") / "model.safetensors", f / MODEL
            )
            and MODEL
        ),
        "their records differ",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_touches_nothing(done, monkeypatch, fault):
    monkeypatch.chdir(done)
    spoil, words = FAULTS[fault]
    named = spoil(done)
    before = project.results(done)
    with pytest.raises(AuditError, match=re.escape(words)):
        load_run(named)
    assert project.results(done) == before


def test_an_explanation_shows_itself(finished, monkeypatch, capsys):
    found = load_run(finished / MODEL).explain("3 < 4 & a <good film")
    html = found._repr_html_()
    assert ">&lt;</span>" in html and ">&amp;</span>" in html
    assert html.count("<tr>") == 1 + len(METHODS)
    monkeypatch.setenv("NO_COLOR", "1")
    rich.print(found)
    shown = capsys.readouterr().out
    assert found.prediction in shown and "input_gradient (" in shown


# --- the command -----------------------------------------------------------------


def explain(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "workflow/scripts/explain.py", *arguments],
        cwd=folder,
        env=project.environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    return done.returncode, done.stdout


def test_a_text_is_printed_and_written(done):
    text = 'A <b>good</b> film, a zzyzx [red] "film"'
    status, output = explain(done, MODEL, text)
    assert status == 0, output
    *_, table, page = output.splitlines()
    assert Path(table).parent == Path(page).parent == Path("results/explained", RUN)
    rows = read_table(done / table, "explained").to_pandas()
    run = load_run(done / MODEL)
    expected = run.explain(text)
    for subject, found in rows.groupby("subject"):
        assert found["token"].to_list() == expected.frame["token"].to_list()
        np.testing.assert_array_equal(found["weight"], expected.frame[subject])
    assert set(rows["subject"]) == {"attention", *METHODS}
    assert set(rows["prediction"]) == {expected.prediction}
    # printed without colours, as to a pipe
    assert f"{expected.prediction} (" in output and "attention" in output
    assert "zzyzx" in output and "\x1b" not in output
    html = (done / page).read_text(encoding="utf-8")
    assert html.count("<table") == 1 and "zzyzx" in html
    # what made it is known as of every result
    assert not list(broken(trace(table, done)))
    assert read_metadata(done / table)["params"]["texts"] == [text]


def test_a_file_holds_a_text_a_line(done):
    lines = ["a good film", "\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1", "a film " * 20]
    (done / "mine.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    status, output = explain(done, MODEL, "--file", "mine.txt", "--out", "out")
    assert status == 0, output
    rows = read_table(done / "out/mine.parquet", "explained").to_pandas()
    assert rows.groupby("number")["position"].max().to_list() == [2, 1, 11]
    assert "no token stands in the vocabulary" in output
    assert "cut to the first 12 of 40 tokens" in output
    html = (done / "out/mine.html").read_text(encoding="utf-8")
    assert html.count("<table") == 3
    assert "cut to the first 12 of 40 tokens" in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((f"{MODEL}7", "a film"), "no such run"),
        ((MODEL, ""), "holds no word"),
        ((MODEL, "--file", "none.txt"), "none.txt: cannot be read"),
        ((MODEL, "--file", "gap.txt"), "gap.txt, line 2: holds no text"),
        ((MODEL, "--file", "empty.txt"), "empty.txt, line 1: holds no text"),
        ((MODEL, "--file", "latin.txt"), "latin.txt: cannot be read as UTF-8"),
    ],
)
def test_a_fault_of_the_command_is_one_line(done, arguments, words):
    (done / "gap.txt").write_text("a film\n\nanother\n")
    (done / "empty.txt").write_text("")
    (done / "latin.txt").write_bytes(b"caf\xe9\n")
    status, output = explain(done, *arguments)
    assert status == 2
    (line,) = output.splitlines()
    assert line.startswith("error: ") and words in line
    assert not (done / "results/explained").exists()


def test_a_terminal_that_lacks_a_letter_gets_its_code(done):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, output = explain(done, MODEL, "caf\u00e9", **ascii_only)
    assert status == 0 and "caf\\xe9" in output


# --- the examples ----------------------------------------------------------------


def test_the_examples_are_the_ends_of_what_was_measured(finished):
    path = finished / "results/statistics/examples.parquet"
    rows = read_table(path, "agreement_examples").to_pandas()
    assert len(rows) == 2 * 2 * 2 * 6  # normalizers, seeds, methods, texts
    for (normalizer, method), found in rows.groupby(["normalizer", "reference"]):
        measures = pd.concat(
            read_table(
                finished
                / f"results/measures/reviews/bilstm/additive/{normalizer}/seed{s}.parquet",
                "measures",
            ).to_pandas()
            for s in (0, 1)
        )
        means = (
            measures[
                (measures["measure"] == "kendall_tau_b")
                & (measures["subject"] == "attention")
                & (measures["reference"] == method)
            ]
            .groupby("instance_id")["value"]
            .mean()
            .dropna()
        )
        ends = found[found["seed"] == 0].set_index(["extreme", "rank"])["mean"]
        assert ends["worst"].to_list() == sorted(means)[:3]
        assert ends["best"].to_list() == sorted(means)[::-1][:3]
    for row in rows.to_dict("records"):
        assert set(row["attended"]) <= set(row["tokens"])
        assert {row["label"], row["predicted"]} <= {"negative", "positive"}
    card = json.loads((finished / "results/data/reviews/card.json").read_text())
    assert card["tokenization"]["max_length"] == 12


# --- the README ------------------------------------------------------------------


def test_the_section_of_the_readme_runs_as_it_is_printed(done, monkeypatch, capsys):
    readme = (project.CHECKOUT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Look at one sentence\n")[1].split("\n## ")[0]
    code = "\n".join(
        line[4:] for line in section.splitlines() if line.startswith("    ") or not line
    ).replace("models/imdb/", "models/reviews/")
    commands = re.findall(r"^python (.+)$", code, re.M)
    assert len(commands) == 1
    for command in commands:
        code = code.replace(f"python {command}", "")
        shell = ["bash", "-c", f"'{sys.executable}' {command}"]
        assert subprocess.run(shell, cwd=done, capture_output=True).returncode == 0
    assert len(list((done / "results/explained").rglob("*.html"))) == 1
    monkeypatch.chdir(done)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert list(names["found"].frame)[:3] == ["position", "token", "attention"]
    assert "softmax" in capsys.readouterr().out
