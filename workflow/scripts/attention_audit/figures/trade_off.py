"""What a model scores against what it costs: panels that several figures have."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from attention_audit.figures.intervals import over_seeds, seed_bars
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.scores import scores_on_test
from attention_audit.figures.style import (
    Order,
    models,
    normalizer_style,
    normalizers,
    series_style,
    with_model,
)
from attention_audit.records.schemas import RUN_COLUMNS

# How the markers of models with one encoder are filled, by their scorer.
FILLS = ("full", "none", "bottom", "left")
_GREY = (0.35, 0.35, 0.35)

# Below which ratio of its ends an axis is labelled at which multiples of powers of ten.
_TICKS = (
    (2.5, (1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
    (10, (1, 1.5, 2, 3, 5, 7)),
    (100, (1, 2, 5)),
)

# Inches, width and height of a panel.
_SIZE = (2.3, 2.4)


def scores_against(
    task: pd.DataFrame,
    costs: pd.DataFrame,
    cost: str,
    order: Order,
    *,
    label: str,
    apart: float,
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every run against the column ``cost`` of ``costs``, a row a run.

    A panel a data set, a marker a model, and a colour a normalizer. Runs are dots, and
    markers the means of cells over seeds with their intervals; the normalizers of a model
    stand side by side over ``apart`` points, for those who cost the same.
    """
    scores, told = scores_on_test(task, "accuracy")
    # how many a cost is of is no count of the scores
    costs = costs.rename(columns={"n_instances": f"n_instances_{cost}"})
    rows = with_model(scores).merge(costs, on=list(RUN_COLUMNS), validate="1:1")
    looks = _model_markers(rows, order)
    names = normalizers(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        for i, name in enumerate(names):
            drawn = []
            color = normalizer_style(name, order)["color"]
            for model, look in looks.items():
                own = part[(part["model"] == model) & (part["normalizer"] == name)]
                drawn += axes.plot(
                    own[cost], own["value"], ".", color=color, alpha=0.6, markersize=3
                )
                mean = over_seeds(own, "model", order["confidence"])
                x = own.groupby("model")[cost].mean()
                drawn += seed_bars(axes, x, mean, color)
                drawn += axes.plot(x, mean["mean"], **look, color=color)
            aside = ScaledTranslation(
                apart * ((i + 0.5) / len(names) - 0.5) / 72,
                0,
                axes.figure.dpi_scale_trans,
            )
            # Only now, for the limits of the axes are those of the numbers.
            for artist in drawn:
                artist.set_transform(axes.transData + aside)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        low, high = axes.get_xlim()
        subs = next((subs for most, subs in _TICKS if high < most * low), (1,))
        axes.xaxis.set_major_locator(LogLocator(subs=subs))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())

    def key(axes: Axes) -> None:
        for model, look in looks.items():
            axes.plot([], [], **look, color=_GREY, label=model)
        for name in names:
            color = normalizer_style(name, order)["color"]
            axes.fill_between([], [], color=color, label=name)

    pages = panel_pages(
        [None],
        order["datasets"],
        fill,
        title=lambda _, dataset: dataset,
        y_label=told,
        x_label=label,
        share_y=False,
        size=_SIZE,
        key=key,
    )
    return pages, rows


def _model_markers(rows: pd.DataFrame, order: Order) -> dict[str, dict[str, Any]]:
    """Marker and fill of every model: of its encoder, and of its scorer's place."""
    found = rows.drop_duplicates("model").set_index("model")
    looks = {}
    for model in models(rows, order):
        encoder, scorer = found.loc[model, ["encoder", "scorer"]]
        looks[model] = {
            "marker": series_style(order["slots"]["encoders"][encoder])["marker"],
            "fillstyle": FILLS[order["scorers"].index(scorer) % len(FILLS)],
            "markerfacecoloralt": "white",
            "markersize": 6,
            "linestyle": "none",
        }
    return looks
