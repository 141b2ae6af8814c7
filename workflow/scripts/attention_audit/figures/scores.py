"""What models score on test, where some decide between classes and others give scores."""

from collections.abc import Callable

import pandas as pd

LABELS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "pearson": "Pearson correlation",
}
# What stands in place of a metric of classes where outputs are scores.
OF_SCORES = "pearson"


def scores_on_test(
    table: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, Callable[[object, str], str]]:
    """The scores on test, and what they are called beside a panel, by line and data set.

    Of classes that is ``metric``, of scores `OF_SCORES`: no data set has both.
    """
    wanted = [metric, OF_SCORES]
    rows = table[(table["split"] == "test") & table["metric"].isin(wanted)]
    metrics = dict(zip(rows["dataset"], rows["metric"], strict=True))
    # of what has no run here
    other = OF_SCORES if {*metrics.values()} == {OF_SCORES} else metric
    return rows, lambda _, dataset: f"test {LABELS[metrics.get(dataset, other)]}"
