"""Does a hidden state stand for its own input, from dense attention to sparse?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.dial import (
    LETTERS,
    X_LABEL,
    dial_axis,
    dial_key,
    encoder_lines,
    on_dial,
    panel_size,
    points_on_dial,
)
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.style import Order, measured, shortened

# Below it the other inputs together say more, as the claim inputs_own_share has it.
HALF = 0.5


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Share of influence from the co-indexed input, by the support of attention."""
    summary = tables["summary"]
    shares = measured(summary, "coindexed_share", "hidden_states", "inputs")
    rows = on_dial(shares, summary)
    encoders = encoder_lines(rows, order)
    scorers = [name for name in order["scorers"] if name in set(rows["scorer"])]

    def fill(axes: Axes, scorer: str, dataset: str) -> None:
        of_dataset = rows[rows["dataset"] == dataset]
        part = of_dataset[of_dataset["scorer"] == scorer]
        axes.axhline(HALF, color="black", linewidth=0.8, label="half of the influence")
        dial_axis(axes, of_dataset)
        for encoder, line in encoders.items():
            points_on_dial(axes, part[part["encoder"] == encoder], order, line)
        axes.set_ylim(0, 1.05)

    def title(scorer: str, dataset: str) -> str:
        names = [dataset, scorer] if len(scorers) > 1 else [dataset]
        return ", ".join(shortened(name, LETTERS) for name in names)

    pages = panel_pages(
        scorers,
        order["datasets"],
        fill,
        title=title,
        y_label=lambda *_: "influence from\nthe own input, share",
        x_label=X_LABEL,
        size=panel_size(order, len(scorers)),
        key=dial_key(rows, order, encoders),
        legend_columns=5,
    )
    return pages, rows
