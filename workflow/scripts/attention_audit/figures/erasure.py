"""What the figures of erasure share."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from attention_audit.figures.style import Order, measured, method_style

# What stands beside the methods, in looks that none of them has.
BESIDE = {
    "attention": {"color": "black", "marker": "p"},
    "random": {"color": "0.45", "marker": "x"},
}


def erased(summary: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """The rows of a summary for the measures of erasure, with their model."""
    return pd.concat([measured(summary, measure) for measure in measures])


def drawn_subjects(
    order: Order,
) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
    """What each ranking is called, in order, and its colour and marker."""
    subjects = ["attention", *order["methods"], "random"]
    labels = {subject: subject.replace("_", " ") for subject in subjects}
    looks = BESIDE | {name: method_style(name, order) for name in order["methods"]}
    return labels, looks
