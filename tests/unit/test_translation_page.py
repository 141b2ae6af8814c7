"""The page of translation is what its tables say."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from attention_audit.figures import published, published_page, translation
from attention_audit.figures.published import CELL
from attention_audit.figures.translation_page import (
    beside_floors,
    best_subjects,
    decided,
    joined_counts,
    joined_table,
    null_table,
    order_table,
    page,
)
from attention_audit.records import tables
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS
from tests.unit.grids import order_of, tables_of, write
from tests.unit.pages import check_page, check_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workflow/report/translation.md.jinja"
KEPT = ROOT / "docs/translation"

NORMALIZERS = ["softmax", "top_k_2", "rela"]
AXES = (["verses"], ["luong", "translator"], ["dot"], NORMALIZERS)
METHODS = {"input_gradient": "inputs", "hidden_gradient": "hidden_states"}
CLAIMS = ["aligned_agreement", "aligned_attention", "rela_score", "one", "two"]
WRITTEN = ("runs", "task", "summary", "explanation_summary", "claims", "null_summary")
WRITTEN += ("head_summary", "alignment_summary")
WRITTEN += ("translation_scores", "translation_speed")
SUPPORTED, CONTRADICTED, UNDECIDED = VERDICTS


@pytest.mark.skipif(
    not KEPT.is_dir(), reason="no page of translation is in the repository"
)
def test_the_page_in_the_repository_is_made_of_its_tables():
    sizes = check_page("translation", page)
    assert sum(sizes[name] for name in sizes if name.endswith(".csv")) < 150_000


def test_the_template_has_no_number_of_its_own():
    check_template(TEMPLATE)


def alignment_of(found):
    """The table "alignment_summary" of a made-up grid, with all measures."""
    rows = found["alignment_summary"]
    errors = rows.assign(measure="error_rate")
    heads = errors[errors["subject"] == "head"]
    means = heads[heads["head"] == 0].assign(subject="mean_head", head=None)
    errors = pd.concat([errors, means], ignore_index=True)
    # only transformers have heads below
    below = errors["subject"].str.endswith("head") & (errors["encoder"] == "luong")
    errors = errors[~below]
    more = [errors.assign(measure=m) for m in ("precision", "recall", "f1")]
    ranking = errors[errors["links"] == "argmax"].assign(
        links="ranking", measure="average_precision"
    )
    return pd.concat([errors, *more, ranking], ignore_index=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is kept of an experiment of made-up numbers."""
    folder = tmp_path_factory.mktemp("translation")
    found = tables_of(order_of(*AXES, list(METHODS)), seeds=3)
    task = found["task"]
    runs = task.drop_duplicates([*CELL, "seed"])[[*CELL, "seed"]]
    found["runs"] = runs.assign(path="")
    loss = task[task["metric"] == "accuracy"].assign(metric="loss", value=4.5)
    of_runs = [
        runs.assign(split=None, metric=name, value=value)
        for name, value in (("parameters", 12345.0), ("epochs", 7), ("best_epoch", 6))
    ]
    found["task"] = pd.concat([task, loss, *of_runs], ignore_index=True)
    found["translation_scores"]["signature"] = "nrefs:1|case:mixed"
    found["alignment_summary"] = alignment_of(found)
    # with softmax nobody attends to nothing
    null = found["null_summary"]
    null["mean"] = null["mean"].where(null["normalizer"] == "rela", 0.0)
    claims = found["claims"]
    names = dict(zip(claims["claim"].unique(), CLAIMS, strict=True))
    claims["claim"] = claims["claim"].map(names)
    found["claims"] = claims.assign(text=claims["claim"] + " holds.")
    for name in WRITTEN:
        write(folder, name, found[name], runs.to_dict("records"))
    grid = {f"{axis}s": names for axis, names in zip(CELL, AXES, strict=True)}
    config = {
        "experiment": "translation",
        "grid": grid | {"seeds": [0, 1, 2]},
        "audit": {"instances": 40},
        "influence": {"instances": 8},
        "statistics": {
            "confidence": 0.95,
            "reference": "softmax",
            "correction": "holm",
        },
        "methods": {name: {"of": of} for name, of in METHODS.items()},
        "datasets": {"verses": {"min_count": 5, "source": {"greek": "lemma"}}},
        "encoders": {
            name: {"kind": "bilstm", "decoder": {"kind": "lstm", "layers": 1}}
            for name in AXES[1]
        },
        "scorers": {"dot": {"kind": "scaled_dot_product"}},
        "normalizers": {
            "softmax": {"kind": "softmax"},
            "top_k_2": {"kind": "top_k", "k": 2},
            "rela": {"kind": "rela"},
        },
    }
    folder.joinpath("config.yaml").write_text(yaml.safe_dump(config))
    tables.write_json(
        folder / "experiment.json",
        {"commit": "c0ffee", "changed": [], "left_out": ["books"]},
    )
    sides = ("source", "target")
    card = {
        "counts": {s: {"pairs": 1234} for s in ("train", "dev", "test")},
        "words": {side: {"test": {"mean": 16.6}} for side in sides},
        "vocabulary": {
            side: {"size": 1700, "share_unknown": {"test": 0.117}} for side in sides
        },
        "alignment": {
            "test": {
                "pairs": 850,
                "links_per_target_word": 1.089,
                "share_of_source_words_without": 0.12,
            }
        },
        "source": {"held_out": {"dev": ["ACT"], "test": ["JHN"]}},
        "provenance": {"rule": "prepare", "params": {"code": "ab"}, "versions": {}},
    }
    tables.write_json(folder / "data/verses/card.json", card)
    target = tmp_path_factory.mktemp("docs") / "translation"
    published.collect(translation.KEPT, {"translation": folder}, target)
    return target


