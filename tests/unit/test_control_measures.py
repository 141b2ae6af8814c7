"""The measures of controls: by hand, against scipy, and where a control changes nothing."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.stats import kendalltau

from attention_audit.grid import Run
from attention_audit.models.normalizers.softmax import softmax
from attention_audit.models.normalizers.sparsemax import sparsemax
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.control_measures import Attributed, measure_controls
from attention_audit.statistics.controls import controls_of
from attention_audit.statistics.measures import MEASURES
from attention_audit.statistics.run_measures import measure_run

IDENTITY = {"dataset": "d", "encoder": "e", "scorer": "s", "seed": 0}
METHODS = ("input_gradient", "hidden_gradient")


def write_run(folder, normalizer, scores, attention, importances, ids=None):
    """Tables of a run; scores, attention and importances are lists of lists."""
    identity = {**IDENTITY, "normalizer": normalizer}
    folder = folder / normalizer
    ids = ids or [f"i{k:03}" for k in range(len(attention))]
    lengths = [len(w) for w in attention]
    tables.write_table(
        folder / "attention.parquet",
        "attention",
        identity
        | {
            "instance_id": ids,
            "length": lengths,
            "label": [0] * len(ids),
            "predicted": [0] * len(ids),
            "targets": None,
            "probabilities": [[0.5, 0.5]] * len(ids),
            "scores": scores,
            "attention": attention,
            "support": [sum(v > 0 for v in w) for w in attention],
            "entropy": [0.0] * len(ids),
            **dict.fromkeys(("cell", "gold", "guess", "times"), [None] * len(ids)),
        },
        {},
    )
    for method in METHODS:
        tables.write_table(
            folder / f"{method}.parquet",
            "importance",
            identity
            | {
                "method": method,
                "instance_id": ids,
                "length": lengths,
                "importance": importances[method],
                "completeness_error": None,
            },
            {},
        )
    return Attributed(
        identity,
        folder / "attention.parquet",
        {method: folder / f"{method}.parquet" for method in METHODS},
    )


def values_of(pieces):
    return {
        (r["instance_id"], r["measure"], r["reference"]): r["value"]
        for r in pa.concat_tables(pieces).to_pylist()
        if r["subject"] == "attention"
    }


def measured(run, reference, batch_size=512):
    """The values of the cut and of the scores under softmax."""
    found = list(measure_controls(run, reference, batch_size))
    return tuple(values_of([f[name] for f in found]) for name in ("cut", "softmax"))


def own(run):
    pieces = measure_run(run.identity, run.attention, run.importances)
    return values_of(list(pieces))


# --- by hand ------------------------------------------------------------------------

DENSE = [[0.4, 0.3, 0.2, 0.1], [0.5, 0.3, 0.2], [0.7, 0.3]]
SPARSE = [[0.0, 0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0]]
SCORES = [[1.0, 3.0, 2.0, 0.0], [0.0, 5.0, 1.0], [-1.0, -2.0]]
OF_DENSE = {
    "input_gradient": [[0.1, 0.4, 0.3, 0.2], [0.3, 0.2, 0.1], [0.1, 0.2]],
    "hidden_gradient": [[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3], [0.1, 0.2]],
}
OF_SPARSE = {
    "input_gradient": [[0.4, 0.3, 0.2, 0.1], [0.2, 0.1, 0.3], [0.5, 0.4]],
    "hidden_gradient": [[0.0, 0.2, 0.1, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0]],
}
# the weights that the two controls have
LEFT = [[0.4, 0.3, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0]]


@pytest.fixture
def hand(tmp_path):
    scores = [list(np.log(w)) for w in DENSE]
    reference = write_run(tmp_path, "softmax", scores, DENSE, OF_DENSE)
    return write_run(tmp_path, "rela", SCORES, SPARSE, OF_SPARSE), reference


def test_agreement_of_the_cut_is_with_the_reference_s_own_importance(hand):
    cut, _ = measured(*hand)
    for i, weights in enumerate(LEFT[:2]):
        for method in METHODS:
            tau = cut[f"i00{i}", "kendall_tau_b", method]
            expected = kendalltau(weights, OF_DENSE[method][i])
            assert tau == pytest.approx(expected.statistic), (i, method)
    # three of six pairs against one, two tied: not the run's importance
    assert cut["i000", "kendall_tau_b", "hidden_gradient"] == pytest.approx(
        5 / np.sqrt(5 * 6)
    )
    assert cut["i000", "gamma", "hidden_gradient"] == 1
    assert cut["i000", "tie_cap", "input_gradient"] == pytest.approx(np.sqrt(5 / 6))


def test_agreement_under_softmax_is_with_the_run_s_own_importance(hand):
    _, under = measured(*hand)
    for i, scores in enumerate(SCORES):
        for method in METHODS:
            tau = under[f"i00{i}", "kendall_tau_b", method]
            expected = kendalltau(scores, OF_SPARSE[method][i]).statistic
            assert tau == (None if np.isnan(expected) else pytest.approx(expected))
        exp = np.exp(scores)
        p = exp / exp.sum()
        entropy = -(p * np.log(p)).sum()
        assert under[f"i00{i}", "entropy", None] == pytest.approx(entropy, rel=1e-6)
        assert under[f"i00{i}", "sparsity", None] == 0


def test_concentration_of_the_cut_is_that_of_what_is_left(hand):
    cut, _ = measured(*hand)
    assert [cut[f"i00{i}", "support", None] for i in range(3)] == [2, 1, 0]
    assert [cut[f"i00{i}", "sparsity", None] for i in range(3)] == pytest.approx(
        [1 / 2, 2 / 3, 1]
    )
    p = np.array([4, 3]) / 7
    # of the weights scaled to sum to one
    assert cut["i000", "entropy", None] == pytest.approx(-(p * np.log(p)).sum())
    assert cut["i001", "dispersion", None] == 0


def test_where_a_run_attends_to_nothing_its_cut_does_too(hand):
    cut, under = measured(*hand)
    undefined = {m for i, m, _ in cut if i == "i002" and cut[i, m, _] is None}
    assert undefined >= {"entropy", "dispersion", "kendall_tau_b", "gamma"}
    assert under["i002", "kendall_tau_b", "input_gradient"] == 1


def test_controls_are_called_what_they_are_and_measure_weights_alone(hand):
    (found,) = measure_controls(*hand)
    for control, name in (
        ("cut", "softmax cut to rela"),
        ("softmax", "rela under softmax"),
    ):
        rows = found[control].to_pylist()
        assert {r["normalizer"] for r in rows} == {name}
        assert {(r["dataset"], r["seed"]) for r in rows} == {("d", 0)}
        assert {r["subject"] for r in rows} == {"attention"}
        measures = {r["measure"] for r in rows}
        assert measures <= set(MEASURES)
        assert not measures & {"mass", "null", "correct", "max", "largest_effect"}
        assert measures >= {"support", "sparsity", "entropy", "dispersion", "tie_cap"}


# --- where a control changes nothing --------------------------------------------------


def ragged(values, lengths):
    return [row[:n].tolist() for row, n in zip(values, lengths, strict=True)]


def random_run(folder, normalizer, function, seed=0, instances=40, importances=None):
    """A run with random scores and importance, and the weights of a normalizer."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 12, instances)
    scores = rng.normal(size=(instances, 11)).astype(np.float32)
    mask = np.arange(11) < lengths[:, None]
    weights = function(torch.tensor(scores), torch.tensor(mask)).numpy()
    rng = np.random.default_rng([seed, 1])
    found = {m: ragged(rng.random((instances, 11)), lengths) for m in METHODS}
    return write_run(
        folder,
        normalizer,
        ragged(scores, lengths),
        ragged(weights, lengths),
        importances or found,
    )


