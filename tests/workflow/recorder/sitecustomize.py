"""Records what a job of the workflow uses of the package, name by name, as it runs.

Python imports a module of this name on its own where its folder is on PYTHONPATH. The
package's modules are then executed in dictionaries that note every lookup, and what the
process has used goes to a file of the folder RECORDED when it ends.

A name that was looked up while the job ran counts as used. So do, for a used name, those
that were looked up while the statement that defines it ran, on import; and all that was
looked up by a statement that defines nothing.
"""

import ast
import atexit
import json
import os
import symtable
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

PACKAGE = "attention_audit"
SCHEMAS = (f"{PACKAGE}.records.schemas", "SCHEMAS")

Name = tuple[str, str]  # a module, and a name in it; "" for statements without any

used: set[Name] = set()
# by statement: the names that it looked up; by name: the statements that define it
behind: list[set[Name]] = []
defining: dict[Name, list[int]] = {}
# the statements that are being executed, each within the one before it
executed: list[set[Name]] = []


def note(module: str, name: str, value: Any) -> None:
    # Lines of a log are no results.
    if type(value).__name__ != "Logger":
        (executed[-1] if executed else used).add((module, name))


class Globals(dict):
    """The global names of a module, which notes those that are looked up."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if not name.startswith("__"):
            note(super().__getitem__("__name__"), name, value)
        return value


class Schemas(dict):
    """The schemas of the tables, which note those that are looked up."""

    def __getitem__(self, name: str) -> Any:
        note("schema", name, None)
        return super().__getitem__(name)


class Recorded(ModuleType):
    """A module whose attributes are its recorded global names."""

    def __getattribute__(self, name: str) -> Any:
        names = super().__getattribute__("__dict__").get("__recorded__", {})
        return names[name] if name in names else super().__getattribute__(name)


def single(node: ast.stmt) -> list[ast.stmt]:
    """A statement, or an import of several names as one import a name."""
    if isinstance(node, ast.Import):
        return [ast.Import([alias]) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [ast.ImportFrom(node.module, [a], node.level) for a in node.names]
    return [node]


def bound(node: ast.stmt) -> list[str]:
    """The names that a statement defines; none where it does more than define."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import([alias]) | ast.ImportFrom(names=[alias]):
            return [alias.asname or alias.name.split(".")[0]]
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            if all(isinstance(t, ast.Name) for t in targets):
                return [t.id for t in targets]
    return []


def in_classes(table: symtable.SymbolTable) -> Iterator[str]:
    """The global names that are looked up in the bodies of classes as they are made.

    Python takes them from the dictionary itself, past what notes a lookup.
    """
    for inner in table.get_children():
        if inner.get_type() == "class":
            for symbol in inner.get_symbols():
                if symbol.is_global() and symbol.is_referenced():
                    yield symbol.get_name()
            yield from in_classes(inner)


class Loader(SourceFileLoader):
    def create_module(self, spec: Any) -> ModuleType:
        return Recorded(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        names = Globals(module.__dict__)
        module.__dict__["__recorded__"] = names
        tree = ast.parse(self.get_data(self.path))
        for node in (s for statement in tree.body for s in single(statement)):
            ast.copy_location(node, tree.body[0])
            code = compile(
                ast.fix_missing_locations(ast.Module([node], [])), self.path, "exec"
            )
            defined = bound(node)
            if defined:
                for name in defined:
                    defining.setdefault((self.name, name), []).append(len(behind))
                behind.append(set())
            elif not (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            ):
                used.add((self.name, ""))
            executed.append(behind[-1] if defined else used)
            try:
                exec(code, names)
                for name in in_classes(
                    symtable.symtable(ast.unparse(node), self.path, "exec")
                ):
                    if name in names:
                        names[name]
            finally:
                executed.pop()
        if self.name == SCHEMAS[0]:
            # Of the schemas, those count that are looked up.
            names[SCHEMAS[1]] = Schemas(names[SCHEMAS[1]])
            del defining[SCHEMAS]
            used.difference_update({n for n in used if n[0] == self.name})


class Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name.split(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None:
            spec.loader = Loader(name, spec.origin)
        return spec


def write() -> None:
    """What the process used, if it was a job's script."""
    told = getattr(sys.modules["__main__"], "snakemake", None)
    if not hasattr(told, "rule"):
        return
    waiting, found = list(used), set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [n for i in defining.get(name, []) for n in behind[i]]
    record = {
        # Snakemake runs a copy of the script, tmp….name.py
        "script": Path(sys.argv[0]).name.split(".", 1)[1],
        "params": {
            k: v for k, v in told.params.items() if isinstance(v, (str, list, tuple))
        },
        "used": sorted(found),
    }
    path = Path(os.environ["RECORDED"]) / f"{told.rule}-{uuid4()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record))


if "RECORDED" in os.environ:
    sys.meta_path.insert(0, Finder())
    atexit.register(write)
