"""The tiny grid on real text: what a run leaves, and what a faulty one says."""

import ast
import json
import os
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml

from attention_audit.config import validate
from attention_audit.figures.catalogue import figures_of
from attention_audit.grid import grid
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.records.tables import read_metadata, read_table
from tests.workflow import project
from tests.workflow.project import planned, set_key, snakemake

RUNS = [
    f"reviews/bilstm/additive/{n}/seed{s}"
    for n in ("softmax", "entmax15")
    for s in (0, 1)
]
METHODS = ("input_gradient", "hidden_leave_one_out")
# The heads of Transformers have their own test.
FIGURES = figures_of([])

# path below results -> schema, for tables of the data set and of the whole grid
TABLES = {
    "data/reviews/train.parquet": "examples",
    "data/reviews/dev.parquet": "examples",
    "data/reviews/test.parquet": "examples",
    "data/reviews/reading.parquet": "vocabulary",
    "statistics/runs.parquet": "runs",
    "statistics/task.parquet": "task",
    "report/explorer.parquet": "explorer",
    "report/explorer_items.parquet": "explorer_items",
    "statistics/summary.parquet": "summary",
    "statistics/comparison.parquet": "comparison",
    "statistics/claims.parquet": "claims",
    "statistics/examples.parquet": "agreement_examples",
}
# the same for every run, with the number of rows where it is known
OF_A_RUN = {
    "models/{run}/history.parquet": ("history", 2),
    "attributions/{run}/attention.parquet": ("attention", 12),
    "attributions/{run}/influence.parquet": ("influence", 4),
    "measures/{run}.parquet": ("measures", None),
    **{
        f"attributions/{{run}}/importance/{method}.parquet": ("importance", 12)
        for method in METHODS
    },
}


# of every run that is not of the reference, with the name of the control
OF_A_CONTROL = {
    "controls/{run}/cut.parquet": "softmax cut to entmax15",
    "controls/{run}/softmax.parquet": "entmax15 under softmax",
}
CONTROLLED = [run for run in RUNS if "/softmax/" not in run]


def all_tables() -> dict[str, str]:
    of_runs = {
        path.format(run=run): schema
        for run in RUNS
        for path, (schema, _) in OF_A_RUN.items()
    }
    of_controls = {
        path.format(run=run): "measures" for run in CONTROLLED for path in OF_A_CONTROL
    }
    return TABLES | of_runs | of_controls


def test_every_table_is_there_and_follows_its_schema(finished):
    found = {
        str(path.relative_to(finished / "results"))
        for path in (finished / "results").rglob("*.parquet")
        if path.parent.name != "figures"
    }
    assert found == set(all_tables())
    for path, schema in all_tables().items():
        table = read_table(finished / "results" / path, schema)
        assert len(table) > 0, path


def test_rows_of_a_run_carry_its_identity(finished):
    for run in RUNS:
        *names, seed = run.split("/")
        identity = dict(zip(RUN_COLUMNS, [*names, int(seed[4:])], strict=True))
        for path, (schema, rows) in OF_A_RUN.items():
            table = read_table(finished / "results" / path.format(run=run), schema)
            for column, value in identity.items():
                assert table[column].unique().to_pylist() == [value]
            if rows is not None:
                assert len(table) == rows, path


def test_controls_stand_in_the_statistics_under_their_names(finished):
    for run in CONTROLLED:
        for path, name in OF_A_CONTROL.items():
            table = read_table(finished / "results" / path.format(run=run), "measures")
            assert table["normalizer"].unique().to_pylist() == [name]
            assert table["seed"].unique().to_pylist() == [int(run[-1])]
    rows = read_table(finished / "results/statistics/summary.parquet", "summary")
    names = {"softmax", "entmax15", *OF_A_CONTROL.values()}
    assert set(rows["normalizer"].to_pylist()) == names
    rows = read_table(finished / "results/statistics/comparison.parquet", "comparison")
    of = {
        (r["contrast"], r["reference"]): r
        for r in rows.to_pylist()
        if (r["measure"], r["subject"]) == ("kendall_tau_b", "attention")
    }
    for method in METHODS:
        whole = of["normalizer", method]
        for parts in (("cut", "beyond_cut"), ("scores", "zeros")):
            found = [of[part, method] for part in parts]
            # of these sentences all have an agreement under every normalizer
            assert {r["n_instances"] for r in (whole, *found)} == {12}
            both = sum(r["difference"] for r in found)
            assert both == pytest.approx(whole["difference"])


