"""Scores of translations by normalizer: does sparsity cost them anything?"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.pages import panel_pages
from attention_audit.figures.panels import category_size, scores_of_models
from attention_audit.figures.style import Order, model_looks, normalizers, with_model

LABELS = {"bleu": "BLEU", "chrf": "chrF"}


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """BLEU and chrF on test of every run, and their means over seeds, a line a beam."""
    rows = with_model(tables["translation_scores"])
    looks = model_looks(rows, order)
    lines = rows[["metric", "beam"]].drop_duplicates().sort_values(["metric", "beam"])
    datasets = [name for name in order["datasets"] if name in set(rows["dataset"])]

    def fill(axes: Axes, line: tuple[str, int], dataset: str) -> None:
        metric, beam = line
        part = rows[
            (rows["dataset"] == dataset)
            & (rows["metric"] == metric)
            & (rows["beam"] == beam)
        ]
        scores_of_models(axes, part, order, looks)

    def title(line: tuple[str, int], dataset: str) -> str:
        beam = line[1]
        return f"{dataset}, {'greedy' if beam == 1 else f'beam of {beam}'}"

    pages = panel_pages(
        list(lines.itertuples(index=False, name=None)),
        datasets,
        fill,
        title=title,
        y_label=lambda line, _: f"test {LABELS[line[0]]}",
        # of a metric that of all beams, so that they can be compared
        share_y="row",
        size=category_size(normalizers(rows, order), len(looks)),
    )
    return pages, rows
