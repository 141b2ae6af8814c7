"""Queries that attend to nothing, by the class of their words.

A query of the encoder is a source word. One of the decoder, or of its attention to the
source, is the step that predicts a target word, which has the class of the source word
that people are sure it is linked to, the first of several; `UNALIGNED` where it is linked
to none, and `END` where the step predicts the end. Sentence pairs without classes or
links are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention_audit.records import tables
from attention_audit.records.decision_ids import parts
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.distributions import Mask

UNALIGNED, END = "unaligned", "end"
ENCODER = "encoder"


def word_classes(path: str | Path) -> dict[str, tuple[list[str], list[str]]]:
    """The classes of the queries of a split's pairs: source words (S), steps (T + 1)."""
    columns = ["instance_id", "target_length", "sure", "source_classes"]
    found = {}
    for table in tables.iterate_table(path, "sentence_pairs", columns=columns):
        for row in table.to_pylist():
            if row["sure"] is None or row["source_classes"] is None:
                continue
            first: dict[int, int] = {}
            for link in row["sure"]:
                target, source = link["target"], link["source"]
                first[target] = min(source, first.get(target, source))
            steps = [
                row["source_classes"][first[t]] if t in first else UNALIGNED
                for t in range(row["target_length"])
            ]
            found[row["instance_id"]] = row["source_classes"], [*steps, END]
    return found


def write_null_queries(
    table: TableWriter,
    run: Mapping[str, Any],
    kind: str,
    layer: int,
    instance_ids: Sequence[str],
    nothing: Mask,
    classes: Mapping[str, tuple[list[str], list[str]]],
) -> None:
    """Count the queries of a layer that attend to nothing: ``nothing`` (R, nh, q).

    ``instance_ids`` (R,) are decisions of the sentence pairs, ``classes`` theirs.
    """
    rows: dict[str, list] = {
        name: [] for name in ("instance_id", "head", "word_class", "queries", "null")
    }
    for instance, of_pair in zip(instance_ids, nothing, strict=True):
        pair, _ = parts(instance)
        if pair not in classes:
            continue
        own = classes[pair][0 if kind == ENCODER else 1]
        names, places = np.unique(own, return_inverse=True)
        met = np.bincount(places)
        for head, of_head in enumerate(of_pair[:, : len(own)]):
            rows["instance_id"] += [pair] * len(names)
            rows["head"] += [head] * len(names)
            rows["word_class"] += names.tolist()
            rows["queries"] += met.tolist()
            rows["null"] += np.bincount(places, of_head).astype(int).tolist()
    if rows["head"]:
        table.write({**run, "kind": kind, "layer": layer, **rows})
