"""Co-indexed influence: does a hidden state stand for the input at its position?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import (
    category_size,
    marks_key,
    points_by_normalizer,
)
from attention_audit.figures.style import Order, measured, model_looks, normalizers

PANELS = {
    "coindexed_share": "share of influence from\nthe co-indexed input",
    "coindexed_top": "hidden states most influenced\nby their co-indexed input",
    "influence_dispersion": "dispersion of influence\nover the inputs",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Share and rank of the co-indexed input, and how spread out influence is."""
    rows = pd.concat([measured(tables["summary"], measure) for measure in PANELS])
    looks = model_looks(rows, order)

    def fill(axes: Axes, measure: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["measure"] == measure)]
        points_by_normalizer(axes, part, order, looks)
        axes.set_ylim(0, 1.05)

    pages = panel_pages(
        list(PANELS),
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        title_once=True,
        y_label=lambda line, _: PANELS[line],
        share_y="row",
        size=category_size(normalizers(rows, order), len(looks)),
        key=marks_key(rows),
    )
    return pages, rows
