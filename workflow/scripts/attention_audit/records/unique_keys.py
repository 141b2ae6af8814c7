"""YAML and JSON files in which no key stands twice.

Both formats want the keys of a dictionary to be unique, and their usual parsers keep
the last of two equal ones and drop the other without a word: a second ``datasets:``
further down the file, and the first is gone.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from attention_audit.records.errors import AuditError

MAX_REPORTED = 5

_MERGE = "tag:yaml.org,2002:merge"

# That of libyaml takes a seventh of the time.
_FAST = getattr(yaml, "CFullLoader", yaml.FullLoader)


def read_yaml(path: str | Path) -> Any:
    """The contents of a YAML or JSON file.

    Raises an `AuditError` where a key stands twice in one dictionary, which names the
    file, the key and both lines of the first few such keys.
    """
    contents, faults = _read(path)
    _raise_any(faults)
    return contents


def check_files(paths: Iterable[str | Path]) -> None:
    """Raise what `read_yaml` would of any of the files."""
    _raise_any([fault for path in paths for fault in _read(path)[1]])


def _read(path: str | Path) -> tuple[Any, list[str]]:
    contents, repeated = _loaded(Path(path).read_text(encoding="utf-8"), path)
    return contents, [
        f"{path}: the key '{key}' stands on line {first} and again on line {second}, "
        "and only the last would count. Join the two, or rename one."
        for key, first, second in repeated
    ]


def check_arguments(arguments: Iterable[str]) -> None:
    """The same for dictionaries on the command line, as ``--config 'grid={...}'``."""
    faults = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if not (name.isidentifier() and value.lstrip().startswith("{")):
            continue
        faults += [
            f"--config {name}: the key '{key}' stands twice, and only the last would "
            "count. Join the two, or drop one."
            for key, *_ in _loaded(value, f"--config {name}")[1]
        ]
    _raise_any(faults)


def _raise_any(faults: list[str]) -> None:
    if faults:
        more = len(faults) - MAX_REPORTED
        rest = [f"and {more} more keys that stand twice"] if more > 0 else []
        raise AuditError("\n".join(faults[:MAX_REPORTED] + rest))


def _loaded(text: str, name: str | Path) -> tuple[Any, list[tuple[str, int, int]]]:
    """What a text holds, and the keys that stand twice, with their lines from 1."""
    try:
        # JSON is YAML but for its tabs, which stand between values alone.
        json.loads(text)
        text = text.replace("\t", " ")
    except ValueError:
        pass
    try:
        return _read_with(_FAST, text)
    except yaml.YAMLError:
        pass
    # This one shows the line that it refuses.
    try:
        return _read_with(yaml.FullLoader, text)
    except yaml.YAMLError as error:
        raise AuditError(f"{name}: cannot be read as YAML: {error}") from error


def _read_with(kind: type, text: str) -> tuple[Any, list[tuple[str, int, int]]]:
    # Keys are told apart as Snakemake tells them apart, which reads its files with a
    # `yaml.FullLoader`: "a" and a are one key, and so are 1, 1.0 and true.
    loader = kind(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, []
        repeated = list(_repeated(loader, root, "", set()))
        return loader.construct_document(root), repeated
    finally:
        loader.dispose()


def _repeated(
    loader: yaml.FullLoader, node: yaml.Node, path: str, seen: set[int]
) -> Iterator[tuple[str, int, int]]:
    """Dotted keys below a node that stand twice in one dictionary, with both lines."""
    # An anchor and its aliases are one node, which is looked at once.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _repeated(loader, child, f"{path}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[Any, int] = {}
        for key_node, child in node.value:
            # What a merge brings in is meant to be replaced by what stands beside it.
            if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                yield from _repeated(loader, child, path, seen)
                continue
            key, line = loader.construct_object(key_node), key_node.start_mark.line + 1
            name = f"{path}.{key_node.value}".removeprefix(".")
            if key in lines:
                yield name, lines[key], line
            lines[key] = line
            yield from _repeated(loader, child, name, seen)
