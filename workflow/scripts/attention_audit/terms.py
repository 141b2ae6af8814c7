"""The page of terms: what a data set may be, how text is cut, measures, tables, defaults.

It is made from what the pipeline itself goes by: the config's schema, `MEASURES`,
`SCHEMAS` with `TABLES` and `COLUMNS`, and `tokenize`, which is shown at work.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa

from attention_audit.data.tokens import tokenize
from attention_audit.records.meanings import TABLES, meaning
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.records.unique_keys import read_yaml
from attention_audit.statistics.measures import MEASURES

# A text that shows what becomes of it, and the settings that are not the default.
TEXTS: tuple[tuple[str, str, dict[str, bool]], ...] = (
    ("case", "The CAT sat.", {}),
    ("case, kept", "The CAT sat.", {"lowercase": False}),
    ("numbers", "In 1999 it cost 1,000.50, the 7th of 3-D.", {}),
    ("numbers, kept", "In 1999 it cost 1,000.50.", {"replace_digits": False}),
    ("clitics", "It doesn't matter; it's John's, they'll say.", {}),
    ("other apostrophes", "O’Brien's rock'n'roll can’t", {}),
    ("hyphens, dashes, dots", "a well-known -- if odd ... film", {}),
    ("markup", "<br />A <b>good</b> film &amp; more", {}),
    ("markup, kept", "A <b>good</b> film", {"strip_markup": False}),
    ("marks", "Wow!!! (5/10) $3", {}),
    ("invisible characters", "soft\u00adhyphen, \ufeffmark", {}),
    ("accents, in form C", "cafe\u0301 naïve", {}),
    ("emoji", "fine 👍🏽👨‍👩‍👧", {}),
    ("no spaces", "これは本です。", {}),
)


def _code(value: Any) -> str:
    """A value as code within a table; a bar would end the cell."""
    return f"`{value}`".replace("|", "\\|")


# What chooses between the branches of an instance.
_CHOOSES = ("kind", "modality")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _tokens() -> str:
    rows = []
    for what, text, kept in TEXTS:
        settings = dict.fromkeys(("lowercase", "replace_digits", "strip_markup"), True)
        found = tokenize(text, **settings | kept)
        shown = (
            text.encode("ascii", "namereplace").decode() if "\u00ad" in text else text
        )
        rows.append([what, _code(shown), " ".join(map(_code, found))])
    return _table(["what", "text", "tokens"], rows)


def _number(value: float) -> str:
    return "ln 2" if 0.69 < value < 0.7 else f"{value:g}"


def _measures() -> str:
    rows = [
        [
            _code(name),
            _cell(measure["formula"]),
            f"{_number(measure['low'])} to {_number(measure['high'])}"
            if measure["high"] is not None
            else f"{_number(measure['low'])} and up",
            measure["unit"],
            measure["undefined"] or "never",
        ]
        for name, measure in MEASURES.items()
    ]
    return _table(["measure", "formula", "range", "unit", "undefined"], rows)


def _type(field: pa.Field) -> str:
    name = str(field.type).replace("list<item: ", "list of ").replace(">", "")
    return f"{name} or null" if field.nullable else name


def _tables() -> Iterator[dict[str, str]]:
    for name, (path, row) in TABLES.items():
        schema = SCHEMAS[name]
        run = schema.names[: len(RUN_COLUMNS)] == list(RUN_COLUMNS)
        fields = list(schema)[len(RUN_COLUMNS) * run :]
        rows = [[_code(f.name), _type(f), meaning(name, f.name)] for f in fields]
        yield {
            "name": name,
            "path": path.replace(" and ", "` and `"),
            "row": row,
            "run": run,
            "columns": _table(["column", "type", "holds"], rows),
        }


# --- the config -----------------------------------------------------------------------

_KINDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "object": "dictionary",
    "string": "text",
}


def _cell(text: str) -> str:
    """Text as it is within a table of Markdown."""
    return text.rstrip(".").replace("|", "\\|").replace("<", "\\<")


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return dict(part)
    return {**schema["$defs"][part["$ref"].removeprefix("#/$defs/")], **part}


def _keys(
    part: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[list[str]]:
    """A row for every key below ``part``, kinds and named instances included."""
    for name, described in part.get("properties", {}).items():
        found = _resolved(described, schema)
        key = f"{path}{name}"
        if "const" in found or (name in _CHOOSES and part.get("allOf")):
            continue
        named = _resolved(found.get("additionalProperties") or {}, schema)
        if named.get("type") == "object":
            yield from _instances(named, schema, f"{key}.NAME")
            continue
        if "kind" in found.get("required", ()):
            yield from _instances(found, schema, key)
            continue
        inner = found.get("properties")
        # what may be null says so, and what it holds where it is not
        if inner and found.get("default", {}) == {}:
            yield from _keys(found, schema, f"{key}.")
            continue
        types = found.get("type", "object")
        types = [types] if isinstance(types, str) else types
        if "default" in found:
            default = _code(json.dumps(found["default"], ensure_ascii=False))
        else:
            default = "required" if name in part.get("required", ()) else "none"
        choices = [c for c in found.get("enum", ()) if c is not None]
        text = found["description"].rstrip(".")
        if choices:
            text += f"; one of {', '.join(choices)}"
        kinds = " or ".join(_KINDS.get(t, t) for t in types)
        yield [_code(key), kinds, default, _cell(text)]
        if inner:
            yield from _keys(found, schema, f"{key}.")


def _instances(
    part: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[list[str]]:
    """The keys of an instance, those of each of its kinds apart."""
    yield from _keys(part, schema, f"{path}.")
    for branch in part.get("allOf", ()):
        ((key, chosen),) = branch["if"]["properties"].items()
        then = _resolved(branch["then"], schema)
        own = then["properties"][key]
        given = (
            "required" if key in then["required"] else _code(json.dumps(own["default"]))
        )
        value = f"{path}.{key}: {chosen['const']}"
        yield [_code(value), "", given, _cell(own["description"])]
        yield from _keys(then, schema, f"{path}.")


def _config(schema: Mapping[str, Any]) -> str:
    return _table(
        ["key", "type", "where it is left out", "says"], _keys(schema, schema, "")
    )


def page(schema_path: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; the words between the tables are those of the template."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    template = Path(template_path).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        tokens=_tokens(),
        measures=_measures(),
        tables=list(_tables()),
        run_columns=", ".join(map(_code, RUN_COLUMNS)),
        config=_config(read_yaml(schema_path)),
    )
