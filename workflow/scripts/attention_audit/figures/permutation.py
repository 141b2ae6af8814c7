"""How far the output moves when attention is shuffled."""

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import point_panels
from attention_audit.figures.style import Order


def draw(tables: dict[str, pd.DataFrame], order: Order) -> tuple[Figure, pd.DataFrame]:
    """Median output difference against the largest weight, by predicted class."""
    points = tables["explanation_points"]
    rows = points[
        (points["measure"] == "permutation_difference")
        & (points["reference"] == "shuffled_all")
    ].dropna(subset=["value"])
    return point_panels(rows, order, "median output difference", classes=True), rows