def agree(one, other, but=()):
    keys = [key for key in one if key[1] not in but]
    assert keys
    for key in keys:
        if one[key] is None:
            assert other[key] is None, key
        else:
            assert one[key] == pytest.approx(other[key], abs=1e-6), key


def test_a_cut_to_all_positions_is_no_cut(tmp_path):
    reference = random_run(tmp_path, "softmax", softmax)
    dense = random_run(tmp_path, "other", softmax)
    cut, under = measured(dense, reference)
    agree(cut, own(reference))
    # and the scores of a run with softmax are under softmax already
    agree(under, own(dense))


def test_a_run_that_is_the_reference_cut_is_its_cut(tmp_path):
    """Sparsemax keeps the order of its scores, and its zeros are the lowest."""
    reference = random_run(tmp_path, "softmax", softmax)
    run = random_run(tmp_path, "sparsemax", sparsemax)
    cut, under = measured(run, reference)
    sparse = own(run)
    assert np.mean([v for k, v in sparse.items() if k[1] == "sparsity"]) > 0.3
    # not the weights, and so not how unequal they are
    agree(cut, sparse, but=("entropy", "dispersion"))
    # it is the scores that it differs from the reference by: not at all
    agree(under, own(reference))


@pytest.mark.parametrize("batch_size", [1, 7])
def test_controls_do_not_depend_on_batches(tmp_path, batch_size):
    reference = random_run(tmp_path, "softmax", softmax, seed=1)
    run = random_run(tmp_path, "sparsemax", sparsemax, seed=1)
    for part, whole in zip(
        measured(run, reference, batch_size), measured(run, reference), strict=True
    ):
        assert part.keys() == whole.keys()
        agree(part, whole)


