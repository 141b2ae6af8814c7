"""Schema and code know the same kinds, and a kind that lacks a place is named."""

import copy
import shutil

import pytest
import yaml

from attention_audit import kinds
from attention_audit.kinds import CODE, REGISTRIES, check_kinds
from attention_audit.kinds import SCHEMA as SCHEMA_FILE
from attention_audit.records.errors import AuditError
from tests.unit.instances import ROOT

SCHEMA = yaml.safe_load((ROOT / SCHEMA_FILE).read_text(encoding="utf-8"))
NAMES = [*REGISTRIES, "normalizer"]
LISTED = "its name in $defs.%s.properties.kind.enum"
LED_TO = "its if/then line in $defs.%s.allOf"
PLACES = {
    "decoder": f"its entry in DECODERS of {CODE}/models/encoder_kinds.py",
    "encoder": f"its entry in ENCODERS of {CODE}/models/encoder_kinds.py",
    "image_source": f"its entry in READERS of {CODE}/data/image_sources.py",
    "method": f"its entry in METHODS of {CODE}/methods.py",
    "pair_source": f"its entry in READERS of {CODE}/data/pair_sources.py",
    "pretrained": f"its entry in PRETRAINED of {CODE}/data/pretrained.py",
    "recording_source": f"its entry in READERS of {CODE}/data/recording_sources.py",
    "scorer": f"its entry in SCORERS of {CODE}/models/encoder_kinds.py",
    "smoothing": f"its entry in FILTERS of {CODE}/data/recordings.py",
    "source": f"its entry in READERS of {CODE}/data/sources.py",
    "vectors": f"its entry in VECTORS of {CODE}/data/vectors.py",
    "normalizer": f"the module {CODE}/models/normalizers/untold.py with its NORMALIZER",
    "dataset": f"the module {CODE}/data/modalities/untold.py with its ENCODERS, prepare, "
    f"read_examples and audited and the module {CODE}/models/modalities/untold.py with "
    "its SETTINGS, declare and vectors_of",
}


def message(schema=SCHEMA):
    with pytest.raises(AuditError) as raised:
        check_kinds(schema)
    return str(raised.value)


def described(name, *, listed=True, led_to=True, branch=True):
    """The schema with a kind more, or with some of its places."""
    schema = copy.deepcopy(SCHEMA)
    definition = schema["$defs"][name]
    if listed:
        definition["properties"]["kind"]["enum"].append("untold")
    if led_to:
        wanted = {"required": ["kind"], "properties": {"kind": {"const": "untold"}}}
        definition["allOf"].append(
            {"if": wanted, "then": {"$ref": f"#/$defs/{name}_untold"}}
        )
    if branch:
        schema["$defs"][f"{name}_untold"] = {
            "properties": {"kind": {"const": "untold"}}
        }
    return schema


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose kinds are looked at, to be changed at will."""
    folder = tmp_path / "attention_audit"
    shutil.copytree(kinds.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kinds, "FOLDER", folder)
    return folder


def test_what_is_shipped_is_complete():
    check_kinds(SCHEMA)


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_without_its_code_is_named(name):
    assert message(described(name)) == (
        f"{SCHEMA_FILE}: the {name} kind 'untold' lacks {PLACES[name]}. Add what is "
        f"missing, or take out {LISTED % name}, {LED_TO % name} and $defs.{name}_untold."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_without_its_branch_is_named(name):
    found = message(described(name, led_to=False))
    assert f"'untold' lacks {LED_TO % name} and {PLACES[name]}. Add" in found
    found = message(described(name, branch=False))
    assert f"'untold' lacks $defs.{name}_untold and {PLACES[name]}. Add" in found
    found = message(described(name, listed=False))
    assert f"'untold' lacks {LISTED % name} and {PLACES[name]}. Add" in found


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_that_the_schema_lacks_is_named(name):
    schema = copy.deepcopy(SCHEMA)
    kind = schema["$defs"][name]["properties"]["kind"]["enum"].pop()
    schema["$defs"][name]["allOf"].pop()
    del schema["$defs"][f"{name}_{kind}"]
    assert message(schema).startswith(
        f"{SCHEMA_FILE}: the {name} kind '{kind}' lacks {LISTED % name}, "
        f"{LED_TO % name} and $defs.{name}_{kind}. Add what is missing, or take out "
        f"{PLACES[name].replace('untold', kind)}"
    )


def test_every_kind_at_fault_has_its_line():
    schema = described("encoder")
    schema["$defs"]["scorer"]["properties"]["kind"]["enum"].append("other")
    first, second = message(schema).splitlines()
    assert first.startswith(f"{SCHEMA_FILE}: the encoder kind 'untold'")
    assert second.startswith(f"{SCHEMA_FILE}: the scorer kind 'other'")


def test_a_module_that_defines_no_normalizer_is_named(package):
    path = package / "models/normalizers/untold.py"
    path.write_text("def mine(scores, mask):\n    return scores\n", encoding="utf-8")
    assert f"'untold' lacks {PLACES['normalizer']}. Add" in message(
        described("normalizer")
    )
    path.write_text("def NORMALIZER(scores, mask):\n    return scores\n")
    kinds._defined.cache_clear()
    check_kinds(described("normalizer"))


def test_a_helper_of_normalizers_is_no_kind(package):
    (package / "models/normalizers/_helper.py").write_text("", encoding="utf-8")
    check_kinds(SCHEMA)


def test_a_method_whose_function_is_missing_is_named(package):
    path = package / "methods.py"
    text = path.read_text(encoding="utf-8")
    entry = '("attribution.ablation", "leave_one_out")'
    for other, place in {
        '("attribution.ablation", "left_out")': f"left_out in {CODE}/attribution/ablation.py",
        '("attribution.untold", "untold")': f"untold in {CODE}/attribution/untold.py",
    }.items():
        path.write_text(text.replace(entry, other), encoding="utf-8")
        kinds._defined.cache_clear()
        assert f"kind 'leave_one_out' lacks {place}. Add" in message()


def test_code_that_is_no_python_is_named_with_its_line(package):
    path = package / "models/normalizers/softmax.py"
    path.write_text("\ndef softmax(scores, mask:\n", encoding="utf-8")
    assert message().startswith(f"{CODE}/models/normalizers/softmax.py, line 2: ")