@pytest.fixture(scope="module")
def made(kept):
    return page(kept, TEMPLATE)


def test_every_part_is_told(kept, made):
    assert re.findall(r"\b(?:None|nan|NaN|True|False)\b", made) == []
    assert "\n\n\n" not in made and ".png" not in made
    for name in published_page.read(kept).made["files"]:
        assert name in made or name == "published.csv"
    assert (
        "| verses | 1,234 | 1,234 | 1,234 | ACT | JHN | source | 16.6 | 1,700 | 11.7% |"
    ) in made
    said = " ".join(made.split())
    assert "850 aligned pairs of test, with 1.09 links a target word and 12%" in said
    assert "- data set `verses`: min_count 5, source.greek lemma" in made
    assert "Of books nothing was run" in made
    # the last is not tested
    for claim in CLAIMS:
        assert (f"{claim} holds." in made) == (claim != CLAIMS[-1])
    assert "- BLEU: `nrefs:1|case:mixed`" in made
    assert "| verses | luong | softmax | 12,345 | 7 | 4.500 (4.500 to 4.500) |" in made


def lines_of(made, head):
    """The rows of the first table with this head, a list of cells each."""
    (part, *_) = made.split(head)[1].split("\n\n")
    return [line.strip("| ").split(" | ") for line in part.splitlines()[2:]]


def test_attention_stands_beside_floors(kept, made):
    alignment = pd.read_csv(kept / "alignment.csv")
    part = made.split("## Does attention find")[1]
    lines = lines_of(part, "| data set | encoder | normalizer | error, argmax")
    assert [line[2] for line in lines] == [
        *(2 * NORMALIZERS),
        *("all with all", "the diagonal", "IBM model 1", "IBM model 2, diagonal"),
    ]
    row = alignment[
        (alignment["subject"] == "attention")
        & (alignment["encoder"] == "translator")
        & (alignment["normalizer"] == "rela")
        & (alignment["step"] == "predicts")
    ].set_index("links")
    (line,) = (line for line in lines if line[1:3] == ["translator", "rela"])
    assert line[3].startswith(f"{row.loc['argmax', 'mean']:.3f} [")
    assert line[5].startswith(f"{row.loc['threshold', 'mean']:.3f} [")
    assert line[8] == f"{row.loc['argmax', 'f1']:.3f}"
    assert line[9].startswith(f"{row.loc['ranking', 'mean']:.3f} [")


