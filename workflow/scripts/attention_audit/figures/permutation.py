"""How far the output moves when attention is shuffled."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import point_pages
from attention_audit.figures.style import Order


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Median output difference against the largest weight, by predicted class."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "permutation_difference")
        & (points["reference"] == "shuffled_all")
    ].dropna(subset=["value"])
    return point_pages(rows, order, "median\noutput difference", classes=True), rows
