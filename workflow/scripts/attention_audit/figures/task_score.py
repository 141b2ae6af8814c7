"""Task score by normalizer: does sparsity cost anything?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_size, scores_of_models
from attention_audit.figures.scores import scores_on_test
from attention_audit.figures.style import Order, model_looks, normalizers, with_model


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every run, and its mean over seeds."""
    rows, label = scores_on_test(with_model(tables["task"]), "macro_f1")
    looks = model_looks(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        scores_of_models(axes, part, order, looks)

    pages = panel_pages(
        [None],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        y_label=label,
        share_y=False,
        size=category_size(normalizers(rows, order), len(looks)),
    )
    return pages, rows