def test_the_number_of_scores_kept_is_told_with_all_beside_it(kept, made):
    scores = pd.read_csv(kept / "translations.csv")
    lines = lines_of(made, "| data set | encoder | k |")
    assert [line[1:3] for line in lines] == [
        [encoder, k] for encoder in AXES[1] for k in ("2", "all")
    ]
    wanted = scores[(scores["metric"] == "bleu") & (scores["beam"] == 4)]
    wanted = wanted.set_index(["encoder", "normalizer"])["mean"]
    assert lines[2][5] == f"{wanted['translator', 'top_k_2']:.1f}"


def test_heads_are_told_of_models_that_have_some(made):
    lines = lines_of(made, "| data set | encoder | normalizer | step |")
    assert {line[1] for line in lines} == {"translator"}
    assert len(lines) == 2 * len(NORMALIZERS)
    assert all(re.match(r"layer 1: 0\.\d{3} \(0\.\d{3}\)$", line[4]) for line in lines)


def test_numbers_of_papers_stand_above_ours(kept, made):
    speed = pd.read_csv(kept / "speed.csv").set_index(["encoder", "of", "normalizer"])
    (part,) = re.findall(r"\| numbers of \|[^\n]*\n.*?\n\n", made, flags=re.S)[:1]
    head, _, *lines = (x.strip("| ").split(" | ") for x in part.strip().splitlines())
    assert lines[0][:2] == ["Zhang et al. 2021", "training"]
    rela = head.index("rela")
    assert lines[0][rela] == "0.93" and lines[1][rela] == "0.98"
    assert lines[0][head.index("top_k_2")] == "–"
    (ours,) = (x for x in lines if x[:2] == ["here, luong", "verses, training"])
    assert ours[rela] == f"{speed.loc[('luong', 'training', 'rela'), 'ratio']:.2f}"
    assert "| Zhang et al. 2021 | reads |" in made
    assert "| Zhao et al. 2019 | Fr-En |" in made


def test_only_those_who_may_attend_to_nothing_are_told_of(kept, made):
    assert set(pd.read_csv(kept / "null.csv")["normalizer"]) == {"rela"}
    lines = lines_of(made, "| queries | luong, rela | translator, rela |")
    assert [line[0] for line in lines] == ["all", "noun", "verb", "end"]


# --- sentences that are made of rows ----------------------------------------------


@pytest.mark.parametrize(
    ("aligned", "agrees", "verdict", "said"),
    [
        (SUPPORTED, SUPPORTED, SUPPORTED, "better explanation in both"),
        (CONTRADICTED, CONTRADICTED, SUPPORTED, "worse explanation in both"),
        (SUPPORTED, CONTRADICTED, CONTRADICTED, "looks right more often"),
        (CONTRADICTED, SUPPORTED, CONTRADICTED, "looks right less often"),
        (SUPPORTED, UNDECIDED, UNDECIDED, "better with importance is undecided"),
        (NOT_TESTED, SUPPORTED, NOT_TESTED, "softmax attention is not tested"),
    ],
)
def test_the_question_is_decided_by_both_claims(aligned, agrees, verdict, said):
    claims = [
        {"claim": "aligned_attention", "verdict": aligned},
        {"claim": "aligned_agreement", "verdict": agrees},
    ]
    told = decided(claims)
    assert told.startswith(f"**{verdict}**: ") and said in told


def test_a_claim_that_is_not_there_is_not_tested():
    assert decided([]).startswith(f"**{NOT_TESTED}**")


