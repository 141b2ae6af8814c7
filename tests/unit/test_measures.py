"""Measures: against scipy, hand values, properties; the tables of one run."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics import distributions, measures, run_measures

RUN = {
    "dataset": "d",
    "encoder": "e",
    "scorer": "s",
    "normalizer": "softmax",
    "seed": 0,
}


def test_entropy_support_and_dispersion_by_hand():
    w = np.array(
        [[1, 1, 2, 9], [0, 3, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [2, 7, 7, 7]],
        dtype=np.float32,
    )
    mask = np.array([[1, 1, 1, 0], [1] * 4, [1] * 4, [1] * 4, [1, 0, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(distributions.support_size(w, mask), [3, 1, 4, 0, 1])
    np.testing.assert_allclose(
        distributions.entropy(w, mask), [1.5 * np.log(2), 0, np.log(4), np.nan, 0]
    )
    np.testing.assert_allclose(
        distributions.dispersion(w, mask),
        [1.5 * np.log(2) / np.log(3), 0, 1, np.nan, np.nan],
    )


weights = st.lists(
    st.floats(0, 1, width=32, allow_subnormal=False), min_size=6, max_size=6
).filter(lambda w: sum(w) > 1e-3)


@given(weights, weights)
def test_jensen_shannon_equals_scipy_is_symmetric_and_bounded(p, q):
    p, q = np.array([p]), np.array([q])
    mask = np.ones(p.shape, dtype=bool)
    ours = distributions.jensen_shannon(p, q, mask)
    assert ours == pytest.approx(jensenshannon(p[0], q[0]) ** 2, abs=1e-7)
    assert ours == pytest.approx(
        distributions.jensen_shannon(q, 3 * p, mask), abs=1e-12
    )
    assert 0 <= ours[0] <= np.log(2)


def test_jensen_shannon_of_equal_disjoint_masked_and_empty():
    p = np.array([[0.2, 0.8, 0.0], [1, 0, 0], [0.5, 0.5, 7], [0, 0, 0]])
    q = np.array([[0.2, 0.8, 0.0], [0, 2, 3], [0.5, 0.5, 0], [1, 1, 1]])
    mask = np.ones(p.shape, dtype=bool)
    mask[2, 2] = False
    np.testing.assert_allclose(
        distributions.jensen_shannon(p, q, mask), [0, np.log(2), 0, np.nan], atol=1e-15
    )


# --- one run ------------------------------------------------------------------

ATTENTION = [[0.5, 0.25, 0.25], [1.0], [0.0, 0.0], [0.1, 0.2, 0.3, 0.4]]
IMPORTANCE = {
    "input_gradient": [[0.6, 0.3, 0.1], [1.0], [0.5, 0.5], [0.4, 0.3, 0.2, 0.1]],
    "hidden_gradient": [[0.1, 0.3, 0.6], [1.0], [0.9, 0.1], [0.1, 0.2, 0.3, 0.4]],
}


def write_run(folder, importance=IMPORTANCE, ids="abcd", row_group=None, times=None):
    """Files of a run with four instances; returns `measure_run`'s paths."""
    lengths = [len(w) for w in ATTENTION]
    with tables.open_table(folder / "attention.parquet", "attention", {}) as table:
        table.write(
            RUN
            | {
                "instance_id": list("abcd"),
                "length": lengths,
                "label": [0, 1, 1, 0],
                "predicted": [0, 1, 0, 0],
                "targets": None,
                "probabilities": [[0.5, 0.5]] * 4,
                "scores": ATTENTION,
                "attention": ATTENTION,
                "support": [3, 1, 0, 4],
                "entropy": [0.0] * 4,
                **dict.fromkeys(("cell", "gold", "guess"), [None] * 4),
                "times": times,
            }
        )
    for method, values in importance.items():
        path = folder / f"{method}.parquet"
        with tables.open_table(path, "importance", {}) as table:
            bounds = range(0, 5, row_group or 4)
            for start, stop in pairwise(bounds):
                table.write(
                    RUN
                    | {
                        "method": method,
                        "instance_id": list(ids)[start:stop],
                        "length": [len(v) for v in values][start:stop],
                        "importance": values[start:stop],
                    }
                )
    with tables.open_table(folder / "influence.parquet", "influence", {}) as table:
        table.write(
            RUN
            | {
                "instance_id": ["b", "d"],
                "length": [1, 4],
                "dispersion": [[np.nan], [0.2, 0.4, np.nan, 0.6]],
                "coindexed_share": [[1.0], [0.1, 0.3, 0.5, 0.7]],
                "coindexed_rank": [[1], [1, 4, 2, 1]],
                "distance": None,
                "matrix": pa.nulls(2, pa.list_(pa.list_(pa.float32()))),
                "dispersion_error": None,
                "coindexed_share_error": None,
                "distance_error": None,
                "matrix_error": pa.nulls(2, pa.list_(pa.list_(pa.float32()))),
            }
        )
    return {
        "attention": folder / "attention.parquet",
        "importances": {m: folder / f"{m}.parquet" for m in importance},
        "influence": folder / "influence.parquet",
    }


