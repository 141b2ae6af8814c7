"""How far the rankings of every two of several subjects agree.

All that is counted of two rankings is a whole number, by NumPy or, where there is enough to
count, compiled (`rank_kernel`): both give the same, and so the same measures to the bit.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attention_audit.statistics.distributions import Floats, Mask, check_shapes
from attention_audit.statistics.ranks import (
    PairCounts,
    agreement_of,
    chunks,
    ordered_bits,
    pair_counts,
)

# Pairs of subjects, times instances, times positions, from which on the compiled kernel
# saves more than it takes to load; see benchmarks/kendall.py.
_ENOUGH = 2**22

# Beyond this length the kernel's sets, whose number of bits grows with its square, take
# more memory than they are worth: four megabytes a subject.
_LONGEST = 4096

# Positions of all subjects that are worked on at once.
_CHUNK_ELEMENTS = 2**19

# Of n positions the ⌈n / _TOP⌉ largest are the top.
_TOP = 10

Whole = npt.NDArray[np.int64]


class PairAgreement(NamedTuple):
    """How far two rankings agree; each (B,) float64, NaN where undefined."""

    tau_b: Floats
    p: Floats
    gamma: Floats
    cap: Floats
    spearman: Floats
    top_overlap: Floats


class Rankings(NamedTuple):
    """What is counted of the rankings of M subjects, and of pairs of them.

    Of a subject, (M, b): the pairs and triples of positions that tie, and by how many that
    tie for them, ``rivals``, the last ``places`` of its top are shared; both are 0 where the
    top has no such tie. Of two subjects, (pairs, b): the pairs of positions that are
    concordant and discordant, the ``product`` of their ranks, doubled and less their mean,
    and what their tops have in common: positions that are in both for sure, in the first for
    sure and a rival in the second, the other way round, and rivals in both.
    """

    ties: Whole
    triples: Whole
    places: Whole
    rivals: Whole
    concordant: Whole
    discordant: Whole
    product: Whole
    sure: Whole
    sure_rival: Whole
    rival_sure: Whole
    rival: Whole


def counted(values: npt.NDArray[np.float32], mask: Mask, firsts: int) -> Rankings:
    """`Rankings` of values (M, b, n > 0), of one of ``firsts`` subjects and a later one.

    By NumPy, a step of a definition a line: what `rank_kernel.count` is held against.
    """
    subjects, batch, n = values.shape
    lengths = mask.sum(axis=1)
    places = np.arange(n)
    key = _sorted(values, mask)
    exists = places < lengths[:, None]
    equal = (key[..., 1:] ^ key[..., :-1]) < np.uint64(2**32)
    equal &= exists[:, 1:]
    # The ranks, from 0 for the smallest, that the equals of a position take up.
    first, last = (np.tile(places, (subjects, batch, 1)) for _ in range(2))
    first[..., 1:][equal] = 0
    np.maximum.accumulate(first, axis=-1, out=first)
    last[..., :-1][equal] = n
    np.minimum.accumulate(last[..., ::-1], axis=-1, out=last[..., ::-1])
    order = (key & np.uint64(2**32 - 1)).astype(np.intp)
    for ranks in first, last:
        np.put_along_axis(ranks, order, ranks.copy(), axis=-1)

    ranks = np.where(mask, first + last - (lengths[:, None] - 1), 0)
    k = top_size(lengths)[:, None]
    above = lengths[:, None] - 1 - last
    tied = last - first + 1
    sure = mask & (above + tied <= k)
    rival = mask & (above < k) & ~sure
    rivals = rival.sum(axis=-1)

    of_pairs = np.zeros((7, len(_pairs(subjects, firsts)), batch), dtype=np.int64)
    ties = np.zeros((2, subjects, batch), dtype=np.int64)
    for at, (i, j) in enumerate(_pairs(subjects, firsts)):
        pairs = pair_counts(values[i], values[j], mask)
        ties[:, i] = pairs.x_pairs, pairs.x_triples
        ties[:, j] = pairs.y_pairs, pairs.y_triples
        untied = lengths * (lengths - 1) / 2 - pairs.x_pairs - pairs.y_pairs
        untied += pairs.both_pairs
        of_pairs[:, at] = (
            (untied + pairs.difference) / 2,
            (untied - pairs.difference) / 2,
            (ranks[i] * ranks[j]).sum(axis=-1),
            *((a[i] & b[j]).sum(axis=-1) for a in (sure, rival) for b in (sure, rival)),
        )
    shared = np.where(rivals > 0, k[:, 0] - sure.sum(axis=-1), 0)
    return Rankings(*ties, shared, rivals, *of_pairs)


def counted_by_kernel(
    values: npt.NDArray[np.float32], mask: Mask, firsts: int
) -> Rankings:
    """What `counted` gives, compiled."""
    from attention_audit.statistics import rank_kernel

    subjects, batch, _ = values.shape
    of_subjects = np.empty((4, subjects, batch), dtype=np.int64)
    of_pairs = np.empty((7, len(_pairs(subjects, firsts)), batch), dtype=np.int64)
    lengths = mask.sum(axis=1)
    key = _sorted(values, mask)
    rank_kernel.count(key, lengths, top_size(lengths), firsts, of_subjects, of_pairs)
    return Rankings(*of_subjects, *of_pairs)


def top_size(lengths: Whole) -> Whole:
    """How many positions are the top of so many: a tenth, and one at least."""
    return -(-lengths // _TOP)


def _sorted(values: npt.NDArray[np.float32], mask: Mask) -> npt.NDArray[np.uint64]:
    """The order of each value above its position, sorted along the last axis.

    One plain sort gives the order of positions so. What is masked comes last: no number
    has these bits, only a NaN.
    """
    key = np.where(mask, ordered_bits(values), np.uint32(2**32 - 1)).astype(np.uint64)
    key <<= np.uint64(32)
    key |= np.arange(values.shape[-1], dtype=np.uint64)
    key.sort(axis=-1)
    return key


def _pairs(subjects: int, firsts: int) -> list[tuple[int, int]]:
    return [(i, j) for i, j in combinations(range(subjects), 2) if i < firsts]


def _agreement(
    counts: Rankings, x: Whole, y: Whole, lengths: Whole, lacking: Mask
) -> PairAgreement:
    """What counts come to, of pairs of the subjects x and y; all (pairs, B)."""
    ties, triples = counts.ties.astype(float), counts.triples.astype(float)
    n = lengths.astype(float)
    both = counts.concordant + counts.discordant - n * (n - 1) / 2 + ties[x] + ties[y]
    found = agreement_of(
        PairCounts(
            counts.concordant - counts.discordant,
            ties[x],
            triples[x],
            ties[y],
            triples[y],
            both,
        ),
        lengths,
        lacking,
    )
    # Of doubled ranks: t(t-1)(t+1) = t(t-1)(t-2) + 6 t(t-1)/2 of n, less those of ties.
    squares = (n * (n - 1) * (n + 1) - triples - 6 * ties) / 3
    with np.errstate(invalid="ignore", divide="ignore"):
        spearman = counts.product / np.sqrt(squares[x] * squares[y])
        chance = np.where(counts.rivals > 0, counts.places / counts.rivals, 0.0)
        common = counts.sure + counts.sure_rival * chance[y]
        common += counts.rival_sure * chance[x]
        common += counts.rival * (chance[x] * chance[y])
        overlap = common / top_size(lengths)
    undefined = np.isnan(found.tau_b)
    return PairAgreement(
        *found,
        np.where(undefined, np.nan, np.clip(spearman, -1, 1)),
        np.where(undefined, np.nan, overlap),
    )


def rank_pairs(
    subjects: Mapping[str, npt.ArrayLike],
    mask: Mask,
    firsts: int | None = None,
    count: Callable[..., Rankings] | None = None,
) -> dict[tuple[str, str], PairAgreement]:
    """Agreement of the rankings of every two subjects, in their order.

    Kendall's tau-b, its p value, gamma and the cap that ties of the first set are those of
    `ranks.rank_agreement`. ``spearman`` is Pearson's correlation of ranks, of which equals
    share the mean (Spearman 1904). ``top_overlap`` is |A ∩ B| / k with A and B the
    k = ⌈n / 10⌉ largest of either, the feature agreement of Krishna et al. (2022, "The
    Disagreement Problem in Explainable Machine Learning"); where more are equal than there
    are places left, its mean if chance decides, for each subject apart.

    Args:
        subjects: ``(B, n)`` by name, compared as float32, and tied where equal as such.
        mask: ``(B, n)`` bool.
        firsts: pairs are of one of so many first subjects and a later one; of all unless
            given.
        count: `counted` or `counted_by_kernel`; by how much there is to count unless given.

    Returns:
        by pair of names, NaN where fewer than two positions exist, where either subject is
        constant or holds a NaN, and gamma also where every pair is tied in one.
    """
    names = list(subjects)
    arrays = [np.asarray(values, dtype=np.float32) for values in subjects.values()]
    check_shapes(mask, *arrays)
    firsts = len(names) if firsts is None else firsts
    pairs = _pairs(len(names), firsts)
    if not pairs:
        return {}
    x, y = np.array(pairs).T
    enough = mask.sum() * len(pairs) >= _ENOUGH
    sizes = [len(arrays)] * 4 + [len(pairs)] * 7
    counts = Rankings(*(np.zeros((s, len(mask)), dtype=np.int64) for s in sizes))
    for rows, width in chunks(
        mask, lambda length: _CHUNK_ELEMENTS // (len(arrays) * length)
    ):
        values = np.stack([array[rows, width] for array in arrays])
        kernel = enough and values.shape[-1] <= _LONGEST
        of_rows = (count or (counted_by_kernel if kernel else counted))(
            values, mask[rows, width], firsts
        )
        for whole, part in zip(counts, of_rows, strict=True):
            whole[:, rows] = part
    unknown = np.array([(mask & np.isnan(array)).any(axis=1) for array in arrays])
    found = _agreement(counts, x, y, mask.sum(axis=1), unknown[x] | unknown[y])
    return {
        (names[i], names[j]): PairAgreement(*(values[at] for values in found))
        for at, (i, j) in enumerate(pairs)
    }
