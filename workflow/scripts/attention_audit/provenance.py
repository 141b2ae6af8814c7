"""What made a file: config slice, code, seed, library versions and inputs.

Two uses of one idea. Before a job, `code_digest` and `library_versions` go into its
rule's params, so that Snakemake reruns it when code or libraries that can change its
output change, and not when a comment does. After it, `record` goes into the metadata
of every table, so that a reader can follow a figure back to the raw archive.
"""

import ast
import functools
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import grimp

from attention_audit.schemas import SCHEMAS

PACKAGE = "attention_audit"
SCHEMAS_MODULE = f"{PACKAGE}.schemas"
SCRIPTS = Path(__file__).resolve().parent.parent

# Libraries whose version can change a number or a picture. A job depends on those
# that its code imports; the versions of the others are recorded only.
DECISIVE_LIBRARIES = (
    "matplotlib",
    "numpy",
    "scipy",
    "seaborn",
    "statsmodels",
    "torch",
)
RECORDED_LIBRARIES = (
    *DECISIVE_LIBRARIES,
    "datasets",
    "pandas",
    "pyarrow",
    "safetensors",
    "snakemake",
)


def _tree(source: str) -> ast.Module:
    """The syntax tree of Python source, without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _digest(value: Any) -> str:
    """sha256 of a JSON-ready value, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def syntax_digest(source: str) -> str:
    """sha256 of Python source by its syntax tree, without comments and docstrings."""
    return _digest(ast.dump(_tree(source)))


def _schemas_named(tree: ast.Module) -> set[str]:
    """Table schemas that Python code names in a string."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in SCHEMAS
    }


@functools.cache
def _parsed(path: Path) -> tuple[str, set[str]]:
    """Syntax digest of a source file, and the table schemas that it names."""
    tree = _tree(path.read_text(encoding="utf-8"))
    return _digest(ast.dump(tree)), _schemas_named(tree)


def _schema_digest(name: str) -> str:
    return _digest([[f.name, str(f.type), f.nullable] for f in SCHEMAS[name]])


@functools.cache
def _graph() -> grimp.ImportGraph:
    # No cache on disk: the graph takes milliseconds, and a stale one would be silent.
    return grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def _script_imports(source: str) -> set[str]:
    """Modules that a script imports, as dotted names; candidates for ``from a import b``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _with_parents(modules: Iterable[str]) -> set[str]:
    """Importing a.b.c runs a and a.b first."""
    return {
        ".".join(parts[: i + 1])
        for parts in (m.split(".") for m in modules)
        for i in range(len(parts))
    }


@functools.cache
def _dependencies(script: str, modules: tuple[str, ...] = ()) -> frozenset[str]:
    """Every module, ours and external, that a script imports directly or not."""
    graph = _graph()
    imported = _script_imports((SCRIPTS / script).read_text(encoding="utf-8"))
    imported |= {f"{PACKAGE}.{m}" for m in modules}
    direct = imported & graph.modules
    closure = set(direct)
    while True:
        upstream = set().union(*(graph.find_upstream_modules(m) for m in closure))
        grown = _with_parents(closure | upstream) & graph.modules
        if grown == closure:
            break
        closure = grown
    external = {m.split(".")[0] for m in imported}
    return frozenset(closure | external)


def _module_file(module: str) -> Path:
    stem = SCRIPTS.joinpath(*module.split("."))
    package = stem / "__init__.py"
    return package if package.exists() else stem.with_suffix(".py")


@functools.cache
def code_digest(script: str, *modules: str) -> str:
    """Digest of a script and of every package module that it imports, transitively.

    ``modules`` are package modules that the script chooses at run time, relative to
    the package, for example ``"attribution.gradients"``. Comments, docstrings and
    layout do not count; see `syntax_digest`. Of the table schemas, those count that
    this code names, so that changing one reruns the jobs that read or write it.
    """
    ours = [
        module
        for module in sorted(_dependencies(script, modules))
        if module.split(".")[0] == PACKAGE and module != SCHEMAS_MODULE
    ]
    files = {module: _module_file(module) for module in ours}
    parsed = {
        name: _parsed(path)
        for name, path in {**files, "script": SCRIPTS / script}.items()
    }
    schemas = set().union(*(named for _, named in parsed.values()))
    return _digest(
        {
            "code": {name: digest for name, (digest, _) in parsed.items()},
            "schemas": {name: _schema_digest(name) for name in schemas},
        }
    )[:16]


@functools.cache
def _version(library: str) -> str:
    return metadata.version(library)


def library_versions(script: str, *modules: str) -> dict[str, str]:
    """Versions of the decisive libraries that a script's code imports."""
    imported = _dependencies(script, modules)
    return {lib: _version(lib) for lib in DECISIVE_LIBRARIES if lib in imported}


def file_digest(path: str | Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(
    rule: str, params: Mapping[str, Any], inputs: Iterable[str | Path]
) -> dict[str, Any]:
    """What made the outputs of one job, as JSON-ready values.

    Returns the rule's name, its params (config slice, code digest, decisive library
    versions, seed), the versions of everything recorded, and the sha256 of each input.
    """
    return {
        "rule": rule,
        "params": dict(params),
        "versions": {
            "python": platform.python_version(),
            **{lib: _version(lib) for lib in RECORDED_LIBRARIES},
        },
        "inputs": {str(path): file_digest(path) for path in inputs},
    }
