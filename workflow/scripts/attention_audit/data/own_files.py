"""The user's own files that a data set is made from, as its source names them."""

from collections.abc import Mapping
from typing import Any

# Kinds of sources that name paths on the user's disk: a file a split, a folder a split, or
# several files a split, by what they hold.
OWN_KINDS = ("aligned_files", "folder", "idx", "local", "reaction_tables")


def own_files(source: Mapping[str, Any]) -> dict[str, str]:
    """The paths of a source by their keys, ``train`` or ``train.labels``; none of others."""
    if source["kind"] not in OWN_KINDS:
        return {}
    paths = {}
    for split, named in source["files"].items():
        if isinstance(named, str):
            paths[split] = named
        else:
            paths |= {f"{split}.{part}": path for part, path in named.items()}
    return paths


def with_paths(
    source: Mapping[str, Any], paths: Mapping[str, str]
) -> dict[str, str | dict[str, str]]:
    """Paths by the keys of `own_files`, as the source's ``files`` nests them."""
    nested: dict[str, Any] = {}
    for key, path in paths.items():
        split, _, part = key.partition(".")
        if part and source["kind"] in OWN_KINDS:
            nested.setdefault(split, {})[part] = path
        else:
            nested[key] = path
    return nested
