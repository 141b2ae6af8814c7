"""What a result was made from, file by file, back to the raw archives.

Every result carries a record of what made it, with the sha256 of each of its inputs.
Following these from file to file gives the whole chain, and comparing them with the
files on disk says whether it still holds.

No job imports this module, so that it can change without rerunning any.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import DEFAULT, in_experiment, split
from attention_audit.records.metadata import read_record
from attention_audit.records.provenance import file_digest

# What a file can be, compared with what the record of its user says.
INTACT, CHANGED, MISSING, TARGET = "as recorded", "changed since", "missing", "target"


@dataclass(frozen=True)
class File:
    """One file of a chain.

    ``sha256`` is that of the bytes on disk (None where there is no file), ``recorded``
    those that its users recorded when they read it, and ``record`` what made it, as
    `provenance.record` has it (None for a source, which no job made, and for a file
    whose record cannot be read).
    """

    path: str
    state: str
    sha256: str | None
    recorded: tuple[str, ...]
    record: Mapping[str, Any] | None


def trace(target: str | Path, folder: str | Path = ".") -> dict[str, File]:
    """The files that ``target`` was made from, itself first, each once, by path.

    Paths in records are relative to ``folder``, where Snakemake ran. A file that
    several others were made from is intact only if it still is what all of them read.
    Raises `AuditError` where the target is not there or carries no record.
    """
    folder = Path(folder)
    target = str(target)
    if not (folder / target).is_file():
        raise AuditError(f"{target}: no such file. Name a result, as in results/.")
    if read_record(folder / target) is None:
        raise AuditError(
            f"{target}: carries no record of what made it. Name a table, a figure, a "
            "model, or the JSON file of a result."
        )
    records: dict[str, dict[str, Any] | None] = {}
    recorded: dict[str, set[str]] = {target: set()}
    pending = [target]
    while pending:
        path = pending.pop(0)
        records[path] = read_record(folder / path)
        for source, digest in inputs_of(path, records[path]).items():
            if source not in recorded:
                recorded[source] = set()
                pending.append(source)
            recorded[source].add(digest)
    return {
        path: _file(path, folder, digests, records[path])
        for path, digests in recorded.items()
    }


def inputs_of(path: str, record: Mapping[str, Any] | None) -> dict[str, str]:
    """The sha256 of what a result was made from, by path, in the order of its record."""
    experiment, _ = split(path) or (DEFAULT, None)
    inputs = (record or {}).get("inputs", {})
    return {in_experiment(source, experiment): inputs[source] for source in inputs}


def _file(
    path: str, folder: Path, recorded: set[str], record: Mapping[str, Any] | None
) -> File:
    on_disk = file_digest(folder / path) if (folder / path).is_file() else None
    if on_disk is None:
        state = MISSING
    elif not recorded:
        state = TARGET
    else:
        state = INTACT if recorded == {on_disk} else CHANGED
    return File(path, state, on_disk, tuple(sorted(recorded)), record)


def broken(files: Mapping[str, File]) -> Iterator[File]:
    """The files that no longer are what the results were made from."""
    return (file for file in files.values() if file.state in (CHANGED, MISSING))


def as_json(files: Mapping[str, File]) -> str:
    """All that `trace` found, in its order."""
    return json.dumps({path: asdict(file) for path, file in files.items()}, indent=2)


def as_tree(files: Mapping[str, File]) -> Tree:
    """The chain as a tree, inputs below what was made from them.

    What was already shown with all below it is only named again.
    """
    target = next(iter(files))
    tree = Tree(_label(files[target]))
    shown: set[str] = set()
    _grow(tree, files[target], files, shown)
    return tree


def _grow(tree: Tree, file: File, files: Mapping[str, File], shown: set[str]) -> None:
    shown.add(file.path)
    for source in inputs_of(file.path, file.record):
        if source in shown and (files[source].record or {}).get("inputs"):
            tree.add(Text(f"{source} (above)", style="dim"))
        else:
            _grow(tree.add(_label(files[source])), files[source], files, shown)


_STYLES = {INTACT: "green", CHANGED: "bold red", MISSING: "bold red", TARGET: "bold"}


def _label(file: File) -> Text:
    text = Text.assemble(
        (file.path, "bold"),
        "  ",
        (file.state, _STYLES[file.state]),
        f"\nsha256 {file.sha256 or ', '.join(file.recorded)}",
    )
    if file.state == CHANGED:
        text.append(f"\nrecorded {', '.join(file.recorded)}")
    if file.record is None:
        return text
    params = file.record.get("params", {})
    text.append(f"\nrule {file.record.get('rule')}, code {params.get('code')}")
    libraries = params.get("libraries", {})
    if libraries:
        versions = (f"{name} {version}" for name, version in libraries.items())
        text.append(f", {', '.join(versions)}")
    return text
