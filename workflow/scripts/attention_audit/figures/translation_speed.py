"""Speed of training and translating by normalizer: what does sparsity take?"""

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
    """Words per second of every model, as a ratio to those under the reference."""
    rows = with_model(tables["translation_speed"])
    rows = rows.assign(value=rows["ratio"])
    looks = model_looks(rows, order)
    datasets = [name for name in order["datasets"] if name in set(rows["dataset"])]

    def fill(axes: Axes, of: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["of"] == of)]
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
        scores_of_models(axes, part, order, looks)

    pages = panel_pages(
        sorted(rows["of"].unique(), reverse=True),
        datasets,
        fill,
        title=lambda of, dataset: f"{dataset}, {of}",
        y_label=lambda *_: "ratio of speeds",
        size=category_size(normalizers(rows, order), len(looks)),
    )
    return pages, rows
