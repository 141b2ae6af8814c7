"""The page of the study is what its tables say, and the tables what was found."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from PIL import Image, ImageDraw
from scipy import stats

from attention_audit.figures import published, published_page, study, study_page
from attention_audit.figures.published_page import told
from attention_audit.figures.study_page import (
    contrasts,
    explained,
    page,
    recorded_rows,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.verdicts import VERDICTS
from tests.unit.grids import order_of, tables_of, write
from tests.unit.pages import check_page, check_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workflow/report/study.md.jinja"
KEPT = ROOT / "docs/study"


def collect(folders, target):
    published.collect(study.KEPT, folders, target)


@pytest.mark.skipif(not KEPT.is_dir(), reason="no study is in the repository")
def test_the_page_in_the_repository_is_made_of_its_tables():
    sizes = check_page("study", page)
    tables_kept, pictures = (
        [size for name, size in sizes.items() if name.endswith(kind)]
        for kind in (".csv", ".png")
    )
    assert sum(tables_kept) < 250_000 and max(pictures) <= published.MAX_BYTES


@pytest.mark.skipif(not KEPT.is_dir(), reason="no study is in the repository")
def test_what_the_readme_says_of_claims_is_what_the_tables_say():
    over = [*rows_of(KEPT, "claims"), *rows_of(KEPT, "explanation_claims")]
    by_text = {row["text"].rstrip("."): row for row in over if row["estimate"]}
    told = section((ROOT / "README.md").read_text(encoding="utf-8"), "What the study")
    lines = [x.strip("| ").split(" | ") for x in told.splitlines() if x[:2] == "| "]
    assert len(lines) > 7
    for about, estimate, verdict, counts in lines[2:]:
        row = by_text[about.split(" (")[0]]
        ends = (f"{float(row[c]):.3f}" for c in ("estimate", "low", "high"))
        assert estimate == "{} [{}, {}]".format(*ends), about
        assert verdict == row["verdict"], about
        assert counts == ", ".join(row[f"n_{v}"] for v in VERDICTS), about
        assert row["rule"] in about and row["source"].split(",")[0] in about
    agrees = by_text[lines[4][0].split(" (")[0]]
    cut = by_text[lines[8][0].split(" (")[0]]
    said = " ".join(told.split())
    assert (
        f"less with what is important in {agrees['n_supported']} cells of "
        f"{agrees['n_cells']}, and more in none"
    ) in said and agrees["n_contradicted"] == "0"
    assert f"less than 0.1 in {cut['n_contradicted']} cells" in said
    assert cut["n_supported"] == "0" and "surely more in none" in said


# --- a study of made-up numbers ---------------------------------------------------

METHODS = {"input_gradient": "inputs", "hidden_gradient": "hidden_states"}
DATASETS = ["imdb", "rotten_tomatoes"]
ENCODERS = ["bilstm", "transformer"]
NORMALIZERS = ["softmax", "entmax15", "sparsemax"]
CELL = published.CELL
WRITTEN = ["runs", "task", "summary", "comparison", "claims", "explanation_summary"]

# what the page says of them, of claims of the made-up tables
NAMES = ["sparsity_lowers_agreement", "inputs_own_share", "weak_agreement"]
NAMES += ["beyond_the_cut", "flips_sooner_than_chance"]


def card(name, n):
    quantiles = {"quantiles": {"0.5": 20.0}}
    return {
        "counts": {s: {"a": n, "b": n} for s in ("train", "dev", "test")},
        "label_names": ["a", "b"],
        "length": {"test": quantiles},
        "length_before_cut": {"test": quantiles},
        "truncated": {"test": 1},
        "provenance": {"rule": "prepare", "params": {"code": "ab"}, "versions": {}},
        "name": name,
    }


def config(experiment, **grid):
    grid = {
        "datasets": DATASETS,
        "encoders": ENCODERS,
        "scorers": ["additive"],
        "normalizers": NORMALIZERS,
        "seeds": [0, 1, 2],
    } | grid
    vectors = {"vectors": "glove", "max_length": 400}
    return {
        "experiment": experiment,
        "grid": grid,
        "audit": {"instances": 500},
        "influence": {"instances": 16},
        "statistics": {
            "confidence": 0.95,
            "reference": "softmax",
            "correction": "holm",
        },
        "methods": {name: {"of": of} for name, of in METHODS.items()},
        "datasets": {name: vectors for name in grid["datasets"]}
        | {"imdb_learned": vectors | {"vectors": None}},
        "encoders": {name: {"kind": "bilstm", "a": {"b": 1}} for name in ENCODERS}
        | {"bilstm_markers": {"kind": "bilstm", "a": {"b": 1}, "markers": True}},
        "scorers": {"additive": {"kind": "additive"}},
        "normalizers": {name: {"kind": name} for name in NORMALIZERS},
    }


def finish(folder, settings):
    """An experiment of made-up numbers in a folder."""
    order = order_of(DATASETS, ENCODERS, ["additive"], NORMALIZERS, list(METHODS))
    found = tables_of(order, seeds=3)
    runs = found["task"].drop_duplicates([*CELL, "seed"])[[*CELL, "seed"]]
    found["runs"] = runs.assign(path="")
    claims = found["claims"]
    names = dict(zip(claims["claim"].unique(), NAMES, strict=True))
    claims["claim"] = claims["claim"].map(names)
    found["claims"] = claims.assign(text=claims["claim"] + " holds.")
    for name in WRITTEN:
        write(folder, name, found[name], found["runs"].to_dict("records"))
    folder.joinpath("config.yaml").write_text(yaml.safe_dump(settings))
    tables.write_json(
        folder / "experiment.json",
        {
            "date": "today",
            "commit": "c0ffee",
            "changed": [],
            "left_out": ["sst"],
        },
    )
    for name in DATASETS:
        tables.write_json(folder / f"data/{name}/card.json", card(name, 100))
    return folder


def recorded(folder):
    """A number each: that two changes were tried on, and that none was."""
    base = {"source": "A paper", "dataset": "imdb", "encoder": "bilstm"}
    base |= {"scorer": "additive", "normalizer": "softmax", "measure": "kendall_tau_b"}
    base |= {"subject": "attention", "reference": "input_gradient", "recorded": 0.4}
    base |= {"n_instances": 500, "n_seeds": 3}

    def row(mean, half, **other):
        low, high = mean - half - 0.4, mean + half - 0.4
        known = {"mean": mean, "difference": mean - 0.4, "low": low, "high": high}
        return base | known | {"beyond": not low <= 0 <= high} | other

    rows = [
        row(0.3, 0.05),
        row(0.38, 0.05, dataset="imdb_learned"),
        row(0.31, 0.05, encoder="bilstm_markers"),
        row(0.2, 0.05, encoder="transformer"),
        row(0.9, 0.05, measure="correct", subject="prediction", reference=None),
        row(0.4, 0.05, dataset="rotten_tomatoes", encoder="transformer"),
        row(0.5, 0.05, dataset="rotten_tomatoes")
        | {"low": None, "high": None}
        | {"beyond": None},
    ]
    write(folder, "recorded", pd.DataFrame(rows).astype(object))


def curve(folder, values):
    """A learning curve of one cell, from accuracy by share and seed."""
    cell = ("imdb", "bilstm", "additive", "softmax")
    rows = [
        (*cell, seed, share, int(share * 1000), "test", "accuracy", value)
        for share, of_share in values.items()
        for seed, value in enumerate(of_share)
    ]
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=study.CURVE_COLUMNS))
    params = {"code": "4567", "points": [{"seed": 7}]}
    made = {"rule": "learning_curve", "params": params, "versions": {}}
    tables.write_table(
        folder / study.CURVE, table.schema.remove_metadata(), table, made
    )


def picture(folder, name):
    """A picture with much grey writing and one small mark in colour."""
    image = Image.new("RGB", (1600, 800), "white")
    draw = ImageDraw.Draw(image)
    for i in range(60):
        draw.text((10 + 25 * i, 13 * i), "attention is as it is", fill=(40, 40, 40))
    draw.ellipse((1500, 100, 1520, 120), fill=(0, 114, 178))
    path = folder / f"figures/{name}.png"
    path.parent.mkdir(exist_ok=True)
    image.save(path)
    schema = pa.schema([pa.field("value", pa.int64())])
    made = {"rule": f"figure_{name}", "params": {"code": "89ab"}, "versions": {}}
    tables.write_table(path.with_suffix(".parquet"), schema, {"value": 1}, made)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """The folders of three experiments with all that a page may tell of."""
    root = tmp_path_factory.mktemp("experiments")
    variants = {
        "datasets": [*DATASETS, "imdb_learned"],
        "encoders": [*ENCODERS, "bilstm_markers"],
    }
    folders = {
        "study": finish(root / "study", config("study")),
        "recorded": finish(root / "recorded", config("study_recorded", **variants)),
        "explanations": finish(root / "expl", config("study_explanations")),
    }
    recorded(folders["recorded"])
    curve(folders["study"], {0.25: [0.6] * 3, 0.5: [0.7] * 3, 1.0: [0.72, 0.73, 0.77]})
    for name in ("claims", "dial_agreement", "learning_curve"):
        picture(folders["study"], name)
    picture(folders["explanations"], "permutation")
    # of these the study's own table has no rows
    path = folders["explanations"] / "statistics/claims.parquet"
    claims = tables.read_table(path, "claims").to_pandas()
    other = claims[claims["claim"] == NAMES[0]]
    other = other.assign(claim=NAMES[-1], text=f"{NAMES[-1]} holds.")
    others = pd.concat([claims[claims["claim"] != NAMES[-1]], other])
    write(folders["explanations"], "claims", others)
    return folders


@pytest.fixture(scope="module")
def kept(experiments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "study"
    collect(experiments, folder)
    return folder


@pytest.fixture(scope="module")
def made(kept):
    return page(kept, TEMPLATE)


def rows_of(folder, name):
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def section(text, title):
    return text.split(f"## {title}")[1].split("\n## ")[0]


def test_every_part_is_told(kept, made):
    for name in json.loads((kept / published.PROVENANCE).read_text())["files"]:
        assert name in made
    for target in re.findall(r"\]\(study/([^)#]+)\)", made):
        assert (kept / target).is_file(), target
    assert "No recorded" not in made and "not collected" not in made
    assert "Of sst nothing was run" in made
    assert "\n\n\n" not in made
    assert re.findall(r"\b(?:None|nan|NaN|True|False)\b", made) == []


def line_of(part, claim):
    (line,) = (x for x in part.splitlines() if f"{claim} holds." in x)
    return line


def test_a_claim_is_told_with_its_verdict(kept, made):
    over = {row["claim"]: row for row in rows_of(kept, "claims")}
    over[NAMES[-1]] = rows_of(kept, "explanation_claims")[0]
    assert over.keys() == set(NAMES)
    for claim, row in over.items():
        own = claim != NAMES[-1]
        part = section(made, "What was claimed" if own else "Jain and Wallace")
        cells = [x.strip() for x in line_of(part, claim).strip("|").split("|")]
        assert cells[1:] == [
            row["source"],
            "{} [{}, {}]".format(
                *(f"{float(row[c]):.3f}" for c in ("estimate", "low", "high"))
            ),
            row["rule"] + ", in some cell" * (row["holds"] == "somewhere"),
            row["verdict"],
            ", ".join(row[f"n_{verdict}"] for verdict in VERDICTS),
        ]
    # each once: where it is tested
    assert NAMES[-1] not in section(made, "What was claimed")
    for claim in NAMES[:-1]:
        bullet = line_of(section(made, "Meister"), claim)
        assert f"**{over[claim]['verdict']}**" in bullet
        assert f"{float(over[claim]['estimate']):.3f} [" in bullet


def claim_of(cells, **more):
    counts = {f"n_{v}": sum(c["verdict"] == v for c in cells) for v in VERDICTS}
    over = {"claim": "one", "verdict": "undecided", "holds": "on_average", "note": None}
    over |= {"side": "outside", "bound": 0.1, "estimate": 0.0, "low": -0.1, "high": 0.1}
    return over | counts | {"n_cells": len(cells)} | more


def cell_of(estimate, verdict, normalizer="sparsemax"):
    named = {
        "dataset": "imdb",
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": normalizer,
    }
    about = {"subject": "attention", "reference": "input_gradient"}
    return named | about | {"claim": "one", "estimate": estimate, "verdict": verdict}


def test_cells_against_a_claim_are_named_where_they_are_few():
    cells = [cell_of(-0.2, "contradicted", "rela"), cell_of(0.3, "undecided")]
    said = told(claim_of(cells), cells)
    assert said.startswith(
        "**undecided**. The mean over cells is 0.000 [-0.100, 0.100]"
    )
    assert "farther than 0.1 from 0; a cell's is from -0.200 to 0.300" in said
    assert "Of 2 cells, 0 support it, 1 contradict it and 1 are undecided" in said
    assert said.endswith("contradicted in imdb, bilstm, rela, input gradient (-0.200)")
    many = [*cells[1:], *cells[:1] * (published_page.NAMED + 1)]
    assert "contradicted in" not in told(claim_of(many), many)
    # what it says itself is not against it
    assert "rela" not in told(claim_of(cells, verdict="contradicted"), cells)
    untested = claim_of([], verdict="not tested", note="name an instance")
    assert told(untested, []) == "**not tested** (name an instance)"


def test_nothing_tells_where_or_when(kept, made, experiments, tmp_path):
    for path in kept.iterdir():
        content = path.read_bytes()
        for word in (str(kept.parent), str(experiments["study"].parent), "today"):
            assert word.encode() not in content
    again = {
        role: shutil.copytree(folder, tmp_path / role)
        for role, folder in experiments.items()
    }
    collect(again, tmp_path / "docs/study")
    for path in kept.iterdir():
        assert (tmp_path / "docs/study" / path.name).read_bytes() == path.read_bytes()
    assert page(tmp_path / "docs/study", TEMPLATE) == made


def test_what_made_a_table_is_told(kept, experiments):
    made = tables.read_json(kept / published.PROVENANCE)
    source = "results/experiments/study/statistics/claims.parquet"
    assert made["files"]["claims.csv"]["from"] == [source]
    about = made["sources"][source]
    path = experiments["study"] / "statistics/claims.parquet"
    assert about["sha256"] == published.file_digest(path)
    assert about["code"] == "0123" and about["seeds"] == [0, 1, 2]
    assert about["libraries"] == {"numpy": "1"} and len(about["config"]) == 64
    curve = made["sources"][
        "results/experiments/study/statistics/learning_curve.parquet"
    ]
    assert curve["seeds"] == [7] and curve["code"] == "4567"
    picture = made["sources"]["results/experiments/study/figures/claims.png"]
    assert picture["code"] == "89ab"
    config = made["sources"]["results/experiments/study/config.yaml"]
    assert config["commit"] == "c0ffee"


def test_what_is_not_there_is_not_told(kept, experiments, tmp_path):
    bare = shutil.copytree(experiments["study"], tmp_path / "study")
    shutil.rmtree(bare / "figures")
    (bare / study.CURVE).unlink()
    target = tmp_path / "docs/study"
    # what an earlier study has left there
    shutil.copytree(kept, target)
    collect({"study": bare}, target)
    assert not (target / "recorded.csv").exists() and not list(target.glob("*.png"))
    made = page(target, TEMPLATE)
    assert "No learning curve was collected" in made
    assert "No recorded numbers were collected" in made
    assert "They were not collected" in made and ".png" not in made
    table = section(made, "What was claimed")
    assert "not tested: set explanations.flips.enabled to true" in table


def test_a_table_that_was_edited_is_refused(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "study")
    path = folder / "claims.csv"
    path.write_text(path.read_text().replace("undecided", "supported"))
    with pytest.raises(AuditError, match=r"claims\.csv: not the file whose sha256"):
        page(folder, TEMPLATE)
    path.unlink()
    with pytest.raises(AuditError, match=r"claims\.csv"):
        page(folder, TEMPLATE)


def test_two_experiments_of_one_name_are_refused(experiments, tmp_path):
    folders = {"study": experiments["study"], "recorded": experiments["study"]}
    with pytest.raises(AuditError, match="name of its own"):
        collect(folders, tmp_path)


def test_an_unfinished_experiment_is_named(tmp_path):
    with pytest.raises(AuditError, match=r"config\.yaml: no such file.*make study"):
        collect({"study": tmp_path}, tmp_path)


def test_the_template_has_no_number_of_its_own():
    check_template(TEMPLATE, "sha256", "F1")


# --- what is computed -------------------------------------------------------------


def test_the_gain_is_students_over_seeds(kept, made):
    (row,) = rows_of(kept, "learning_gain")
    gains = [0.02, 0.03, 0.07]
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert [row["n_half"], row["n_all"], row["n_seeds"]] == ["500", "1000", "3"]
    found = [float(row[c]) for c in ("gain", "low", "high")]
    assert found == pytest.approx([0.04, *expected], abs=1e-5)
    assert rows_of(kept, "learning_curve")[0]["mean"] == "0.6"
    said = section(made, "How many")
    assert "0.040 [-0.026, 0.106]" in said
    assert "0 surely gain, 0 surely lose, and 1 are undecided" in " ".join(said.split())


def test_one_seed_has_a_gain_without_an_interval():
    one = dict(zip(CELL, ("imdb", "bilstm", "additive", "softmax"), strict=True))
    rows = [
        one | {"seed": 0, "share": share, "n_train": 10, "value": share}
        for share in (0.5, 1.0)
    ]
    (gain,) = study._gain(pd.DataFrame(rows), 0.95).to_dict("records")
    assert gain["gain"] == 0.5 and np.isnan(gain["low"]) and gain["n_seeds"] == 1


def test_a_curve_that_lacks_a_column_is_named(experiments, tmp_path):
    folder = shutil.copytree(experiments["study"], tmp_path / "study")
    pd.DataFrame({"seed": [0]}).to_parquet(folder / study.CURVE)
    with pytest.raises(AuditError, match=r"learning_curve.*column 'dataset'"):
        collect({"study": folder}, tmp_path / "docs")


def test_recorded_numbers_are_told_with_what_was_tried(kept, made):
    found = published_page.read(kept).tables
    rows = recorded_rows(found["recorded"], found["settings"])
    assert len(rows) == 5
    (first,) = (row for row in rows if row["tried"])
    assert {one["name"]: one["outcome"] for one in first["tried"]} == {
        "imdb_learned": "within",
        "bilstm_markers": "beyond",
    }
    moved = {one["name"]: one["moved"] for one in first["tried"]}
    assert moved == pytest.approx({"imdb_learned": 0.08, "bilstm_markers": 0.01})
    said = " ".join(section(made, "Beside what").split())
    assert "Of 5 numbers, 3 are beyond the interval" in said
    assert "For 1 of the 3," in said
    assert "attention and input gradient: `imdb_learned`." in said
    assert (
        "`imdb_learned` differs from `imdb` in vectors: none instead of glove" in said
    )
    assert "`bilstm_markers` differs from `bilstm` in markers: true" in said
    unexplained = said.split("and so not explained:")[1]
    assert "imdb, transformer, additive, tau-b" in unexplained
    assert "imdb, bilstm, additive, accuracy: 0.500 [0.450, 0.550]" in unexplained
    assert "rotten_tomatoes" not in unexplained
    assert "0.100 | no interval |" in said


def test_attention_without_weight_is_told_with_what_it_costs():
    cell = dict(zip(CELL, ("imdb", "bilstm", "additive", "rela"), strict=True))
    rows = [
        cell | {"measure": "null", "mean": 0.3334, "n_seeds": 3},
        cell | {"measure": "sparsity", "mean": 0.5, "n_seeds": 3},
    ]
    found = study_page.without_weight(rows)
    assert found == rows[:1]
    score = cell | {"metric": "accuracy", "lowest": 0.5, "highest": 0.8}
    said = study_page.null_table(found, [score, score | {"metric": "macro_f1"}])
    last = said.splitlines()[-1]
    assert last == "| imdb | bilstm | rela | 33.3% | 3 | 0.500 | 0.800 |"


def one(name, difference, outcome):
    return {"name": name, "difference": difference, "outcome": outcome}


def test_an_interval_that_is_wider_explains_nothing():
    base = {"low": -0.12, "high": -0.08, "difference": -0.1}
    near = {"beyond": False, "difference": 0.01}
    wide = {"beyond": False, "difference": -0.09}
    assert study_page._of_change(near, base) == "within"
    assert study_page._of_change(wide, base) == "within a wider one"
    tried = [one("a", -0.09, "within a wider one"), one("b", -0.2, "beyond")]
    said = explained({"difference": -0.1, "tried": tried})
    assert said == (
        "none of the 2 tried, of which `a` comes nearest and leaves -0.090; `a` only in "
        "that the interval is wider"
    )
    said = explained({"difference": -0.1, "tried": tried[1:]})
    assert said == "none of the 1 tried, and none comes nearer"


def part(contrast, difference, verdict, normalizer="rela", built=None):
    named = {"dataset": "imdb", "encoder": "bilstm", "scorer": "additive"}
    about = {"normalizer": normalizer, "reference": "input_gradient"}
    known = {"difference": difference, "verdict": verdict, "by_construction": built}
    return named | about | known | {"contrast": contrast}


def test_the_parts_of_a_cut_make_up_the_whole():
    rows = [
        part("normalizer", -0.3, "different"),
        part("cut", -0.2, "different"),
        part("beyond_cut", -0.1, "undecided"),
        part("normalizer", 0.1, "different", "top_k"),
        part("cut", 0.05, "negligible", "top_k"),
        part("beyond_cut", 0.05, "equivalent", "top_k"),
        part("normalizer", 0.9, "different", "sparsemax", "zeros"),
        part("cut", 0.9, "different", "sparsemax"),
        part("beyond_cut", 0.0, "different", "sparsemax", "zeros"),
    ]
    found = contrasts(rows)
    means = {name: row["mean"] for name, row in found.items()}
    assert means == pytest.approx(
        {"normalizer": -0.1, "cut": -0.075, "beyond_cut": -0.025}
    )
    assert all(row["n"] == 2 and row["left_out"] == 1 for row in found.values())
    assert [found["normalizer"][o] for o in study_page.OUTCOMES] == [1, 1, 0, 0]
    assert [found["cut"][o] for o in study_page.OUTCOMES] == [0, 1, 1, 0]
    assert contrasts(rows[6:]) == {}


def test_a_picture_is_small_and_keeps_the_colour_of_a_mark(kept):
    path = kept / "claims.png"
    assert path.stat().st_size <= published.MAX_BYTES
    with Image.open(path) as image:
        assert image.mode == "P" and image.width == published.WIDTHS[0]
        pixel = image.convert("RGB").getpixel((round(1510 / 1.6), round(110 / 1.6)))
    assert np.abs(np.subtract(pixel, (0, 114, 178))).max() < 16


def test_a_light_grey_is_not_white(tmp_path):
    path = tmp_path / "weights.png"
    image = Image.new("RGB", (200, 100), "white")
    shades = [255, 246, 238, 230, 200]
    for i, shade in enumerate(shades):
        ImageDraw.Draw(image).rectangle((40 * i, 0, 40 * i + 39, 99), (shade,) * 3)
    image.save(path)
    path.write_bytes(published._pictured(path))
    with Image.open(path) as image:
        small = image.convert("RGB")
    found = [small.getpixel((40 * i + 20, 50))[0] for i in range(len(shades))]
    assert np.abs(np.subtract(found, shades)).max() <= 255 / published.GREYS / 2 + 1
    assert len(set(found)) == len(shades)


def test_a_large_picture_is_made_smaller(tmp_path, monkeypatch):
    picture(tmp_path, "one")
    monkeypatch.setattr(published, "MAX_BYTES", 1)
    path = tmp_path / "small.png"
    path.write_bytes(published._pictured(tmp_path / "figures/one.png"))
    with Image.open(path) as image:
        assert image.size == (published.WIDTHS[-1], published.WIDTHS[-1] // 2)


def test_scorers_are_named_where_a_claim_is_about_several():
    cells = [cell_of(0.3, "supported"), cell_of(-0.2, "contradicted")]
    cells[1]["scorer"] = "last"
    said = told(claim_of(cells), cells)
    assert said.endswith(
        "supported in imdb, bilstm, additive, sparsemax, input gradient (0.300); "
        "contradicted in imdb, bilstm, last, sparsemax, input gradient (-0.200)"
    )
