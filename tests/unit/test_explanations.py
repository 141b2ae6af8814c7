"""Measures of the experiments, pairs of runs, adversaries and guided models."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy.special import rel_entr

from attention_audit.data.text_batches import TextExamples
from attention_audit.interventions.adversaries import (
    DIVERGENCES,
    jsd,
    kl,
    paper_weight,
    total_variation,
    train_adversary,
    write_adversary,
)
from attention_audit.interventions.fitting import attention_of, fit
from attention_audit.interventions.guided import train_guided
from attention_audit.interventions.pairs import write_pairs
from attention_audit.models.modalities.text import Classifier
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import open_table, read_table, write_table
from attention_audit.statistics.explanations import measure_explanations, point_rows
from tests.unit.models import VOCABULARY, text_batch, tiny_batch, tiny_model

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
CPU = torch.device("cpu")
TRAINING = {
    "max_epochs": 12,
    "patience": 12,
    "batch_size": 16,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    "gradient_clip": 5.0,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
}


def measured(path_by_experiment) -> pd.DataFrame:
    paths = {name: [path] for name, path in path_by_experiment.items()}
    return pd.concat(t.to_pandas() for t in measure_explanations(RUN, paths))


def value(rows: pd.DataFrame, instance: str, measure: str, **which) -> float:
    rows = rows[(rows["instance_id"] == instance) & (rows["measure"] == measure)]
    for column, wanted in which.items():
        rows = rows[rows[column] == wanted]
    (found,) = rows["value"]
    return found


def write_attention(path, run, labels, predicted, probabilities, attention) -> None:
    columns = {
        **run,
        "instance_id": [f"i{k}" for k in range(len(labels))],
        "length": [len(a) for a in attention],
        "label": labels,
        "predicted": predicted,
        "targets": None,
        "probabilities": probabilities,
        "scores": attention,
        "attention": attention,
        "support": [1] * len(labels),
        "entropy": [0.0] * len(labels),
        **dict.fromkeys(("cell", "gold", "guess", "times"), [None] * len(labels)),
    }
    write_table(path, "attention", columns, {})


# --- tables to measures -----------------------------------------------------------


def test_measures_of_flips_and_erasure_by_hand(tmp_path):
    flips, erasure = tmp_path / "flips.parquet", tmp_path / "erasure.parquet"
    columns = {
        **RUN,
        # flips without 2 of 5 weights; without all but the last; never; has one weight
        "instance_id": ["a", "last", "never", "b", "r", "r", "r"],
        "length": [10, 10, 10, 4, 8, 8, 8],
        "support": [5, 5, 5, 1, 4, 4, 4],
        "order": ["attention"] * 4 + ["random"] * 3,
        "draw": [0, 0, 0, 0, 0, 1, 2],
        "removed": [2, 4, None, None, 1, 3, None],
        "never": [False, False, True, None, False, False, True],
    }
    write_table(flips, "flips", columns, {})
    columns = {
        **RUN,
        "instance_id": ["a"],
        "length": 10,
        "support": 3,
        "subject": "random",
        "shares": [[0.01, 0.5]],
        "comprehensiveness": [[0.1, 0.3]],
        "sufficiency": [[0.5, -0.1]],
        "comprehensiveness_at_support": [0.25],
        "sufficiency_at_support": pa.array([None], pa.float64()),
    }
    write_table(erasure, "erasure", columns, {})
    rows = measured({"flips": flips, "erasure": erasure})
    assert value(rows, "a", "flip_share", subject="attention") == 0.2
    assert value(rows, "a", "flip_support_share") == 0.4
    assert value(rows, "last", "flip_support_share") == 0.8
    for instance in ("never", "b"):
        assert np.isnan(value(rows, instance, "flip_share"))
        assert np.isnan(value(rows, instance, "flip_support_share"))
    nevers = [value(rows, i, "flip_never") for i in ("a", "last", "never", "b")]
    np.testing.assert_equal(nevers, [0, 0, 1, np.nan])
    # of random orders: a third never, the others without 1 and 3 of 4
    assert value(rows, "r", "flip_never", subject="random") == pytest.approx(1 / 3)
    assert value(rows, "r", "flip_support_share") == pytest.approx((1 / 4 + 3 / 4) / 2)
    curves = {
        i: [
            value(rows, i, "decision_stands", reference=f"without_{share}")
            for share in (0.1, 0.25, 0.5, 0.75, 0.9)
        ]
        for i in ("a", "last", "never", "b", "r")
    }
    np.testing.assert_equal(curves["a"], [1, 1, 0, 0, 0])
    np.testing.assert_equal(curves["last"], [1, 1, 1, 1, 0])
    np.testing.assert_equal(curves["never"], [1, 1, 1, 1, 1])
    np.testing.assert_equal(curves["b"], [np.nan] * 5)
    np.testing.assert_allclose(curves["r"], [1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    erased = rows[rows["subject"].eq("random") & rows["instance_id"].eq("a")]
    erased = erased.fillna({"reference": "mean"})
    erased = erased.set_index(["measure", "reference"])["value"]
    expected = {
        ("comprehensiveness", "mean"): 0.2,
        ("comprehensiveness", "share_0.01"): 0.1,
        ("comprehensiveness", "share_0.5"): 0.3,
        ("comprehensiveness", "at_support"): 0.25,
        ("sufficiency", "mean"): 0.2,
        ("sufficiency", "share_0.01"): 0.5,
        ("sufficiency", "share_0.5"): -0.1,
        ("sufficiency", "at_support"): np.nan,
    }
    assert list(erased.index) == list(expected)
    np.testing.assert_allclose(erased, list(expected.values()), rtol=1e-6)


def test_shuffles_of_equal_mass_are_set_against_each_other(tmp_path):
    kinds = ["all", "support", "border", "null_support", "null_border"]
    columns = {
        **RUN,
        "instance_id": ["a"] * 5 + ["dense"] * 5,
        "length": 9,
        "support": [4] * 5 + [9] * 5,
        "kind": kinds * 2,
        "difference": [0.2, 0.1, 0.3, 0.2, 0.2, 0.4, None, None, None, None],
        "moved_mass": [0.7, 0.4, 0.4, 0.4, 0.4, 0.6, None, None, None, None],
    }
    write_table(tmp_path / "p.parquet", "permutation", columns, {})
    rows = measured({"permutation": tmp_path / "p.parquet"})
    within = {
        reference: value(rows, "a", "permutation_within", reference=reference)
        for reference in ("shuffled_matched", "shuffled_null")
    }
    assert within == pytest.approx({"shuffled_matched": 0.25, "shuffled_null": 0.5})
    assert np.isnan(
        value(rows, "dense", "permutation_within", reference="shuffled_matched")
    )
    assert value(rows, "a", "permutation_mass", reference="shuffled_border") == 0.4


def test_a_table_of_another_run_is_refused(tmp_path):
    path = tmp_path / "p.parquet"
    columns = {
        **RUN,
        "seed": 1,
        "instance_id": ["a"],
        "length": 3,
        "support": 3,
        "kind": "all",
        "difference": [0.1],
        "moved_mass": [0.5],
    }
    write_table(path, "permutation", columns, {})
    with pytest.raises(AuditError, match="another run"):
        measured({"permutation": path})


def test_pairs_of_runs_by_hand(tmp_path):
    own, other = tmp_path / "own.parquet", tmp_path / "other.parquet"
    probabilities = [[0.6, 0.4], [0.2, 0.8]]
    write_attention(own, RUN, [0, 0], [0, 1], probabilities, [[1.0, 0.0], [0.5, 0.5]])
    seed1 = {**RUN, "seed": 1}
    probabilities = [[0.3, 0.7], [0.9, 0.1]]
    write_attention(
        other, seed1, [0, 0], [1, 0], probabilities, [[0.0, 1.0], [0.5, 0.5]]
    )
    path = tmp_path / "pairs.parquet"
    with open_table(path, "pairs", {}) as table:
        write_pairs(table, RUN, own, [seed1], [other])
    rows = measured({"seed_variance": path})
    assert value(rows, "i0", "jsd", reference="other_seeds") == pytest.approx(np.log(2))
    assert value(rows, "i1", "jsd") == pytest.approx(0)
    assert value(rows, "i0", "tvd", subject="prediction") == pytest.approx(0.3)
    # of all pairs of seeds it is 0 by arithmetic
    assert "gain" not in set(rows["measure"])
    rows = measured({"uniform": path})
    # right where the other is wrong, and the other way round
    assert [value(rows, i, "gain") for i in ("i0", "i1")] == [1, -1]


def test_points_carry_the_largest_weight_and_the_class(tmp_path):
    attention, measures = tmp_path / "a.parquet", tmp_path / "m.parquet"
    write_attention(attention, RUN, [0], [1], [[0.2, 0.8]], [[0.25, 0.75]])
    columns = {
        **RUN,
        "instance_id": ["i0", "i0"],
        "measure": "jsd",
        "subject": "attention",
        "reference": ["adversarial", "other"],
        "value": [0.3, 0.1],
    }
    write_table(measures, "measures", columns, {})
    rows = point_rows(RUN, measures, attention, [("jsd", "adversarial")]).to_pandas()
    (row,) = rows.to_dict("records")
    assert row["predicted"] == 1
    assert row["max_attention"] == 0.75
    assert row["value"] == 0.3


# --- adversaries and guided models ------------------------------------------------


def examples(n: int, seed: int) -> TextExamples:
    """Texts of six random words; the label is whether the word 2 stands among them."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, VOCABULARY, (n, 6))
    labels = np.arange(n) % 2
    ids[np.arange(n), rng.integers(0, 6, n)] = np.where(labels == 1, 2, 3)
    names = [f"{seed}-{i}" for i in range(n)]
    return TextExamples(names, list(ids), labels, np.full(n, 6))


