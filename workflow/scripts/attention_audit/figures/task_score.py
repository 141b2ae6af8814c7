"""Task score by normalizer: does sparsity cost accuracy?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_size, scores_of_models
from attention_audit.figures.style import Order, model_looks, normalizers, with_model


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test macro F1 of every run, and its mean over seeds."""
    task = with_model(tables["task"])
    rows = task[(task["split"] == "test") & (task["metric"] == "macro_f1")]
    looks = model_looks(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        scores_of_models(axes, part, order, looks)

    pages = panel_pages(
        [None],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        y_label=lambda _: "test macro F1",
        share_y=False,
        size=category_size(normalizers(rows, order), len(looks)),
    )
    return pages, rows
