"""The page of pictures, of the files that `vision.KEPT` names; see `published_page`."""

from collections.abc import Sequence
from pathlib import Path

from attention_audit.figures.published_page import (
    Row,
    accuracies,
    by_cell,
    number,
    read,
    rendered,
    table,
)
from attention_audit.figures.vision import KEPT


def data_table(data: Sequence[Row]) -> str:
    """Sizes of the data sets, and of their pictures."""
    head = ["data set", "train", "dev", "test", "classes", "pixels", "channels"]
    return table(
        [*head, "a patch", "patches", "pixels marked"],
        (
            [
                row["dataset"],
                *(f"{row[f'n_{split}']:,}" for split in ("train", "dev", "test")),
                row["n_classes"],
                f"{row['n_height']} x {row['n_width']}",
                row["n_channels"],
                f"{row['n_patch']} x {row['n_patch']}",
                row["n_height"] // row["n_patch"] * (row["n_width"] // row["n_patch"]),
                "–" if row["marked"] is None else f"{row['marked']:.0%}",
            ]
            for row in data
        ),
    )


def cost_table(
    cells: Sequence[Row], scores: Sequence[Row], costs: Sequence[Row]
) -> str:
    """Accuracy on test beside what a decision costs, in the order of ``cells``."""
    accuracy = accuracies(scores)
    cost = by_cell(costs)
    ran = by_cell(cell for cell in cells if cell["seeds"])
    head = ["data set", "encoder", "normalizer", "accuracy", "lowest", "highest"]
    return table(
        [*head, "parameters", "multiply-adds", "pictures a second"],
        (
            [
                *(cell[axis] for axis in ("dataset", "encoder", "normalizer")),
                *(number(accuracy[key][c]) for c in ("mean", "lowest", "highest")),
                f"{cost[key]['n_parameters']:,}",
                f"{cost[key]['n_multiply_adds']:,}",
                f"{cost[key]['decisions_per_second']:,.0f}",
            ]
            for key, cell in ran.items()
        ),
    )


def offset_table(offsets: Sequence[Row]) -> str:
    """How far sampling points have moved, mean over points and pictures."""
    head = ["data set", "encoder", "normalizer", "merging", "tokens moved"]
    return table(
        [*head, "lowest seed", "highest"],
        (
            [
                *(row[axis] for axis in ("dataset", "encoder", "normalizer")),
                # counted as in the figure
                row["merging"] + 1,
                *(number(row[c]) for c in ("mean", "lowest", "highest")),
            ]
            for row in offsets
        ),
    )


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    files = read(folder)
    return rendered(
        template_path,
        files,
        KEPT.roles,
        tables=files.tables,
        data_table=data_table,
        cost_table=cost_table,
        offset_table=offset_table,
    )
