"""Queries that attend to nothing: by layer and kind of attention, and by class of words."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.head_diversity import KINDS
from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_axis, category_size, dodge
from attention_audit.figures.style import (
    Order,
    models,
    normalizer_style,
    normalizers,
    with_model,
)

BY_LAYER, BY_CLASS = "layer", "class"


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Shares with intervals: by layer, and of all layers by class of words.

    A row of panels a model and kind of attention, a column a data set and which of both, a
    series a normalizer that leaves some query without weight.
    """
    summary = with_model(tables["null_summary"])
    whole = summary["layer"].isna() & summary["word_class"].isna()
    names = normalizers(summary[whole & (summary["mean"] > 0)], order)
    by_layer = summary["layer"].notna() & summary["word_class"].isna()
    by_class = summary["layer"].isna() & summary["word_class"].notna()
    rows = summary[(by_layer | by_class) & summary["normalizer"].isin(names)]
    looks = {name: normalizer_style(name, order) for name in names}
    none = [name for name in normalizers(summary, order) if name not in names]
    # the layers, and the classes from the most frequent one
    layers = sorted(rows["layer"].dropna().unique())
    classes = rows.groupby("word_class")["n_queries"].max()
    frequent = classes.sort_index().sort_values(ascending=False, kind="stable").index
    places = {BY_LAYER: layers, BY_CLASS: [*frequent]}
    words = {BY_LAYER: [f"layer {n + 1:.0f}" for n in layers], BY_CLASS: [*frequent]}
    columns = {BY_LAYER: "layer", BY_CLASS: "word_class"}
    # not all kinds of attention are in all models
    attended = [
        (model, kind)
        for model in models(rows, order)
        for kind in KINDS
        if ((rows["model"] == model) & (rows["kind"] == kind)).any()
    ]
    aligned = [name for name in order["datasets"] if name in set(rows["dataset"])]
    # an interval of a rare class may be far wider than all shares
    top = 1.5 * rows["mean"].max()

    def fill(axes: Axes, line: tuple[str, str], column: tuple[str, str]) -> None:
        (model, kind), (dataset, by) = line, column
        part = rows[(rows["dataset"] == dataset) & (rows["kind"] == kind)]
        part = part[(part["model"] == model) & part[columns[by]].notna()]
        for i, (name, look) in enumerate(looks.items()):
            own = part[part["normalizer"] == name].set_index(columns[by])
            error_bars(
                axes,
                np.arange(len(places[by])) + dodge(i, len(looks)),
                own.reindex(places[by]),
                linestyle="none",
                **look,
                label=name,
                capsize=1.5,
                markersize=4,
            )
        category_axis(axes, words[by])
        axes.set_ylim(-0.05 * top, top)

    pages = panel_pages(
        attended,
        [(dataset, by) for dataset in aligned for by in places],
        fill,
        title=lambda line, column: f"{column[0]}, {line[0]}: {line[1]}",
        y_label=lambda *_: "share of queries\nwithout weight",
        size=category_size(words[BY_CLASS], len(looks)),
        key=lambda axes: intervals_key(axes, rows),
        note=f"without such queries, and left out: {', '.join(none)}" if none else "",
    )
    return pages, rows