# --- bad files ------------------------------------------------------------------------


def rewritten(path, schema, table):
    tables.write_table(path, schema, table, {})


def test_other_instances_in_the_reference_are_named(tmp_path, hand):
    run, _ = hand
    scores = [list(np.log(w)) for w in DENSE]
    other = write_run(
        tmp_path / "x", "softmax", scores, DENSE, OF_DENSE, ids=["i000", "b", "c"]
    )
    with pytest.raises(AuditError, match="hold different instances: where") as raised:
        measured(run, other)
    assert str(run.attention) in str(raised.value)
    assert str(other.attention) in str(raised.value)


def test_fewer_instances_in_the_reference_are_named(hand):
    run, reference = hand
    for path, schema in (
        (reference.attention, "attention"),
        *((p, "importance") for p in reference.importances.values()),
    ):
        rewritten(path, schema, tables.read_table(path, schema).slice(0, 2))
    for batch_size in (1, 2, 512):
        with pytest.raises(AuditError, match=r"fewer instances|different instances"):
            measured(run, reference, batch_size)


def test_scores_that_are_not_finite_are_named(tmp_path, hand):
    _, reference = hand
    broken = [[np.nan, *SCORES[0][1:]], *SCORES[1:]]
    run = write_run(tmp_path / "x", "rela", broken, SPARSE, OF_SPARSE)
    with pytest.raises(AuditError, match="'scores' of instance 'i000' is nan at pos"):
        measured(run, reference)


def test_files_of_another_run_are_named(hand):
    run, reference = hand
    swapped = Attributed(reference.identity, run.attention, run.importances)
    with pytest.raises(AuditError, match="holds normalizer 'rela', expected 'softmax'"):
        measured(run, swapped)


# --- which runs have controls -----------------------------------------------------------


def test_runs_have_controls_beside_their_reference_run():
    kinds = {"softmax": "softmax", "sparsemax": "sparsemax", "flat": "uniform"}
    runs = [
        Run("d", encoder, "s", normalizer, seed)
        for encoder in ("bilstm", "transformer")
        for normalizer in kinds
        for seed in (0, 1)
    ]
    runs.remove(Run("d", "transformer", "s", "softmax", 1))
    found = controls_of(runs, kinds, "softmax")
    assert [run.path for run, _ in found[::2]] == [
        "d/bilstm/s/sparsemax/seed0",
        "d/bilstm/s/sparsemax/seed1",
        "d/transformer/s/sparsemax/seed0",
    ]
    assert all(a is b for a, b in list(pairwise(r for r, _ in found))[::2])
    first, second = (control for _, control in found[:2])
    assert first == {
        **{"dataset": "d", "encoder": "bilstm", "scorer": "s", "seed": 0},
        "normalizer": "softmax cut to sparsemax",
        **{"control": "cut", "of": "sparsemax", "model": "softmax"},
    }
    assert second == first | {
        "normalizer": "sparsemax under softmax",
        **{"control": "softmax", "model": "sparsemax"},
    }
    assert controls_of(runs[:1], kinds, "softmax") == []
