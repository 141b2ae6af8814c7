"""The page of reactions is what its tables say."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from attention_audit.figures import published, published_page, reactions
from attention_audit.figures.published import CELL
from attention_audit.figures.reactions_page import (
    FLOORS,
    SAMPLED,
    beside_floors,
    decided,
    difference_table,
    looks_farther,
    page,
    sampling_table,
)
from attention_audit.records import tables
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS
from tests.unit.grids import order_of, tables_of, write
from tests.unit.pages import check_page, check_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workflow/report/reactions.md.jinja"
KEPT = ROOT / "docs/reactions"

SPARSE, DENSE = "sitcom_sparse", "sitcom_dense"
NORMALIZERS = ["softmax", "sparsemax"]
AXES = ([SPARSE, DENSE], ["gated"], ["additive", "last"], NORMALIZERS)
METHODS = {"input_gradient": "inputs", "hidden_gradient": "hidden_states"}
# of the five made-up claims, the last is not tested
CLAIMS = {
    SAMPLED[0]: "reaction_score",
    SAMPLED[1]: "reaction_score",
    "attention_looks_farther": "reaction_lookback",
    "weak_agreement": "agreement",
    "adversarial_attention": "adversarial_divergence",
}
WRITTEN = ("runs", "task", "summary", "explanation_summary", "claims")
WRITTEN += ("reaction_summary", "reaction_comparison")
SUPPORTED, CONTRADICTED, UNDECIDED = VERDICTS


@pytest.mark.skipif(
    not KEPT.is_dir(), reason="no page of reactions is in the repository"
)
def test_the_page_in_the_repository_is_made_of_its_tables():
    sizes = check_page("reactions", page)
    assert sum(sizes[name] for name in sizes if name.endswith(".csv")) < 150_000


def test_the_template_has_no_number_of_its_own():
    check_template(TEMPLATE)


def compared(summary):
    """A table "reaction_comparison" of the numbers of a summary."""
    rows = summary[summary["normalizer"].notna()].rename(columns={"mean": "difference"})
    floors = [rows.assign(contrast="floor", baseline=floor) for floor in FLOORS]
    normalizer = rows[rows["normalizer"] != "softmax"]
    normalizer = normalizer.assign(contrast="normalizer", baseline="softmax")
    return pd.concat([normalizer, *floors], ignore_index=True).assign(
        verdict="different"
    )


def card(name, rate, span):
    splits = {
        split: {
            "seconds": seconds,
            "of_a_recording": {"mean": 1348.4},
            "event_rate": {"laughter": 0.1125},
            "target_mean": {"laughter": 0.1975},
            "clipped": {"laughter": 0},
        }
        for split, seconds in (("train", 82000), ("dev", 16000), ("test", 31000))
    }
    return {
        "name": name,
        "note": "It stands for the task, and for nothing more.",
        "counts": {
            s: {"recordings": n} for s, n in zip(splits, (61, 12, 23), strict=True)
        },
        "decisions": {"train": 8200, "dev": 1600, "test": 520},
        "reading": {"sampling": {"rate": rate, "span": span, "side": "past"}},
        "moments": 60,
        "streams": {"words": 50, "silence": 1},
        "share_of_words_with_a_vector": 0.995,
        "reactions": ["laughter"],
        "splits": splits,
        "source": {"held_out": None},
        "dropped": {},
        "left_out": {"lines_not_utf8_of_a": 2, "lines_not_utf8_of_b": 1, "laughs": 4},
        "provenance": {"rule": "prepare", "params": {"code": "ab"}, "versions": {}},
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is kept of an experiment of made-up numbers."""
    folder = tmp_path_factory.mktemp("reactions")
    found = tables_of(order_of(*AXES, list(METHODS)), seeds=3, scored=AXES[0])
    for name, rows in found.items():
        if "scorer" in rows:
            last = (rows["scorer"] == "last") & (rows["normalizer"] != "softmax")
            found[name] = rows[~last].reset_index(drop=True)
    task = found["task"]
    runs = task.drop_duplicates([*CELL, "seed"])[[*CELL, "seed"]]
    found["runs"] = runs.assign(path="")
    of_runs = [
        runs.assign(split=None, metric=name, value=value)
        for name, value in (("parameters", 12345.0), ("epochs", 7), ("best_epoch", 6))
    ]
    of_test = [
        runs.assign(split="test", metric=name, value=value)
        for name, value in (("loss", 0.75), ("absolute_error", 0.125))
    ]
    found["task"] = pd.concat([task, *of_runs, *of_test], ignore_index=True)
    found["reaction_comparison"] = compared(found["reaction_summary"])
    claims = found["claims"]
    names = dict(zip(claims["claim"].unique(), CLAIMS, strict=True))
    claims["claim"] = claims["claim"].map(names)
    claims["figure"] = claims["claim"].map(CLAIMS)
    found["claims"] = claims.assign(text=claims["claim"] + " holds.")
    for name in WRITTEN:
        write(folder, name, found[name], runs.to_dict("records"))
    grid = {f"{axis}s": names for axis, names in zip(CELL, AXES, strict=True)}
    samplings = {SPARSE: (1.0, 60.0), DENSE: (6.0, 10.0)}
    config = {
        "experiment": "reactions",
        "grid": grid | {"seeds": [0, 1, 2]},
        "audit": {"instances": 20},
        "influence": {"instances": 1},
        "statistics": {
            "confidence": 0.95,
            "reference": "softmax",
            "correction": "holm",
        },
        "reactions": {"shown": 1, "last_seconds": 10, "base_rate_sigma": 30},
        "methods": {name: {"of": of} for name, of in METHODS.items()},
        "datasets": {
            name: {"note": "said.", "sampling": {"rate": rate, "span": span}}
            for name, (rate, span) in samplings.items()
        },
        "encoders": {"gated": {"kind": "gated", "losses": {"l1": 1.0}}},
        "scorers": {"additive": {"kind": "additive"}, "last": {"kind": "last"}},
        "normalizers": {name: {"kind": name} for name in NORMALIZERS},
    }
    folder.joinpath("config.yaml").write_text(yaml.safe_dump(config))
    tables.write_json(folder / "experiment.json", {"commit": "c0ffee", "changed": []})
    for name, sampled in samplings.items():
        tables.write_json(folder / f"data/{name}/card.json", card(name, *sampled))
    target = tmp_path_factory.mktemp("docs") / "reactions"
    published.collect(reactions.KEPT, {"reactions": folder}, target)
    return target


