"""Alignment error of attention against its agreement with importance of inputs."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.intervals import error_bars, intervals_key
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.style import (
    Order,
    measured,
    models,
    normalizer_style,
    normalizers,
)

_SIZE = (2.3, 2.3)
_CELL = ["dataset", "encoder", "scorer", "normalizer"]


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """A point a normalizer, with the intervals of both: links by argmax, of the step that
    predicts, against Kendall's tau-b."""
    summary = tables["alignment_summary"]
    wanted = {
        "subject": "attention",
        "step": "predicts",
        "links": "argmax",
        "measure": "error_rate",
    }
    chosen = (summary[[*wanted]] == pd.Series(wanted)).all(axis=1)
    columns = {"mean": "error", "low": "error_low", "high": "error_high"}
    errors = summary.loc[chosen, [*_CELL, *columns]].rename(columns=columns)
    agreement = measured(tables["summary"], "kendall_tau_b", "attention")
    rows = agreement.merge(errors, on=_CELL)
    inputs = [name for name in order["methods"] if name not in order["hidden_methods"]]
    rows = rows[rows["reference"].isin(inputs)]
    agreed = {*rows["reference"]}
    inputs = [name for name in inputs if name in agreed]
    names = normalizers(rows, order)
    aligned = [name for name in order["datasets"] if name in set(rows["dataset"])]

    def fill(axes: Axes, method: str, column: tuple[str, str]) -> None:
        dataset, model = column
        part = rows[(rows["dataset"] == dataset) & (rows["model"] == model)]
        part = part[part["reference"] == method]
        for name in names:
            point = part[part["normalizer"] == name]
            across = np.maximum(
                [
                    point["error"] - point["error_low"],
                    point["error_high"] - point["error"],
                ],
                0,
            )
            error_bars(
                axes,
                point["error"],
                point,
                across,
                linestyle="none",
                **normalizer_style(name, order),
                label=name,
            )

    pages = panel_pages(
        inputs,
        [(d, m) for d in aligned for m in models(rows, order)],
        fill,
        title=lambda method, column: (
            f"{column[0]}, {column[1]}\n{method.replace('_', ' ')}"
        ),
        x_label="alignment error rate of attention",
        y_label=lambda *_: "Kendall's τ-b\nwith importance",
        size=_SIZE,
        key=lambda axes: intervals_key(axes, rows),
    )
    return pages, rows
