"""Reactions second by second: predicted, scored beside floors, summarised and shown."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from sklearn.metrics import average_precision_score

from attention_audit.data.recording_batches import read_all
from attention_audit.models.reacting import AT_ONCE, write_reactions
from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.estimates import (
    Compared,
    Settings,
    intervals,
    summarise,
)
from attention_audit.statistics.evidence import of_reactions
from attention_audit.statistics.reaction_scores import (
    BASE_RATE,
    LAST_SECONDS,
    MODEL,
    Truth,
    base_rates,
    correlations,
    last_seconds,
    scores_of,
    scores_table,
)
from attention_audit.statistics.reaction_summary import (
    episodes_table,
    matrices_of,
    reaction_tables,
)
from attention_audit.statistics.verdicts import Sources, claims_table
from tests.unit.viewers import Viewer, viewer_settings

REACTIONS = ["amusement", "awe"]
K = len(REACTIONS)
SETTINGS = Settings(confidence=0.95, reference="softmax", interval="random_effects")
FLOORS = {"last_seconds": 3, "base_rate_sigma": 2.0}


def run(normalizer="softmax", seed=0, dataset="sparse", scorer="additive"):
    names = (dataset, "gru", scorer, normalizer, seed)
    return dict(zip(RUN_COLUMNS, names, strict=True))


def truth(name, seconds, targets, reactions=None, events=None):
    reactions = targets if reactions is None else reactions
    return Truth(
        name, np.asarray(seconds), *map(np.asarray, (targets, reactions)), events
    )


def write_recordings(path, truths, dataset="sparse"):
    """A table "recordings" of one stream of one value a second."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "dataset": dataset,
            "instance_id": f"{i:016x}",
            "cluster_id": f"{i:016x}",
            "recording": of.recording,
            "group": None,
            "known": [True] * (int(of.seconds.max()) + 1),
            "streams": [rng.standard_normal(3 * (int(of.seconds.max()) + 1)).tolist()],
            "seconds": of.seconds.tolist(),
            "targets": np.ravel(of.targets).tolist(),
            "reactions": np.ravel(of.reactions).tolist(),
            "events": None if of.events is None else np.ravel(of.events).tolist(),
            "origin": "here",
        }
        for i, of in enumerate(truths)
    ]
    tables.write_rows(path, "recordings", rows, {})


def write_reading(path, dataset="sparse", rate=1.0, span=4.0, scale=1.0):
    kinds = [("stream", "sound", 3), *(("reaction", name, 1) for name in REACTIONS)]
    rows = [
        {field.name: 1 for field in SCHEMAS["recording_reading"]}
        | {
            "dataset": dataset,
            "kind": kind,
            "name": name,
            "size": size,
            "center": [0.0] * size,
            "scale": [scale] * size,
            "rate": rate,
            "span": span,
            "side": "past",
        }
        for kind, name, size in kinds
    ]
    tables.write_rows(path, "recording_reading", rows, {})


def write_predictions(path, identity, truths, outputs, shown=0):
    with tables.open_table(path, "reaction_predictions", {}) as table:
        for i, (of, y) in enumerate(zip(truths, outputs, strict=True)):
            looks = [[0.25, 0.75]] * len(y) if i < shown else None
            table.write(
                identity
                | {
                    "instance_id": [decision_id(f"{i}", s) for s in of.seconds],
                    "recording": of.recording,
                    "second": of.seconds,
                    "outputs": list(y),
                    "targets": list(of.targets),
                    "events": None if of.events is None else list(of.events),
                    "attention": looks,
                    "times": looks and [[-1.0, 0.0]] * len(y),
                }
            )


def some_truths(count, rng, length=40):
    found = []
    for i in range(count):
        reactions = rng.random((length, K)) * (rng.random((length, K)) < 0.4)
        targets = (reactions + np.roll(reactions, 1, 0)) / 2
        events = reactions > 0.3
        found.append(truth(f"film{i}", range(length), targets, reactions, events))
    return found


# ---------------------------------------------------------------- scores


def test_correlations_are_those_of_scipy_and_lin():
    rng = np.random.default_rng(0)
    t, noise = rng.random((50, 3)), rng.random((50, 3))
    y = 0.5 * t + 0.2 * noise + 0.3
    pearson, concordance = correlations(y, t)
    for k in range(3):
        assert pearson[k] == pytest.approx(scipy.stats.pearsonr(y[:, k], t[:, k])[0])
        # Lin 1989, with the moments of the sample
        cov = np.cov(y[:, k], t[:, k], bias=True)
        lin = 2 * cov[0, 1] / (np.trace(cov) + (y[:, k].mean() - t[:, k].mean()) ** 2)
        assert concordance[k] == pytest.approx(lin)
    # a copy is concordant, one that is shifted correlates alone
    assert np.allclose(correlations(t, t), 1)
    assert correlations(t + 1, t)[0] == pytest.approx(np.ones(3))
    assert (correlations(t + 1, t)[1] < 0.2).all()