def test_divergences_against_scipy():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(5), (2, 20))
    middle = (p + q) / 2
    expected = (rel_entr(p, middle) + rel_entr(q, middle)).sum(1) / 2
    np.testing.assert_allclose(jsd(torch.tensor(p), torch.tensor(q)), expected)
    np.testing.assert_allclose(
        kl(torch.tensor(p), torch.tensor(q)), rel_entr(p, q).sum(1)
    )
    np.testing.assert_allclose(
        total_variation(torch.tensor(p), torch.tensor(q)), np.abs(p - q).sum(1) / 2
    )
    # a zero of the other where the base has weight: KL has no value, JSD has
    sparse = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    other = torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64)
    assert kl(sparse, other) == torch.inf
    assert jsd(sparse, other) == pytest.approx(0.5 * np.log(2))
    assert kl(sparse, torch.full((3,), 1 / 3)).item() == pytest.approx(np.log(1.5))


def test_both_directions_of_kl_are_called_by_their_names(tmp_path):
    run = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    adversary = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    expected = {
        # of the first from the second, by hand
        "kl_run_adversary": 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1),
        "kl_adversary_run": 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5),
    }
    for name, divergence in expected.items():
        assert DIVERGENCES[name](run, adversary).item() == pytest.approx(divergence)
    # the call in the authors' code: KLDivLoss(base.log(), adversary)
    theirs = torch.nn.functional.kl_div(run.log(), adversary, reduction="sum")
    assert theirs.item() == pytest.approx(expected["kl_adversary_run"])

    base = tiny_model("average")
    other = tiny_model("average")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    ids, mask = tiny_batch((5, 3))
    batch = replace(text_batch(ids, mask), instance_ids=["a", "b"])
    with open_table(tmp_path / "a.parquet", "adversaries", {}) as table:
        write_adversary(table, base, other, iter([batch]), RUN, 0.4, "jsd")
    rows = read_table(tmp_path / "a.parquet", "adversaries").to_pandas()
    p, q = (m(batch).attention.detach().numpy() for m in (base, other))
    np.testing.assert_allclose(rows["kl_run_adversary"], rel_entr(p, q).sum(-1))
    np.testing.assert_allclose(rows["kl_adversary_run"], rel_entr(q, p).sum(-1))
    measures = measured({"adversarial_training": tmp_path / "a.parquet"})
    for name in expected:
        assert value(measures, "a", name) == rows[name][0]
        assert (
            measures[measures["measure"] == name]["reference"]
            .eq("trained_jsd_0.4")
            .all()
        )
    # |change of one probability| / 2 there, twice that here
    assert (rows["paper_weight"] == 0.2).all()
    assert paper_weight(0.4, 3) is None


