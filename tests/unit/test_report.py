"""The tables of the report: what they claim of intervals, seeds and notes."""

import numpy as np
import pandas as pd

from attention_audit.figures import report

SPLITS = ("train", "dev", "test")
CELL = {
    "dataset": "imdb",
    "encoder": "bilstm",
    "scorer": "additive",
    "normalizer": "softmax",
}
ORDER = {
    "datasets": ["imdb"],
    "encoders": ["bilstm"],
    "scorers": ["additive"],
    "normalizers": ["softmax", "sparsemax"],
    "methods": ["input_gradient"],
}


def agreement(**more):
    row = {
        "measure": "kendall_tau_b",
        "subject": "attention",
        "reference": "input_gradient",
        "mean": 0.25,
        "low": 0.125,
        "high": 0.375,
        "interval_over": "instances and seeds",
        "interval_method": "moderated",
        "note": None,
        "by_construction": None,
    }
    return CELL | row | more


def agreement_table(*rows):
    return report.agreement_table(pd.DataFrame(rows), ORDER, 0.95)


def test_an_interval_is_over_what_it_says():
    table = agreement_table(agreement())
    assert table["rows"][0][-1] == "0.250 [0.125, 0.375]"
    assert (
        "interval over instances and seeds (Student's t; variance: moderated)."
        in (table["text"])
    )
    assert "†" not in table["text"]
    one_seed = agreement_table(
        agreement(interval_over="instances", interval_method="one_sample")
    )
    assert "over instances (Student's t; variance: one sample)." in one_seed["text"]
    mixed = agreement_table(
        agreement(), agreement(normalizer="sparsemax", interval_over="instances")
    )
    assert "instances and, where there are several, seeds" in mixed["text"]


def test_no_interval_is_shown_where_there_is_none_and_notes_are_told():
    note = "one instance: no interval"
    row = agreement(low=np.nan, high=np.nan, interval_over=None, note=note)
    table = agreement_table(row)
    assert table["rows"][0][-1] == "0.250 †"
    assert f"† {note}." in table["text"]
    table = difference_table(row | difference(p=np.nan, seed_signs=None))
    assert table["rows"][0][-1] == "0.250 †" and note in table["text"]


def difference(p, **more):
    return {
        "difference": 0.25,
        "p": p,
        "p_corrected": p,
        "seed_signs": "++-",
        "smallest_effect": 0.1,
        "verdict": "different",
        "contrast": "normalizer",
        "baseline": "softmax",
        "family": "measure kendall_tau_b, subject attention",
        "family_size": 18,
    } | more


def difference_table(*rows):
    return report.difference_table(pd.DataFrame(rows), ORDER, "softmax", "holm")


def test_a_difference_has_its_test_or_the_signs_of_its_seeds():
    tested = agreement() | difference(p=0.02)
    table = difference_table(tested)
    assert table["rows"][0][-1] == "0.250 [0.125, 0.375], p = 0.020, different"
    assert "measure kendall_tau_b, subject attention (18 comparisons)" in table["text"]
    assert "surely smaller than 0.1" in table["text"] and "'holm'" in table["text"]
    few = agreement() | difference(p=np.nan, seed_signs="+-", verdict=None)
    table = difference_table(few)
    assert table["rows"][0][-1] == "0.250 [0.125, 0.375], seeds +−"
    assert "Too few seeds for a test" in table["text"]


def test_every_part_of_a_difference_has_a_table_of_its_own():
    whole = agreement(normalizer="sparsemax") | difference(p=0.02)
    cut = whole | {"normalizer": "softmax cut to sparsemax", "difference": 0.125}
    cut["contrast"] = "cut"
    beyond = whole | {"baseline": "softmax cut to sparsemax", "difference": 0.375}
    beyond["contrast"] = "beyond_cut"
    rows = pd.DataFrame([whole, cut, beyond])
    found = {}
    for contrast in ("normalizer", "cut", "beyond_cut"):
        table = report.difference_table(rows, ORDER, "softmax", "holm", contrast)
        (row,) = table["rows"]
        # all are about the normalizer
        assert row[:4] == ["imdb", "bilstm", "additive", "sparsemax"]
        found[contrast] = row[-1].split()[0], table["title"]
    assert found == {
        "normalizer": ("0.250", "Agreement less that of softmax"),
        "cut": ("0.125", "Of this, what cutting softmax does"),
        "beyond_cut": ("0.375", "Of this, what remains beyond the cut of softmax"),
    }


def test_controls_are_no_rows_of_the_table_of_agreement():
    control = agreement(normalizer="softmax cut to sparsemax")
    assert len(agreement_table(agreement(), control)["rows"]) == 1


def test_what_agrees_by_construction_is_marked_and_told():
    table = agreement_table(agreement(by_construction="zeros coincide"))
    assert table["rows"][0][-1] == "0.250 [0.125, 0.375] ‡"
    assert "‡ agrees by construction (zeros coincide)." in table["text"]
    both = agreement(by_construction="zeros coincide", note="negligible")
    table = agreement_table(both, agreement(normalizer="sparsemax"))
    assert table["rows"][0][-1] == "0.250 [0.125, 0.375] † ‡"
    assert table["rows"][1][-1] == "0.250 [0.125, 0.375]"
    assert "† negligible. ‡ agrees" in table["text"]


