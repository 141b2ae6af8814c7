"""Comprehensiveness and sufficiency of attention and of every importance."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order, measured, method_style

MEASURES = {
    "comprehensiveness": "comprehensiveness\n(higher is better)",
    "sufficiency": "sufficiency\n(lower is better)",
}
# What stands beside the methods, in looks that none of them has.
BESIDE = {
    "attention": {"color": "black", "marker": "p"},
    "random": {"color": "black", "marker": "x"},
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Means over the shares of tokens, with intervals, beside the random order."""
    rows = pd.concat([measured(tables["explanation_summary"], m) for m in MEASURES])
    subjects = ["attention", *order["methods"], "random"]
    labels = {subject: subject.replace("_", " ") for subject in subjects}
    looks = BESIDE | {name: method_style(name, order) for name in order["methods"]}
    return pages_by_measure(rows, order, MEASURES, "subject", labels, looks), rows
