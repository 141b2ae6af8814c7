"""How well attention and importances find what is marked, beside a guess."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.erasure import subjects_of
from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order, measured
from attention_audit.statistics.plausibility import GUESS

MEASURES = {
    "gold_average_precision": "average precision\nof what is marked",
    "gold_iou": "intersection over union\nwith what is marked",
}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """Means with intervals by normalizer, of every subject that ranks the inputs."""
    found = [measured(tables["summary"], measure) for measure in MEASURES]
    rows = pd.concat(found, ignore_index=True)
    labels, looks = subjects_of(order, floor=GUESS)
    # of words nobody guesses
    if GUESS not in set(rows["subject"]):
        del labels[GUESS]
    # of the others nobody says what matters
    marked = [name for name in order["datasets"] if name in set(rows["dataset"])]
    pages = pages_by_measure(
        rows, {**order, "datasets": marked}, MEASURES, "subject", labels, looks
    )
    return pages, rows
