"""Pictures of each data set, with what every model attends to and finds important."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention_audit.records import tables
from attention_audit.statistics.cells import by_input
from attention_audit.statistics.examples import rows_by_instance

# Pictures of a data set: those with the smallest ids, which is a random sample.
SHOWN = 4


class Files(NamedTuple):
    """The tables of one run: paths, and those of importance by method."""

    attention: str | Path
    importances: Mapping[str, str | Path]


def _first(path: str | Path, wanted: set[str] | None, columns: Sequence[str]) -> dict:
    """Rows of a table "pictures" by id: the wanted ones, or those with the smallest ids."""
    found: dict[str, dict[str, Any]] = {}
    for table in tables.iterate_table(path, "pictures", columns=columns):
        for row in table.to_pylist():
            if wanted is None or row["instance_id"] in wanted:
                found[row["instance_id"]] = row
        if wanted is None:
            found = dict(sorted(found.items())[:SHOWN])
    return found


def example_rows(
    run: Mapping[str, Any],
    files: Files,
    pictures: Mapping[str, Mapping[str, Any]],
    card: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Rows of the table "picture_examples" for one run.

    ``pictures`` are rows of the table "pictures" by id. Weights of hidden states are spread
    evenly over the patches of their cells.
    """
    side, names = card["reading"]["patch"], card["label_names"]
    columns = ["predicted", "attention", "cell", "gold"]
    attended = rows_by_instance(files.attention, "attention", run, columns, {*pictures})
    importances = {
        method: rows_by_instance(path, "importance", run, ["importance"], {*pictures})
        for method, path in files.importances.items()
    }
    for instance, picture in pictures.items():
        of_attention = attended[instance]
        cell = of_attention["cell"] and np.array(of_attention["cell"])
        grid = picture["height"] // side, picture["width"] // side
        n = grid[0] * grid[1]
        weights = {
            "attention": of_attention["attention"],
            **{m: found[instance]["importance"] for m, found in importances.items()},
        }
        for subject, values in weights.items():
            over_inputs = np.array(values)
            if len(over_inputs) != n:
                over_inputs = by_input(over_inputs, cell)
            yield {
                **run,
                "instance_id": instance,
                "label": names[picture["label"]],
                "predicted": names[of_attention["predicted"]],
                "subject": subject,
                "rows": grid[0],
                "columns": grid[1],
                "weights": over_inputs,
                "gold": of_attention["gold"],
                **{k: picture[k] for k in ("height", "width", "channels", "pixels")},
            }


def picture_example_table(
    runs: Sequence[Mapping[str, Any]],
    files: Sequence[Files],
    examples: Mapping[str, str | Path],
    cards: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "picture_examples"; ``examples`` and ``cards`` are by data set."""
    columns = ["instance_id", "label", "height", "width", "channels", "pixels"]
    shown = {}
    for dataset, split in examples.items():
        chosen = {*_first(split, None, ["instance_id"])}
        shown[dataset] = _first(split, chosen, columns)
    described = {dataset: tables.read_json(card) for dataset, card in cards.items()}
    rows = [
        row
        for run, own in zip(runs, files, strict=True)
        for row in example_rows(
            run, own, shown[run["dataset"]], described[run["dataset"]]
        )
    ]
    tables.write_rows(path, "picture_examples", rows, provenance)