def test_an_adversary_of_three_classes_has_no_weight_of_the_paper(tmp_path):
    model = tiny_model(n_classes=3)
    batch = text_batch(*tiny_batch((5, 3)))
    with open_table(tmp_path / "a.parquet", "adversaries", {}) as table:
        write_adversary(table, model, model, iter([batch]), RUN, 0.4, "jsd")
    rows = read_table(tmp_path / "a.parquet", "adversaries")
    assert rows["paper_weight"].to_pylist() == [None, None]


def test_a_heavier_divergence_moves_attention_away():
    base = tiny_model("average", dtype=torch.float32)
    train, dev = examples(64, 0), examples(16, 1)
    found = {}
    for weight in (0.0, 10.0):
        model, _ = train_adversary(
            base, train, dev, TRAINING, weight, "jsd", seed=1, device=CPU
        )
        attention, outputs = attention_of(model, dev, 16, CPU)
        wanted, targets = attention_of(base, dev, 16, CPU)
        found[weight] = (
            jsd(torch.stack(wanted), torch.stack(attention)).mean().item(),
            total_variation(outputs, targets).mean().item(),
        )
    assert found[10.0][0] > found[0.0][0] + 0.05
    assert found[0.0][1] < 0.2


class Oracle(Classifier):
    """All weight on the word 2, and else on the first position."""

    def forward(self, batch):
        output = super().forward(batch)
        found = (batch.token_ids == 2).float()
        first = torch.zeros_like(found)
        first[:, 0] = 1
        some = found.sum(-1, keepdim=True) > 0
        return output._replace(attention=torch.where(some, found, first))


