"""Figures of grids with gaps."""

import pandas as pd
import pytest

from attention_audit.figures import guided_models, task_score

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
