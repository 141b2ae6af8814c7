"""How far attention can move at the same output, beside what chance moves it."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    PALETTE,
    Order,
    category_axis,
    dodge,
    grid_of_panels,
    models,
    with_model,
)

SERIES = {
    "adversarial": "adversarial, any weights",
    "adversarial_same_support": "adversarial, support no larger",
    "other_seeds": "other seeds",
}


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Distribution over instances and seeds of the largest divergence found."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "jsd") & points["reference"].isin(SERIES)
    ].dropna(subset=["value"])
    rows = with_model(rows)
    model_names = models(rows, order)
    series = [s for s in SERIES if s in set(rows["reference"])]
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    figure, axes = grid_of_panels(len(model_names), len(order["datasets"]))
    for line, model in zip(axes, model_names, strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
            for i, reference in enumerate(series):
                values = part[part["reference"] == reference].groupby("normalizer")
                found = [n for n in names if n in values.groups]
                if found:
                    boxes = panel.boxplot(
                        [values.get_group(n)["value"] for n in found],
                        positions=[
                            names.index(n) + dodge(i, len(series)) for n in found
                        ],
                        widths=0.2,
                        patch_artist=True,
                        manage_ticks=False,
                        flierprops={"marker": ".", "markersize": 2, "alpha": 0.4},
                        medianprops={"color": "black"},
                    )
                    for box in boxes["boxes"]:
                        box.set(facecolor=PALETTE[i], hatch=["", "///", "..."][i])
            panel.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
            category_axis(panel, names)
            panel.set_title(f"{dataset}, {model}")
        line[0].set_ylabel("divergence (JSD, nats)")
    handles = [
        axes[0, 0].fill_between(
            [], [], facecolor=PALETTE[i], hatch=["", "///", "..."][i], label=SERIES[s]
        )
        for i, s in enumerate(series)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure, rows.drop(columns="model")
