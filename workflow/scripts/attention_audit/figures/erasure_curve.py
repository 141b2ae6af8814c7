"""Comprehensiveness and sufficiency as more and more inputs are taken."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from attention_audit.figures.erasure import erased, subjects_of
from attention_audit.figures.experiments import pages_by_normalizer
from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.style import Order, measured

# Measure -> how its lines are drawn.
MEASURES = {"comprehensiveness": "-", "sufficiency": "--"}
SUPPORT = {"color": "0.55", "linestyle": ":", "linewidth": 1.5}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Curves over the shares of inputs, and where attention has no more weights.

    Beyond the mean share of the support, attention ranks zeros in random order.
    """
    rows = erased(tables["explanation_summary"], MEASURES, order)
    labels, looks = subjects_of(order)
    # Under sparse attention those of hidden states rank as attention does.
    labels = {k: v for k, v in labels.items() if k not in order["hidden_methods"]}
    of_share = rows["reference"].str.startswith("share_", na=False)
    rows = rows[of_share & rows["subject"].isin(labels)]
    # share_0.05 -> 0.05
    share = rows["reference"].str.removeprefix("share_").astype(float)
    ends = measured(tables["summary"], "support_share", "attention")
    ends = ends[ends["normalizer"].isin(rows["normalizer"])]
    rows = pd.concat([rows.assign(share=share), ends], ignore_index=True)

    def fill(axes: Axes, part: pd.DataFrame) -> None:
        for end in part.loc[part["measure"] == "support_share", "mean"]:
            axes.axvline(end, **SUPPORT)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        for measure, line in MEASURES.items():
            for subject in labels:
                chosen = (part["measure"] == measure) & (part["subject"] == subject)
                points = part[chosen].sort_values("share")
                look = looks[subject] | {"linestyle": line, "capsize": 1.5}
                error_bars(axes, points["share"], points, **look, markersize=4)

    def key(axes: Axes) -> None:
        intervals_key(axes, rows)
        for subject, label in labels.items():
            axes.plot([], [], linestyle="", **looks[subject], label=label)
        for measure, line in MEASURES.items():
            axes.plot([], [], color="0.35", linestyle=line, label=measure)
        axes.plot([], [], **SUPPORT, label="support of attention, mean share")

    pages = pages_by_normalizer(
        rows,
        order,
        fill,
        x_label="inputs taken (share of the instance)",
        y_label="change of the output",
        key=key,
    )
    return pages, rows
