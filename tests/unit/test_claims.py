"""The list of claims: what it may hold, and which rows of a grid decide it."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from attention_audit.claims import read_claims, resolved
from attention_audit.config import validate
from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, OWN_SECTIONS
from attention_audit.grid import grid
from attention_audit.records.errors import AuditError
from attention_audit.statistics.evidence import matching

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "workflow/claims.yaml"
SCHEMA = ROOT / "workflow/schemas/claims.schema.yaml"

VALID = {
    "source": "Nobody 2020, section 1",
    "text": "Attention agrees with importance.",
    "table": "summary",
    "where": {"measure": "kendall_tau_b", "subject": "attention"},
    "rule": {"above": 1},
    "because": "Half of all pairs.",
    "figure": "agreement",
}


def read(tmp_path, claims):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(claims, sort_keys=False), encoding="utf-8")
    return read_claims(path, SCHEMA)


def config(on=(), **sections):
    base = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for name, section in sections.items():
        base[name] = base[name] | section
    base["explanations"] = {name: {"enabled": True} for name in on}
    return validate(base, ROOT / "workflow/schemas/config.schema.yaml")


def of_grid(claims, settings):
    return {c["claim"]: c for c in resolved(claims, settings, grid(settings))}


def test_defaults_are_filled_in(tmp_path):
    claim = read(tmp_path, {"one": VALID})["one"]
    assert (claim["holds"], claim["needs"], claim["less"]) == ("on_average", [], {})
    assert claim["rule"] == {"above": 1.0}
    assert read(tmp_path, {}) == {}


FAULTS = {
    "an unknown key": (
        {"wher": {}},
        "claims.yaml: unknown key 'one.wher'. Did you mean 'where'?",
    ),
    "a missing key": (
        {"because": None},
        "claims.yaml: one.because must be text, got null",
    ),
    "a bound that is no number": (
        {"rule": {"below": "half"}},
        "one.rule.below must be a number, got the text 'half'",
    ),
    "an unknown side": ({"rule": {"beneath": 1}}, "unknown key 'one.rule.beneath'"),
    "two sides": (
        {"rule": {"below": 1, "above": 0}},
        "one of below, above, within and outside, with its bound",
    ),
    "an unknown column": (
        {"where": {"measure": "max", "sbject": "attention"}},
        "unknown key 'one.where.sbject'. Did you mean 'subject'?",
    ),
    "a column of another table": (
        {"where": {"measure": "max", "guide": "attention"}},
        "one.where.guide: summary has no such column.",
    ),
    "an unknown measure": (
        {"where": {"measure": "kendal_tau_b"}},
        "one.where.measure: 'kendal_tau_b' is no measure. Did you mean 'kendall_tau_b'?",
    ),
    "no measure": (
        {"where": {"subject": "attention"}},
        "one.where.measure is missing (which measure of summary decides the claim)",
    ),
    "settings of what has none": (
        {"where": {"measure": {"kind": "tau"}}},
        "one.where.measure must name measures, got settings.",
    ),
    "a comparison of who knows what": (
        {"table": "comparison"},
        "one.where.contrast is missing (normalizer, ",
    ),
    "an alignment of who knows which step": (
        {
            "table": "alignment_comparison",
            "where": {"measure": "f1", "links": "argmax"},
        },
        "one.where.step is missing (predicts or reads)",
    ),
    "a measure of another table": (
        {"table": "alignment_comparison"},
        "one.where.measure: 'kendall_tau_b' is no measure.",
    ),
    "a difference of differences of alignment": (
        {
            "table": "alignment_comparison",
            "where": {"measure": "f1", "step": "reads", "links": "argmax"},
            "less": {"subject": "attention"},
        },
        "one.less: the rows of alignment_comparison are differences. Leave it out.",
    ),
    "a difference of differences": (
        {
            "table": "comparison",
            "where": {"measure": "max", "contrast": "normalizer"},
            "less": {"subject": "attention"},
        },
        "one.less: the rows of comparison are differences. Take them from summary",
    ),
    "a difference between cells": (
        {"less": {"normalizer": "softmax"}},
        "one.less.normalizer: a difference is taken within a normalizer and seed.",
    ),
    "a score of reactions of who knows whom": (
        {"table": "reaction_summary", "where": {"metric": "pearson"}},
        "one.where.subject is missing (model, base_rate or last_seconds)",
    ),
    "an unknown score of reactions": (
        {
            "table": "reaction_comparison",
            "where": {"metric": "persson", "contrast": "floor"},
        },
        "one.where.metric: 'persson' is no metric. Did you mean 'pearson'?",
    ),
    "a floor taken off scores of reactions": (
        {
            "table": "reaction_summary",
            "where": {"metric": "pearson", "subject": "model"},
            "less": {"subject": "base_rate"},
        },
        "one.less.subject: scores of reactions are paired by recording between",
    ),
    "a difference of differences of reactions": (
        {
            "table": "reaction_comparison",
            "where": {"metric": "pearson", "contrast": "floor"},
            "less": {"dataset": "sitcom_dense"},
        },
        "one.less: the rows of reaction_comparison are differences. Take them from "
        "reaction_summary, or leave it out.",
    ),
    "a data set taken off any": (
        {"less": {"dataset": "sst2"}},
        "one.where.dataset is missing (the data set that less.dataset is taken off)",
    ),
    "an experiment that is not named": (
        {"table": "diagnostics", "where": {"metric": "accuracy"}},
        "one.needs must name the experiments that make its rows of diagnostics: "
        "diagnostics",
    ),
    "an unknown experiment": (
        {"needs": ["flip"]},
        "one.needs[0] must be one of permutation, adversarial,",
    ),
    "an unknown figure": (
        {"figure": "agreements"},
        "one.figure: no figure 'agreements'. Did you mean 'agreement'?",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_file_claim_key_and_fix(tmp_path, fault):
    change, words = FAULTS[fault]
    with pytest.raises(AuditError) as raised:
        read(tmp_path, {"one": VALID | change})
    message = str(raised.value)
    assert words in message
    for line in message.splitlines():
        assert line.startswith(str(tmp_path / "claims.yaml")) and "one" in line


def test_two_claims_of_one_name_are_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("one: {}\none: {}\n", encoding="utf-8")
    with pytest.raises(AuditError, match="the key 'one' stands on line 1"):
        read_claims(path, SCHEMA)


def test_settings_stand_for_the_instances_of_the_grid_that_have_them(tmp_path):
    where = VALID["where"] | {
        "reference": {"of": "inputs"},
        "normalizer": {"kind": ["entmax", "sparsemax"]},
        "encoder": "bilstm",
    }
    claims = read(tmp_path, {"one": VALID | {"where": where}})
    # entmax and many more are declared, these are in the grid
    found = of_grid(claims, config(grid={"normalizers": ["softmax", "entmax15"]}))
    assert found["one"]["where"] == {
        "measure": ["kendall_tau_b"],
        "subject": ["attention"],
        "reference": ["input_gradient", "input_leave_one_out"],
        "normalizer": ["entmax15"],
        "encoder": ["bilstm"],
    }
    assert found["one"]["lacks"] is None


def test_null_stands_for_rows_without_a_name(tmp_path):
    where = VALID["where"] | {"reference": None}
    claims = read(tmp_path, {"one": VALID | {"where": where}})
    rows = pd.DataFrame({"reference": [None, "input_gradient", None]})
    names = of_grid(claims, config())["one"]["where"]["reference"]
    assert list(matching(rows, {"reference": names}).index) == [0, 2]


def test_a_claim_about_any_normalizer_is_about_no_control(tmp_path):
    claims = read(tmp_path, {"one": VALID})
    found = of_grid(claims, config(grid={"normalizers": ["softmax", "entmax15"]}))
    assert found["one"]["where"]["normalizer"] == ["entmax15", "softmax"]


def test_what_a_grid_lacks_is_told_with_its_fix(tmp_path):
    change = {
        "table": "explanation_summary",
        "needs": ["adversarial", "seed_variance"],
        "where": {"measure": "jsd", "normalizer": {"kind": ["top_k", "rela"]}},
    }
    claims = read(tmp_path, {"one": VALID | change})
    assert of_grid(claims, config(on=["adversarial"]))["one"]["lacks"] == (
        "set explanations.seed_variance.enabled to true; name an instance with kind "
        "top_k or rela in grid.normalizers"
    )
    settings = config(
        on=["adversarial", "seed_variance"], grid={"normalizers": ["softmax", "rela"]}
    )
    assert of_grid(claims, settings)["one"]["lacks"] is None


def test_what_is_compared_between_encoders_wants_both_in_the_grid(tmp_path):
    change = {
        "where": {"measure": "correct", "encoder": "bilstm"},
        "less": {"encoder": ["average", "transformer"]},
    }
    claims = read(tmp_path, {"one": VALID | change})
    both = config(grid={"encoders": ["bilstm", "average"]})
    found = of_grid(claims, both)["one"]
    assert (found["lacks"], found["less"]) == (
        None,
        {"encoder": ["average", "transformer"]},
    )
    one = config(grid={"encoders": ["bilstm"]})
    assert of_grid(claims, one)["one"]["lacks"] == (
        "name average or transformer in grid.encoders"
    )


def test_models_without_attention_count_where_a_claim_names_them(tmp_path):
    named = VALID | {"where": VALID["where"] | {"scorer": {"kind": "last"}}}
    claims = read(tmp_path, {"one": VALID, "named": named})
    both = of_grid(claims, config(grid={"scorers": ["dot", "last", "additive"]}))
    assert both["one"]["where"]["scorer"] == ["additive", "dot"]
    assert both["named"]["where"]["scorer"] == ["last"]
    assert "scorer" not in of_grid(claims, config())["one"]["where"]


OF_DATASETS = VALID | {
    "where": {"measure": "lookback", "dataset": "sitcom_sparse"},
    "less": {"dataset": ["sitcom_dense", "imdb"]},
}
RECORDED = {"encoders": ["gated", "bilstm"]}


def test_what_is_compared_between_data_sets_wants_both_in_the_grid(tmp_path):
    claims = read(tmp_path, {"one": OF_DATASETS})
    one = config(grid=RECORDED | {"datasets": ["sitcom_sparse"]})
    assert of_grid(claims, one)["one"]["lacks"] == (
        "name sitcom_dense or imdb in grid.datasets"
    )
    both = config(grid=RECORDED | {"datasets": ["sitcom_sparse", "sitcom_dense"]})
    assert of_grid(claims, both)["one"]["lacks"] is None


def test_data_sets_that_are_compared_are_alike(tmp_path):
    claims = read(tmp_path, {"one": OF_DATASETS})
    other = config(grid=RECORDED | {"datasets": ["sitcom_sparse", "imdb"]})
    with pytest.raises(AuditError) as raised:
        of_grid(claims, other)
    assert str(raised.value) == (
        "workflow/claims.yaml: one.less.dataset: sitcom_sparse is of modality reactions, "
        "and imdb of text. Compare data sets of one modality."
    )
    both = config(grid=RECORDED | {"datasets": ["sitcom_sparse", "sitcom_dense"]})
    both["datasets"]["sitcom_dense"]["sampling"]["span"] = 5
    assert of_grid(claims, both)["one"]["lacks"] == (
        "set sampling.rate and sampling.span of sitcom_sparse (60 moments) and "
        "sitcom_dense (30) to equal products"
    )


def test_the_declared_list_is_that_of_the_papers():
    claims = read_claims(CLAIMS, SCHEMA)
    counts = {
        "Meister et al. 2021": 3,
        "Jain & Wallace 2019": 2,
        "Wiegreffe & Pinter 2019": 4,
        "Zhang et al. 2021": 1,
        "Zhao et al. 2019": 1,
        "Pan et al. 2022": 4,
        "Lin et al. 2021": 3,
        "this project": 1,
    }
    for source, least in counts.items():
        assert sum(source in c["source"] for c in claims.values()) >= least, source
    # with every experiment and kind in the grid, none of them is left untested
    text = (ROOT / "workflow/presets/vision.yaml").read_text(encoding="utf-8")
    preset = yaml.safe_load(text)
    translator = {"kind": "bilstm", "hidden_size": 8}
    translator["decoder"] = {"kind": "lstm", "hidden_size": 8}
    everything = config(
        on=EXPERIMENT_FIGURES.keys() - {*OWN_SECTIONS},
        grid={
            "datasets": [
                *("imdb", "digits", "bible_greek"),
                *("sitcom_sparse", "sitcom_dense"),
            ],
            "encoders": ["bilstm", "translator", "gated", *preset["grid"]["encoders"]],
            "scorers": ["additive", "last"],
            "normalizers": ["softmax", "entmax15", "top_k", "rela", "uniform"],
        },
        encoders=preset["encoders"] | {"translator": translator},
    )
    assert [c["lacks"] for c in resolved(claims, everything, grid(everything))] == (
        [None] * len(claims)
    )
