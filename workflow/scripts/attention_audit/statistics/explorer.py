"""Audited instances as every run reads them, for the report to be browsed.

An item is a row of an audited split: a text, a picture, a sentence pair, a recording. It
makes one decision or several. The items are those with the smallest ids, a random sample
that all runs of a data set share, and those whose influence was traced among them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.records.decision_ids import parts
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.controls import cut, cut_name
from attention_audit.statistics.in_step import check_run

# Weights of all runs at most, matrices of influence apart: a page has to carry them. Of
# these there are as many again as a quarter of that.
MOST_WEIGHTS = 1_600_000
MOST_INFLUENCE = MOST_WEIGHTS // 4
# What a list of weights brings along, an outcome and names, takes as much as so many weights:
# short texts are many.
BESIDE = 10

# What weighs inputs or hidden states, besides attention and the methods.
CUT, INFLUENCE = "cut", "influence"
ADVERSARIAL = "adversarial_{constraint}"


class Files(NamedTuple):
    """The tables of one run: paths, importances by method, None of what was not made.

    ``cut`` holds measures of the reference's attention, cut to the support of the run.
    """

    attention: str | Path
    importances: Mapping[str, str | Path]
    influence: str | Path
    measures: str | Path
    adversarial: str | Path | None = None
    flips: str | Path | None = None
    cut: str | Path | None = None


class Dataset(NamedTuple):
    """The files of one data set, the split being the audited one."""

    modality: str
    split: str | Path
    card: str | Path
    reading: str | Path


def _item(modality: str, instance_id: str) -> str:
    """The row of the split that makes a decision."""
    several = modality in ("translation", "reactions")
    return parts(instance_id)[0] if several else instance_id


def _rows(
    path: str | Path,
    schema: str,
    run: Mapping[str, Any] | None,
    column: str,
    wanted: pa.Array,
    columns: Sequence[str],
) -> Iterator[pa.Table]:
    """The rows of a table whose ``column`` is wanted, checked to be of the ``run``."""
    named = [column, *(name for name in columns if name != column)]
    of_run = [] if run is None else list(RUN_COLUMNS)
    for table in tables.iterate_table(path, schema, columns=[*of_run, *named]):
        if run is not None:
            check_run(table, run, path)
        yield table.select(named).filter(pc.is_in(table[column], wanted))


def _by_id(
    path: str | Path,
    schema: str,
    run: Mapping[str, Any],
    wanted: pa.Array,
    columns: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Rows by instance id, as dictionaries."""
    return {
        row["instance_id"]: row
        for table in _rows(path, schema, run, "instance_id", wanted, columns)
        for row in table.to_pylist()
    }


def chosen_items(
    lengths: Mapping[str, Sequence[tuple[str, int]]],
    weights: Mapping[str, int],
    instances: int,
    most: int = MOST_WEIGHTS,
) -> dict[str, list[str]]:
    """The items of each data set: at most ``instances``, and fewer where they are long.

    ``lengths`` are (item, inputs of all its decisions together) of what was audited, by
    data set; ``weights`` how many lists of these lengths there are of all its runs, each as
    large as `BESIDE` more weights. Each data set has an equal share of ``most``, and at least
    one item.
    """
    chosen = {}
    for dataset, found in lengths.items():
        cost = np.cumsum([(n + BESIDE) * weights[dataset] for _, n in sorted(found)])
        fitting = int(np.searchsorted(cost, most / len(lengths), side="right"))
        ids = [item for item, _ in sorted(found)]
        chosen[dataset] = ids[: max(1, min(fitting, instances))]
    return chosen


def audited_lengths(path: str | Path, modality: str) -> list[tuple[str, int]]:
    """(item, inputs of all its decisions together) of a run's table "attention"."""
    found: dict[str, int] = {}
    for table in tables.iterate_table(
        path, "attention", columns=["instance_id", "length"]
    ):
        for row in table.to_pylist():
            item = _item(modality, row["instance_id"])
            found[item] = found.get(item, 0) + row["length"]
    return list(found.items())


# What an item is, beside its id and its data set.
_NOTHING = dict.fromkeys(SCHEMAS["explorer_items"].names)


def _texts(split: str | Path, wanted: pa.Array, card: Mapping) -> Iterator[dict]:
    for table in _rows(split, "examples", None, "instance_id", wanted, ["tokens"]):
        for row in table.to_pylist():
            yield {"item": row["instance_id"], "units": row["tokens"]}


def _pictures(split: str | Path, wanted: pa.Array, card: Mapping) -> Iterator[dict]:
    side = card["reading"]["patch"]
    columns = ["height", "width", "channels", "pixels"]
    for table in _rows(split, "pictures", None, "instance_id", wanted, columns):
        for row in table.to_pylist():
            yield {
                "item": row.pop("instance_id"),
                "rows": row["height"] // side,
                "columns": row["width"] // side,
                **row,
            }


