"""The kinds of instances: the config's schema and the code have to know the same ones.

A kind stands in three places of the schema and in one of the code. Where it lacks any
of them, the workflow says so before it plans. The code is read and not imported, since
most of it loads torch.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from attention_audit.records.errors import AuditError

FOLDER = Path(__file__).parent
# what messages call these
SCHEMA = "workflow/schemas/config.schema.yaml"
CODE = "workflow/scripts/attention_audit"

# definition of the schema -> module and dictionary with its kinds. Those of normalizers
# are the modules of a package.
REGISTRIES: dict[str, tuple[str, str]] = {
    "decoder": ("models/encoder_kinds", "DECODERS"),
    "encoder": ("models/encoder_kinds", "ENCODERS"),
    "image_source": ("data/image_sources", "READERS"),
    "method": ("methods", "METHODS"),
    "pair_source": ("data/pair_sources", "READERS"),
    "pretrained": ("data/pretrained", "PRETRAINED"),
    "recording_source": ("data/recording_sources", "READERS"),
    "scorer": ("models/encoder_kinds", "SCORERS"),
    "smoothing": ("data/recordings", "FILTERS"),
    "source": ("data/sources", "READERS"),
    "vectors": ("data/vectors", "VECTORS"),
}


class Package(NamedTuple):
    """Kinds that are modules: of which folders, and what each of these defines."""

    name: str
    key: str  # of the config, which chooses
    holds: Mapping[str, Sequence[str]]


NORMALIZERS = "models/normalizers"
MODALITIES = "data/modalities"
REMOVALS = "attribution/removals"
PACKAGES = {
    "normalizer": Package("normalizer", "kind", {NORMALIZERS: ["NORMALIZER"]}),
    "dataset": Package(
        "dataset",
        "modality",
        {
            MODALITIES: ["ENCODERS", "prepare", "read_examples", "audited"],
            "models/modalities": ["SETTINGS", "declare", "vectors_of"],
        },
    ),
}


@cache
def encoders_of(modality: str) -> tuple[str, ...]:
    """The kinds of encoders that read a modality."""
    module = _defined(FOLDER / MODALITIES / f"{modality}.py")
    return ast.literal_eval(module["ENCODERS"].value)


def branches(definition: Mapping[str, Any], key: str) -> dict[str, str]:
    """By the values of a key, the names of the definitions that one of a schema leads to."""
    return {
        line["if"]["properties"][key]["const"]: line["then"]["$ref"].split("/")[-1]
        for line in definition.get("allOf", ())
    }


def normalizer_kinds() -> list[str]:
    """The kinds of normalizers that have a module, sorted."""
    return _names_in(NORMALIZERS)


def removal_kinds() -> list[str]:
    """The kinds of encoders that have a way of their own to read texts without a word."""
    return _names_in(REMOVALS)


def _names_in(folder: str) -> list[str]:
    return sorted(path.stem for path in (FOLDER / folder).glob("[!_]*.py"))


def check_kinds(schema: Mapping[str, Any]) -> None:
    """Raise an `AuditError` with a line for each kind that lacks one of its places."""
    faults = [
        fault
        for name in (*REGISTRIES, *PACKAGES)
        for fault in _faults(name, schema["$defs"])
    ]
    if faults:
        raise AuditError("\n".join(faults))


def _faults(name: str, definitions: Mapping[str, Any]) -> Iterator[str]:
    key = PACKAGES[name].key if name in PACKAGES else "kind"
    listed = definitions[name]["properties"][key]["enum"]
    led_to = branches(definitions[name], key)
    made = _modules(PACKAGES[name]) if name in PACKAGES else _registered(name)
    for kind in dict.fromkeys([*listed, *led_to, *made]):
        branch = led_to.get(kind, f"{name}_{kind}")
        places = {
            f"its name in $defs.{name}.properties.{key}.enum": kind in listed,
            f"its if/then line in $defs.{name}.allOf": kind in led_to,
            f"$defs.{branch}": branch in definitions,
            **made.get(kind, dict.fromkeys(_places(name, kind), False)),
        }
        missing = [place for place, there in places.items() if not there]
        if missing:
            found = [place for place, there in places.items() if there]
            yield (
                f"{SCHEMA}: the {name} {key} '{kind}' lacks {_all(missing)}. Add what is "
                f"missing, or take out {_all(found)}."
            )


def _all(places: list[str]) -> str:
    *first, last = places
    return f"{', '.join(first)} and {last}" if first else last


def _places(name: str, kind: str) -> list[str]:
    """Where the code of a kind has to be."""
    if name not in PACKAGES:
        module, registry = REGISTRIES[name]
        return [f"its entry in {registry} of {CODE}/{module}.py"]
    return [
        f"the module {CODE}/{folder}/{kind}.py with its {_all(list(names))}"
        for folder, names in PACKAGES[name].holds.items()
    ]


def _modules(package: "Package") -> dict[str, dict[str, bool]]:
    """Of each kind that has a module, its places and whether they are filled."""
    found: dict[str, dict[str, bool]] = {}
    names = {p.stem for f in package.holds for p in (FOLDER / f).glob("[!_]*.py")}
    for kind in sorted(names):
        modules = [FOLDER / folder / f"{kind}.py" for folder in package.holds]
        found[kind] = {
            place: module.is_file() and {*wanted} <= _defined(module).keys()
            for place, module, wanted in zip(
                _places(package.name, kind),
                modules,
                package.holds.values(),
                strict=True,
            )
        }
    return found


def _registered(name: str) -> dict[str, dict[str, bool]]:
    """Of each kind in a registry, its places and whether they are filled."""
    module, registry = REGISTRIES[name]
    entries = _defined(FOLDER / f"{module}.py")[registry].value
    found = {}
    for key, value in zip(entries.keys, entries.values, strict=True):
        kind = ast.literal_eval(key)
        found[kind] = dict.fromkeys(_places(name, kind), True)
        if name in ("decoder", "encoder", "method", "scorer"):
            # which name a function or a class as the workflow tells it to a job
            module, function = ast.literal_eval(value)
            path = FOLDER.joinpath(*module.split(".")).with_suffix(".py")
            place = f"{function} in {CODE}/{path.relative_to(FOLDER).as_posix()}"
            found[kind][place] = path.is_file() and function in _defined(path)
    return found


@cache
def _defined(path: Path) -> dict[str, ast.stmt]:
    """The functions, classes and assignments at the top level of a module, by name."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise AuditError(
            f"{CODE}/{path.relative_to(FOLDER).as_posix()}, line {error.lineno}: "
            f"{error.msg}"
        ) from error
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign([ast.Name(id=name)]) | ast.AnnAssign(ast.Name(id=name)):
                found[name] = node
    return found
