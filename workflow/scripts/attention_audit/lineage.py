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

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
from rich.text import Text
from rich.tree import Tree

from attention_audit.errors import AuditError
from attention_audit.provenance import file_digest
from attention_audit.tables import METADATA_KEY

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


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a result's file; None where it has none, or is damaged.

    A table and a model carry theirs in their metadata, a JSON file under the key
    "provenance", and a picture in the table of its numbers, beside it.
    """
    if path.suffix in (".png", ".pdf"):
        path = path.with_suffix(".parquet")
    try:
        if path.suffix == ".parquet":
            found = (pq.read_schema(path).metadata or {})[METADATA_KEY]
        elif path.suffix == ".safetensors":
            with safetensors.safe_open(path, "numpy") as file:
                found = (file.metadata() or {})[METADATA_KEY.decode()]
        elif path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))["provenance"]
        else:
            return None
        return json.loads(found)
    # A file of the user's may look like anything; what it says then is nothing.
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        pa.ArrowException,
        safetensors.SafetensorError,
    ):
        return None


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
        for source, digest in (records[path] or {}).get("inputs", {}).items():
            if source not in recorded:
                recorded[source] = set()
                pending.append(source)
            recorded[source].add(digest)
    return {
        path: _file(path, folder, digests, records[path])
        for path, digests in recorded.items()
    }


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
    for source in (file.record or {}).get("inputs", {}):
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