def test_a_guide_that_knows_makes_the_task_easy():
    splits = {"train": examples(64, 0), "dev": examples(32, 1), "test": examples(64, 2)}
    settings = tiny_model("average", dtype=torch.float32).settings
    oracle = Oracle(settings).eval()
    scores = train_guided(settings, oracle, splits, TRAINING, 0, CPU)
    assert scores["test"]["accuracy"] == 1.0
    assert scores == train_guided(settings, oracle, splits, TRAINING, 0, CPU)


def test_a_dev_loss_that_is_never_finite_is_an_error():
    model = tiny_model("average", dtype=torch.float32)
    train, dev = examples(16, 0), examples(8, 1)

    def loss(split, rows):
        total = sum(p.sum() for p in model.parameters())
        return total * (1 if split is train else torch.nan)

    with pytest.raises(AuditError, match=r"other: the dev loss.*learning_rate"):
        fit(model, loss, train, dev, TRAINING, 0, "other")


def test_attention_of_a_split_follows_the_rows():
    model = tiny_model(dtype=torch.float32)
    rng = np.random.default_rng(0)
    lengths = np.array([5, 2, 7])
    ids = [rng.integers(2, VOCABULARY, n) for n in lengths]
    split = TextExamples(["a", "b", "c"], ids, np.zeros(3, dtype=int), lengths)
    weights, outputs = attention_of(model, split, 2, CPU)
    for row, text in itertools.zip_longest(range(3), ids):
        alone = model(text_batch(torch.from_numpy(text)[None]))
        torch.testing.assert_close(weights[row], alone.attention[0].detach())
        torch.testing.assert_close(outputs[row], alone.logits.softmax(-1)[0].detach())


def test_tables_of_pairs_may_be_empty(tmp_path):
    own, path = tmp_path / "own.parquet", tmp_path / "pairs.parquet"
    write_attention(own, RUN, [0], [0], [[0.6, 0.4]], [[1.0]])
    with open_table(path, "pairs", {}) as table:
        write_pairs(table, RUN, own, [], [])
    assert len(read_table(path, "pairs")) == 0
    assert list(measure_explanations(RUN, {"seed_variance": [path]})) == []
