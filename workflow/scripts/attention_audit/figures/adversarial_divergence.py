"""How far attention can move at the same output, beside what chance moves it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_axis, category_size, dodge
from attention_audit.figures.style import (
    PALETTE,
    Order,
    models,
    normalizers,
    with_model,
)

# reference -> what it is called, and the colour and hatch of its boxes
SERIES = {
    "adversarial": ("adversarial, any weights", PALETTE[0], ""),
    "adversarial_same_support": ("adversarial, support no larger", PALETTE[1], "///"),
    "other_seeds": ("other seeds", PALETTE[2], "..."),
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Distribution over instances and seeds of the largest divergence found."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "jsd") & points["reference"].isin(SERIES)
    ].dropna(subset=["value"])
    rows = with_model(rows)
    shown = [name for name in SERIES if name in set(rows["reference"])]
    names = normalizers(rows, order)

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        for i, reference in enumerate(shown):
            values = part[part["reference"] == reference].groupby("normalizer")
            found = [name for name in names if name in values.groups]
            if not found:
                continue
            boxes = axes.boxplot(
                [values.get_group(name)["value"] for name in found],
                positions=[names.index(name) + dodge(i, len(shown)) for name in found],
                widths=0.2,
                patch_artist=True,
                manage_ticks=False,
                flierprops={"marker": ".", "markersize": 2, "alpha": 0.4},
                medianprops={"color": "black"},
            )
            _, color, hatch = SERIES[reference]
            for box in boxes["boxes"]:
                box.set(facecolor=color, hatch=hatch)
        axes.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
        category_axis(axes, names)

    def key(axes: Axes) -> None:
        for label, color, hatch in (SERIES[name] for name in shown):
            axes.fill_between([], [], facecolor=color, hatch=hatch, label=label)

    pages = panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        y_label=lambda *_: "divergence (JSD, nats)",
        size=category_size(names, len(shown)),
        key=key,
        legend_columns=3,
    )
    return pages, rows.drop(columns="model")