EFFECTS = {"input_gradient": "sum", "hidden_gradient": "mean"}


def measured(paths, batch_size=512):
    pieces = list(
        run_measures.measure_run(RUN, **paths, effects=EFFECTS, batch_size=batch_size)
    )
    rows = pa.concat_tables(pieces).to_pylist()
    return {
        (r["instance_id"], r["measure"], r["subject"], r["reference"]): r["value"]
        for r in rows
    }


def test_measures_of_a_run_by_hand(tmp_path):
    values = measured(write_run(tmp_path))
    own = {
        (i, m): v for (i, m, subject, _), v in values.items() if subject == "attention"
    }
    assert [own[i, "support"] for i in "abcd"] == [3, 1, 0, 4]
    assert [own[i, "sparsity"] for i in "abcd"] == [0, 0, 1, 0]
    assert own["a", "entropy"] == pytest.approx(1.5 * np.log(2))
    assert own["b", "dispersion"] is None and own["c", "entropy"] is None
    assert own["d", "max"] == pytest.approx(0.4)
    assert [own[i, "null"] for i in "abcd"] == [0, 0, 1, 0]
    assert own["c", "mass"] == 0 and own["d", "mass"] == pytest.approx(1.0)
    assert [values[i, "correct", "prediction", None] for i in "abcd"] == [1, 1, 0, 1]
    tau = {key: v for key, v in values.items() if key[1] == "kendall_tau_b"}
    assert tau["d", "kendall_tau_b", "attention", "input_gradient"] == -1
    assert tau["d", "kendall_tau_b", "attention", "hidden_gradient"] == 1
    # of two methods the one that is given first
    assert tau["a", "kendall_tau_b", "input_gradient", "hidden_gradient"] == -1
    assert tau["a", "kendall_tau_b", "attention", "input_gradient"] == pytest.approx(
        2 / np.sqrt(2 * 3)
    )
    assert tau["b", "kendall_tau_b", "attention", "input_gradient"] is None
    assert tau["c", "kendall_tau_b", "attention", "hidden_gradient"] is None
    assert len(tau) == 3 * 4
    influence = {(i, m): v for (i, m, *_, ref), v in values.items() if ref == "inputs"}
    assert influence["d", "influence_dispersion"] == pytest.approx(0.4)
    assert influence["d", "coindexed_share"] == pytest.approx(0.4)
    assert influence["d", "coindexed_top"] == 0.5
    assert influence["d", "coindexed_rank"] == pytest.approx((0 + 1 + 1 / 3 + 0) / 4)
    assert influence["b", "coindexed_rank"] is None
    assert influence["b", "influence_dispersion"] is None
    assert influence["b", "coindexed_top"] == 1
    assert len(influence) == 2 * 4
    effect = {
        (i, subject): v for (i, m, subject, _), v in values.items() if "effect" in m
    }
    # the sum over the two classes is twice the mean
    assert effect["a", "input_gradient"] == pytest.approx(0.6 / 2)
    assert effect["c", "hidden_gradient"] == pytest.approx(0.9)
    assert len(effect) == 2 * 4
    assert {key[1] for key in values} <= set(measures.MEASURES)


