"""Task score against multiply-adds: is what a model costs worth it?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import Order
from attention_audit.figures.trade_off import scores_against


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every run by the multiply-adds of a decision."""
    return scores_against(
        tables["task"],
        tables["sizes"],
        "multiply_adds",
        order,
        label="multiply-adds a decision",
        apart=14,
    )
