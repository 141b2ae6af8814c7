"""What made a file: config slice, code, seed, library versions and inputs.

Two uses of one idea. Before a job, `code_digest` and `library_versions` go into its
rule's params, so that Snakemake reruns it when code or libraries that can change its
output change, and not when a comment does. After it, `record` goes into the metadata
of every table, so that a reader can follow a figure back to the raw archive.
"""

import functools
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from attention_audit.records.definitions import PACKAGE, Code
from attention_audit.records.experiments import in_default
from attention_audit.records.schemas import SCHEMAS

SCRIPTS = Path(__file__).resolve().parents[2]

# Libraries whose version can change a number or a picture. A job depends on those
# that its code imports; the versions of the others are recorded only.
DECISIVE_LIBRARIES = (
    "matplotlib",
    "numpy",
    "regex",
    "sacrebleu",
    "scipy",
    "seaborn",
    "sentencepiece",
    "statsmodels",
    "torch",
)
RECORDED_LIBRARIES = (
    *DECISIVE_LIBRARIES,
    "datasets",
    # of which whole numbers are asked alone
    "numba",
    "pandas",
    "pyarrow",
    "safetensors",
    "snakemake",
)


def _digest(value: Any) -> str:
    """sha256 of a JSON-ready value, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@functools.cache
def code_of(scripts: Path) -> Code:
    """The code in a folder of scripts, read once."""
    return Code(scripts)


def _in_package(chosen: Iterable[str]) -> list[str]:
    return [f"{PACKAGE}.{choice}" for choice in chosen]


def digest_of(code: Code, script: str, *chosen: str) -> str:
    """`code_digest` in any folder of scripts."""
    reached = sorted(code.reached(script, _in_package(chosen)))
    named = set().union(*(code.strings(node) for node in reached))
    return _digest(
        {
            "code": [[*node, code.content(node)] for node in reached],
            "schemas": {
                name: [[f.name, str(f.type), f.nullable] for f in SCHEMAS[name]]
                for name in named & set(SCHEMAS)
            },
        }
    )[:16]


@functools.cache
def code_digest(script: str, *chosen: str) -> str:
    """Digest of the definitions that a script reaches; see `definitions`.

    ``chosen`` are definitions of the package that the script picks at run time, for
    example ``"attribution.gradients:gradient_importance"``. Comments, docstrings, layout
    and the words of errors and logs do not count. Of the table schemas, those count that
    this code names in a string, so that changing one reruns the jobs that read or write
    it.
    """
    return digest_of(code_of(SCRIPTS), script, *chosen)


@functools.cache
def _version(library: str) -> str:
    return metadata.version(library)


@functools.cache
def library_versions(script: str, *chosen: str) -> dict[str, str]:
    """Versions of the decisive libraries that a script's code imports."""
    code = code_of(SCRIPTS)
    reached = code.reached(script, _in_package(chosen))
    imported = set().union(*(code.libraries(node) for node in reached))
    return {lib: _version(lib) for lib in DECISIVE_LIBRARIES if lib in imported}


def file_digest(path: str | Path) -> str:
    """sha256 of a file's bytes, in hex; of a folder, of what is in it and how it is called."""
    path = Path(path)
    if path.is_dir():
        held = hashlib.sha256()
        for file in sorted(found for found in path.rglob("*") if found.is_file()):
            name = file.relative_to(path).as_posix()
            held.update(f"{file_digest(file)} {name!r}\n".encode())
        return held.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(
    rule: str, params: Mapping[str, Any], inputs: Iterable[str | Path]
) -> dict[str, Any]:
    """What made the outputs of one job, as JSON-ready values.

    Returns the rule's name, its params (config slice, code digest, decisive library
    versions, seed), the versions of everything recorded, and the sha256 of each input.
    Paths of results stand in it as the default experiment would have them.
    """
    return {
        "rule": rule,
        "params": {
            key: in_default(value) if isinstance(value, str) else value
            for key, value in params.items()
        },
        "versions": {
            "python": platform.python_version(),
            **{lib: _version(lib) for lib in RECORDED_LIBRARIES},
        },
        "inputs": {in_default(path): file_digest(path) for path in inputs},
    }
