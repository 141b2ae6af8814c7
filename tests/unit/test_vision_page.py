"""The page of pictures is what its tables say."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from attention_audit.figures import published, vision
from attention_audit.figures.published import CELL
from attention_audit.figures.vision_page import page
from attention_audit.records import tables
from tests.unit.grids import order_of, tables_of, write
from tests.unit.pages import check_page, check_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workflow/report/vision.md.jinja"
KEPT = ROOT / "docs/vision"

AXES = (["digits"], ["late", "everywhere"], ["additive"], ["softmax", "sparsemax"])
METHODS = {"input_gradient": "inputs", "hidden_gradient": "hidden_states"}
CLAIMS = ["late_attention", "plausible_attention", "weak_agreement", "one", "two"]


@pytest.mark.skipif(
    not KEPT.is_dir(), reason="no page of pictures is in the repository"
)
def test_the_page_in_the_repository_is_made_of_its_tables():
    check_page("vision", page)


def test_the_template_has_no_number_of_its_own():
    check_template(TEMPLATE)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is kept of an experiment of made-up numbers."""
    folder = tmp_path_factory.mktemp("vision")
    found = tables_of(order_of(*AXES, list(METHODS)), seeds=3)
    runs = found["task"].drop_duplicates([*CELL, "seed"])[[*CELL, "seed"]]
    found["runs"] = runs.assign(path="")
    claims = found["claims"]
    names = dict(zip(claims["claim"].unique(), CLAIMS, strict=True))
    claims["claim"] = claims["claim"].map(names)
    found["claims"] = claims.assign(text=claims["claim"] + " holds.")
    found["sizes"] = runs.assign(
        parameters=12345, multiply_adds=[7000.0 + len(e) for e in runs["encoder"]]
    )
    found["speed"] = runs.assign(
        decisions_per_second=100.0 + runs["seed"], slowest=90.0, fastest=110.0
    )
    found["offset_summary"] = pd.concat(
        [
            runs.assign(
                merging=0, point=i, distance=0.1 * (i + 1) + 0.01 * runs["seed"]
            )
            for i in range(2)
        ]
    )
    for name in (
        *("runs", "task", "summary", "explanation_summary", "claims"),
        *("sizes", "speed", "offset_summary"),
    ):
        write(folder, name, found[name], runs.to_dict("records"))
    grid = {f"{axis}s": names for axis, names in zip(CELL, AXES, strict=True)}
    config = {
        "experiment": "vision",
        "grid": grid | {"seeds": [0, 1, 2]},
        "audit": {"instances": 50},
        "influence": {"instances": 8},
        "statistics": {
            "confidence": 0.95,
            "reference": "softmax",
            "correction": "holm",
        },
        "methods": {name: {"of": of} for name, of in METHODS.items()},
        "datasets": {"digits": {"patch": 1}},
        "encoders": {
            name: {"kind": "lit", "stages": [{"kind": "mlp", "depth": 1}]}
            for name in AXES[1]
        },
        "scorers": {"additive": {"kind": "additive"}},
        "normalizers": {name: {"kind": name} for name in AXES[3]},
    }
    folder.joinpath("config.yaml").write_text(yaml.safe_dump(config))
    tables.write_json(
        folder / "experiment.json",
        {"commit": "c0ffee", "changed": [], "left_out": ["fashion"]},
    )
    counts = {"0": 5, "1": 6}
    card = {
        "counts": {split: counts for split in ("train", "dev", "test")},
        "label_names": ["0", "1"],
        "shape": {"height": 8, "width": 8, "channels": 1},
        "reading": {"patch": 2},
        "gold": {"share_of_pixels": {"test": 0.42}},
        "provenance": {"rule": "prepare", "params": {"code": "ab"}, "versions": {}},
    }
    tables.write_json(folder / "data/digits/card.json", card)
    target = tmp_path_factory.mktemp("docs") / "vision"
    published.collect(vision.KEPT, {"vision": folder}, target)
    return target


def test_every_part_is_told(kept):
    made = page(kept, TEMPLATE)
    assert re.findall(r"\b(?:None|nan|NaN|True|False)\b", made) == []
    assert "\n\n\n" not in made and ".png" not in made
    assert "| digits | 11 | 11 | 11 | 2 | 8 x 8 | 1 | 2 x 2 | 16 | 42% |" in made
    (row,) = (
        x for x in made.splitlines() if "| late | softmax | 0" in x and "12,345" in x
    )
    assert row.endswith("| 12,345 | 7,004 | 101 |")
    assert "Of fashion nothing was run" in made
    assert "kind lit, stages (depth 1, kind mlp)" in made
    assert "| digits | late | softmax | 1 | 0.160 | 0.150 | 0.170 |" in made
    # the last is not tested
    for claim in CLAIMS:
        assert (f"{claim} holds." in made) == (claim != CLAIMS[-1])
    over = pd.read_csv(kept / "claims.csv").set_index("claim")["verdict"]
    assert "*late_attention holds.* (" in made
    assert f"**{over['late_attention']}**" in made


def test_means_stand_in_the_column_of_what_they_are_of(kept):
    summary = pd.read_csv(kept / "summary.csv")
    made = page(kept, TEMPLATE)
    part = made.split("## Does attention find")[1].split("\n## ")[0]
    lines = [x.strip("| ").split(" | ") for x in part.splitlines() if x.startswith("|")]
    assert lines[0][3:] == ["attention", "guess", "hidden gradient", "input gradient"]
    wanted = summary[summary["measure"] == "gold_average_precision"]
    assert len(lines) == 2 + 4
    for line in lines[2:]:
        for subject, told in zip(lines[0][3:], line[3:], strict=True):
            row = wanted[
                (wanted["encoder"] == line[1])
                & (wanted["normalizer"] == line[2])
                & (wanted["subject"] == subject.replace(" ", "_"))
            ].iloc[0]
            assert told.startswith(f"{row['mean']:.3f} [")
