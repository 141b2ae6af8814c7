"""How far models can be trained away from a run's attention, and at what cost."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    MARKERS,
    PALETTE,
    Order,
    grid_of_panels,
    legend_below,
    measured,
    models,
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
    columns = [(d, m) for d in order["datasets"] for m in models(rows, order)]
    names = [n for n in order["normalizers"] if n in set(rows["normalizer"])]
    figure, axes = grid_of_panels(len(names), len(columns), sharex=True)
    for line, normalizer in zip(axes, names, strict=True):
        for panel, (dataset, model) in zip(line, columns, strict=True):
            part = rows[
                (rows["dataset"] == dataset)
                & (rows["model"] == model)
                & (rows["normalizer"] == normalizer)
            ]
            for i, (series, label) in enumerate(SERIES.items()):
                points = part[part["series"] == series].sort_values("weight")
                panel.plot(
                    points["mean_tvd"],
                    points["mean_jsd"],
                    linestyle="-" if series.startswith("trained") else "",
                    marker=MARKERS[i],
                    color=PALETTE[i],
                    label=label,
                )
                for x, y, weight in (
                    points[["mean_tvd", "mean_jsd", "weight"]]
                    .dropna()
                    .itertuples(index=False)
                ):
                    panel.annotate(
                        f"{weight:g}",
                        (x, y),
                        xytext=(3, 3),
                        textcoords="offset points",
                        fontsize=5.5,
                    )
            panel.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
            panel.set_title(f"{normalizer}\n{dataset}, {model}")
        line[0].set_ylabel("divergence of attention\n(JSD, nats)")
    for panel in axes[-1]:
        panel.set_xlabel("distance of outputs (TVD)")
    legend_below(figure, axes[0, 0])
    return figure, rows
