"""How well weights find the words that people aligned, and floors to hold them against.

The functions work on a padded batch of sentence pairs: ``(B, T, S)`` arrays, a row a
target word, a column a source word, with a boolean ``mask`` of their shape, True where
both words exist. Gold is ``sure`` and ``possible``, boolean of that shape; what is sure is
possible too, whether ``possible`` says so or not. What is summed over sentence pairs is
kept a pair at a time, in `Counts`, so that statistics can resample pairs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from attention_audit.statistics.distributions import Floats, Mask

Ids = npt.NDArray[np.integer]

# ---------------------------------------------------------------- gold of tables


class Gold(NamedTuple):
    """Links that people made between the words of B sentence pairs, (B, T, S) each."""

    sure: Mask
    possible: Mask
    mask: Mask


def padded_gold(table: pa.Table) -> Gold:
    """The links of the rows of a table "sentence_pairs", all of them aligned."""
    target, source = (
        table[f"{side}_length"].to_numpy() for side in ("target", "source")
    )
    rows = np.arange(target.max()) < target[:, None]  # (B, T)
    columns = np.arange(source.max()) < source[:, None]  # (B, S)
    mask = rows[:, :, None] & columns[:, None, :]
    sure, possible = np.zeros_like(mask), np.zeros_like(mask)
    for name, into in (("sure", sure), ("possible", possible)):
        links = table[name].combine_chunks()
        flat = links.flatten()
        pair = np.repeat(np.arange(len(table)), links.value_lengths().to_numpy())
        into[pair, flat.field("target"), flat.field("source")] = True
    return Gold(sure, possible, mask)


# ---------------------------------------------------------------- links from weights


def links_by_argmax(weights: npt.ArrayLike, mask: Mask) -> Mask:
    """The source word with the most weight of each target word: (B, T, S).

    Words that tie are linked all, whatever their order, and a target word without any
    weight is linked to none.
    """
    inside = np.where(mask, weights, 0.0)
    return (inside > 0) & (inside == inside.max(-1, keepdims=True))


def links_by_support(weights: npt.ArrayLike, mask: Mask) -> Mask:
    """All source words that have any weight: (B, T, S)."""
    return mask & (np.asarray(weights) > 0)


def links_by_threshold(weights: npt.ArrayLike, mask: Mask, threshold: float) -> Mask:
    """All source words of at least ``threshold`` > 0: (B, T, S)."""
    return mask & (np.asarray(weights) >= threshold)


def _last_of_equals(ordered: npt.NDArray) -> Ids:
    """The place of the last of each run of equal values."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def best_threshold(
    weights: npt.ArrayLike, sure: Mask, possible: Mask, mask: Mask
) -> float:
    """The threshold at which the links of all pairs together have the least error rate.

    To be chosen on other pairs than those that it is used on. It is one of the weights
    above 0, the largest of those that are equally good; NaN where there is none.
    """
    weights = np.asarray(weights)
    chosen = mask & (weights > 0)
    if not chosen.any():
        return np.nan
    values = weights[chosen]
    order = np.argsort(-values, kind="stable")
    values, sure_ones = values[order], sure[chosen][order]
    allowed = (sure | possible)[chosen][order]
    # Everything down to the k-th is linked; k ends at the last of equal weights.
    ends = _last_of_equals(values)
    right = np.cumsum(sure_ones)[ends] + np.cumsum(allowed)[ends]
    share = right / (ends + 1 + (sure & mask).sum())
    return float(values[ends[share.argmax()]])


def steps(weights: npt.NDArray) -> dict[str, npt.NDArray]:
    """Weights of T words by the step that predicts a word, and by the one that reads it.

    Of ``weights`` (B, T + 1, S), row t belongs to the step that predicts word t from the
    words before it; the last predicts the end. The next step reads word t.
    """
    return {"predicts": weights[:, :-1], "reads": weights[:, 1:]}


# ---------------------------------------------------------------- against gold


class Counts(NamedTuple):
    """Links of each of B sentence pairs, or after `pooled` of all together.

    A are the links found, S the sure and P the possible ones of gold, S within P.
    """

    found: Floats  # |A|
    sure: Floats  # |S|
    found_sure: Floats  # |A and S|
    found_possible: Floats  # |A and P|

    @classmethod
    def of(cls, links: Mask, sure: Mask, possible: Mask, mask: Mask) -> Self:
        """Count ``links`` (B, T, S) against gold."""

        def count(which: Mask) -> Floats:
            return (which & mask).sum((-1, -2)).astype(np.float64)

        return cls(
            count(links),
            count(sure),
            count(links & sure),
            count(links & (sure | possible)),
        )

    def pooled(self) -> Self:
        """The sums over sentence pairs, which corpus figures are made of."""
        return Counts(*(np.asarray(values.sum()) for values in self))


