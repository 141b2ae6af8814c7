"""BLEU and chrF of a corpus: by hand, as sacrebleu's own, and their intervals."""

import math

import numpy as np
import pytest

from attention_audit.records import tables
from attention_audit.statistics.translation_scores import (
    RESAMPLES,
    Corpus,
    corpus_score,
    metrics_of,
    resamples,
    score_table,
)

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
WORDS = ["in", "the", "beginning", "was", "the", "word", ",", "and", "with", "god", "."]


def corpus(n=40, kept=0.7, seed=0):
    """Sentences of a few words, and the same with some of them changed."""
    rng = np.random.default_rng(seed)
    references = [rng.choice(WORDS, size=rng.integers(4, 12)) for _ in range(n)]
    hypotheses = [
        np.where(rng.random(len(r)) < kept, r, rng.choice(WORDS, len(r)))
        for r in references
    ]
    return Corpus(*([" ".join(s) for s in side] for side in (hypotheses, references)))


def score(name, of, lowercase=True, confidence=0.95):
    draws = resamples("d", len(of.hypotheses))
    return corpus_score(metrics_of(lowercase)[name], of, draws, confidence)


def test_bleu_by_hand():
    of = Corpus(
        ["the word was with god .", "in the beginning"],
        ["the word was god .", "in the beginning was"],
    )
    # matches over n-grams of each order, of both sentences together
    precisions = [(5 + 3) / 9, (3 + 2) / 7, (1 + 1) / 5, 1 / (2 * 3)]
    # 9 words for 9: no penalty; no match of four words is smoothed to a half
    expected = 100 * math.prod(precisions) ** (1 / 4)
    assert math.isclose(score("bleu", of).value, expected)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_scores_and_intervals_are_those_of_sacrebleu(name):
    of, found = corpus(), score(name, corpus())
    metric = metrics_of(True)[name]
    # with another 1000 resamples, and of 95 % only
    theirs = metric.corpus_score(of.hypotheses, [of.references], n_bootstrap=RESAMPLES)
    assert math.isclose(found.value, theirs.score)
    assert math.isclose((found.high - found.low) / 2, theirs._ci, rel_tol=0.1)
    assert found.low < found.value < found.high
    narrow = score(name, of, confidence=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_a_copy_of_the_references_scores_100_in_every_resample():
    of = Corpus(corpus().references, corpus().references)
    for name in ("bleu", "chrf"):
        found = score(name, of)
        assert found[:3] == pytest.approx((100, 100, 100))


def test_words_are_taken_as_they_stand_and_the_signature_says_so():
    of = Corpus(["it 's a don't ."] * 2, ["it 's a don't ."] * 2)
    assert score("bleu", of).value == pytest.approx(100)
    glued = Corpus(["it's a don't."] * 2, of.references)
    # another tokenizer would split the words as the reference has them
    assert score("bleu", glued).value < 50
    assert "|case:lc|" in score("bleu", of).signature
    assert "|tok:none|smooth:exp|version:" in score("bleu", of).signature
    assert score("chrf", of).signature.startswith("nrefs:1|case:lc|eff:yes|nc:6|nw:0")


def test_case_counts_where_the_words_kept_it():
    of = Corpus(["The Word was with God ."], ["the word was with god ."])
    assert score("bleu", of).value == pytest.approx(100)
    cased = score("bleu", of, lowercase=False)
    assert cased.value < 60 and "|case:mixed|" in cased.signature


def test_a_model_that_says_nothing_scores_nothing():
    of = Corpus([""] * 3, ["the word ."] * 3)
    assert score("bleu", of)[:3] == score("chrf", of)[:3] == (0, 0, 0)


def test_a_data_set_has_resamples_of_its_own_which_do_not_change():
    draws = resamples("d", 7)
    assert draws.shape == (RESAMPLES, 7) and (draws.sum(1) == 7).all()
    assert (draws == resamples("d", 7)).all()
    assert (draws != resamples("other", 7)).any()


def test_the_table_has_a_row_a_run_beam_and_metric(tmp_path):
    runs = [RUN, {**RUN, "seed": 1}]
    paths = [tmp_path / f"{run['seed']}.parquet" for run in runs]
    for run, path in zip(runs, paths, strict=True):
        rows = []
        for beam, kept in ((1, 0.5), (4, 0.9)):
            of = corpus(10, kept)
            for i, (hypothesis, reference) in enumerate(zip(*of, strict=True)):
                rows.append(
                    {
                        **run,
                        "instance_id": str(i),
                        "origin": f"file, line {i}",
                        "source": "",
                        "reference": reference,
                        "beam": beam,
                        "hypothesis": hypothesis,
                        "length": len(hypothesis.split()),
                        "log_probability": -1.0,
                        "score": -1.0,
                        "ended": True,
                    }
                )
        tables.write_rows(path, "translations", rows, {})
    out = tmp_path / "scores.parquet"
    score_table(runs, {"d": True}, paths, 0.95, {}, out)
    found = tables.read_table(out, "translation_scores").to_pandas()
    keys = list(zip(found["seed"], found["beam"], found["metric"], strict=True))
    of_run = [(1, "bleu"), (1, "chrf"), (4, "bleu"), (4, "chrf")]
    assert keys == [(seed, *key) for seed in (0, 1) for key in of_run]
    assert (found["n_instances"] == 10).all()
    by_beam = found.groupby(["metric", "beam"])["value"].first().unstack()
    assert (by_beam[4] > by_beam[1]).all()
    expected = score("bleu", corpus(10, 0.5))
    assert found.iloc[0][["value", "low", "high", "signature"]].tolist() == [*expected]