@pytest.fixture(scope="module")
def made(kept):
    return page(kept, TEMPLATE)


def lines_of(made, head):
    """The rows of the first table with this head, a list of cells each."""
    (part, *_) = made.split(head)[1].split("\n\n")
    return [line.strip("| ").split(" | ") for line in part.splitlines()[2:]]


def test_every_part_is_told(kept, made):
    assert re.findall(r"\b(?:None|nan|NaN|True|False)\b", made) == []
    assert "\n\n\n" not in made and ".png" not in made
    for name in published_page.read(kept).made["files"]:
        assert name in made or name == "published.csv"
    said = " ".join(made.split())
    assert said.count("It stands for the task, and for nothing more.") == 1
    assert "an episode, of 1,348 seconds on average in test" in said
    assert "- sitcom_dense: lines not utf8, 3" in made
    assert "- data set `sitcom_dense`: sampling.rate 6.0, sampling.span 10.0" in made
    assert "smoothed over 30 s" in said and "10 seconds before the one" in said
    for claim in CLAIMS:
        assert (f"{claim} holds." in made) == (claim != "adversarial_attention")
        assert made.count(f"*{claim} holds.*") == (claim != "adversarial_attention")


def test_data_sets_differ_in_their_moments(made):
    lines = lines_of(made, "| data set | moments of a decision |")
    assert lines[3] == [
        *(DENSE, "60: 6 a second over 10 s before it", "train"),
        *("61", "82,000", "8,200", "drawn"),
    ]
    assert lines_of(made, "| data set | reaction | of |")[0] == [
        *(SPARSE, "laughter", "train", "11.2%", "0.198")
    ]


def test_scores_stand_above_their_floors(kept, made):
    scores = pd.read_csv(kept / "scores.csv")
    lines = lines_of(made, "| data set | encoder | scorer | normalizer | Pearson |")
    names = ["softmax", "sparsemax", "softmax", *FLOORS.values()]
    assert [line[3] for line in lines[:5]] == names
    assert [line[2] for line in lines[:5]] == ["additive", "additive", "last", "–", "–"]
    wanted = scores.set_index(["dataset", "subject", "metric"])["mean"]
    expected = wanted[DENSE, "last_seconds", "concordance"]
    assert lines[9][5].startswith(f"{expected:.3f} [") and lines[9][7] == "19"
    assert made.count("models score above the base rate") == 3


