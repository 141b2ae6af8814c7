"""How far back attention looks, and how far importance, by normalizer."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.erasure import LOOKS
from attention_audit.figures.experiments import series_by_normalizer
from attention_audit.figures.intervals import intervals_key
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_size
from attention_audit.figures.style import (
    Order,
    measured,
    method_style,
    models,
    normalizers,
)

# What looks back as far as equal weights do.
UNIFORM = "uniform"


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Mean distances in seconds with intervals: a row a model, a column a data set."""
    rows = measured(tables["summary"], "lookback")
    subjects = ["attention", *order["methods"]]
    labels = {name: name.replace("_", " ") for name in subjects}
    looks = LOOKS | {name: method_style(name, order) for name in order["methods"]}
    timed = [name for name in order["datasets"] if name in set(rows["dataset"])]

    def fill(axes: Axes, model: str, dataset: str) -> None:
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        # the same for all normalizers
        for mean in part.loc[part["subject"] == UNIFORM, "mean"].dropna().unique()[:1]:
            axes.axhline(
                mean, color="0.45", linestyle="--", linewidth=0.9, label="equal weights"
            )
        series_by_normalizer(axes, part, order, "subject", labels, looks)
        # room for what looks no further than the decision
        axes.set_ylim(bottom=-0.05 * axes.get_ylim()[1])

    pages = panel_pages(
        models(rows, order),
        timed,
        fill,
        title=lambda model, dataset: f"{dataset}, {model}",
        y_label=lambda *_: "look-back\n(seconds from the decision)",
        # a longer span has more to look back at
        share_y="col",
        size=category_size(normalizers(rows, order), len(labels)),
        key=lambda axes: intervals_key(axes, rows),
    )
    return pages, rows
