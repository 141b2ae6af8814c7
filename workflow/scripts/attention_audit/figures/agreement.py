"""Agreement of attention with importance, as attention gets sparser."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.panels import pages_by_sparsity
from attention_audit.figures.style import Order, measured


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Kendall tau-b with input and with hidden-state importance, by sparsity."""
    agreement = measured(tables["summary"], "kendall_tau_b", "attention")
    sparsity = measured(tables["summary"], "sparsity", "attention")
    cap = measured(tables["summary"], "tie_cap", "attention")
    keys = ["dataset", "encoder", "scorer", "normalizer"]
    rows = agreement.merge(
        sparsity[[*keys, "mean"]].rename(columns={"mean": "sparsity"}), on=keys
    ).merge(
        cap[[*keys, "reference", "mean"]].rename(columns={"mean": "tie_cap"}),
        on=[*keys, "reference"],
        how="left",
    )

    def zero_and_cap(axes: Axes, part: pd.DataFrame) -> None:
        axes.axhline(0, color="black", linewidth=0.6)
        # It is the same for all methods, but for texts in which one is undefined.
        highest = part.groupby("sparsity")["tie_cap"].mean()
        axes.plot(
            highest.index,
            highest,
            color="0.45",
            linestyle=":",
            label="most that ties leave",
        )

    pages = pages_by_sparsity(
        rows,
        order,
        "sparsity",
        "reference",
        zero_and_cap,
        x_label="sparsity: share of zero weights",
        y_label="Kendall's τ-b with attention",
    )
    return pages, rows
