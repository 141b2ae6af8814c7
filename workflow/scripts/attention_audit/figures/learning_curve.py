"""Learning curve: what would more training examples bring?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from attention_audit.figures.intervals import over_seeds, seed_bars
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.scores import scores_on_test
from attention_audit.figures.style import Order, model_looks, with_model


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every run by its number of training examples, and means over seeds."""
    rows, label = scores_on_test(with_model(tables["learning_curve"]), "accuracy")
    looks = model_looks(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        for model, style in looks.items():
            series = part[part["model"] == model]
            axes.plot(
                series["n_train"],
                series["value"],
                ".",
                color=style["color"],
                alpha=0.6,
                markersize=3,
            )
            means = over_seeds(series, "n_train", order["confidence"])
            seed_bars(axes, means.index, means, style["color"])
            look = {**style, "markerfacecolor": "none", "label": model}
            axes.plot(means.index, means["mean"], **look)
        axes.set_xscale("log")
        axes.minorticks_off()
        # the numbers that were trained on, as many as have room
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(part["n_train"])), 4))
        axes.xaxis.set_major_formatter("{x:,.0f}")

    pages = panel_pages(
        [None],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        y_label=label,
        x_label="training examples",
        share_y=False,
    )
    return pages, rows