def test_weights_of_every_instance_form_a_distribution(finished):
    for run in RUNS:
        path = finished / f"results/attributions/{run}/attention.parquet"
        for row in read_table(path, "attention").to_pylist():
            assert len(row["attention"]) == row["length"]
            assert sum(row["attention"]) == pytest.approx(1, abs=1e-5)
            assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("column", ["instance_id", "tokens"])
def test_no_text_is_in_two_splits(finished, column):
    found = [
        str(value)
        for split in ("train", "dev", "test")
        for value in read_table(
            finished / f"results/data/reviews/{split}.parquet", "examples"
        )[column].to_pylist()
    ]
    assert len(found) == len(set(found)) == 200


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_shows_something_and_keeps_its_numbers(finished, figure):
    folder = finished / "results/figures"
    pixels = matplotlib.image.imread(folder / f"{figure}.png")[..., :3]
    inked = (pixels.min(-1) < 0.9).mean()
    assert 0.005 < inked < 0.7
    # points and lines have colours, axes and text have none, and what two seeds leave
    # undecided is grey
    coloured = (np.ptp(pixels, axis=-1) > 0.2).mean()
    assert coloured > (0 if figure == "claims" else 0.0005)
    assert (folder / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
    made = read_metadata(folder / f"{figure}.parquet")
    assert made["rule"] == f"figure_{figure}"


def test_the_report_shows_every_figure(finished):
    page = (finished / "results/report/index.html").read_text(encoding="utf-8")
    for figure in FIGURES:
        assert f'<figure id="{figure}">' in page
        assert f"../figures/{figure}.pdf" in page
    assert page.count("data:image/webp;base64,") == len(FIGURES)


def test_every_claim_has_its_verdict(finished):
    claims = pd.read_parquet(finished / "results/statistics/claims.parquet")
    declared = yaml.safe_load(
        (finished / "workflow/claims.yaml").read_text(encoding="utf-8")
    )
    over = claims[claims["n_cells"].notna()].set_index("claim")
    assert list(over.index) == list(declared)
    # two seeds decide nothing, and what is switched off says how to switch it on
    assert set(over["verdict"]) == {"undecided", "not tested"}
    assert over.loc["weak_agreement", "note"] == "too few seeds for a test"
    needed = over.loc["adversarial_attention", "note"]
    assert needed == "set explanations.adversarial.enabled to true"
    summary = pd.read_parquet(finished / "results/statistics/summary.parquet")
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    keys += ["measure", "subject", "reference"]
    cells = claims[claims["n_cells"].isna() & claims["less"].isna()]
    both = cells.merge(summary, on=keys, suffixes=("", "_there"))
    assert len(both) == len(cells) > 0
    for column, there in {
        "estimate": "mean",
        "low": "low_there",
        "df": "df_there",
    }.items():
        assert (both[column] == both[there]).all(), column
    page = (finished / "results/report/index.html").read_text(encoding="utf-8")
    assert page.index("<h2>Claims</h2>") < page.index("<figure")
    assert '<a href="../statistics/summary.parquet">' in page


def test_models_learn_and_say_how_well(finished):
    for run in RUNS:
        metrics = json.loads(
            (finished / f"results/models/{run}/metrics.json").read_text(
                encoding="utf-8"
            )
        )
        assert 0 <= metrics["test"]["accuracy"] <= 1
        history = read_table(
            finished / f"results/models/{run}/history.parquet", "history"
        )["train_loss"].to_pylist()
        assert history[1] < history[0]


def test_a_job_asks_for_what_its_data_set_needs(finished):
    benchmark = finished / "logs/train/reviews/bilstm/additive/softmax/seed0.tsv"
    asked = ast.literal_eval(pd.read_csv(benchmark, sep="\t")["resources"][0])
    # 200 texts of 12 words, and not the 25,000 of a set whose size nobody knows
    assert asked["mem_mb"] < 600 + 700 + 10
    assert asked["runtime"] == 6


def test_a_dry_run_says_what_its_plan_takes(finished):
    output = project.run(finished, "-n", "--forcerun", "measure")
    (row,) = (line for line in output.splitlines() if line.startswith("│ measure "))
    # Four jobs that have run before.
    assert re.match(r"│ measure +│ +4 │ +\d+ s │ +\d+ MB │ .* 100% │", row)
    assert f"on {os.cpu_count()} cores." in output


def test_nothing_unfinished_is_left(finished):
    assert project.partial_files(finished) == []


@pytest.mark.parametrize("preset", [None, "smoke", "paper"])
def test_the_configurations_that_come_along_can_be_planned(reviews_wheel, preset):
    folder = reviews_wheel.parents[2]
    settings = project.config(folder)
    options = []
    if preset is not None:
        path = folder / f"workflow/presets/{preset}.yaml"
        options = ["--configfile", path]
        over = yaml.safe_load(path.read_text(encoding="utf-8"))
        # Seeds are all alike, and each is nine thousand jobs of the largest preset.
        one_seed = {"grid": {"seeds": [0]}}
        settings = merged(merged(settings, over), one_seed)
        last = folder / f"{preset}_one_seed.yaml"
        last.write_text(yaml.safe_dump(one_seed), encoding="utf-8")
        options.append(last)
    settings = validate(settings, folder / "workflow/schemas/config.schema.yaml")
    # Training is what all else follows from; its jobs are enough to count the runs.
    models = planned(folder, *options, "--until", "train")["train"]
    assert models == {run.path.replace("seed", "") for run in grid(settings)}


def merged(base: dict, over: dict) -> dict:
    """Dictionaries merge, everything else is replaced."""
    return base | {
        key: merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in over.items()
    }


def test_labels_of_any_script_need_no_locale_that_has_them(fresh):
    labels = {"0": "\u5426\u5b9a", "1": "\u0141atwe"}
    set_key(fresh, "datasets.own.source.labels", labels)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    project.run(fresh, "--cores", "1", OWN, **ascii_only)
    card = json.loads((fresh / OWN).read_text(encoding="utf-8"))
    assert set(card["label_names"]) == set(labels.values())
    assert labels["0"] in (fresh / "logs/prepare/own.tsv").read_text(encoding="utf-8")


# --- faults of the user's making ---------------------------------------------------

MODEL = f"results/models/{RUNS[0]}/model.safetensors"
OWN = "results/data/own/card.json"
RAW = "results/raw/tiny_reviews.whl"


def one_class(folder: Path) -> None:
    path = folder / "reviews.csv"
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.endswith(",1")
    ]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def diverging(folder: Path) -> None:
    set_key(folder, "training.learning_rate", 1e30)
    set_key(folder, "training.gradient_clip", 1e30)


