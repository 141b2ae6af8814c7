"""Whether importance survives when a model's parameters are drawn anew."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.erasure import subjects_of
from attention_audit.figures.experiments import pages_by_normalizer
from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.panels import category_axis, category_size, dodge
from attention_audit.figures.style import Order, measured

# Down to where parameters are random, from the output.
STAGES = {
    "randomized_output": "output",
    "randomized_pooling": "pooling",
    "randomized_encoder": "encoder",
    "randomized_whole": "whole model",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Agreement with the trained model's, a position a stage and a line a method."""
    rows = measured(tables["explanation_summary"], "kendall_tau_b")
    rows = rows[rows["reference"].isin(STAGES)]
    labels, looks = subjects_of(order)
    del labels["random"]

    def fill(axes: Axes, part: pd.DataFrame) -> None:
        axes.axhline(0, color="black", linewidth=0.6)
        for i, subject in enumerate(labels):
            points = part[part["subject"] == subject].set_index("reference")
            hidden = subject in order["hidden_methods"]
            error_bars(
                axes,
                np.arange(len(STAGES)) + dodge(i, len(labels), 0.3),
                points.reindex(list(STAGES)),
                **looks[subject],
                linestyle="--" if hidden else "-",
                capsize=1.5,
                markersize=4,
            )
        category_axis(axes, list(STAGES.values()))
        # Few seeds give intervals beyond what tau-b can be, and would hide the means.
        axes.set_ylim(-1.05, 1.05)

    def key(axes: Axes) -> None:
        intervals_key(axes, rows)
        for subject, label in labels.items():
            hidden = subject in order["hidden_methods"]
            line = "--" if hidden else "-"
            axes.plot([], [], **looks[subject], linestyle=line, label=label)

    pages = pages_by_normalizer(
        rows,
        order,
        fill,
        x_label="random from the output down to",
        y_label="Kendall's tau-b\nwith the trained model's",
        size=category_size(list(STAGES.values()), len(labels)),
        key=key,
    )
    return pages, rows