def test_numbers_of_the_paper_stand_above_ours(kept, made):
    scores = pd.read_csv(kept / "scores.csv")
    of_models = scores[(scores["subject"] == "model") & (scores["metric"] == "pearson")]
    ours = of_models.loc[of_models["dataset"] == DENSE, "mean"]
    lines = lines_of(made, "| numbers of | moments | Pearson |")
    assert lines[0] == ["Lin et al. 2021", "1 a second over 60 s", "0.0121"]
    assert lines[-1] == [
        *(f"here, {DENSE}", "6 a second over 10 s"),
        f"{ours.min():.3f} to {ours.max():.3f}",
    ]


def test_cells_are_told_apart_by_their_scorers(made):
    lines = lines_of(made, "| data set | encoder | scorer | normalizer | parameters |")
    assert [SPARSE, "gated", "last", "softmax"] in [line[:4] for line in lines]
    lines = lines_of(made, "| data set | encoder | scorer | normalizer | attention |")
    assert len(lines) == 6 and all(re.match(r"\d+\.\d \[", line[4]) for line in lines)


def test_tests_are_told_of_every_subject_and_reference(made):
    for head in (
        "divergence: adversarial",
        "divergence: uniform",
        "distance of outputs: other seeds",
        "never flips: random",
        "sufficiency: attention",
    ):
        expected = head != "divergence: adversarial"  # of points alone in these tables
        assert (f"| {head} |" in made) == expected


# --- sentences that are made of rows ----------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((SUPPORTED, SUPPORTED), f"**{SUPPORTED}**: by Pearson it is {SUPPORTED} and"),
        ((CONTRADICTED,) * 2, "dense samples over a short span are the better ones"),
        ((UNDECIDED, UNDECIDED), "too small to tell"),
        (
            (SUPPORTED, UNDECIDED),
            "The scores differ: by Pearson it is supported and by",
        ),
        ((), f"**{NOT_TESTED}**"),
    ],
)
def test_the_question_is_decided_by_both_scores(verdicts, said):
    claims = [
        {"claim": name, "verdict": verdict}
        for name, verdict in zip(SAMPLED, verdicts, strict=False)
    ]
    assert said in decided(claims)


def cell(**more):
    return dict(zip(CELL, ("d", "e", "s", "n"), strict=True)) | more


def test_the_cells_of_both_claims_are_listed():
    known = {"estimate": 0.1, "low": 0.05, "high": 0.15, "verdict": SUPPORTED}
    cells = [
        cell(claim=name, measure=measure, **known)
        for name, measure in (
            (SAMPLED[0], "pearson"),
            ("another", "pearson"),
            (SAMPLED[1], "concordance"),
        )
    ]
    ends = [line.split(" | ")[0] for line in sampling_table(cells).splitlines()[2:]]
    assert ends == ["| Pearson", "| concordance"]
    assert sampling_table([]) == ""


def test_cells_above_floors_are_counted():
    rows = [
        cell(metric="pearson", baseline=floor, difference=d, low=low)
        for floor, d, low in (
            ("base_rate", 0.2, 0.1),
            ("base_rate", 0.2, -0.1),
            ("base_rate", -0.2, -0.3),
            ("last_seconds", 0.2, None),
        )
    ]
    assert beside_floors(rows, "pearson") == (
        "above the base rate at that time in 2 of 3 cells (with the whole interval in 1) "
        "and above the mean of the last seconds in 1 of 1 cell (with the whole interval "
        "in 0)"
    )


def test_few_seeds_have_no_verdict():
    known = {"difference": 0.1, "low": 0.0, "high": 0.2, "verdict": None}
    rows = [cell(metric="pearson", contrast="normalizer", **known)]
    (line,) = difference_table(rows).splitlines()[2:]
    assert line == "| d | e | n | 0.100 [0.000, 0.200] | too few seeds |"
    assert difference_table([]) == ""


def test_cells_that_look_farther_than_importance_are_counted():
    rows = [
        cell(normalizer=name, measure="lookback", subject=subject, mean=mean)
        for name, means in (("a", (5.0, 2.0)), ("b", (1.0, 2.0)), ("c", (1.0, None)))
        for subject, mean in zip(("attention", "input_gradient"), means, strict=True)
    ]
    assert looks_farther(rows) == "farther than input gradient in 1 of 2 cells"
