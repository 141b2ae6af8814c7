"""Figures of grids with gaps, and of numbers that are undefined."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from attention_audit.figures import guided_models, task_score
from attention_audit.figures.style import lines_by_sparsity

ORDER = {
    "datasets": ["full", "left_out"],
    "encoders": ["bilstm"],
    "scorers": ["additive"],
    "normalizers": ["softmax"],
}


@pytest.mark.filterwarnings("ignore:Attempting to set identical")
@pytest.mark.parametrize(
    ("figure", "table"), [(task_score, "task"), (guided_models, "diagnostics")]
)
def test_a_cell_that_the_grid_leaves_out_stays_empty(figure, table):
    row = {
        "dataset": "full",
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": "softmax",
        "guide": "attention",
        "split": "test",
        "metric": "macro_f1",
    }
    scores = pd.DataFrame([row | {"value": value} for value in (0.7, 0.9)])
    drawn, rows = figure.draw({table: scores}, ORDER)
    assert list(rows["value"]) == [0.7, 0.9]
    full, left_out = drawn.axes
    assert len(full.lines[0].get_xdata()) == 2
    assert all(len(line.get_xdata()) == 0 for line in left_out.lines)


def test_an_undefined_mean_interrupts_no_line():
    names = ["softmax", "uniform", "sparsemax"]
    rows = pd.DataFrame(
        {
            "normalizer": names,
            "method": "hidden_gradient",
            "sparsity": [0.0, 0.0, 0.9],
            "mean": [0.5, np.nan, 1.0],
            "low": [0.4, np.nan, 0.9],
            "high": [0.6, np.nan, 1.0],
        }
    )
    axes = Figure().subplots()
    lines_by_sparsity(axes, rows, "sparsity", "method", ["hidden_gradient"])
    assert axes.lines[0].get_xydata().tolist() == [[0.0, 0.5], [0.9, 1.0]]
    assert [text.get_text() for text in axes.texts] == ["softmax", "sparsemax"]
