"""The rooms of the package: imports go downwards, and no audit imports a modality."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow/scripts/attention_audit"

# Each room, and those that it may import. Attribution and interventions stand side by
# side; `methods` is the table of the methods, which figures name.
BELOW = {
    "records": set(),
    "data": {"records"},
    "models": {"data", "records"},
    "statistics": {"records"},
    "attribution": {"models", "data", "statistics", "records"},
    "interventions": {"models", "data", "statistics", "records"},
    "methods": {"records"},
    "figures": {"statistics", "methods", "records"},
}
# Of data/, what knows no modality. All else there reads one, or hands it on.
SHARED = {"data.batches"}
# What makes the model of a modality, and so knows its batches.
MAKES_MODELS = {"models.model"}
AUDITS = ("attribution", "interventions", "statistics")


def modules() -> dict[str, set[str]]:
    """What each module imports of the package, by its name relative to the package."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = path
    found = defaultdict(set)
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, (
                    f"{name}: a relative import, which this overlooks"
                )
                imported = [
                    node.module,
                    *(f"{node.module}.{a.name}" for a in node.names),
                ]
            else:
                continue
            inner = {i.removeprefix("attention_audit.") for i in imported}
            found[name] |= (inner & names.keys()) - {name}
    return dict(found)


IMPORTS = modules()


def room(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("name", BELOW)
def test_a_room_imports_downwards_only(name):
    own = [module for module in IMPORTS if room(module) == name]
    assert own
    for module in own:
        above = {m for m in IMPORTS[module] if room(m) not in BELOW[name] | {name}}
        assert not above, module


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == BELOW.keys() - {"methods"}


@pytest.mark.parametrize("name", AUDITS)
def test_no_audit_imports_a_modality_or_what_imports_one(name):
    waiting = [module for module in IMPORTS if room(module) == name]
    reached = {}
    while waiting:
        module = waiting.pop()
        for other in IMPORTS.get(module, set()) - reached.keys() - MAKES_MODELS:
            reached[other] = module
            waiting.append(other)
    modalities = {m: reached[m] for m in reached if room(m) == "data" and "." in m}
    assert modalities.keys() <= SHARED, modalities


@pytest.mark.parametrize("name", AUDITS)
def test_no_audit_names_a_token(name):
    for path in (PACKAGE / name).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.alias)}
        assert not names & {"token_ids", "UNK", "PAD", "read_vocabulary"}, path