# What they are called, in order.
COUNTS = Counts._fields


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where that is 0 / 0."""
    return np.divide(
        above, below, out=np.full(np.shape(below), np.nan), where=below > 0
    )


def alignment_error_rate(counts: Counts) -> Floats:
    """1 - (|A and S| + |A and P|) / (|A| + |S|), Och & Ney 2003, equation 16.

    0 where all sure links and none but possible ones are found; NaN where no link is
    found and none is sure.
    """
    right = counts.found_sure + counts.found_possible
    return 1 - _ratio(right, counts.found + counts.sure)


def alignment_precision(counts: Counts) -> Floats:
    """|A and P| / |A|: links that are possible, at least. NaN where none is found."""
    return _ratio(counts.found_possible, counts.found)


def alignment_recall(counts: Counts) -> Floats:
    """|A and S| / |S|: sure links that are found. NaN where none is sure."""
    return _ratio(counts.found_sure, counts.sure)


def alignment_f1(counts: Counts) -> Floats:
    """Harmonic mean of precision and recall; 0 where both are, NaN where one is NaN.

    Without possible links that are not sure it is 1 less the error rate.
    """
    precision, recall = alignment_precision(counts), alignment_recall(counts)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return np.where(precision + recall == 0, 0.0, f1)


def alignment_average_precision(
    weights: npt.ArrayLike, sure: Mask, possible: Mask, mask: Mask
) -> Floats:
    """Average precision with which weights rank the sure links of a pair first: (B,).

    All cells of a pair are ranked together, so that rows must be on one scale. Possible
    links that are not sure are neither right nor wrong and take no place. NaN where a
    pair has no sure link, or no other cell. It is that of `ranks.average_precision`, which
    compares all cells with all and so is slow where they are as many as here.
    """
    weights = np.asarray(weights)
    judged = mask & (sure | ~possible)
    return np.array(
        [
            _average_precision(relevant[cells], scores[cells])
            for relevant, scores, cells in zip(sure, weights, judged, strict=True)
        ]
    )


def _average_precision(relevant: Mask, scores: Floats) -> float:
    if relevant.all() or not relevant.any():
        return np.nan
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_equals(scores[order])
    hits = relevant[order].cumsum()[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


# ---------------------------------------------------------------- floors


def diagonal_weights(mask: Mask) -> Floats:
    """Weights of words that stand at the same place of their sentence: (B, T, S).

    1 less the distance of the middles of the two words, (t + 1/2) / T and (s + 1/2) / S.
    """

    def middles(exists: Mask) -> Floats:
        n = exists.sum(-1, keepdims=True).clip(1)
        return (np.arange(exists.shape[-1]) + 0.5) / n

    target, source = middles(mask.any(-1)), middles(mask.any(-2))
    distance = np.abs(target[:, :, None] - source[:, None, :])
    return np.where(mask, 1 - distance, 0.0)


def uniform_weights(mask: Mask) -> Floats:
    """1/S for each of the S source words of a pair: (B, T, S)."""
    return mask / mask.sum(-1, keepdims=True).clip(1)


def ibm_model_1(
    source: Sequence[Ids], target: Sequence[Ids], iterations: int = 4
) -> list[Floats]:
    """Posterior of which source word each target word translates: (T, S) a pair.

    Brown et al. 1993: a target word is drawn from one of the source words or from an
    empty one, each as likely as the others, by t(target word | source word), which starts
    uniform and is fitted by expectation maximization. What a row lacks to 1 is the empty
    word's. ``source`` and ``target`` hold ids of words, at least one a sentence; gold is
    not used, so that it may be fitted to what it is measured on. Takes some 60 bytes a
    cell, T (S + 1) of them a pair.
    """
    return _fitted(source, target, iterations)


# Of the reparametrized model 2, the values that its authors start from.
TENSION, EMPTY = 4.0, 0.08


def diagonal_model_2(
    source: Sequence[Ids], target: Sequence[Ids], iterations: int = 4
) -> list[Floats]:
    """`ibm_model_1` with a prior for words that stand at the same place: (T, S) a pair.

    Dyer, Chahuneau & Smith 2013 (fast_align): a target word is the empty word's with
    probability `EMPTY`, and else source word s is drawn in proportion to
    exp(-`TENSION` |(t + 1/2) / T - (s + 1/2) / S|). Both stay as they are, and t(target
    word | source word) has no prior, which leaves out two of the paper's refinements.
    """

    def prior(t: int, s: int) -> Floats:
        places = np.exp(TENSION * diagonal_weights(np.ones((1, t, s), bool))[0])
        places *= (1 - EMPTY) / places.sum(1, keepdims=True)
        return np.hstack([places, np.full((t, 1), EMPTY)])

    return _fitted(source, target, iterations, prior)


def _fitted(
    source: Sequence[Ids],
    target: Sequence[Ids],
    iterations: int,
    prior: Callable[[int, int], Floats] | None = None,
) -> list[Floats]:
    """Posteriors (T, S) of each pair; ``prior(T, S)`` is (T, S + 1), the empty word last.

    Without it, all source words are as likely.
    """
    empty = 1 + max(int(ids.max()) for ids in source)
    types = 1 + max(int(ids.max()) for ids in target)
    with_empty = [np.append(ids, empty) for ids in source]
    sizes = [(len(t), len(s)) for t, s in zip(target, with_empty, strict=True)]
    # All cells of all pairs one after the other, row by row.
    of_source = np.concatenate(
        [np.tile(ids, n) for ids, (n, _) in zip(with_empty, sizes, strict=True)]
    ).astype(np.int64)
    of_target = np.concatenate(
        [np.repeat(ids, n) for ids, (_, n) in zip(target, sizes, strict=True)]
    ).astype(np.int64)
    widths = np.concatenate([np.full(n, width) for n, width in sizes])
    starts = np.cumsum(widths) - widths  # of rows, a row a target word
    before = 1.0
    if prior is not None:
        before = np.concatenate([prior(n, width - 1).ravel() for n, width in sizes])
    # t is held for the pairs of words that stand in one sentence pair.
    words, cell = np.unique(of_source * types + of_target, return_inverse=True)
    giver = words // types
    t = np.ones(len(words))
    posterior = np.empty(len(cell))
    for step in range(iterations + 1):
        posterior = t[cell]
        posterior *= before
        posterior /= np.repeat(np.add.reduceat(posterior, starts), widths)
        if step < iterations:
            counts = np.bincount(cell, posterior, minlength=len(words))
            t = counts / np.bincount(giver, counts)[giver]
    ends = np.cumsum([n * width for n, width in sizes])[:-1]
    return [
        part.reshape(size)[:, :-1]
        for part, size in zip(np.split(posterior, ends), sizes, strict=True)
    ]
