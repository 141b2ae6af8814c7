"""Shuffles of all weights, within the support, and across its border."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order, measured

KINDS = {
    "shuffled_all": "all positions",
    "shuffled_support": "within the support",
    "shuffled_border": "across its border, equal mass",
    "shuffled_null_support": "within, weights placed at random",
    "shuffled_null_border": "across, weights placed at random",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Mean over instances of the median output difference, by what is shuffled."""
    rows = measured(tables["explanation_summary"], "permutation_difference")
    labels = {"permutation_difference": "median\noutput difference"}
    return pages_by_measure(rows, order, labels, "reference", KINDS), rows
