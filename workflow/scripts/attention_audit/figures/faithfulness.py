"""Comprehensiveness and sufficiency of attention and of every importance."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.erasure import CONTROLS, erased, subjects_of
from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order

MEASURES = {
    "comprehensiveness": "comprehensiveness\n(higher is better)",
    "sufficiency": "sufficiency\n(lower is better)",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Means over the shares of tokens, with intervals, beside controls and the floor."""
    rows = erased(tables["explanation_summary"], MEASURES, order)
    rows = rows[rows["reference"].isna()]
    labels, looks = subjects_of(order, *CONTROLS)
    return pages_by_measure(rows, order, MEASURES, "subject", labels, looks), rows
