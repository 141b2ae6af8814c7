"""Comprehensiveness and sufficiency of as many tokens as attention has weights."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.erasure import erased, subjects_of
from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.faithfulness import MEASURES
from attention_audit.figures.style import Order
from attention_audit.statistics.controls import CUT


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Means with intervals: as many tokens of every ranking of a text."""
    rows = erased(tables["explanation_summary"], MEASURES, order)
    # Dense attention has no value, and no place.
    rows = rows[(rows["reference"] == "at_support") & rows["mean"].notna()]
    # The scores under softmax take the same tokens as the weights do.
    labels, looks = subjects_of(order, CUT)
    rows = rows[rows["subject"].isin(labels)]
    return pages_by_measure(rows, order, MEASURES, "subject", labels, looks), rows