FAULTS = {
    "an unknown name in a target": (
        lambda folder: None,
        MODEL.replace("bilstm", "bilstn"),
        "encoder 'bilstn' is not declared under encoders in the config. "
        "Did you mean 'bilstm'?",
    ),
    "an unknown target": (lambda folder: None, "results/modles", "results/modles"),
    "an unknown key": (
        lambda folder: set_key(folder, "training.epochs", 3),
        "all",
        "unknown key 'training.epochs'",
    ),
    "a section that stands twice": (
        lambda folder: (
            (folder / "config.yaml")
            .open("a", encoding="utf-8")
            .write("training: {max_epochs: 1}\n")
        ),
        "all",
        "config.yaml: the key 'training' stands on line",
    ),
    "a figure that is switched off": (
        lambda folder: None,
        "results/figures/decision_flips.png",
        "switched off. Set explanations.flips.enabled to true.",
    ),
    "a wrong checksum": (
        lambda folder: set_key(folder, "archives.tiny_reviews.sha256", "0" * 64),
        RAW,
        "expected " + "0" * 64,
    ),
    "one class": (one_class, OWN, "datasets.own"),
    "a claim about no measure": (
        lambda folder: project.replace_in(
            folder / "workflow/claims.yaml",
            "{measure: coindexed_top,",
            "{measure: coindexed_topp,",
        ),
        "all",
        "workflow/claims.yaml: inputs_own_rank.where.measure: 'coindexed_topp' is no "
        "measure. Did you mean 'coindexed_top'?",
    ),
    "no file": (lambda f: (f / "reviews.csv").unlink(), OWN, "reviews.csv"),
    "a loss that is not finite": (diverging, MODEL, "the training loss became"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_one_clear_message_and_leaves_nothing(fresh, offline, fault):
    make, target, message = FAULTS[fault]
    make(fresh)
    status, output = snakemake(fresh, "--cores", "1", target, **offline)
    assert status != 0
    assert message in output
    assert "Traceback" not in output
    # The message of a job may be shown again with its log, but there is only one.
    said = {
        line.strip()
        for line in output.splitlines()
        if line.strip().startswith("error: ")
    }
    assert len(said) <= 1, said
    assert not (fresh / target).exists()
    assert project.partial_files(fresh) == []


def test_without_a_network_the_way_out_is_told(fresh):
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    status, output = snakemake(fresh, "--cores", "1", RAW, **nowhere)
    assert status != 0
    assert "no connection to the package index" in output
    assert "by hand" in output and "Traceback" not in output
    assert not (fresh / RAW).exists() and project.partial_files(fresh) == []