def test_what_follows_nothing_scores_0_and_what_does_not_vary_is_undefined():
    # a mean of tenths differs from each in its last digit
    constant = np.full((7, 2), 0.1)
    varied = np.linspace(0, 1, 14).reshape(7, 2)
    assert np.array(correlations(constant, varied)).tolist() == [[0, 0], [0, 0]]
    assert np.isnan(correlations(varied, constant)).all()
    assert np.isnan(correlations(constant, constant)).all()


def test_average_precision_is_that_of_sklearn_where_something_happens_at_times():
    rng = np.random.default_rng(1)
    y = rng.random((30, 3)).round(1)
    events = np.stack([rng.random(30) < 0.3, np.zeros(30, bool), np.ones(30, bool)], 1)
    found = scores_of(y, y, events)["average_precision"]
    assert found[0] == average_precision_score(events[:, 0], y[:, 0])
    assert np.isnan(found[1:]).all()
    assert list(scores_of(y, y, None)) == ["pearson", "concordance"]


# ---------------------------------------------------------------- floors


def test_the_last_seconds_are_true_ones_before_the_second_itself():
    seconds = np.array([0, 1, 2, 3, 4, 7, 8, 20])
    reactions = np.array([[1], [0], [0], [1], [1], [0], [1], [0]], float)
    smooth = np.full((8, 1), 0.5)
    got = last_seconds(truth("a", seconds, smooth, reactions), 3, np.array([0.4]))
    by_hand = [0.4, 1, 1 / 2, 1 / 3, 1 / 3, 1, 0, 0.4]
    assert got.ravel() == pytest.approx(by_hand)


def test_the_base_rate_is_a_weighted_mean_of_training_recordings_at_that_time():
    train = [
        truth("a", [0, 1, 2, 3], [[0.0], [0.2], [0.4], [0.0]]),
        truth("b", [1, 2, 30], [[0.6], [0.0], [1.0]]),
    ]
    sigma = 1.0
    got = base_rates(train, sigma)
    assert len(got) == 32
    overall = np.mean([0, 0.2, 0.4, 0, 0.6, 0, 1])
    seconds = np.array([0, 1, 2, 3, 1, 2, 30])
    values = np.array([0, 0.2, 0.4, 0, 0.6, 0, 1])
    for second in (0, 2, 5):
        near = np.abs(seconds - second) <= 4 * sigma
        weight = near * np.exp(-0.5 * ((seconds - second) / sigma) ** 2)
        assert got[second, 0] == pytest.approx((weight * values).sum() / weight.sum())
    # nothing near, and behind the end
    assert got[15, 0] == got[-1, 0] == pytest.approx(overall)
    assert got[30, 0] == pytest.approx(1)


def test_floors_are_scored_on_the_scale_of_the_targets_by_the_splits_alone(tmp_path):
    rng = np.random.default_rng(2)
    train, test = some_truths(3, rng), some_truths(2, rng, 60)
    write_recordings(tmp_path / "train.parquet", train)
    write_recordings(tmp_path / "test.parquet", test)
    write_reading(tmp_path / "reading.parquet", scale=0.5)
    files = {n: tmp_path / f"{n}.parquet" for n in ("train", "test", "reading")}
    out = tmp_path / "scores.parquet"
    scores_table([], [], {"sparse": files}, FLOORS, {}, out)
    rows = tables.read_table(out, "reaction_scores").to_pandas()
    assert rows[["encoder", "scorer", "normalizer", "seed"]].isna().all(axis=None)
    assert len(rows) == 2 * 2 * K * 3
    found = rows.set_index(["subject", "recording", "reaction", "metric"])["value"]
    of = test[1]
    before = np.concatenate([t.reactions for t in train]).mean(0)
    y = np.minimum(last_seconds(of, 3, before) / 0.5, 1)
    assert found[LAST_SECONDS, "film1", "awe", "concordance"] == pytest.approx(
        correlations(y, of.targets)[1][1], rel=1e-5
    )
    # of training recordings of 40 seconds, and their mean behind
    rates = base_rates(train, 2.0)[np.minimum(of.seconds, 40)]
    assert found[BASE_RATE, "film1", "awe", "pearson"] == pytest.approx(
        scipy.stats.pearsonr(rates[:, 1], of.targets[:, 1])[0], rel=1e-5
    )


