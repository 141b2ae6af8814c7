"""What a claim comes to: a cell, over all cells, and in the table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats

from attention_audit.records import tables
from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics import evidence, inference, verdicts
from attention_audit.statistics.estimates import Compared, Settings, intervals
from attention_audit.statistics.matrices import SHARED
from attention_audit.statistics.random_effects import moments, t_interval
from attention_audit.statistics.verdicts import (
    Sources,
    claims_table,
    decided,
    judged,
    pooled,
    sides,
)

SETTINGS = Settings(reference="softmax", confidence=0.95, interval="random_effects")
CLAIM = {
    "claim": "one",
    "source": "Nobody 2020",
    "text": "It is more.",
    "table": "summary",
    "where": {"measure": ["entropy"]},
    "less": {},
    "rule": {"above": 0.0},
    "holds": "on_average",
    "figure": "agreement",
    "lacks": None,
}


def cell(estimate, error=0.1, df=20.0, dataset="imdb", **more):
    """A row that decides a claim, as the tables of statistics have it."""
    low, high = t_interval(estimate, error**2, df, 0.95)
    return {
        "dataset": dataset,
        "encoder": "bilstm",
        "scorer": "additive",
        "normalizer": "softmax",
        "measure": "entropy",
        "subject": "attention",
        "reference": None,
        "less": None,
        "estimate": estimate,
        "low": low,
        "high": high,
        "interval_over": "instances and seeds",
        "interval_method": "moderated",
        "standard_error": error,
        "df": df,
        "n_instances": 50,
        "n_seeds": 3,
        "note": None,
        "by_construction": None,
    } | more


def judge(cells, rule=None, **more):
    """The row over all cells, and those of the cells."""
    claim = CLAIM | {"rule": rule or CLAIM["rule"]} | more
    over, *rows = judged(claim, cells, SETTINGS)
    return over, rows


# --- one estimate against a bound -------------------------------------------------


def test_both_sides_are_those_of_a_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    known = (values.mean(), values.std(ddof=1) / np.sqrt(40), 39)
    for name, alternative in (("below", "less"), ("above", "greater")):
        for bound in (-0.2, 0.0, 0.7):
            found = sides({name: bound}, *known)
            theirs = scipy.stats.ttest_1samp(values, bound, alternative=alternative)
            assert found[0] == pytest.approx(theirs.pvalue)
            assert found[1] == pytest.approx(1 - theirs.pvalue)


def test_a_size_is_tested_as_equivalence_is():
    from attention_audit.statistics.random_effects import equivalence_test, t_test

    estimate, error, df = -0.12, 0.1, 15.0
    known = (estimate, error, df)
    equivalent = equivalence_test(estimate, error**2, df, 0.3)
    assert sides({"within": 0.3}, *known) == pytest.approx((equivalent, 1 - equivalent))
    assert sides({"outside": 0.3}, *known)[0] == pytest.approx(1 - equivalent)
    # outside of nothing is the two-sided test of no difference, once doubled
    assert 2 * sides({"outside": 0.0}, *known)[0] == pytest.approx(
        t_test(estimate, error**2, df)
    )


def test_where_nothing_varies_an_estimate_is_on_a_side_or_on_the_bound():
    assert sides({"below": 0.5}, 0.4, 0.0, np.inf) == (0, 1)
    assert sides({"below": 0.5}, 0.6, 0.0, np.inf) == (1, 0)
    assert sides({"below": 0.5}, 0.5, 0.0, np.inf) == (0.5, 0.5)


@pytest.mark.parametrize("rule", ["below", "above", "within", "outside"])
def test_a_single_cell_is_decided_where_its_interval_lies_on_one_side(rule):
    seen = set()
    for estimate in np.linspace(-1.2, 1.2, 17):
        over, (row,) = judge([cell(estimate)], {rule: 0.5})
        low, high = row["low"], row["high"]
        inner = low > -0.5 and high < 0.5
        outer = low > 0.5 or high < -0.5
        expected = {
            "below": (high < 0.5, low > 0.5),
            "above": (low > 0.5, high < 0.5),
            "within": (inner, outer),
            "outside": (outer, inner),
        }[rule]
        verdict = dict(zip(expected, verdicts.VERDICTS, strict=False)).get(True)
        assert row["verdict"] == (verdict or "undecided")
        # one cell is all cells
        assert over["verdict"] == row["verdict"]
        for column in ("estimate", "low", "high", "df", "p"):
            assert over[column] == pytest.approx(row[column]), column
        seen.add(row["verdict"])
    assert seen == set(verdicts.VERDICTS)


# --- many cells --------------------------------------------------------------------


def test_each_side_is_corrected_over_the_cells_of_a_claim():
    cells = [cell(e) for e in (0.5, 0.22, 0.23, 0.05, -0.24, -0.4)]
    over, rows = judge(cells)
    alone = [judge([c])[1][0] for c in cells]
    assert [r["verdict"] for r in alone] == [
        "supported",
        "supported",
        "supported",
        "undecided",
        "contradicted",
        "contradicted",
    ]
    assert [r["verdict"] for r in rows] == [
        "supported",
        *["undecided"] * 4,
        "contradicted",
    ]
    # Holm by hand: the smallest of six p values times six
    assert rows[0]["p_corrected"] == pytest.approx(6 * rows[0]["p"])
    assert rows[5]["p_corrected"] == pytest.approx(6 * rows[5]["p"])
    counts = {k: over[f"n_{k}"] for k in ("cells", *verdicts.VERDICTS)}
    assert counts == {"cells": 6, "supported": 1, "contradicted": 1, "undecided": 4}
    assert over["estimate"] == pytest.approx(
        np.mean([0.5, 0.22, 0.23, 0.05, -0.64]) * 5 / 6
    )
    assert over["verdict"] == "undecided"


def test_no_verdict_is_false_more_often_than_promised():
    random = np.random.default_rng(1)
    # six cells on the bound: any verdict in any of them is one too many
    errors = 0.1 * np.sqrt(random.chisquare(20, (400, 6)) / 20)
    against = sides({"above": 0.0}, random.normal(0, 0.1, (400, 6)), errors, 20.0)
    found = [decided(*both, SETTINGS)[1] for both in zip(*against, strict=True)]
    for name in ("supported", "contradicted"):
        wrong = np.mean([name in verdicts for verdicts in found])
        # half of 5 % for each
        assert 0.005 < wrong < 0.05, name


def test_what_is_so_somewhere_needs_one_cell_and_fails_in_all():
    rule = {"rule": {"below": 0.0}, "holds": "somewhere"}
    over, _ = judge([cell(-0.5), cell(2.0), cell(2.0)], **rule)
    assert over["verdict"] == "supported" and over["estimate"] > 1
    over, _ = judge([cell(0.0), cell(2.0), cell(2.0)], **rule)
    assert over["verdict"] == "undecided"
    # each by itself, for all of them have to be against
    over, rows = judge([cell(0.22), cell(0.24), cell(2.0)], **rule)
    assert over["verdict"] == "contradicted"
    # corrected over the cells, only one of them is
    assert [row["verdict"] for row in rows] == ["undecided"] * 2 + ["contradicted"]


def test_too_few_seeds_decide_nothing():
    few = [cell(5.0, n_seeds=2), cell(5.0, n_seeds=1, interval_over="instances")]
    over, rows = judge(few)
    assert {r["verdict"] for r in (over, *rows)} == {"undecided"}
    assert all("too few seeds for a test" in r["note"] for r in (over, *rows))
    assert np.isnan([r["p"] for r in rows]).all() and over["low"] is None
    assert over["estimate"] == 5.0 and over["n_undecided"] == 2
    # beside others they count in no tested mean
    over, _ = judge([*few, cell(0.5)])
    assert over["estimate"] == pytest.approx(0.5) and over["verdict"] == "supported"
    assert over["note"] == "2 with too few seeds for a test left out"
    assert over["n_cells"] == 3


def test_what_is_arithmetic_or_undefined_settles_nothing():
    built = cell(9.0, by_construction="the zeros of both coincide")
    over, rows = judge([built, cell(-0.5), cell(np.nan)])
    assert len(rows) == over["n_cells"] == 1 and over["verdict"] == "contradicted"
    assert over["note"] == "1 left out, by construction"
    over, rows = judge([built])
    assert (over["verdict"], rows) == ("not tested", [])
    assert over["note"] == "1 left out, by construction"


def test_a_claim_without_rows_says_what_to_switch_on():
    why = "set explanations.flips.enabled to true"
    over, rows = judge([], lacks=why)
    assert (over["verdict"], over["note"], rows) == ("not tested", why, [])
    over, _ = judge([])
    assert over["note"] == "no row of this grid is about it"
    assert over["n_cells"] == 0 and over["estimate"] is None


# --- the mean over cells ------------------------------------------------------------


def test_the_pooled_variance_by_hand():
    errors, df = np.array([0.1, 0.3, 0.2]), np.array([4.0, 9.0, 16.0])
    mean, error, found = pooled(np.array([1.0, 2.0, 6.0]), errors, df, ["a", "a", "b"])
    assert mean == pytest.approx(3)
    first, second = (0.4 / 3) ** 2, (0.2 / 3) ** 2
    assert error == pytest.approx(np.sqrt(first + second))
    known = (0.4 / (0.1 / 2 + 0.3 / 3)) ** 2
    assert found == pytest.approx(
        (first + second) ** 2 / (first**2 / known + second**2 / 16)
    )
    # one data set: as wide as its cells are on average, whatever their number
    ones = np.ones(5)
    assert pooled(ones, 0.1 * ones, 7 * ones, list("aaaaa")) == pytest.approx(
        (1, 0.1, 7)
    )
    assert pooled(ones, 0 * ones, np.inf * ones, list("aabbb")) == (1, 0, np.inf)


@pytest.mark.parametrize("interval", ["random_effects", "moderated"])
def test_the_pooled_interval_covers_though_cells_share_runs_and_texts(interval):
    random = np.random.default_rng(2)
    settings = Settings(confidence=0.95, interval=interval)
    datasets = np.repeat(["a", "b", "c"], 4)
    covered, independent, n = 0, 0, 200
    for _ in range(n):
        cells = []
        for _ in range(3):
            texts = random.normal(0, 0.25, (60, 1))
            for _ in range(2):
                # a reference that two normalizers are compared with
                reference = random.normal(0, 0.1, (1, 3)) + random.normal(
                    0, 0.2, (60, 3)
                )
                for _ in range(2):
                    own = random.normal(0, 0.05, (1, 3)) + random.normal(
                        0, 0.1, (60, 3)
                    )
                    cells.append(moments(texts + own - reference))
        known = intervals(cells, settings)
        columns = ([k.mean for k in known], [k.standard_error for k in known])
        means, errors = map(np.array, columns)
        df = np.array([k.df for k in known])
        mean, error, found = pooled(means, errors, df, datasets)
        low, high = t_interval(mean, error**2, found, 0.95)
        covered += low <= 0 <= high
        apart = np.sqrt((errors**2).sum()) / 12
        independent += abs(mean) <= scipy.stats.t.ppf(0.975, df.sum()) * apart
    # cautious, for cells share much and not all; cells taken as independent are not
    assert covered / n >= 0.94
    assert independent / n < 0.9


# --- the table ----------------------------------------------------------------------

KEYS = {
    ("entropy", "attention", None): 0.0,
    ("jsd", "attention", "adversarial"): 0.5,
    ("jsd", "attention", "other_seeds"): 0.2,
}


@pytest.fixture
def measured(tmp_path):
    """Runs of two data sets and normalizers by three seeds, with their measures."""
    random = np.random.default_rng(3)
    runs, paths = [], []
    for dataset in ("imdb", "sst"):
        for shift, normalizer in enumerate(("softmax", "sparsemax")):
            for seed in range(3):
                run = {
                    "dataset": dataset,
                    "encoder": "bilstm",
                    "scorer": "additive",
                    "normalizer": normalizer,
                    "seed": seed,
                }
                path = tmp_path / f"{dataset}{normalizer}{seed}.parquet"
                with tables.open_table(path, "measures", {}) as table:
                    for (measure, subject, reference), mean in KEYS.items():
                        # the search looks at the first texts alone
                        n = 12 if reference == "adversarial" else 20
                        values = random.normal(mean + 0.1 * shift, 0.1, n)
                        table.write(
                            run
                            | {
                                "instance_id": [f"i{i:02}" for i in range(n)],
                                "measure": measure,
                                "subject": subject,
                                "reference": [reference] * n,
                                "value": values,
                            }
                        )
                runs.append(run)
                paths.append(path)
    found = {}
    for name, write in (
        ("summary", inference.summary_table),
        ("comparison", inference.comparison_table),
    ):
        found[name] = tmp_path / f"{name}.parquet"
        write(runs, paths, SETTINGS, {}, found[name])
    return Sources(finished=found, runs=runs, measures={"summary": paths})


def written(tmp_path, claims, sources):
    path = tmp_path / "claims.parquet"
    claims_table(claims, sources, SETTINGS, {"made": 1}, path)
    assert tables.read_metadata(path) == {"made": 1}
    return tables.read_table(path, "claims").to_pandas()


def test_estimates_are_those_of_the_tables(tmp_path, measured):
    where = {"measure": ["jsd"], "reference": ["adversarial"]}
    claims = [
        CLAIM | {"where": where},
        CLAIM
        | {
            "claim": "two",
            "table": "comparison",
            "where": {"measure": ["entropy"], "contrast": ["normalizer"]},
            "rule": {"within": 0.5},
        },
    ]
    found = written(tmp_path, claims, measured)
    assert list(found.columns) == SCHEMAS["claims"].names
    cells = found[found["n_cells"].isna()]
    keys = ["dataset", "encoder", "scorer", "normalizer", "measure", "reference"]
    for claim, table, value in (
        ("one", "summary", "mean"),
        ("two", "comparison", "difference"),
    ):
        own = cells[cells["claim"] == claim]
        theirs = tables.read_table(measured.finished[table], table).to_pandas()
        both = own.merge(theirs, on=keys, suffixes=("", "_there"))
        assert len(own) == len(both) == (4 if claim == "one" else 2)
        assert (both["estimate"] == both[value]).all()
        for column in ("low", "high", "standard_error", "df", "n_instances", "n_seeds"):
            assert (both[column] == both[f"{column}_there"]).all(), column
        assert (own["evidence"] == f"statistics/{table}.parquet").all()
    over = found[found["claim"] == "two"].iloc[0]
    assert (over["verdict"], over["rule"]) == ("supported", "within 0.5")
    assert over["less"] == "softmax" and pd.isna(over["dataset"])


def test_a_difference_within_a_cell_is_paired_by_text_and_seed(tmp_path, measured):
    claim = CLAIM | {
        "where": {
            "measure": ["jsd"],
            "reference": ["adversarial"],
            "normalizer": ["softmax"],
        },
        "less": {"reference": ["other_seeds"]},
    }
    found = written(tmp_path, [claim], measured)
    cells = found[found["n_cells"].isna()]
    assert cells["dataset"].tolist() == ["imdb", "sst"]
    for _, row in cells.iterrows():
        values = [
            tables.read_table(path, "measures").to_pandas()
            for run, path in zip(
                measured.runs, measured.measures["summary"], strict=True
            )
            if (run["dataset"], run["normalizer"]) == (row["dataset"], "softmax")
        ]
        values = pd.concat(values).pivot_table(
            index=["instance_id", "seed"], columns="reference", values="value"
        )
        paired = (values["adversarial"] - values["other_seeds"]).dropna()
        assert len(paired) == 12 * 3
        assert row["estimate"] == pytest.approx(paired.mean())
        assert (row["n_instances"], row["n_seeds"]) == (12, 3)
        assert row["less"] == "reference other_seeds"
        assert row["interval_over"] == "instances and pairs of seeds"


def test_a_difference_between_encoders_is_paired_by_text_and_seed(tmp_path):
    """The encoders were not measured on the same texts, nor with the same seeds."""
    random = np.random.default_rng(4)
    split = tmp_path / "test.parquet"
    ids = [f"i{i:02}" for i in range(20)]
    pq.write_table(pa.table({"instance_id": ids, "cluster_id": ids}, SHARED), split)
    runs, paths, rows = [], [], []
    for encoder, texts, seeds in (
        ("late", ids[3:], (0, 1, 2, 3)),
        ("everywhere", ids[:18], (0, 1, 2)),
        ("nowhere", ids, (0, 1, 2)),
    ):
        for seed in seeds:
            run = {
                "dataset": "digits",
                "encoder": encoder,
                "scorer": "additive",
                "normalizer": "softmax",
                "seed": seed,
            }
            path = tmp_path / f"{encoder}{seed}.parquet"
            measured = {
                "instance_id": texts,
                "measure": "correct",
                "subject": "prediction",
                "reference": [None] * len(texts),
                "value": random.normal(0.9, 0.1, len(texts)),
            }
            with tables.open_table(path, "measures", {}) as table:
                table.write(run | measured)
            runs.append(run)
            paths.append(path)
            rows.append(pd.DataFrame(run | measured))
    claim = CLAIM | {
        "where": {"measure": ["correct"], "encoder": ["late"]},
        "less": {"encoder": ["everywhere", "nowhere", "late"]},
    }
    sources = Sources({}, runs, {"summary": paths}, {"digits": split})
    found = written(tmp_path, [claim], sources)
    cells = found[found["n_cells"].isna()].set_index("less")
    assert list(cells.index) == ["encoder everywhere", "encoder nowhere"]
    assert (cells["encoder"] == "late").all()
    values = pd.concat(rows).pivot_table(
        index=["instance_id", "seed"], columns="encoder", values="value"
    )
    for other, n in (("everywhere", 15), ("nowhere", 17)):
        paired = (values["late"] - values[other]).dropna()
        row = cells.loc[f"encoder {other}"]
        assert len(paired) == 3 * n
        assert row["estimate"] == pytest.approx(paired.mean())
        assert (row["n_instances"], row["n_seeds"]) == (n, 3)
        assert row["interval_over"] == "instances and seeds"


def test_a_difference_between_data_sets_is_paired_by_recording_and_seed(tmp_path):
    """The same seconds, of which one data set lacks some, and clusters of recordings."""
    random = np.random.default_rng(5)
    shape = pa.schema([*SHARED, pa.field("seconds", pa.list_(pa.int32()))])
    seconds = {"sparse": [[0, 1, 2, 3], [0, 5]], "dense": [[1, 2, 3], [0, 4, 5]]}
    runs, paths, rows, splits = [], [], [], {}
    for dataset, of in seconds.items():
        splits[dataset] = tmp_path / f"{dataset}.parquet"
        names = ["b", "a"]
        columns = {"instance_id": names, "cluster_id": names, "seconds": of}
        pq.write_table(pa.table(columns, shape), splits[dataset])
        ids = [
            f"{name}.{second:05d}"
            for name, each in zip(names, of, strict=True)
            for second in each
        ]
        for seed in range(3):
            run = {
                "dataset": dataset,
                "encoder": "gated",
                "scorer": "additive",
                "normalizer": "softmax",
                "seed": seed,
            }
            path = tmp_path / f"{dataset}{seed}.parquet"
            measured = {
                "instance_id": ids,
                "measure": "lookback",
                "subject": "attention",
                "reference": [None] * len(ids),
                "value": random.normal(9.0, 1.0, len(ids)),
            }
            with tables.open_table(path, "measures", {}) as table:
                table.write(run | measured)
            runs.append(run)
            paths.append(path)
            rows.append(pd.DataFrame(run | measured))
    claim = CLAIM | {
        "where": {"measure": ["lookback"], "dataset": ["sparse"]},
        "less": {"dataset": ["dense"]},
    }
    sources = Sources({}, runs, {"summary": paths}, splits)
    found = written(tmp_path, [claim], sources)
    (cell,) = found[found["n_cells"].isna()].to_dict("records")
    assert (cell["dataset"], cell["less"]) == ("sparse", "dataset dense")
    values = pd.concat(rows).pivot_table(
        index=["instance_id", "seed"], columns="dataset", values="value"
    )
    paired = (values["sparse"] - values["dense"]).dropna()
    assert len(paired) == 5 * 3
    assert cell["estimate"] == pytest.approx(paired.mean())
    assert (cell["n_instances"], cell["n_seeds"]) == (5, 3)
    by_hand = Compared.of(
        paired.unstack().to_numpy(),
        np.zeros((5, 3)),
        clusters=np.array([0, 0, 1, 1, 1]),
    )
    (interval,) = intervals([by_hand.moments], SETTINGS)
    assert cell["low"] == pytest.approx(interval.low)


def test_scores_are_compared_between_encoders(tmp_path):
    scores = {"late": [0.9, 0.92, 0.94], "everywhere": [0.8, 0.83, 0.86]}
    rows = [
        {
            "dataset": "digits",
            "encoder": encoder,
            "scorer": "additive",
            "normalizer": normalizer,
            "seed": seed,
            "split": "test",
            "metric": "accuracy",
            "value": value,
        }
        for normalizer in ("softmax", "sparsemax")
        for encoder, values in scores.items()
        for seed, value in enumerate(values)
    ]
    path = tmp_path / "task.parquet"
    tables.write_rows(path, "task", rows, {})
    claim = CLAIM | {
        "table": "task",
        "where": {"metric": ["accuracy"], "split": ["test"], "encoder": ["late"]},
        "less": {"encoder": ["everywhere"]},
    }
    found = written(tmp_path, [claim], Sources({"task": path}, [], {}))
    cells = found[found["n_cells"].isna()]
    assert cells["normalizer"].tolist() == ["softmax", "sparsemax"]
    assert (cells["encoder"] == "late").all()
    assert (cells["less"] == "encoder everywhere").all()
    assert cells["estimate"].tolist() == pytest.approx([0.09, 0.09])


def test_of_two_seeds_a_difference_from_their_one_pair_decides_nothing(
    tmp_path, measured
):
    keep = [run["seed"] < 2 for run in measured.runs]
    two = Sources(
        finished={},
        runs=[r for r, kept in zip(measured.runs, keep, strict=True) if kept],
        measures={
            "summary": [
                p
                for p, kept in zip(measured.measures["summary"], keep, strict=True)
                if kept
            ]
        },
    )
    claim = CLAIM | {
        "where": {"measure": ["jsd"], "reference": ["adversarial"]},
        "less": {"reference": ["other_seeds"]},
    }
    found = written(tmp_path, [claim], two)
    assert set(found["verdict"]) == {"undecided"}


def test_what_stands_against_pairs_keeps_its_own_variance():
    values = np.random.default_rng(4).normal(0, 1, (30, 5)) + np.arange(5) * 0.3
    as_pairs = evidence.as_pairs(values)
    assert as_pairs.mean() == pytest.approx(values.mean())
    # against pairs that are all alike, the variance is that of the values themselves
    nothing = np.zeros_like(values)
    known = (Compared.of(values, nothing), Compared.of(as_pairs, nothing, True))
    own, paired = (one.moments for one in known)
    of_seeds = [m.squares[1] * m.shares[1] for m in (own, paired)]
    assert of_seeds[1] == pytest.approx(of_seeds[0])
    careless = Compared.of(values, nothing, True).moments
    assert careless.squares[1] * careless.shares[1] > 4 * of_seeds[0]


def test_scores_are_compared_by_seed(tmp_path):
    random = np.random.default_rng(5)
    rows = [
        {
            "dataset": dataset,
            "encoder": "bilstm",
            "scorer": "additive",
            "normalizer": "softmax",
            "seed": seed,
            "guide": guide,
            "split": split,
            "metric": metric,
            "value": random.normal(0.7 + 0.1 * (guide == "attention"), 0.01),
        }
        for dataset in ("imdb", "sst")
        for seed in range(4)
        for guide in ("attention", "uniform", "learned")
        for split in ("dev", "test")
        for metric in ("accuracy", "macro_f1")
    ]
    path = tmp_path / "diagnostics.parquet"
    tables.write_rows(path, "diagnostics", rows, {})
    claim = CLAIM | {
        "table": "diagnostics",
        "where": {"guide": ["attention"], "split": ["test"], "metric": ["macro_f1"]},
        "less": {"guide": ["uniform", "learned"]},
    }
    found = written(tmp_path, [claim], Sources({"diagnostics": path}, [], {}))
    cells = found[found["n_cells"].isna()]
    assert len(cells) == 4
    table = pd.DataFrame(rows)
    table = table[(table["split"] == "test") & (table["metric"] == "macro_f1")]
    for _, row in cells.iterrows():
        part = table[table["dataset"] == row["dataset"]].pivot(
            index="seed", columns="guide", values="value"
        )
        other = row["less"].removeprefix("guide ")
        theirs = scipy.stats.ttest_rel(part["attention"], part[other])
        assert row["p"] == pytest.approx(theirs.pvalue)
        low, high = theirs.confidence_interval(0.95)
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert (row["n_seeds"], row["interval_over"]) == (4, "seeds")
        assert "one set of test texts" in row["note"]
    assert found.iloc[0]["verdict"] == "supported"
    # without what is taken off, the score itself
    (over, *_), whole = (
        judged(c, evidence.of_runs(c, pd.DataFrame(rows), SETTINGS), SETTINGS)
        for c in (claim, claim | {"less": {}, "rule": {"above": 0.75}})
    )
    assert over["n_cells"] == 4 and whole[0]["n_cells"] == 2
    without = claim["where"] | {"guide": ["adversary"]}
    assert (
        evidence.of_runs(claim | {"where": without}, pd.DataFrame(rows), SETTINGS) == []
    )
