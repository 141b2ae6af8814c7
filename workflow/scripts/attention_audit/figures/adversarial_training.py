"""How far models can be trained away from a run's attention, and at what cost."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.experiments import pages_by_normalizer
from attention_audit.figures.style import Order, measured, series_style

SERIES = {
    "trained_jsd": "trained on JSD",
    "trained_kl_adversary_run": "trained on KL(adversary ‖ run)",
    "trained_kl_run_adversary": "trained on KL(run ‖ adversary)",
    "other_seeds": "other seeds",
    "uniform": "uniform weights",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Divergence of attention against the distance of outputs, a point a lambda."""
    keys = ["dataset", "encoder", "scorer", "normalizer", "model", "reference"]
    ends = ["mean", "low", "high"]
    attention, outputs = (
        measured(tables["explanation_summary"], measure) for measure in ("jsd", "tvd")
    )
    counts = [name for name in ("n_instances", "n_seeds") if name in attention]
    rows = attention[[*keys, *ends, *counts]].merge(
        outputs[[*keys, *ends]], on=keys, suffixes=("_jsd", "_tvd")
    )
    # trained_jsd_0.1 -> trained_jsd and 0.1
    parts = rows["reference"].str.extract(r"^(trained_\w+?)_([\d.e+-]+)$")
    rows = rows.assign(
        series=parts[0].fillna(rows["reference"]), weight=parts[1].astype(float)
    )
    # A run whose weights are frozen has no adversaries.
    rows = rows[rows["normalizer"].isin(rows[parts[0].notna()]["normalizer"])]
    weights = sorted(rows["weight"].dropna().unique())
    sizes = dict(zip(weights, np.linspace(10, 60, len(weights)), strict=True))

    def fill(axes: Axes, part: pd.DataFrame) -> None:
        for i, series in enumerate(SERIES):
            points = part[part["series"] == series].sort_values("weight")
            style = series_style(i)
            axes.plot(
                points["mean_tvd"],
                points["mean_jsd"],
                color=style["color"],
                linewidth=1 if series.startswith("trained") else 0,
            )
            # an interval without width may miss its mean by rounding
            up, across = (
                np.maximum(
                    [
                        points[f"mean_{name}"] - points[f"low_{name}"],
                        points[f"high_{name}"] - points[f"mean_{name}"],
                    ],
                    0,
                )
                for name in ("jsd", "tvd")
            )
            axes.errorbar(
                points["mean_tvd"],
                points["mean_jsd"],
                up,
                across,
                fmt="none",
                ecolor=style["color"],
                elinewidth=0.7,
            )
            axes.scatter(
                points["mean_tvd"],
                points["mean_jsd"],
                s=points["weight"].map(sizes).fillna(30),
                **style,
                alpha=0.7,
            )
        axes.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")

    def key(axes: Axes) -> None:
        # a series, whatever its sizes, and a size
        for i, (series, label) in enumerate(SERIES.items()):
            line = "-" if series.startswith("trained") else ""
            axes.plot([], [], ls=line, **series_style(i), label=label)
        for weight, size in sizes.items():
            axes.scatter(
                [], [], s=size, color="grey", label=f"λ = {weight:g} ({weight / 2:g})"
            )

    pages = pages_by_normalizer(
        rows,
        order,
        fill,
        x_label="distance of outputs (TVD)",
        y_label="divergence of attention\n(JSD, nats)",
        key=key,
        legend_columns=len(SERIES) + len(sizes),
    )
    return pages, rows
