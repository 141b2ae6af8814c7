"""How far attention moves with the seed alone, against the largest weight."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import point_pages
from attention_audit.figures.style import Order


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """A point an instance and seed: the mean divergence from the other seeds."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "jsd") & (points["reference"] == "other_seeds")
    ].dropna(subset=["value"])
    return point_pages(rows, order, "divergence (JSD, nats)", classes=False), rows
