"""Alignment error of every head of cross-attention, by layer and normalizer."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_axis, category_size
from attention_audit.figures.style import Order, models, normalizers, with_model

STEPS = {"predicts": "predicting step", "reads": "reading step"}
# What stands below the heads.
BELOW = {
    "attention": "last layer: attention",
    "mean_head": "mean of the others",
    "best_head": "the best of them on dev",
}
# Inches of a line of the matrix.
_LINE = 0.2
_COLOURS = "viridis"


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Error rates of links by argmax: a matrix of heads by normalizers a model and step."""
    summary = tables["alignment_summary"]
    errors = (summary["measure"] == "error_rate") & (summary["links"] == "argmax")
    # of means over heads that over all layers
    shown = (summary["subject"] == "head") | (
        summary["subject"].isin([*BELOW]) & summary["layer"].isna()
    )
    rows = with_model(summary[errors & shown])
    layers, heads = (
        (rows[name] + 1).fillna(0).astype(int).astype(str) for name in ("layer", "head")
    )
    called = "layer " + layers + ", head " + heads
    rows = rows.assign(part=rows["subject"].map(BELOW).fillna(called))
    of_heads = rows[rows["subject"] == "head"].sort_values(["layer", "head"])
    parts = [*of_heads["part"].unique(), *BELOW.values()]
    aligned = [name for name in order["datasets"] if name in set(rows["dataset"])]
    names = normalizers(rows, order)

    def fill(axes: Axes, line: tuple[str, str], dataset: str) -> None:
        model, step = line
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        part = part[part["step"] == step]
        present = [name for name in parts if name in set(part["part"])]
        means = part.pivot(index="part", columns="normalizer", values="mean")
        values = means.reindex(index=present, columns=names).to_numpy(dtype=float)
        axes.imshow(values, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            if not np.isnan(value):
                color = "white" if value < 0.5 else "black"
                text = f"{value:.2f}".lstrip("0")
                axes.text(x, y, text, ha="center", va="center", size=6, color=color)
        category_axis(axes, names)
        axes.set_yticks(range(len(present)), present)
        axes.grid(False)

    width, height = category_size(names, 4)
    pages = panel_pages(
        [(model, step) for model in models(rows, order) for step in STEPS],
        aligned,
        fill,
        title=lambda line, dataset: f"{dataset}, {line[0]}\n{STEPS[line[1]]}",
        y_label=lambda *_: "",
        share_y=False,
        size=(width + 1.2, max(height, 0.9 + _LINE * len(parts))),
    )
    return pages, rows