def _pairs(split: str | Path, wanted: pa.Array, card: Mapping) -> Iterator[dict]:
    columns = ["source_tokens", "target_tokens", "origin"]
    for table in _rows(split, "sentence_pairs", None, "instance_id", wanted, columns):
        for row in table.to_pylist():
            yield {
                "item": row["instance_id"],
                "name": row["origin"],
                "units": row["source_tokens"],
                "answers": row["target_tokens"],
            }


def _recordings(split: str | Path, wanted: pa.Array, card: Mapping) -> Iterator[dict]:
    for table in _rows(split, "recordings", None, "instance_id", wanted, ["recording"]):
        for row in table.to_pylist():
            yield {
                "item": row["instance_id"],
                "name": row["recording"],
                "answers": card["reactions"],
            }


# By modality; of another one items have no more than their ids.
_DESCRIBED: dict[str, Callable[..., Iterator[dict]]] = {
    "text": _texts,
    "images": _pictures,
    "translation": _pairs,
    "reactions": _recordings,
}


def item_rows(
    name: str, dataset: Dataset, items: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of the table "explorer_items" for one data set, in the order of ``items``."""
    described = _DESCRIBED.get(dataset.modality, lambda *_: iter(()))
    card = tables.read_json(dataset.card)
    found = {
        row["item"]: row
        for row in described(dataset.split, pa.array(items, pa.string()), card)
    }
    for item in items:
        about = {"dataset": name, "item": item, "modality": dataset.modality}
        yield _NOTHING | found.get(item, {}) | about


def class_names(dataset: Dataset) -> list[str]:
    """What the labels of a data set stand for, by number; none of scores."""
    if dataset.modality == "translation":
        sides = tables.read_table(dataset.reading, "pair_vocabulary")
        target = sides.filter(pc.equal(sides["side"], "target"))
        return target["tokens"].to_pylist()[0]
    return tables.read_json(dataset.card).get("label_names", [])


def _agreement(
    path: str | Path, run: Mapping[str, Any], wanted: pa.Array
) -> dict[tuple[str, str], float | None]:
    """Kendall's tau-b of attention with each method, by method and instance id."""
    columns = ["measure", "subject", "reference", "value"]
    found = {}
    for table in _rows(path, "measures", run, "instance_id", wanted, columns):
        own = pc.and_(
            pc.equal(table["measure"], "kendall_tau_b"),
            pc.equal(table["subject"], "attention"),
        )
        for row in table.filter(own).to_pylist():
            found[row["reference"], row["instance_id"]] = row["value"]
    return found


def _flips(
    path: str | Path, run: Mapping[str, Any], wanted: pa.Array
) -> dict[str, dict[str, Any]]:
    """When each decision flips as the largest weights are taken away, by instance id."""
    columns = ["order", "removed", "never"]
    return {
        row["instance_id"]: {"removed": row["removed"], "never": row["never"]}
        for table in _rows(path, "flips", run, "instance_id", wanted, columns)
        for row in table.filter(pc.equal(table["order"], "attention")).to_pylist()
    }


def _cut(weights: Sequence[float], support: int) -> npt.NDArray:
    one = np.array([weights])
    return cut(one, [support], np.ones(one.shape, dtype=bool))[0].astype(np.float32)


def run_rows(
    run: Mapping[str, Any],
    files: Files,
    modality: str,
    items: Sequence[str],
    names: Sequence[str],
    reference: tuple[Mapping[str, Any], str | Path] | None,
    traced: set[str],
) -> Iterator[dict[str, Any]]:
    """Rows of the table "explorer" for one run: a decision and what weighs its inputs.

    ``names`` are those of the classes, ``reference`` the run, with its table "attention",
    whose weights are cut to the support of this run, None where none is; ``traced`` are the
    items whose influence is shown.
    """
    shown = set(items)
    ids = pa.array(
        [
            i
            for table in tables.iterate_table(
                files.attention, "attention", columns=["instance_id"]
            )
            for i in table["instance_id"].to_pylist()
            if _item(modality, i) in shown
        ],
        pa.string(),
    )
    columns = [
        *("label", "predicted", "targets", "probabilities", "attention"),
        *("support", "cell", "gold", "times"),
    ]
    decisions = _by_id(files.attention, "attention", run, ids, columns)
    weights = {
        method: _by_id(path, "importance", run, ids, ["importance"])
        for method, path in files.importances.items()
    }
    agreement, of_cut = _agreement(files.measures, run, ids), {}
    if reference is not None and files.cut is not None:
        control = cut_name(reference[0]["normalizer"], run["normalizer"])
        of_cut = _agreement(files.cut, {**run, "normalizer": control}, ids)
    flips = {} if files.flips is None else _flips(files.flips, run, ids)
    uncut = {}
    if reference is not None:
        uncut = _by_id(reference[1], "attention", reference[0], ids, ["attention"])
    others: dict[str, list[dict[str, Any]]] = {}
    if files.adversarial is not None:
        columns = ["constraint", "found", "divergence", "attention"]
        for table in _rows(
            files.adversarial, "adversarial", run, "instance_id", ids, columns
        ):
            for row in table.to_pylist():
                others.setdefault(row["instance_id"], []).append(row)
    matrices = {}
    if traced:
        matrices = _by_id(files.influence, "influence", run, ids, ["matrix"])
    nothing = dict.fromkeys(SCHEMAS["explorer"].names) | dict(run)
    for instance, row in sorted(decisions.items()):
        item = _item(modality, instance)
        own = nothing | {"item": item, "instance_id": instance}
        of_classes = row["predicted"] is not None
        yield own | {
            "subject": "attention",
            "weights": row["attention"],
            "label": names[row["label"]] if of_classes else None,
            "predicted": names[row["predicted"]] if of_classes else None,
            "probability": row["probabilities"][row["predicted"]]
            if of_classes
            else None,
            "outputs": None if of_classes else row["probabilities"],
            **{k: row[k] for k in ("targets", "support", "cell", "gold", "times")},
            **flips.get(instance, {}),
        }
        for method, found in weights.items():
            yield own | {
                "subject": method,
                "weights": found[instance]["importance"],
                "agreement": agreement.get((method, instance)),
                "cut_agreement": of_cut.get((method, instance)),
            }
        if instance in uncut:
            left = _cut(uncut[instance]["attention"], row["support"])
            yield own | {"subject": CUT, "weights": left}
        for other in others.get(instance, []):
            if other["found"]:
                yield own | {
                    "subject": ADVERSARIAL.format(**other),
                    "weights": other["attention"],
                    "divergence": other["divergence"],
                }
        matrix = matrices.get(instance, {}).get("matrix")
        if matrix is not None and item in traced:
            yield own | {"subject": INFLUENCE, "weights": np.ravel(matrix)}


def explorer_tables(
    runs: Sequence[Mapping[str, Any]],
    files: Sequence[Files],
    datasets: Mapping[str, Dataset],
    references: Sequence[Mapping[str, Any] | None],
    instances: int,
    provenance: Mapping[str, Any],
    table: str | Path,
    items: str | Path,
) -> None:
    """Write the tables "explorer" and "explorer_items" of some runs.

    ``references`` are the runs whose weights are cut to the support of each, None where
    there is no such control; ``instances`` items of a data set at most.
    """
    of = {name: [] for name in datasets}
    for run, own in zip(runs, files, strict=True):
        of[run["dataset"]].append((run, own))
    lengths = {
        name: audited_lengths(of[name][0][1].attention, dataset.modality)
        for name, dataset in datasets.items()
    }
    # attention, the methods, the cut, and an adversary under either constraint
    lists = {
        name: len(own) * (4 + len(own[0][1].importances)) for name, own in of.items()
    }
    for name, dataset in datasets.items():
        if dataset.modality == "images":
            # packed, a pixel of three colours takes about what a weight does
            lists[name] += tables.read_json(dataset.card)["reading"]["patch"] ** 2
    chosen = chosen_items(lengths, lists, instances)
    traced, budget = {}, MOST_INFLUENCE
    for name, ids in chosen.items():
        seed = min(run["seed"] for run, _ in of[name])
        own = sum(run["seed"] == seed for run, _ in of[name])
        size, traced[name] = dict(lengths[name]), (seed, set())
        for item in ids:
            budget -= own * size[item] ** 2
            if budget >= 0:
                traced[name][1].add(item)
    attention = {
        tuple(run.values()): own.attention for run, own in zip(runs, files, strict=True)
    }
    tables.write_rows(
        items,
        "explorer_items",
        [
            row
            for name, dataset in datasets.items()
            for row in item_rows(name, dataset, chosen[name])
        ],
        provenance,
    )
    names = {name: class_names(dataset) for name, dataset in datasets.items()}
    with tables.open_table(table, "explorer", provenance) as writer:
        for run, own, reference in zip(runs, files, references, strict=True):
            name = run["dataset"]
            seed, with_influence = traced[name]
            rows = run_rows(
                run,
                own,
                datasets[name].modality,
                chosen[name],
                names[name],
                reference and (reference, attention[tuple(reference.values())]),
                with_influence if run["seed"] == seed else set(),
            )
            writer.write(pa.Table.from_pylist(list(rows), SCHEMAS["explorer"]))
