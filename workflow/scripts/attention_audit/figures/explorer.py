"""What a page needs to browse the tables "explorer" and "explorer_items".

There is an index, which is read at once: data sets, items, runs, and what lists of items
are searched and filtered by. And there is a block an item, packed, which is read when the
item is looked at.
"""

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from attention_audit.records.schemas import RUN_COLUMNS

# Significant digits of a number on the page.
DIGITS = 4
# Of the table "explorer", what all runs have in common in a decision.
_OF_DECISION = ("label", "targets", "gold", "times")
# And what is a run's own, beside its weights.
_OF_RUN = ("predicted", "probability", "outputs", "support", "removed", "never")


def rounded(values: Iterable[float] | None) -> list[float] | None:
    """Numbers with as many significant digits as a page has; whole where they are."""
    if values is None:
        return None
    short = (float(f"{v:.{DIGITS}g}") for v in values)
    return [int(v) if v.is_integer() else v for v in short]


def embedded(value: Any) -> str:
    """A value as JSON that can stand in a script element of any page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # no tag or comment can begin in it, and nothing else of it means anything to HTML
    return text.replace("<", "\\u003c")


def packed(value: Any) -> str:
    """A value as JSON, deflated, in base64: letters that mean nothing to HTML."""
    return base64.b64encode(zlib.compress(embedded(value).encode(), 9)).decode("ascii")


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is defined, None where nothing is."""
    found = [v for v in values if v is not None]
    return round(float(np.mean(found)), DIGITS) if found else None


def _item(row: Mapping[str, Any], decisions: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What a block holds of an item but for its runs; ``decisions`` are of any one run."""
    block = {name: row[name] for name in ("units", "answers")}
    if row["pixels"] is not None:
        shape = ("rows", "columns", "height", "width", "channels")
        pixels = base64.b64encode(bytes(row["pixels"])).decode("ascii")
        block["picture"] = {name: row[name] for name in shape} | {"pixels": pixels}
    block["ids"] = [d["instance_id"] for d in decisions]
    for name in _OF_DECISION:
        block[name] = [d[name] for d in decisions]
    for name in ("targets", "times"):
        block[name] = list(map(rounded, block[name]))
    return block


def _of_run(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What a block holds of one run and decision, of its rows."""
    of_subjects = ("agreement", "cut_agreement", "divergence")
    found: dict[str, Any] = {name: {} for name in ("weights", *of_subjects)}
    for row in rows:
        found["weights"][row["subject"]] = rounded(row["weights"])
        for name in of_subjects:
            if row[name] is not None:
                found[name][row["subject"]] = rounded([row[name]])[0]
        if row["subject"] == "attention":
            found |= {name: row[name] for name in _OF_RUN}
            found["outputs"] = rounded(row["outputs"])
            if row["probability"] is not None:
                (found["probability"],) = rounded([row["probability"]])
    return found


def _outcome(found: Mapping[str, Any], label: str | None) -> bool | None:
    return None if found["predicted"] is None else found["predicted"] == label


def explorer_data(
    explorer: pa.Table, items: pa.Table, order: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The index, and the packed blocks, item by item in the order of the index.

    ``order`` holds the names on every axis of the grid in the order of the config.
    """
    by_item: dict[tuple, dict[tuple, dict[str, list]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    cells: dict[tuple, Any] = {}
    for batch in explorer.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            run = tuple(row[name] for name in RUN_COLUMNS)
            own = by_item[row["dataset"], row["item"]][run]
            own[row["instance_id"]].append(row)
            if row["subject"] == "attention":
                cells[run] = row["cell"]
    axes = ("dataset", "encoder", "scorer", "normalizer")
    rank = {axis: {n: i for i, n in enumerate(order[f"{axis}s"])} for axis in axes}
    runs = sorted(
        cells,
        key=lambda run: (
            *(rank[a][n] for a, n in zip(axes, run, strict=False)),
            run[-1],
        ),
    )
    methods = list(order["methods"])
    described = [
        dict(zip(RUN_COLUMNS, run, strict=True))
        | {"cell": cells[run], "agreement": {m: [] for m in methods}, "right": []}
        for run in runs
    ]
    datasets: dict[str, dict[str, Any]] = {
        name: {"name": name, "items": []} for name in order["datasets"]
    }
    blocks = []
    rows = items.to_pylist()
    rows.sort(key=lambda row: rank["dataset"][row["dataset"]])
    for row in rows:
        found = by_item.pop((row["dataset"], row["item"]))
        first = next(iter(found.values()))
        decisions = [
            d for i in sorted(first) for d in first[i] if d["subject"] == "attention"
        ]
        block = _item(row, decisions) | {"runs": {}}
        for number, run in enumerate(runs):
            if run not in found:
                continue
            own = [_of_run(found[run][i]) for i in block["ids"]]
            block["runs"][number] = own
            for method in methods:
                values = (one["agreement"].get(method) for one in own)
                described[number]["agreement"][method].append(_mean(values))
            right = map(_outcome, own, block["label"])
            described[number]["right"].append(_mean(right))
        blocks.append(packed(block))
        about = datasets[row["dataset"]]
        about["modality"] = row["modality"]
        words = [row["name"], *(row["units"] or []), *(row["answers"] or [])]
        about["items"].append(
            {
                "id": row["item"],
                "text": " ".join(word for word in words if word),
                "label": block["label"][0] if len(decisions) == 1 else None,
                "decisions": len(decisions),
                "influence": any(
                    "influence" in one["weights"]
                    for own in block["runs"].values()
                    for one in own
                ),
            }
        )
    found = [about for about in datasets.values() if about["items"]]
    return {"methods": methods, "runs": described, "datasets": found}, blocks
