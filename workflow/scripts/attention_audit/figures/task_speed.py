"""Task score against speed: is what a model costs in time worth it?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.style import Order
from attention_audit.figures.trade_off import scores_against


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Test score of every run by the decisions that it makes a second."""
    return scores_against(
        tables["task"],
        tables["speed"],
        "decisions_per_second",
        order,
        label="decisions per second, measured on one thread",
        apart=0,
    )
