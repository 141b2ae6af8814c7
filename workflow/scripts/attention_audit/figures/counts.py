"""What a figure is made of, in words that stand below it: how many, and which interval."""

import pandas as pd

from attention_audit.records.schemas import RUN_COLUMNS

_CELL = [name for name in RUN_COLUMNS if name != "seed"]

# Figures whose cells are numbers.
MATRICES = ("alignment_heads", "method_agreement")

# What decisions, and what else is counted, are called.
_COUNTS = {"n_instances": "instance", "n_recordings": "recording"}


def counted(low: int, high: int, noun: str) -> str:
    """A count in words, or from which to which it goes."""
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{number} {noun}{'s' * (high != 1)}"


def _in_words(numbers: pd.Series, noun: str) -> list[str]:
    numbers = numbers.dropna()
    if numbers.empty:
        return []
    return [counted(int(numbers.min()), int(numbers.max()), noun)]


def told(rows: pd.DataFrame, confidence: float, matrix: bool = False) -> str:
    """How many instances and seeds the numbers of a figure have, and what its bars are.

    ``rows`` are those that it draws: means with their counts, values of runs, or of
    instances. A range goes over the cells of the grid and what is measured there. The cells
    of a ``matrix`` have no bars.
    """
    shown = rows[rows["mean"].notna()] if "mean" in rows else rows
    if shown.empty:
        return ""
    counts = []
    for column, noun in _COUNTS.items():
        if column in shown:
            counts += _in_words(shown[column], noun)
    of_cells = shown.groupby(_CELL, dropna=False)
    if "instance_id" in shown:
        counts += _in_words(of_cells["instance_id"].nunique(), "instance")
    if "n_seeds" in shown:
        counts += _in_words(shown["n_seeds"], "seed")
    elif "seed" in shown:
        counts += _in_words(of_cells["seed"].nunique(), "seed")
    said = [f"n = {', '.join(counts)}"] if counts else []
    intervals = f"{100 * confidence:g} % intervals"
    of_runs = {"value", "seed"} <= {*shown}
    if of_runs and "instance_id" not in shown and of_cells["seed"].nunique().max() > 1:
        said.append(f"bars: {intervals} of the mean over seeds")
    elif not of_runs and any(name.startswith("low") for name in shown):
        where = "in the table of the numbers" if matrix else "bars"
        said.append(f"{where}: {intervals}")
    return "; ".join(said)