@pytest.mark.parametrize("row_group", [1, 2])
def test_measures_do_not_depend_on_batches_or_row_groups(tmp_path, row_group):
    (tmp_path / "whole").mkdir()
    (tmp_path / "split").mkdir()
    whole = measured(write_run(tmp_path / "whole"))
    split = write_run(tmp_path / "split", row_group=row_group)
    for batch_size in (1, 3, 4):
        assert measured(split, batch_size) == whole


def test_measures_fit_their_schema_and_stated_range(tmp_path):
    paths = write_run(tmp_path)
    for table in run_measures.measure_run(RUN, **paths, effects=EFFECTS):
        tables.write_table(tmp_path / "out.parquet", "measures", table, {})
        for row in table.to_pylist():
            stated = measures.MEASURES[row["measure"]]
            if row["value"] is not None:
                assert stated["low"] <= row["value"] <= (stated["high"] or np.inf)


def changed(method="input_gradient", index=0, value=None):
    importance = {m: list(v) for m, v in IMPORTANCE.items()}
    importance[method][index] = value
    return importance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": "abdc"}, "different instances: where the first has 'c'"),
        ({"importance": changed(value=[0.5, 0.5])}, "length of instance 'a': 3 and 2"),
        ({"importance": changed(value=[0.5, -0.5, 0])}, "-0.5 at position 1"),
        ({"importance": changed(value=[0.5, np.nan, 0])}, "nan at position 1"),
    ],
)
def test_bad_files_are_named(tmp_path, arguments, message):
    paths = write_run(tmp_path, **arguments)
    with pytest.raises(AuditError, match=message) as error:
        measured(paths)
    assert str(tmp_path) in str(error.value)


def test_fewer_instances_are_named(tmp_path):
    paths = write_run(tmp_path)
    path = paths["importances"]["input_gradient"]
    table = tables.read_table(path, "importance")
    tables.write_table(path, "importance", table.slice(0, 2), {})
    with pytest.raises(AuditError, match=r"input_gradient\.parquet holds fewer"):
        measured(paths, batch_size=2)


def test_files_of_another_run_method_or_instance_are_named(tmp_path):
    paths = write_run(tmp_path)
    with pytest.raises(AuditError, match="holds seed '0', expected '1'"):
        next(run_measures.measure_run(RUN | {"seed": 1}, **paths))
    swapped = dict(
        zip(paths["importances"], reversed(paths["importances"].values()), strict=True)
    )
    with pytest.raises(AuditError, match="holds method 'hidden_gradient'"):
        measured(paths | {"importances": swapped})
    influence = tables.read_table(paths["influence"], "influence")
    strange = influence.set_column(
        influence.column_names.index("instance_id"),
        "instance_id",
        pa.array(["b", "z"]),
    )
    tables.write_table(paths["influence"], "influence", strange, {})
    with pytest.raises(AuditError, match="instance 'z' is not in"):
        measured(paths)


def test_lookback_is_how_far_weights_lie_from_the_decision(tmp_path):
    times = [[-20.0, -10.0, 0.0], [-5.0], [-3.0, 3.0], [-3.0, -1.0, 1.0, 3.0]]
    found = measured(write_run(tmp_path, times=times), batch_size=3)
    expected = {
        "attention": [12.5, 5, None, 2],
        "input_gradient": [15, 5, 3, 2],
        "hidden_gradient": [5, 5, 3, 2],
        # equal weights
        "uniform": [10, 5, 3, 2],
    }
    for subject, values in expected.items():
        for instance, value in zip("abcd", values, strict=True):
            got = found[instance, "lookback", subject, None]
            if value is None:
                assert got is None
            else:
                assert got == pytest.approx(value, rel=1e-6)


def test_inputs_without_times_have_no_lookback(tmp_path):
    assert not any(
        measure == "lookback" for _, measure, *_ in measured(write_run(tmp_path))
    )