# ---------------------------------------------------------------- predictions


class Listener(Viewer):
    """Scores by sigmoid of the one stream of a recording."""

    def embed(self, batch):
        return batch.streams["sound"]


def test_every_second_is_predicted_and_what_is_shown_of_the_first(tmp_path):
    rng = np.random.default_rng(3)
    truths = some_truths(3, rng, AT_ONCE // 2)
    truths[1] = truths[1]._replace(events=None)
    write_recordings(tmp_path / "test.parquet", truths)
    write_reading(tmp_path / "reading.parquet")
    torch.manual_seed(0)
    model = Listener(viewer_settings(outputs=K)).eval()
    paths = tmp_path / "test.parquet", tmp_path / "reading.parquet"
    out = tmp_path / "predictions.parquet"
    with tables.open_table(out, "reaction_predictions", {}) as table:
        write_reactions(table, model, *paths, 1, run())
    rows = tables.read_table(out, "reaction_predictions").to_pandas()
    assert len(rows) == 3 * (AT_ONCE // 2)
    assert rows["second"].tolist() == list(range(AT_ONCE // 2)) * 3
    assert rows["instance_id"][5] == decision_id(f"{0:016x}", 5, 5)
    for i, of in enumerate(truths):
        part = rows[rows["recording"] == of.recording]
        np.testing.assert_allclose(np.stack(part["targets"]), of.targets, rtol=1e-6)
        assert part["events"].isna().all() == (of.events is None)
        assert part["attention"].isna().all() == part["times"].isna().all() == (i > 0)
    shown = rows[rows["recording"] == "film0"]
    assert shown["times"].iloc[1].tolist() == [-1, 0]
    assert shown["times"].iloc[9].tolist() == [-3, -2, -1, 0]
    assert np.allclose([sum(weights) for weights in shown["attention"]], 1)
    # as the model has it by itself
    batch = read_all(*paths).batch(np.array([9, 200]), torch.device("cpu"))
    wanted = model(batch).logits.sigmoid().detach().numpy()
    np.testing.assert_allclose(np.stack(rows["outputs"][[9, 200]]), wanted, rtol=1e-5)


# ---------------------------------------------------------------- statistics


@pytest.fixture
def scored(tmp_path):
    """Scores of two normalizers and three seeds on two data sets, with files and truths."""
    rng = np.random.default_rng(4)
    test = some_truths(5, rng)
    # nothing happens there
    test[4].targets[:, 1] = 0
    test[4].events[:, 1] = False
    runs, paths, files = [], [], {}
    for dataset, rate, span in (("sparse", 1.0, 4.0), ("dense", 2.0, 2.0)):
        of = {
            n: tmp_path / f"{dataset}_{n}.parquet" for n in ("train", "test", "reading")
        }
        write_recordings(of["train"], some_truths(3, np.random.default_rng(5)), dataset)
        write_recordings(of["test"], test, dataset)
        write_reading(of["reading"], dataset, rate, span)
        files[dataset] = of
        for normalizer in ("softmax", "sparsemax"):
            for seed in range(3):
                runs.append(run(normalizer, seed, dataset))
                noise = 0.2 + 0.2 * (normalizer == "sparsemax") + 0.1 * (rate == 2)
                outputs = [t.targets + noise * rng.random((40, K)) for t in test]
                paths.append(tmp_path / f"{dataset}_{normalizer}_{seed}.parquet")
                write_predictions(paths[-1], runs[-1], test, outputs, shown=2)
    out = tmp_path / "scores.parquet"
    scores_table(runs, paths, files, FLOORS, {}, out)
    return out, files, runs, paths, test


def test_scores_are_of_each_recording_reaction_and_run(scored):
    out, _, _, paths, test = scored
    rows = tables.read_table(out, "reaction_scores").to_pandas()
    assert len(rows) == (12 + 2 * 2) * 5 * K * 3
    predicted = tables.read_table(paths[0], "reaction_predictions").to_pandas()
    y = np.stack(predicted[predicted["recording"] == "film2"]["outputs"])[:, 1]
    of_run = rows[(rows["subject"] == MODEL) & (rows["dataset"] == "sparse")]
    of_run = of_run[(of_run["normalizer"] == "softmax") & (of_run["seed"] == 0)]
    found = of_run.set_index(["recording", "reaction", "metric"])["value"].sort_index()
    t = test[2]
    assert found["film2", "awe", "pearson"] == pytest.approx(
        scipy.stats.pearsonr(y, t.targets[:, 1].astype(np.float32))[0]
    )
    assert found["film2", "awe", "average_precision"] == average_precision_score(
        t.events[:, 1], y
    )
    assert found["film4", "awe"].isna().all() and len(found["film4", "awe"]) == 3
    assert found["film4", "amusement"].notna().all()


def test_predictions_of_another_run_are_refused(scored):
    out, files, runs, paths, _ = scored
    with pytest.raises(AuditError, match="the file belongs to another run"):
        scores_table(runs[:1], paths[1:2], files, FLOORS, {}, out)


def test_the_summary_is_over_recordings_and_seeds(scored, tmp_path):
    out, files, *_ = scored
    readings = {name: of["reading"] for name, of in files.items()}
    paths = tmp_path / "summary.parquet", tmp_path / "comparison.parquet"
    reaction_tables(out, readings, SETTINGS, {}, *paths)
    rows = tables.read_table(paths[0], "reaction_summary").to_pandas()
    assert len(rows) == 2 * (2 + 2) * 3
    scores = tables.read_table(out, "reaction_scores").to_pandas()
    one = rows[
        (rows["dataset"] == "sparse")
        & (rows["normalizer"] == "sparsemax")
        & (rows["metric"] == "concordance")
    ].iloc[0]
    part = scores[
        (scores["dataset"] == "sparse")
        & (scores["normalizer"] == "sparsemax")
        & (scores["metric"] == "concordance")
    ]
    assert one["mean"] == pytest.approx(part["value"].mean())
    assert (one["rate"], one["span"], one["side"], one["moments"]) == (1, 4, "past", 4)
    assert (one["n_recordings"], one["n_seeds"], one["n_undefined"]) == (5, 3, 3)
    matrix = part.pivot(index=["recording", "reaction"], columns="seed", values="value")
    (wanted,) = summarise(
        [matrix.to_numpy()], SETTINGS, clusters=[np.repeat(np.arange(5), K)]
    )
    for name in ("low", "high", "sd_seeds", "df", "interval_over"):
        assert one[name] == asdict(wanted)[name]
    floors = rows[rows["subject"] != MODEL]
    assert floors[["encoder", "scorer", "normalizer", "sd_seeds"]].isna().all(axis=None)
    # whatever the sampling, the same recordings and so the same floors
    by_data = floors.set_index(["subject", "metric", "dataset"])["mean"].unstack()
    assert (by_data["sparse"] == by_data["dense"]).all()


def test_models_are_compared_with_the_reference_and_with_floors(scored, tmp_path):
    out, files, *_ = scored
    readings = {name: of["reading"] for name, of in files.items()}
    paths = tmp_path / "summary.parquet", tmp_path / "comparison.parquet"
    reaction_tables(out, readings, SETTINGS, {}, *paths)
    rows = tables.read_table(paths[1], "reaction_comparison").to_pandas()
    counts = rows.groupby(["contrast", "baseline"]).size().to_dict()
    assert counts == {
        ("normalizer", "softmax"): 2 * 3,
        ("floor", BASE_RATE): 4 * 3,
        ("floor", LAST_SECONDS): 4 * 3,
    }
    summary = tables.read_table(paths[0], "reaction_summary").to_pandas()
    means = summary.set_index(["dataset", "normalizer", "subject", "metric"])["mean"]
    keys = ["contrast", "baseline", "dataset", "normalizer", "metric"]
    found = rows.set_index(keys)
    one = found.loc[("normalizer", "softmax", "sparse", "sparsemax", "pearson")]
    assert one["difference"] == pytest.approx(
        means["sparse", "sparsemax", MODEL, "pearson"]
        - means["sparse", "softmax", MODEL, "pearson"]
    )
    assert one["n_recordings"] == 5 and one["seed_signs"] == "---"
    assert not pd.isna(one["p"])
    # a floor stands against each seed
    matrices = {tuple(key): matrix for key, matrix in matrices_of(out).items()}
    model = matrices["dense", "gru", "additive", "softmax", MODEL, "pearson"].values
    floor = matrices["dense", None, None, None, BASE_RATE, "pearson"].values
    compared = Compared.of(
        model.to_numpy(),
        np.repeat(floor.to_numpy(), 3, axis=1),
        clusters=np.repeat(np.arange(5), K),
    )
    (interval,) = intervals([compared.moments], SETTINGS)
    one = found.loc[("floor", BASE_RATE, "dense", "softmax", "pearson")]
    assert (one["difference"], one["low"]) == (interval.mean, interval.low)
    assert one["family"] == "contrast floor, baseline base_rate, metric pearson"


def test_what_is_shown_is_told_second_by_second(scored, tmp_path):
    _, files, runs, paths, test = scored
    readings = {name: of["reading"] for name, of in files.items()}
    out = tmp_path / "episodes.parquet"
    episodes_table(runs[:1], paths[:1], readings, {}, out)
    rows = tables.read_table(out, "reaction_episodes").to_pandas()
    assert len(rows) == 2 * 40 * K
    one = rows[(rows["recording"] == "film1") & (rows["reaction"] == "awe")].iloc[7]
    assert one["second"] == 7 and one["event"] == test[1].events[7, 1]
    assert one["target"] == pytest.approx(test[1].targets[7, 1])
    assert one["times"].tolist() == [-1, 0]


# ---------------------------------------------------------------- claims


def test_sampling_is_compared_by_recording_and_seed(scored):
    out, *_ = scored
    claim = {
        "where": {"metric": ["pearson"], "subject": [MODEL], "dataset": ["sparse"]},
        "less": {"dataset": ["dense"]},
    }
    rows = of_reactions(claim, out, SETTINGS)
    assert [row["normalizer"] for row in rows] == ["softmax", "sparsemax"]
    scores = tables.read_table(out, "reaction_scores").to_pandas()
    scores = scores[(scores["metric"] == "pearson") & (scores["subject"] == MODEL)]
    for row in rows:
        assert (row["dataset"], row["measure"], row["subject"], row["less"]) == (
            *("sparse", "pearson", "model"),
            "dataset dense",
        )
        of_cell = scores[scores["normalizer"] == row["normalizer"]]
        values = of_cell.pivot(
            index=["recording", "reaction", "seed"], columns="dataset", values="value"
        )
        paired = values["sparse"] - values["dense"]
        assert row["estimate"] == pytest.approx(paired.mean())
        assert (row["n_instances"], row["n_seeds"]) == (5, 3)
        assert row["interval_over"] == "instances and seeds"


def test_one_run_stands_against_all_normalizers(scored):
    out, *_ = scored
    claim = {
        "where": {"metric": ["pearson"], "subject": [MODEL], "dataset": ["sparse"]},
        "less": {"normalizer": ["softmax"]},
    }
    (row,) = of_reactions(claim, out, SETTINGS)
    assert (row["normalizer"], row["less"]) == ("sparsemax", "normalizer softmax")
    assert row["estimate"] < 0


def test_claims_about_reactions_are_judged(scored, tmp_path):
    out, files, *_ = scored
    readings = {name: of["reading"] for name, of in files.items()}
    paths = {
        n: tmp_path / f"{n}.parquet"
        for n in ("reaction_summary", "reaction_comparison")
    }
    reaction_tables(out, readings, SETTINGS, {}, *paths.values())
    claim = {
        "claim": "one",
        "source": "Nobody 2020",
        "text": "It is more.",
        "rule": {"above": 0.0},
        "holds": "on_average",
        "figure": "reaction_score",
        "lacks": None,
        "less": {},
    }
    pearson = {"metric": ["pearson"]}
    claims = [
        claim
        | {
            "table": "reaction_summary",
            "where": pearson | {"subject": [MODEL], "dataset": ["sparse"]},
            "less": {"dataset": ["dense"]},
        },
        claim
        | {
            "claim": "two",
            "table": "reaction_comparison",
            "where": pearson | {"contrast": ["floor"], "baseline": [LAST_SECONDS]},
        },
        claim
        | {
            "claim": "three",
            "table": "reaction_summary",
            "where": pearson | {"subject": [MODEL]},
        },
    ]
    judged = tmp_path / "claims.parquet"
    sources = Sources(paths | {"reaction_scores": out}, [], {})
    claims_table(claims, sources, SETTINGS, {}, judged)
    rows = tables.read_table(judged, "claims").to_pandas()
    over = rows[rows["n_cells"].notna()].set_index("claim")
    assert over["n_cells"].to_dict() == {"one": 2, "two": 4, "three": 4}
    assert over["measure"].tolist() == ["pearson"] * 3
    assert over["less"].fillna("").tolist() == ["dataset dense", LAST_SECONDS, ""]
    assert over["verdict"]["three"] == "supported"
