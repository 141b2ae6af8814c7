"""Co-indexed influence: does a hidden state stand for the input at its position?"""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import (
    Order,
    grid_of_panels,
    legend_below,
    measured,
    models,
    points_by_normalizer,
)

PANELS = {
    "coindexed_share": "share of influence from\nthe co-indexed input",
    "coindexed_top": "hidden states most influenced\nby their co-indexed input",
    "influence_dispersion": "dispersion of influence\nover the inputs",
}


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Share and rank of the co-indexed input, and how spread out influence is."""
    rows = pd.concat([measured(tables["summary"], measure) for measure in PANELS])
    model_names = models(rows, order)
    figure, axes = grid_of_panels(len(PANELS), len(order["datasets"]), share_y="row")
    for line, (measure, label) in zip(axes, PANELS.items(), strict=True):
        for panel, dataset in zip(line, order["datasets"], strict=True):
            part = rows[(rows["dataset"] == dataset) & (rows["measure"] == measure)]
            points_by_normalizer(panel, part, order, model_names)
            panel.set_ylim(0, 1.05)
        line[0].set_ylabel(label)
    for panel, dataset in zip(axes[0], order["datasets"], strict=True):
        panel.set_title(dataset)
    legend_below(figure, axes[0, 0])
    return figure, rows
