"""What a model scores against what it costs: panels that several figures have."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.scores import scores_on_test
from attention_audit.figures.style import (
    Order,
    model_looks,
    normalizers,
    with_model,
)
from attention_audit.records.schemas import RUN_COLUMNS

# How the markers of normalizers are filled, in the order of the config, as far as fills
# can be told apart; those that are left over share the last one.
FILLS = ("full", "none", "bottom", "left")

# Below which ratio of its ends an axis is labelled at which multiples of powers of ten.
_TICKS = (
    (2.5, (1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
    (10, (1, 1.5, 2, 3, 5, 7)),
    (100, (1, 2, 5)),
)

# Inches, width and height of a panel.
_SIZE = (3.6, 3.0)


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

    A panel a data set, a colour and marker a model. Runs are dots, and markers the means
    of cells over seeds, filled by the normalizer; the normalizers of a model stand side by
    side over ``apart`` points, for those who cost the same.
    """
    scores, told = scores_on_test(task, "accuracy")
    rows = with_model(scores).merge(costs, on=list(RUN_COLUMNS), validate="1:1")
    looks = model_looks(rows, order)
    names = normalizers(rows, order)

    def fill(axes: Axes, _: None, dataset: str) -> None:
        part = rows[rows["dataset"] == dataset]
        for i, name in enumerate(names):
            drawn = []
            for model, style in looks.items():
                own = part[(part["model"] == model) & (part["normalizer"] == name)]
                color = style["color"]
                drawn += axes.plot(
                    own[cost], own["value"], ".", color=color, alpha=0.6, markersize=3
                )
                means = own[[cost, "value"]].mean()
                drawn += axes.plot(
                    means[cost],
                    means["value"],
                    **style,
                    **_filled(i),
                    markersize=6.5,
                    linestyle="none",
                    label=model,
                )
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
        for i, name in enumerate(names if len(names) > 1 else []):
            shared = i >= len(FILLS) - 1 and len(names) > len(FILLS)
            look = {**_filled(i), "color": "0.35", "linestyle": "none"}
            label = "other normalizers" if shared else name
            axes.plot([], [], "o", **look, label=label)

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


def _filled(index: int) -> dict[str, str]:
    fill = FILLS[min(index, len(FILLS) - 1)]
    return {"fillstyle": fill, "markerfacecoloralt": "white"}
