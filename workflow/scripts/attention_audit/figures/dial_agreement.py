"""Agreement of attention with inputs along the dial, beside what zeros alone do."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.dial import (
    GREY,
    dial_axis,
    dial_key,
    lines_of,
    on_dial,
    pages_of_lines,
    panel_of,
    placed,
    points_on_dial,
)
from attention_audit.figures.style import Order, measured
from attention_audit.statistics.controls import cut_name

CUT = {"marker": "_", "markersize": 7, "linestyle": ":", "linewidth": 0.8}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Kendall's tau-b with input importance of each normalizer, and of its cut.

    In the rows, ``cut`` is the reference whose weights are cut to the normalizer.
    """
    summary = tables["summary"]
    found = measured(summary, "kendall_tau_b", "attention", controls=True)
    inputs = [m for m in order["methods"] if m not in order["hidden_methods"]]
    found = found[found["reference"].isin(inputs)]
    rows = on_dial(_at_their_normalizers(found, order), summary)
    cut = rows["cut"].notna()
    runs, cuts = rows[~cut], rows[cut]

    lines = lines_of(runs, order, "reference")

    def fill(axes: Axes, line: tuple[str, str], dataset: str) -> None:
        axes.axhline(0, color="black", linewidth=0.8)
        dial_axis(axes, rows[rows["dataset"] == dataset])
        part, beside = (panel_of(r, "reference", line, dataset) for r in (runs, cuts))
        _draw_cuts(axes, part, beside, order)
        points_on_dial(axes, part, order)

    def key(axes: Axes) -> None:
        axes.plot(
            [], [], color=GREY, **CUT, label="dash: the reference, cut to as many"
        )
        dial_key(runs, order, {})(axes)

    return pages_of_lines(lines, order, fill, "τ-b", "with", key), rows


def _at_their_normalizers(rows: pd.DataFrame, order: Order) -> pd.DataFrame:
    """Runs, and cuts at the normalizer that they are cut to, without other controls."""
    names = order["normalizers"]
    cuts = {cut_name(a, b): (a, b) for a in names for b in names}
    rows = rows[rows["normalizer"].isin({*names, *cuts})]
    ends = {cut: normalizer for cut, (_, normalizer) in cuts.items()}
    starts = {cut: reference for cut, (reference, _) in cuts.items()}
    called = rows["normalizer"]
    return rows.assign(cut=called.map(starts), normalizer=called.replace(ends))


def _draw_cuts(
    axes: Axes, runs: pd.DataFrame, cuts: pd.DataFrame, order: Order
) -> None:
    """The reference cut to every other normalizer of a model, each tied to its run."""
    for reference, part in cuts.groupby("cut"):
        uncut = runs[runs["normalizer"] == reference]
        part = placed(axes, pd.concat([uncut, part]))
        if part.empty:
            continue
        axes.plot(part["x"], part["mean"], color=GREY, **CUT)
        both = part.merge(runs, on="normalizer", suffixes=("", "_run"))
        ends = both["mean"], both["mean_run"]
        axes.vlines(both["x"], *ends, color=GREY, linewidth=2, alpha=0.25)