def claim_cell(claim, normalizer, verdict, reference=None):
    cell = dict(zip(CELL, ("d", "e", "s", normalizer), strict=True))
    known = {"estimate": -0.1, "low": -0.2, "high": 0.0}
    return cell | known | {"claim": claim, "verdict": verdict, "reference": reference}


def test_cells_of_both_claims_are_joined():
    cells = [
        claim_cell("aligned_attention", "rela", SUPPORTED),
        claim_cell("aligned_attention", "sparsemax", CONTRADICTED),
        claim_cell("aligned_agreement", "rela", SUPPORTED, "input_gradient"),
        claim_cell("aligned_agreement", "rela", CONTRADICTED, "leave_one_out"),
        claim_cell("aligned_agreement", "sparsemax", UNDECIDED, "input_gradient"),
        claim_cell("another", "rela", SUPPORTED, "input_gradient"),
    ]
    ends = [line.split(" | ")[-1] for line in joined_table(cells).splitlines()[2:]]
    assert ends == [
        "better in both |",
        "aligns better, agrees worse |",
        "undecided |",
    ]
    assert joined_counts(cells) == (
        "Of 3 rows: 1 better in both; 0 worse in both; 1 aligns better, agrees worse; "
        "0 aligns worse, agrees better; 1 undecided in one or the other"
    )


def aligned(subject, normalizer, mean):
    cell = dict(zip(CELL, ("d", "e", "s", normalizer), strict=True))
    of = {"subject": subject, "step": "predicts", "links": "argmax", "mean": mean}
    return cell | of


def test_pairs_of_normalizers_that_differ_are_counted_by_their_order():
    errors = {
        "softmax": 0.7,
        "sparsemax": 0.5,
        "rela": 0.6,
        "uniform": 0.9,
        "same": 0.5,
    }
    alignment = [aligned("attention", name, mean) for name, mean in errors.items()]
    # sparsemax and rela change places, and uniform attention agrees with nothing; of the
    # last, two pairs are even in one or the other
    tau = {"softmax": 0.1, "sparsemax": 0.2, "rela": 0.3, "uniform": None, "same": 0.3}
    summary = [
        dict(zip(CELL, ("d", "e", "s", name), strict=True))
        | {"measure": "kendall_tau_b", "reference": "input_gradient", "mean": mean}
        for name, mean in tau.items()
    ]
    (line,) = order_table(alignment, summary).splitlines()[2:]
    assert line == "| d | e | input gradient | 4 | 3 of 4 |"


def test_models_that_align_better_than_a_floor_are_counted():
    ends = {"softmax": (0.7, 0.9), "rela": (0.5, 0.6), "sparsemax": (0.9, 1.0)}
    alignment = [
        aligned("attention", name, mean) | {"high": high}
        for name, (mean, high) in ends.items()
    ]
    floors = {"ibm_model_1": 0.4, "uniform": 0.8, "aligner_of_mine": 0.1}
    alignment += [
        aligned(name, None, mean) | {"high": 1.0} for name, mean in floors.items()
    ]
    assert beside_floors(alignment, "predicts") == (
        "below that of all with all in 2 of 3 models (with the whole interval in 1), "
        "below that of IBM model 1 in 0 of 3 models (with the whole interval in 0) and "
        "below that of aligner of mine in 0 of 3 models (with the whole interval in 0)"
    )


def test_what_aligns_best_is_counted_over_models():
    means = {"softmax": (0.7, 0.6), "rela": (0.5, 0.6), "sparsemax": (0.4, 0.5)}
    alignment = [
        aligned(subject, name, mean)
        for name, pair in means.items()
        for subject, mean in zip(("attention", "input_gradient"), pair, strict=True)
    ]
    assert (
        best_subjects(alignment) == "attention in 2 of 3 and input gradient in 1 of 3"
    )


def test_no_table_is_made_of_a_kind_in_which_nobody_attends_to_nothing():
    assert null_table([], "cross") == ""
