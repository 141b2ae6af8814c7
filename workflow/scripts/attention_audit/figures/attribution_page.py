"""The page of attribution methods, of the files that `attribution.KEPT` names; see
`published_page`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attention_audit.figures.attribution import KEPT
from attention_audit.figures.published_page import (
    Row,
    accuracies,
    by_cell,
    called,
    cell_table,
    ends,
    interval,
    listed,
    means_table,
    number,
    read,
    rendered,
    table,
)
from attention_audit.figures.randomized_importance import STAGES

ATTENTION = "attention"

# Pairs of methods that are shown from either end.
SHOWN = 10


def data_table(data: Sequence[Row]) -> str:
    """Sizes of the data sets, and how much of a text is read."""
    return table(
        ["data set", "train", "dev", "test", "classes", "words read at most"],
        (
            [
                row["dataset"],
                *(f"{row[f'n_{split}']:,}" for split in ("train", "dev", "test")),
                row["n_classes"],
                row["n_words"] or "all",
            ]
            for row in data
        ),
    )


def method_table(methods: Sequence[Row]) -> str:
    """The methods with their settings."""
    return table(
        ["method", "kind", "of", "settings"],
        (
            [f"`{m['method']}`", m["kind"], called(m["of"]), m["settings"] or "–"]
            for m in methods
        ),
    )


def _pairs(rows: Iterable[Row]) -> dict[tuple[str, ...], list[float]]:
    """Defined means by pair, its names in order, over the cells that have it."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        if row["mean"] is not None:
            pair = tuple(sorted((row["subject"], row["reference"])))
            found.setdefault(pair, []).append(row["mean"])
    return found


def pair_table(rows: Sequence[Row], of: Mapping[str, str], most: int) -> str:
    """The pairs of methods that agree most and least, means over cells, lowest and highest.

    ``of`` says of each method what its importance is of: pairs are of one kind.
    """
    pairs = {
        pair: values
        for pair, values in _pairs(rows).items()
        if ATTENTION not in pair and of[pair[0]] == of[pair[1]]
    }
    ranked = sorted(pairs, key=lambda pair: -sum(pairs[pair]) / len(pairs[pair]))
    shown = ranked if len(ranked) <= 2 * most else [*ranked[:most], *ranked[-most:]]
    return table(
        ["methods", "of", "tau-b", "lowest cell", "highest cell", "cells"],
        (
            [
                listed(f"`{name}`" for name in pair),
                called(of[pair[0]]),
                number(sum(pairs[pair]) / len(pairs[pair])),
                number(min(pairs[pair])),
                number(max(pairs[pair])),
                len(pairs[pair]),
            ]
            for pair in shown
        ),
    )


def _of_attention(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["subject"] == ATTENTION]


def attention_table(cells: Sequence[Row], rows: Sequence[Row]) -> str:
    """Tau-b of attention with each method, a row a method and a column a cell."""
    return _by_subject(cells, _of_attention(rows), "reference")


def agreement_table(cells: Sequence[Row], rows: Sequence[Row]) -> str:
    """The same of many cells and few methods, a row a cell."""
    return means_table(cells, _of_attention(rows), "reference")


def subject_table(cells: Sequence[Row], rows: Sequence[Row]) -> str:
    """Means of one measure, a row a subject and a column a cell."""
    return _by_subject(cells, rows, "subject")


def _by_subject(cells: Sequence[Row], rows: Sequence[Row], column: str) -> str:
    ran = by_cell(cell for cell in cells if cell["seeds"])
    names = sorted({row[column] for row in rows})
    found = {(row[column], *by_cell([row])): row for row in rows}
    heads = [f"{cell['encoder']}, {cell['normalizer']}" for cell in ran.values()]
    return table(
        ["", *heads],
        (
            [
                f"`{name}`" if name != ATTENTION else called(name),
                *(
                    interval(found[name, key], "mean") if (name, key) in found else "–"
                    for key in ran
                ),
            ]
            for name in names
        ),
    )


def survival_table(cells: Sequence[Row], rows: Sequence[Row]) -> str:
    """What is left of the agreement with the trained model when all of it is random."""
    *_, whole = STAGES
    return subject_table(cells, [row for row in rows if row["reference"] == whole])


def swap_table(
    cells: Sequence[Row], scores: Sequence[Row], summary: Sequence[Row]
) -> str:
    """Accuracy and sparsity of attention in each cell of the pretrained model."""
    accuracy = accuracies(scores)
    sparsity = by_cell(
        row
        for row in summary
        if row["measure"] == "sparsity" and row["subject"] == ATTENTION
    )
    return cell_table(
        cells,
        {
            "accuracy": {key: ends(row, 3) for key, row in accuracy.items()},
            "attention of exactly 0": {
                key: interval(row, "mean") for key, row in sparsity.items()
            },
        },
    )


def layer_table(cells: Sequence[Row], heads: Sequence[Row]) -> str:
    """Share of self-attention of exactly 0, a column a layer, where any is."""
    layers = sorted({row["layer"] for row in heads})
    sparse = set(by_cell(row for row in heads if row["mean"]))
    return cell_table(
        [cell for cell in cells if sparse & set(by_cell([cell]))],
        {
            f"layer {layer + 1}": {
                key: number(row["mean"])
                for key, row in by_cell(
                    row for row in heads if row["layer"] == layer
                ).items()
            }
            for layer in layers
        },
    )


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    files = read(folder)
    return rendered(
        template_path,
        files,
        KEPT.roles,
        tables=files.tables,
        of={row["method"]: row["of"] for row in files.tables["methods"]},
        shown=SHOWN,
        data_table=data_table,
        method_table=method_table,
        pair_table=pair_table,
        attention_table=attention_table,
        agreement_table=agreement_table,
        subject_table=subject_table,
        survival_table=survival_table,
        swap_table=swap_table,
        layer_table=layer_table,
    )
