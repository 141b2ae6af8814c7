"""Means with their intervals, which look different where they leave the seeds out."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from attention_audit.statistics.random_effects import t_interval

# How the bar of an interval is drawn that is over instances alone, and what the legend
# calls it.
WITHOUT_SEEDS = {"linestyle": ":", "linewidth": 0.7}
WITHOUT_SEEDS_LABEL = "dotted: over instances alone, given one seed"


def without_seeds(rows: pd.DataFrame) -> np.ndarray:
    """Which rows have an interval that is over instances alone."""
    if "interval_over" not in rows:
        return np.zeros(len(rows), dtype=bool)
    return (rows["interval_over"] == "instances").to_numpy()


def error_bars(
    axes: Axes,
    x: np.ndarray | pd.Series,
    rows: pd.DataFrame,
    across: np.ndarray | None = None,
    **style: Any,
) -> list[Artist]:
    """Draw the means of ``rows`` at ``x`` with their intervals.

    Those over instances alone are dotted and have no caps: they say nothing of what
    another seed would give. ``across`` (2, rows), where given, is how far intervals of
    ``x`` go to either side. ``style`` goes to `Axes.errorbar`.
    """
    alone = without_seeds(rows)
    # an interval without width may miss its mean by rounding; a bar cannot be negative
    errors = np.maximum([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], 0)
    widths = {"yerr": errors} | ({} if across is None else {"xerr": across})
    with_seeds = {way: np.where(alone, np.nan, width) for way, width in widths.items()}
    bars = axes.errorbar(x, rows["mean"], **with_seeds, **style)
    drawn = list(bars.get_children())
    if alone.any():
        thin = axes.errorbar(
            np.asarray(x)[alone],
            rows["mean"][alone],
            **{way: width[:, alone] for way, width in widths.items()},
            fmt="none",
            ecolor=style["color"],
        )
        for lines in thin[2]:
            lines.set(**WITHOUT_SEEDS)
        drawn += thin.get_children()
    return drawn


def over_seeds(rows: pd.DataFrame, by: str, confidence: float) -> pd.DataFrame:
    """``mean``, ``low`` and ``high`` of the ``value`` of runs, a row a value of ``by``.

    Student's interval over seeds, which one seed alone has not: of scores of runs nothing
    is known but the runs.
    """
    values = rows.groupby(by)["value"]
    found = pd.DataFrame({"mean": values.mean()})
    # one seed has no variance, and so no interval
    of_mean, df = values.var() / values.count(), values.count() - 1
    found["low"], found["high"] = t_interval(found["mean"], of_mean, df, confidence)
    return found


def seed_bars(axes: Axes, x: Any, means: pd.DataFrame, color: Any) -> list[Artist]:
    """Draw the intervals of `over_seeds` at ``x``."""
    known = means["low"].notna().to_numpy()
    ends = means[["low", "high"]][known].to_numpy().T
    return [axes.vlines(np.asarray(x)[known], *ends, color=color, linewidth=1)]


def intervals_key(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the entry of the legend for intervals of ``rows`` without seeds."""
    if without_seeds(rows).any():
        axes.plot([], [], color="0.35", **WITHOUT_SEEDS, label=WITHOUT_SEEDS_LABEL)
