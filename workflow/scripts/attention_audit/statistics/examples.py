"""The texts in which attention agrees least, and most, with an importance.

They are chosen by the mean of Kendall's tau-b over the seeds of a cell, so that they say
something of the cell and not of one model, and shown as each of its models reads them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.in_step import check_run

# Texts at either end, of every cell and method.
EXTREMES = 3
# Words that weights mark, at most.
MARKED = 3

CELL = RUN_COLUMNS[:-1]


class Files(NamedTuple):
    """The tables of one run: paths, and those of importance by method."""

    measures: str | Path
    attention: str | Path
    importances: Mapping[str, str | Path]


def importances_by_run(
    paths: Sequence[str | Path], methods: Sequence[Sequence[str]]
) -> list[dict[str, str | Path]]:
    """Paths by method, a dictionary a run, of those that stand one run after the other.

    ``methods`` are those of each run.
    """
    left = iter(paths)
    return [
        dict(zip(of_run, islice(left, len(of_run)), strict=True)) for of_run in methods
    ]


def extremes(means: pd.Series, number: int) -> Iterator[tuple[str, int, str]]:
    """("worst" or "best", rank from 1, instance id) of means by instance id.

    Undefined means are left out, and ties go by id. Where there are fewer than twice
    ``number``, none stands at both ends.
    """
    worst = means.dropna().sort_index().sort_values(kind="stable")
    best = worst.sort_index().sort_values(kind="stable", ascending=False)
    best = best[~best.index.isin(worst.index[:number])]
    for extreme, ranked in (("worst", worst), ("best", best)):
        for rank, instance in enumerate(ranked.index[:number], 1):
            yield extreme, rank, instance


def marked(tokens: Sequence[str], weights: npt.NDArray) -> list[str]:
    """The tokens with the largest weights, at most `MARKED`, none without weight."""
    order = np.argsort(-weights, kind="stable")[:MARKED]
    return [tokens[i] for i in order if weights[i] > 0]


def _agreement(path: str | Path, run: Mapping[str, Any]) -> pd.DataFrame:
    """Kendall's tau-b of attention with each importance, a row an instance."""
    table = tables.read_table(path, "measures")
    check_run(table, run, path)
    rows = table.select(
        ["measure", "subject", "reference", "instance_id", "value"]
    ).to_pandas()
    chosen = (rows["measure"] == "kendall_tau_b") & (rows["subject"] == "attention")
    return rows.loc[chosen, ["reference", "instance_id", "value"]]


def rows_by_instance(
    path: str | Path,
    schema: str,
    run: Mapping[str, Any],
    columns: Sequence[str],
    wanted: set[str],
) -> dict[str, dict[str, Any]]:
    """Some columns of one run's table for the wanted instances."""
    found = {}
    for table in tables.iterate_table(
        path, schema, columns=[*RUN_COLUMNS, "instance_id", *columns]
    ):
        check_run(table, run, path)
        for row in table.select(["instance_id", *columns]).to_pylist():
            if row["instance_id"] in wanted:
                found[row["instance_id"]] = row
    return found


def _words(path: str | Path, wanted: set[str]) -> dict[str, tuple[list[str], int]]:
    """Tokens and label of the wanted examples of a split."""
    columns = ["instance_id", "tokens", "label"]
    return {
        row["instance_id"]: (row["tokens"], row["label"])
        for table in tables.iterate_table(path, "examples", columns=columns)
        for row in table.to_pylist()
        if row["instance_id"] in wanted
    }


def cell_rows(
    runs: Sequence[Mapping[str, Any]],
    files: Sequence[Files],
    examples: str | Path,
    card: str | Path,
) -> Iterator[dict[str, Any]]:
    """Rows of the table "agreement_examples" for the runs of one cell, by seed.

    ``examples`` is the split that was audited, ``card`` its data set's.
    """
    values = pd.concat(
        [
            _agreement(own.measures, run).assign(seed=run["seed"])
            for run, own in zip(runs, files, strict=True)
        ]
    ).set_index(["reference", "instance_id", "seed"])["value"]
    means = values.groupby(["reference", "instance_id"]).mean()
    chosen = [
        (method, *found)
        for method in sorted(means.index.unique("reference"))
        for found in extremes(means[method], EXTREMES)
    ]
    mean_of, value_of = means.to_dict(), values.to_dict()
    wanted = {instance for *_, instance in chosen}
    words = _words(examples, wanted)
    names = tables.read_json(card)["label_names"]
    for run, own in zip(runs, files, strict=True):
        attention = rows_by_instance(
            own.attention, "attention", run, ["predicted", "attention"], wanted
        )
        importance = {
            method: rows_by_instance(path, "importance", run, ["importance"], wanted)
            for method, path in own.importances.items()
        }
        for method, extreme, rank, instance in chosen:
            tokens, label = words[instance]
            weights = attention[instance]
            yield {
                **run,
                "reference": method,
                "extreme": extreme,
                "rank": rank,
                "mean": mean_of[method, instance],
                "value": value_of[method, instance, run["seed"]],
                "instance_id": instance,
                "tokens": tokens,
                "label": names[label],
                "predicted": names[weights["predicted"]],
                "attended": marked(tokens, np.array(weights["attention"])),
                "important": marked(
                    tokens, np.array(importance[method][instance]["importance"])
                ),
            }


def example_table(
    runs: Sequence[Mapping[str, Any]],
    files: Sequence[Files],
    examples: Mapping[str, str | Path],
    cards: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "agreement_examples" of all runs, cell by cell.

    ``examples`` and ``cards`` are by data set.
    """
    cells: dict[tuple, list[int]] = {}
    for i, run in enumerate(runs):
        cells.setdefault(tuple(run[column] for column in CELL), []).append(i)
    rows = [
        row
        for (dataset, *_), members in sorted(cells.items())
        for row in cell_rows(
            [runs[i] for i in members],
            [files[i] for i in members],
            examples[dataset],
            cards[dataset],
        )
    ]
    tables.write_rows(path, "agreement_examples", rows, provenance)
