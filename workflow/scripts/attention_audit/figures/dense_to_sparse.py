"""In which order normalizers stand."""

from collections.abc import Mapping

import pandas as pd

from attention_audit.figures.style import Order

# Shares are means of single-precision numbers.
_DECIMALS = 6


def dense_to_sparse(order: Order, tables: Mapping[str, pd.DataFrame]) -> Order:
    """The order with its normalizers from dense to sparse, the one rule of all figures.

    What is measured decides where a figure reads the summary: the share of positions with
    weight, mean over the cells of the grid, and of equal ones as uniform weights and
    softmax the dispersion, the more even first. What has no such number stands behind, and
    in figures without a summary all do, in the order of ``order``, which is that of
    `normalizer_looks.stated_place`.
    """
    if "summary" not in tables:
        return order
    summary = tables["summary"]
    of_attention = summary[summary["subject"] == "attention"]
    means = of_attention.pivot_table(
        index="normalizer", columns="measure", values="mean"
    ).reindex(columns=["support_share", "dispersion"])
    means = means.reindex(order["normalizers"]).round(_DECIMALS)
    ordered = means.sort_values(
        [*means.columns], ascending=False, na_position="last", kind="stable"
    )
    return {**order, "normalizers": [*ordered.index]}
