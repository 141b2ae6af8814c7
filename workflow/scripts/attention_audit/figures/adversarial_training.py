"""How far models can be trained away from a run's attention, and at what cost."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import panels_by_normalizer
from attention_audit.figures.style import (
    MARKERS,
    PALETTE,
    Order,
    legend_below,
    measured,
)

SERIES = {
    "trained_jsd": "adversaries trained on JSD",
    "trained_kl": "adversaries trained on KL",
    "other_seeds": "other seeds",
    "uniform": "uniform weights",
}


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Divergence of attention against the distance of outputs, a point a lambda."""
    keys = ["dataset", "encoder", "scorer", "normalizer", "model", "reference"]
    attention, outputs = (
        measured(tables["explanation_summary"], measure)[[*keys, "mean", "low", "high"]]
        for measure in ("jsd", "tvd")
    )
    rows = attention.merge(outputs, on=keys, suffixes=("_jsd", "_tvd"))
    # trained_jsd_0.1 -> trained_jsd and 0.1
    parts = rows["reference"].str.extract(r"^(trained_\w+?)_([\d.e+-]+)$")
    rows = rows.assign(
        series=parts[0].fillna(rows["reference"]), weight=parts[1].astype(float)
    )
    # A run whose weights are frozen has no adversaries.
    rows = rows[rows["normalizer"].isin(rows[parts[0].notna()]["normalizer"])]
    figure, panels = panels_by_normalizer(
        rows,
        order,
        "distance of outputs (TVD)",
        "divergence of attention\n(JSD, nats)",
    )
    weights = sorted(rows["weight"].dropna().unique())
    sizes = dict(zip(weights, np.linspace(10, 60, len(weights)), strict=True))
    for panel, part in panels:
        for i, series in enumerate(SERIES):
            points = part[part["series"] == series].sort_values("weight")
            panel.plot(
                points["mean_tvd"],
                points["mean_jsd"],
                color=PALETTE[i],
                linewidth=1 if series.startswith("trained") else 0,
            )
            panel.scatter(
                points["mean_tvd"],
                points["mean_jsd"],
                s=points["weight"].map(sizes).fillna(30),
                marker=MARKERS[i],
                color=PALETTE[i],
                alpha=0.7,
            )
        panel.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
    # Drawn for the legend alone: a series, whatever its sizes, and a size.
    first = figure.axes[0]
    for i, (series, label) in enumerate(SERIES.items()):
        line = "-" if series.startswith("trained") else ""
        first.plot([], [], marker=MARKERS[i], ls=line, color=PALETTE[i], label=label)
    for weight, size in sizes.items():
        label = rf"$\lambda$ = {weight:g}"
        first.scatter([], [], s=size, color="grey", label=label)
    legend_below(figure, first, columns=len(SERIES) + len(sizes))
    return figure, rows
