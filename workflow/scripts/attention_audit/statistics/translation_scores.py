"""BLEU and chrF of translations, by sacrebleu, over the sentence pairs of a test split.

Both are of a corpus and no mean over sentences: n-grams are counted in all sentences, and
the score is one of the sums (BLEU: Papineni et al. 2002; chrF: Popović 2015). An interval is
that of a percentile bootstrap over sentence pairs (Koehn 2004): the sums of as many pairs,
drawn with replacement. It is about which sentences are in the test split, and not about
other seeds of training.

Translations and references are words between spaces, as they were prepared, and BLEU takes
them as they stand (``tok:none`` in its signature): it is comparable with other systems that
were scored on the same words, and not with BLEU of detokenized text. The signature of
sacrebleu (Post 2018) says what else was chosen.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric

from attention_audit.records import tables
from attention_audit.records.randomness import generator

# As many as sacrebleu draws.
RESAMPLES = 1000


class Corpus(NamedTuple):
    """Translations of some sentences, and their references."""

    hypotheses: list[str]
    references: list[str]


class Score(NamedTuple):
    """A score from 0 to 100, with its interval, and how it was computed."""

    value: float
    low: float
    high: float
    signature: str


def metrics_of(lowercase: bool) -> dict[str, Metric]:
    """What translations are scored by; ``lowercase`` says whether case counts for nothing."""
    return {
        "bleu": BLEU(lowercase=lowercase, tokenize="none", force=True),
        "chrf": CHRF(lowercase=lowercase),
    }


def corpus_score(
    metric: Metric, corpus: Corpus, draws: np.ndarray, confidence: float
) -> Score:
    """A metric of a corpus of N pairs.

    ``draws`` (R, N) tells how often each pair is in each resample.
    """
    # A row of counts a sentence. Their sums are all that a score is made of, so that a
    # resample counts no n-grams.
    counts = np.array(
        metric._extract_corpus_statistics(corpus.hypotheses, [corpus.references])
    )

    def value(sums: np.ndarray) -> float:
        return metric._compute_score_from_stats(sums.tolist()).score

    tail = (1 - confidence) / 2
    low, high = np.quantile(list(map(value, draws @ counts)), [tail, 1 - tail])
    return Score(value(counts.sum(0)), low, high, str(metric.get_signature()))


def resamples(dataset: str, count: int, number: int = RESAMPLES) -> np.ndarray:
    """How often each of ``count`` pairs is in each resample, (number, count).

    The same for all runs on a data set.
    """
    draw = generator(("translation_scores", dataset), 0).multinomial
    return draw(count, np.full(count, 1 / count), size=number)


def score_table(
    runs: Sequence[Mapping[str, Any]],
    lowercase: Mapping[str, bool],
    paths: Iterable[str | Path],
    confidence: float,
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "translation_scores": a row a run, beam and metric.

    ``paths`` are the tables "translations" of the ``runs``, and ``lowercase`` tells of each
    data set whether its words were lower-cased.
    """
    rows = []
    for run, source in zip(runs, paths, strict=True):
        columns = ["beam", "hypothesis", "reference"]
        table = tables.read_table(source, "translations", columns).to_pandas()
        for beam, part in table.groupby("beam"):
            corpus = Corpus(part["hypothesis"].tolist(), part["reference"].tolist())
            draws = resamples(run["dataset"], len(part))
            for name, metric in metrics_of(lowercase[run["dataset"]]).items():
                score = corpus_score(metric, corpus, draws, confidence)
                rows.append(
                    {
                        **run,
                        "beam": beam,
                        "metric": name,
                        **score._asdict(),
                        "n_instances": len(part),
                        "n_resamples": len(draws),
                    }
                )
    tables.write_rows(path, "translation_scores", rows, provenance)
