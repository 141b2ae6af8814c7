"""The kinds of instances: the config's schema and the code have to know the same ones.

A kind stands in three places of the schema and in one of the code. Where it lacks any
of them, the workflow says so before it plans. The code is read and not imported, since
most of it loads torch.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attention_audit.records.errors import AuditError

FOLDER = Path(__file__).parent
# what messages call these
SCHEMA = "workflow/schemas/config.schema.yaml"
CODE = "workflow/scripts/attention_audit"

# definition of the schema -> module and dictionary with its kinds. Those of normalizers
# are the modules of a package.
REGISTRIES: dict[str, tuple[str, str]] = {
    "encoder": ("models/encoders", "ENCODERS"),
    "method": ("methods", "METHODS"),
    "scorer": ("models/attention", "SCORERS"),
    "source": ("data/sources", "READERS"),
    "vectors": ("data/vectors", "VECTORS"),
}
NORMALIZERS = "models/normalizers"


def normalizer_kinds() -> list[str]:
    """The kinds of normalizers that have a module, sorted."""
    return sorted(path.stem for path in (FOLDER / NORMALIZERS).glob("[!_]*.py"))


def check_kinds(schema: Mapping[str, Any]) -> None:
    """Raise an `AuditError` with a line for each kind that lacks one of its places."""
    faults = [
        fault
        for name in (*REGISTRIES, "normalizer")
        for fault in _faults(name, schema["$defs"])
    ]
    if faults:
        raise AuditError("\n".join(faults))


def _faults(name: str, definitions: Mapping[str, Any]) -> Iterator[str]:
    listed = definitions[name]["properties"]["kind"]["enum"]
    branches = {
        line["if"]["properties"]["kind"]["const"]: line["then"]["$ref"].split("/")[-1]
        for line in definitions[name]["allOf"]
    }
    made = _normalizers() if name == "normalizer" else _registered(name)
    for kind in dict.fromkeys([*listed, *branches, *made]):
        branch = branches.get(kind, f"{name}_{kind}")
        places = {
            f"its name in $defs.{name}.properties.kind.enum": kind in listed,
            f"its if/then line in $defs.{name}.allOf": kind in branches,
            f"$defs.{branch}": branch in definitions,
            **made.get(kind, {_place(name, kind): False}),
        }
        missing = [place for place, there in places.items() if not there]
        if missing:
            found = [place for place, there in places.items() if there]
            yield (
                f"{SCHEMA}: the {name} kind '{kind}' lacks {_all(missing)}. Add what is "
                f"missing, or take out {_all(found)}."
            )


def _all(places: list[str]) -> str:
    *first, last = places
    return f"{', '.join(first)} and {last}" if first else last


def _place(name: str, kind: str) -> str:
    """Where the code of a kind has to be."""
    if name == "normalizer":
        return f"the module {CODE}/{NORMALIZERS}/{kind}.py with its NORMALIZER"
    module, registry = REGISTRIES[name]
    return f"its entry in {registry} of {CODE}/{module}.py"


def _normalizers() -> dict[str, dict[str, bool]]:
    """Of each module of normalizers, its place and whether it is filled."""
    return {
        kind: {
            _place("normalizer", kind): "NORMALIZER"
            in _defined(FOLDER / NORMALIZERS / f"{kind}.py")
        }
        for kind in normalizer_kinds()
    }


def _registered(name: str) -> dict[str, dict[str, bool]]:
    """Of each kind in a registry, its places and whether they are filled."""
    module, registry = REGISTRIES[name]
    entries = _defined(FOLDER / f"{module}.py")[registry].value
    found = {}
    for key, value in zip(entries.keys, entries.values, strict=True):
        kind = ast.literal_eval(key)
        found[kind] = {_place(name, kind): True}
        if name == "method":
            # which names its function as the workflow tells it to a job
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