def scores(seeds, absent=0):
    rows = [
        CELL | {"seed": seed, "split": "test", "metric": metric, "value": value}
        for seed in range(seeds)
        for metric, value in {
            "accuracy": 0.75 + seed / 4,
            "macro_f1": 0.5,
            "classes_absent": absent,
        }.items()
    ]
    return report.score_table(pd.DataFrame(rows), ORDER)


def test_scores_have_a_range_only_over_several_seeds():
    assert scores(2)["rows"][0][4] == "0.875 [0.750, 1.000]"
    assert "lowest and highest seed" in scores(2)["text"]
    assert scores(1)["rows"][0][4] == "0.750"
    assert "one seed" in scores(1)["text"]
    assert "imdb" not in scores(1)["text"]


def test_what_models_cost_stands_beside_their_accuracy():
    runs = pd.DataFrame([CELL | {"seed": seed} for seed in (0, 1)])
    task = runs.assign(split="test", metric="accuracy", value=[0.5, 0.75])
    others = [task.assign(split="dev"), task.assign(metric="macro_f1")]
    sizes = runs.assign(
        parameters=12345, trainable_parameters=345, multiply_adds=2000.5, n_instances=4
    )
    speed = runs.assign(decisions_per_second=[900.0, 1500.0], n_instances=4)
    table = report.cost_table(
        pd.concat([*others, task]), sizes, speed[::-1].reset_index(drop=True), ORDER
    )
    assert table["columns"][4:] == [
        "parameters",
        "trainable parameters",
        "multiply adds",
        "decisions per second",
        "accuracy",
    ]
    (row,) = table["rows"]
    assert row == [*CELL.values(), "12,345", "345", "2,000", "1,200", "0.625"]


def scores_of(**more):
    rows = [
        CELL | more | {"seed": 0, "split": "test", "metric": metric, "value": value}
        for metric, value in {
            "pearson": 0.5,
            "concordance": 0.25,
            "absolute_error": 0.125,
            "constant": 1,
        }.items()
    ]
    return pd.DataFrame(rows)


def test_scores_of_recordings_stand_beside_those_of_classes():
    order = ORDER | {"datasets": ["imdb", "sitcom"]}
    classes = pd.DataFrame(
        [
            CELL | {"seed": 0, "split": "test", "metric": metric, "value": 0.75}
            for metric in ("accuracy", "macro_f1", "classes_absent")
        ]
    )
    of_scores = scores_of(dataset="sitcom")
    for task, rows in (
        (of_scores, {"sitcom": ["0.500", "0.250", "0.125"]}),
        (
            pd.concat([classes, of_scores], ignore_index=True),
            {
                "imdb": ["0.750", "0.750", "–", "–", "–"],
                "sitcom": ["–", "–", "0.500", "0.250", "0.125"],
            },
        ),
    ):
        table = report.score_table(task, order)
        assert {row[0]: row[4:] for row in table["rows"]} == rows
        assert table["columns"][-3:] == ["pearson", "concordance", "absolute error"]
        assert "the mean over recordings" in table["text"]
        runs = task[[*CELL, "seed"]].drop_duplicates()
        sizes = runs.assign(parameters=1, trainable_parameters=1, multiply_adds=1.0)
        speed = runs.assign(decisions_per_second=1.0)
        costs = report.cost_table(task, sizes, speed, order)
        assert costs["columns"][-1].endswith("Pearson correlation")
        assert [row[-1] for row in costs["rows"]][-1] == "0.500"
    assert "recordings" not in scores(1)["text"]


def test_a_card_of_recordings_tells_of_seconds_events_and_targets():
    splits = {
        name: {
            "seconds": seconds,
            "target_mean": {"laughter": 0.0625},
            "event_rate": {"laughter": rate},
        }
        for name, seconds, rate in (("train", 8200, 0.11), ("test", 100, 0.125))
    }
    card = {
        "name": "sitcom",
        "counts": {
            s: {"recordings": n} for s, n in zip(SPLITS, (61, 12, 23), strict=True)
        },
        "reactions": ["laughter"],
        "splits": splits,
        "dropped": {},
        "left_out": {"laughs_in_credits": 326},
    }
    table = report.data_table([card])
    (row,) = table["rows"]
    assert row[:4] == ["sitcom", "61", "12", "23"]
    assert row[4] == (
        "8,200 / 100 seconds; laughter: target on average 0.062 / 0.062, event in 11.0% / "
        "12.5% of seconds"
    )
    assert row[5] == "laughs_in_credits 326"
    del splits["train"]["event_rate"]
    assert "event" not in report.data_table([card])["rows"][0][4]


def test_absent_classes_are_told():
    assert "Classes without an instance in test" in scores(2, absent=3)["text"]
    assert "imdb 3" in scores(2, absent=3)["text"]


def test_captions_are_shown_as_they_are_meant():
    caption = "**Heads.** A setting\n(``self_attention``) < 1."
    assert report.caption_html(caption) == (
        "<strong>Heads.</strong> A setting (<code>self_attention</code>) &lt; 1."
    )
