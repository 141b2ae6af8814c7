"""The largest divergence at the same output, against the largest weight."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import point_pages
from attention_audit.figures.style import Order


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """A point an instance and seed, by predicted class."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "jsd") & (points["reference"] == "adversarial")
    ].dropna(subset=["value"])
    return point_pages(rows, order, "largest divergence (nats)", classes=True), rows
