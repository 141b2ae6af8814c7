"""The largest divergence at the same output, against the largest weight."""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import point_panels
from attention_audit.figures.style import Order


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """A point an instance and seed, by predicted class."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "jsd") & (points["reference"] == "adversarial")
    ].dropna(subset=["value"])
    return point_panels(rows, order, "largest divergence (nats)", classes=True), rows
