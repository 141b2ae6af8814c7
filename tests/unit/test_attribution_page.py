"""The page of attribution methods is what its tables say."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from attention_audit.figures import attribution, published
from attention_audit.figures.attribution_page import page, pair_table
from attention_audit.figures.published import CELL
from attention_audit.records import tables
from tests.unit.grids import order_of, tables_of, write
from tests.unit.pages import check_page, check_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workflow/report/attribution.md.jinja"
KEPT = ROOT / "docs/attribution"

AXES = (["reviews"], ["one", "two"], ["additive"], ["softmax", "sparsemax"])
METHODS = {
    "input_gradient": "inputs",
    "input_leave_one_out": "inputs",
    "hidden_gradient": "hidden_states",
}
CLAIMS = [
    "weak_agreement",
    "importance_needs_parameters",
    "attention_is_comprehensive",
    "one",
    "two",
]


@pytest.mark.skipif(
    not KEPT.is_dir(), reason="no page of attribution methods is in the repository"
)
def test_the_page_in_the_repository_is_made_of_its_tables():
    check_page("attribution", page)


def test_the_template_has_no_number_of_its_own():
    check_template(TEMPLATE)


def finished(folder: Path, experiment: str) -> Path:
    """An experiment of made-up numbers."""
    found = tables_of(order_of(*AXES, list(METHODS)), seeds=3)
    runs = found["task"].drop_duplicates([*CELL, "seed"])[[*CELL, "seed"]]
    found["runs"] = runs.assign(path="")
    claims = found["claims"]
    names = dict(zip(claims["claim"].unique(), CLAIMS, strict=True))
    claims["claim"] = claims["claim"].map(names)
    found["claims"] = claims.assign(text=claims["claim"] + " holds.")
    for name in (
        *("runs", "task", "summary", "explanation_summary", "claims"),
        "head_summary",
    ):
        write(folder, name, found[name], runs.to_dict("records"))
    grid = {f"{axis}s": names for axis, names in zip(CELL, AXES, strict=True)}
    config = {
        "experiment": experiment,
        "grid": grid | {"seeds": [0, 1, 2]},
        "audit": {"instances": 50},
        "influence": {"instances": 8},
        "statistics": {
            "confidence": 0.95,
            "reference": "softmax",
            "correction": "holm",
        },
        "methods": {
            name: {"kind": "gradient", "of": of, "output": None}
            for name, of in METHODS.items()
        },
        "datasets": {"reviews": {"max_length": 60}},
        "encoders": {name: {"kind": "bilstm"} for name in AXES[1]},
        "scorers": {"additive": {"kind": "additive"}},
        "normalizers": {name: {"kind": name} for name in AXES[3]},
    }
    folder.joinpath("config.yaml").write_text(yaml.safe_dump(config))
    tables.write_json(
        folder / "experiment.json", {"commit": "c0ffee", "changed": [], "left_out": []}
    )
    counts = {"0": 5, "1": 6}
    card = {
        "counts": {split: counts for split in ("train", "dev", "test")},
        "label_names": ["0", "1"],
        "provenance": {"rule": "prepare", "params": {"code": "ab"}, "versions": {}},
    }
    tables.write_json(folder / "data/reviews/card.json", card)
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is kept of two experiments."""
    folders = {
        role: finished(tmp_path_factory.mktemp(role), role)
        for role in attribution.KEPT.roles
    }
    target = tmp_path_factory.mktemp("docs") / "attribution"
    published.collect(attribution.KEPT, folders, target)
    return target


def test_every_part_is_told(kept):
    made = page(kept, TEMPLATE)
    assert re.findall(r"\b(?:None|nan|NaN|True|False)\b", made) == []
    assert "\n\n\n" not in made and ".png" not in made
    assert "| reviews | 11 | 11 | 11 | 2 | 60 |" in made
    assert "| `hidden_gradient` | gradient | hidden states | – |" in made
    assert "## What does swapping the attention of a pretrained model do?" in made
    for claim in CLAIMS[:3]:
        assert f"{claim} holds." in made


def test_without_the_pretrained_model_the_page_does_without(kept, tmp_path):
    folder = finished(tmp_path / "results", "attribution")
    target = tmp_path / "docs/attribution"
    published.collect(attribution.KEPT, {"attribution": folder}, target)
    made = page(target, TEMPLATE)
    assert "pretrained model do?" not in made
    assert not list(target.glob("pretrained*"))


def test_numbers_stand_where_they_are_of(kept):
    randomized = pd.read_csv(kept / "randomized.csv")
    made = page(kept, TEMPLATE)
    part = made.split("## Which need what the model learnt?")[1].split("\n## ")[0]
    lines = [x.strip("| ").split(" | ") for x in part.splitlines() if x.startswith("|")]
    heads = lines[0]
    whole = randomized[randomized["reference"] == "randomized_whole"]
    assert len(lines) == 2 + whole["subject"].nunique()
    for line in lines[2:]:
        for head, told in zip(heads[-4:], line[-4:], strict=True):
            encoder, normalizer = head.split(", ")
            row = whole[
                (whole["encoder"] == encoder)
                & (whole["normalizer"] == normalizer)
                & (whole["subject"] == line[0].strip("`"))
            ].iloc[0]
            assert told.startswith(f"{row['mean']:.3f}")


def test_pairs_are_of_one_kind_and_ranked_by_their_mean_over_cells():
    rows = [
        {"subject": "a", "reference": "b", "mean": 0.2},
        {"subject": "b", "reference": "a", "mean": 0.4},
        {"subject": "a", "reference": "c", "mean": 0.9},
        {"subject": "b", "reference": "c", "mean": -0.1},
        {"subject": "a", "reference": "h", "mean": 1.0},
        {"subject": "attention", "reference": "a", "mean": 1.0},
    ]
    of = {"a": "inputs", "b": "inputs", "c": "inputs", "h": "hidden_states"}
    told = pair_table(rows, of, 1).splitlines()[2:]
    assert told == [
        "| `a` and `c` | inputs | 0.900 | 0.900 | 0.900 | 1 |",
        "| `b` and `c` | inputs | -0.100 | -0.100 | -0.100 | 1 |",
    ]
    told = pair_table(rows, of, 2).splitlines()[2:]
    assert told[1] == "| `a` and `b` | inputs | 0.300 | 0.200 | 0.400 | 2 |"
