"""Figures of grids with gaps, and of numbers that are undefined."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from attention_audit.figures import agreement, guided_models, task_score
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


def test_agreement_with_a_note_has_an_open_marker():
    order = ORDER | {"datasets": ["full"], "methods": ["leave_one_out"]}
    order["normalizers"] = ["softmax", "sparsemax"]
    row = {
        "dataset": "full",
        "encoder": "bilstm",
        "scorer": "additive",
        "subject": "attention",
    }
    summary = pd.DataFrame(
        row | {"normalizer": name, "note": note, "low": 0.1, "high": 0.3} | more
        for name, note in {"softmax": None, "sparsemax": "negligible"}.items()
        for more in (
            {
                "measure": "kendall_tau_b",
                "reference": "leave_one_out",
                "mean": 0.25 if note else 0.125,
            },
            {"measure": "sparsity", "reference": None, "mean": 0.5 if note else 0.0},
        )
    )
    figure, rows = agreement.draw({"summary": summary}, order)
    (panel,) = figure.axes
    opened = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata().tolist() for line in opened] == [[[0.5, 0.25]]]
    assert rows["note"].notna().tolist() == [False, True]
