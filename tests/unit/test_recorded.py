"""Numbers of papers beside ours."""

import pytest

from attention_audit.figures import report
from attention_audit.records import tables
from attention_audit.statistics.recorded import recorded_table

CELL = {
    "dataset": "imdb",
    "encoder": "bilstm",
    "scorer": "additive",
    "normalizer": "softmax",
}
TAU = {"measure": "kendall_tau_b", "subject": "attention", "reference": "gradient"}
ACCURACY = {"measure": "correct", "subject": "prediction", "reference": None}


def summary(path, low=0.35, seeds=2):
    shared = CELL | {
        "interval_over": "instances and seeds",
        "interval_method": "moderated",
        "sd_instances": 0.2,
        "sd_seeds": 0.01,
        "standard_error": 0.01,
        "df": 4.0,
        "n_instances": 500,
        "n_clusters": 500,
        "n_seeds": seeds,
        "n_undefined": 0,
        "note": None,
        "by_construction": None,
    }
    rows = [
        shared | TAU | {"mean": 0.4, "low": low, "high": 0.45},
        shared | ACCURACY | {"mean": 0.9, "low": None, "high": None},
    ]
    tables.write_rows(path, "summary", rows, {})
    return path


def found(tmp_path, *values, **more):
    entry = {"source": "A paper", **CELL, "values": list(values)} | more
    path = tmp_path / "recorded.parquet"
    recorded_table([entry], summary(tmp_path / "summary.parquet"), {}, path)
    return tables.read_table(path, "recorded").to_pylist()


def test_the_difference_has_the_interval_of_our_mean(tmp_path):
    (row,) = found(tmp_path, TAU | {"value": 0.437})
    assert row["source"] == "A paper" and row["n_seeds"] == 2
    assert row["difference"] == pytest.approx(0.4 - 0.437)
    assert [row["low"], row["high"]] == pytest.approx([0.35 - 0.437, 0.45 - 0.437])
    assert row["beyond"] is False


@pytest.mark.parametrize("value", [0.349, 0.451])
def test_what_the_interval_leaves_out_is_beyond_it(tmp_path, value):
    (row,) = found(tmp_path, TAU | {"value": value})
    assert row["beyond"] is True


def test_without_an_interval_nothing_is_decided(tmp_path):
    (row,) = found(tmp_path, ACCURACY | {"value": 0.8})
    assert row["difference"] == pytest.approx(0.1)
    assert row["beyond"] is None and row["low"] is None


def test_what_the_grid_lacks_is_passed_over(tmp_path):
    assert found(tmp_path, TAU | {"value": 0.4, "reference": "other"}) == []
    assert found(tmp_path, TAU | {"value": 0.4}, dataset="sst") == []


def test_the_report_shows_them(tmp_path):
    found(tmp_path, TAU | {"value": 0.437})
    recorded = tables.read_table(tmp_path / "recorded.parquet", "recorded").to_pandas()
    order = {f"{axis}s": [name] for axis, name in CELL.items()}
    (row,) = report.recorded_table(recorded, order)["rows"]
    assert row == [
        *("A paper", *CELL.values(), "kendall tau b attention gradient"),
        *("0.437", "0.400", "-0.037 [-0.087, 0.013]"),
    ]


def test_the_report_shows_a_number_that_is_held_against_nothing(tmp_path):
    found(tmp_path, ACCURACY | {"value": 0.8})
    recorded = tables.read_table(tmp_path / "recorded.parquet", "recorded").to_pandas()
    # as pandas has it among rows that have one
    recorded["reference"] = float("nan")
    order = {f"{axis}s": [name] for axis, name in CELL.items()}
    (row,) = report.recorded_table(recorded, order)["rows"]
    assert "correct prediction" in row
