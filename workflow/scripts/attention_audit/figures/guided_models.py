"""Scores of models without context that are given attention."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import (
    category_axis,
    category_size,
    dodge,
    scores_by_normalizer,
)
from attention_audit.figures.scores import scores_on_test
from attention_audit.figures.style import (
    Order,
    models,
    normalizers,
    series_style,
    with_model,
)

GUIDES = {
    "learned": "own attention",
    "uniform": "uniform",
    "attention": "attention of the run",
    "adversary": "attention of its adversary",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every guided model, and its mean over seeds."""
    rows, label = scores_on_test(with_model(tables["diagnostics"]), "macro_f1")
    names = normalizers(rows, order)

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        for i, (guide, label) in enumerate(GUIDES.items()):
            series = part[part["guide"] == guide]
            if series.empty:  # not among the guides of the config
                continue
            shift = dodge(i, len(GUIDES))
            style = series_style(i)
            confidence = order["confidence"]
            scores_by_normalizer(axes, series, names, style, shift, label, confidence)
        category_axis(axes, names)

    pages = panel_pages(
        models(rows, order),
        order["datasets"],
        fill,
        title=lambda model, dataset: f"{dataset}\nguides from {model}",
        y_label=label,
        share_y=False,
        size=category_size(names, len(GUIDES)),
    )
    return pages, rows.drop(columns="model")
