"""How well attention and importances find what is marked, beside a guess."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from attention_audit.figures.erasure import LOOKS
from attention_audit.figures.experiments import pages_by_measure
from attention_audit.figures.style import Order, measured, method_style
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
    subjects = ["attention", *order["methods"], GUESS]
    labels = {subject: subject.replace("_", " ") for subject in subjects}
    looks = {
        "attention": LOOKS["attention"],
        GUESS: LOOKS["random"],
        **{name: method_style(name, order) for name in order["methods"]},
    }
    # of the others nobody says what matters
    marked = [name for name in order["datasets"] if name in set(rows["dataset"])]
    pages = pages_by_measure(
        rows, {**order, "datasets": marked}, MEASURES, "subject", labels, looks
    )
    return pages, rows
