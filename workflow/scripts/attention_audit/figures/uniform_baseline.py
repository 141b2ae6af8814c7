"""What attention adds to a model whose weights are held uniform."""

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
    """Accuracy on the audited texts less that with uniform weights, with intervals."""
    rows = measured(tables["explanation_summary"], "gain", reference="uniform")
    looks = model_looks(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        points_by_normalizer(axes, part, order, looks)
        axes.axhline(0, color="black", linewidth=0.6)

    pages = panel_pages(
        [None] if looks else [],
        # of scores none is right or wrong
        [name for name in order["datasets"] if name in set(rows["dataset"])],
        fill,
        title=lambda _, dataset: dataset,
        y_label=lambda *_: "gain in accuracy\nover uniform weights",
        size=category_size(normalizers(rows, order), len(looks)),
        key=marks_key(rows),
    )
    return pages, rows
