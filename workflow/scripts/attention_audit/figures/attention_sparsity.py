"""Attention sparsity by normalizer: how many positions get any weight?"""

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


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Share of positions in the support, mean over instances and seeds."""
    rows = measured(tables["summary"], "support_share", "attention")
    looks = model_looks(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        points_by_normalizer(axes, rows[rows["dataset"] == dataset], order, looks)
        axes.set_ylim(0, 1.05)

    pages = panel_pages(
        [None],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        y_label=lambda *_: "share of positions\nwith weight",
        size=category_size(normalizers(rows, order), len(looks)),
        key=marks_key(rows),
    )
    return pages, rows
