"""Heads by layer and kind of attention: how far apart they are, and how sparse."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import (
    category_size,
    marks_key,
    points_by_normalizer,
)
from attention_audit.figures.style import (
    Order,
    model_looks,
    normalizers,
    with_model,
    without_zeros,
)

# Of attention, in their order.
KINDS = ("encoder", "decoder", "cross")
LABELS = {
    "divergence": "JS divergence\nbetween heads (nats)",
    "sparsity": "share of zero weights",
    "null": "share of queries\nwithout weight",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Diversity, sparsity and null rate of layers, means over instances and seeds."""
    summary = tables["head_summary"]
    rows = with_model(summary[summary["head"].isna()])
    rows = rows[rows["measure"].isin(LABELS)]
    # Heads under softmax have no weight of zero, and a single one none to differ from.
    rows, note = without_zeros(
        rows,
        "measure",
        {name: label.replace("\n", " ") for name, label in LABELS.items()},
    )
    # which kind of attention, where there are several
    kinds = rows["kind"] + " " if rows["kind"].nunique() > 1 else ""
    rows = rows.assign(part=kinds + "layer " + (rows["layer"] + 1).astype(str))
    ranks = rows["kind"].map({kind: i for i, kind in enumerate(KINDS)})
    parts = rows.assign(rank=ranks).sort_values(["rank", "layer"])["part"].unique()
    by_part = [model_looks(rows, order, n, len(parts)) for n in range(len(parts))]
    looks = {
        f"{model}, {part}": by_part[n][model]
        for model in model_looks(rows, order)
        for n, part in enumerate(parts)
        if part in set(rows[rows["model"] == model]["part"])
    }
    rows = rows.assign(model=rows["model"] + ", " + rows["part"])

    def fill(axes: Axes, measure: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["measure"] == measure)]
        points_by_normalizer(axes, part, order, looks)
        if measure == "divergence":
            axes.set_ylim(bottom=-0.02)
        else:
            axes.set_ylim(-0.03, 1.03)

    pages = panel_pages(
        [measure for measure in LABELS if measure in set(rows["measure"])],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        title_once=True,
        y_label=lambda line, _: LABELS[line],
        share_y="row",
        share_x=True,
        size=category_size(normalizers(rows, order), len(looks)),
        key=marks_key(rows),
        legend_columns=2,
        note=note,
    )
    return pages, rows
