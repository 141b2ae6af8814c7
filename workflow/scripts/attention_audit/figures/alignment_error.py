"""Alignment error of attention and importances by normalizer, beside floors."""

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
    method_style,
    models,
    normalizers,
    with_model,
)

STEPS = {"predicts": "predicting step", "reads": "reading step"}
LINKS = ("argmax", "support", "threshold")
# What has seen no model, and its line.
FLOORS = {
    "uniform": ("uniform", "-"),
    "diagonal": ("diagonal", "-."),
    "ibm_model_1": ("IBM model 1", "--"),
    "diagonal_model_2": ("IBM model 2, diagonal", (0, (5, 1, 1, 1, 1, 1))),
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Error rates with intervals: a row a model and step, a column a way to make links."""
    summary = tables["alignment_summary"]
    subjects = ["attention", *order["methods"]]
    shown = summary["subject"].isin([*subjects, *FLOORS])
    errors = summary[(summary["measure"] == "error_rate") & shown]
    floors = errors[errors["normalizer"].isna()].assign(model=None)
    rows = with_model(errors[errors["normalizer"].notna()])
    labels = {name: name.replace("_", " ") for name in subjects}
    looks = LOOKS | {name: method_style(name, order) for name in order["methods"]}
    aligned = [name for name in order["datasets"] if name in set(rows["dataset"])]

    def fill(axes: Axes, line: tuple[str, str], column: tuple[str, str]) -> None:
        (step, model), (dataset, links) = line, column
        part = rows[(rows["dataset"] == dataset) & (rows["links"] == links)]
        part = part[(part["step"] == step) & (part["model"] == model)]
        beside = floors[(floors["dataset"] == dataset) & (floors["links"] == links)]
        for name, (label, style) in FLOORS.items():
            for mean in beside.loc[beside["subject"] == name, "mean"]:
                axes.axhline(
                    mean, color="0.45", linestyle=style, linewidth=0.9, label=label
                )
        series_by_normalizer(axes, part, order, "subject", labels, looks)

    pages = panel_pages(
        [(step, model) for model in models(rows, order) for step in STEPS],
        [(dataset, links) for dataset in aligned for links in LINKS],
        fill,
        title=lambda line, column: (
            f"{column[0]}, {line[1]}\n{column[1]}, {STEPS[line[0]]}"
        ),
        y_label=lambda *_: "alignment error rate\n(lower is better)",
        size=category_size(normalizers(rows, order), len(labels)),
        key=lambda axes: intervals_key(axes, rows),
    )
    return pages, pd.concat([rows, floors])
