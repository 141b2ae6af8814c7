"""How many weights must go before the decision flips, by order of removal."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order, measured

MEASURES = {
    "flip_never": "decisions that never flip\n(share of instances)",
    "flip_share": "positions removed\n(share of all)",
    "flip_support_share": "weights removed\n(share of the support)",
}
ORDERS = {
    "attention": "by attention",
    "attention_gradient": "by gradient x attention",
    "random": "at random",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """How many decisions never flip, and of the others how much has to go."""
    rows = pd.concat([measured(tables["explanation_summary"], m) for m in MEASURES])
    return pages_by_measure(rows, order, MEASURES, "subject", ORDERS), rows
