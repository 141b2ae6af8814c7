"""The page of terms is what the code makes of it, and leaves nothing out."""

import re
from pathlib import Path

import yaml

from attention_audit.config import validate
from attention_audit.data.tokens import tokenize
from attention_audit.records.meanings import COLUMNS, TABLES, meaning
from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics import explanations
from attention_audit.statistics.measures import MEASURES
from attention_audit.terms import TEXTS, page
from tests.unit.grids import order_of, tables_of

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
TEMPLATE = ROOT / "workflow/report/terms.md.jinja"
PAGE = ROOT / "docs/terms.md"


def test_the_page_is_made_anew():
    made = page(SCHEMA, TEMPLATE)
    assert PAGE.read_text(encoding="utf-8") == made, "run `make docs`"
    assert "docs/terms.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_table_and_column_says_what_it_holds():
    assert set(TABLES) == set(SCHEMAS)
    columns = [(t, c) for t, schema in SCHEMAS.items() for c in schema.names]
    assert [f"{t}.{c}" for t, c in columns if not meaning(t, c)] == []
    known = {c for _, c in columns} | {f"{t}.{c}" for t, c in columns}
    assert set(COLUMNS) <= known


def test_every_measure_has_a_formula_and_a_range():
    for name, measure in MEASURES.items():
        assert measure["formula"] and measure["unit"], name
        assert measure["high"] is None or measure["low"] < measure["high"], name
    source = Path(explanations.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r'_measure\(\w+, "(\w+)"', source))
    made = tables_of(order_of())
    for table in ("summary", "explanation_summary"):
        named |= set(made[table]["measure"])
    assert len(named) > 10 and named <= set(MEASURES)
    rows = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in rows for name in MEASURES)


NAMED = {"archives", "vectors", "datasets", "encoders", "scorers", "normalizers"}
NAMED |= {"lexicons", "methods", "pretrained"}
# dictionaries whose keys are the user's own
OWN = {"labels", "where", "self_attention", "smallest_effect"}


def keys(value, *path):
    """The dotted keys of a config, NAME for the names of instances."""
    for name, inner in value.items():
        key = (*path, "NAME" if len(path) == 1 and path[0] in NAMED else name)
        yield ".".join(key)
        if isinstance(inner, dict) and name not in OWN:
            yield from keys(inner, *key)


def test_every_key_of_a_completed_config_is_on_the_page():
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    rows = PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([\w.]+)(?:: \w+)?` ", rows, re.M))
    found = set(keys(validate(config, SCHEMA)))
    assert len(found) > 80
    for key in found:
        assert any(t == key or t.startswith(f"{key}.") for t in told), key


def test_the_example_texts_show_what_the_settings_do():
    said = {what: (text, kept) for what, text, kept in TEXTS}
    assert len(said) == len(TEXTS)
    for setting in ("lowercase", "replace_digits", "strip_markup"):
        (text,) = (text for text, kept in said.values() if setting in kept)
        settings = dict.fromkeys(("lowercase", "replace_digits", "strip_markup"), True)
        assert tokenize(text, **settings) != tokenize(
            text, **settings | {setting: False}
        )
