"""How far two rankings of the positions of an instance agree.

The functions work on a padded batch, as those of `run_measures`: ``(B, n)`` arrays with a
boolean mask, True where a position exists. They return one float64 value an instance.

Sparse attention ties most positions at zero. Tau-b counts a pair that is tied in one
ranking alone against them, so that attention which orders its support perfectly still
stays below 1 (`rank_agreement`, ``cap``). What a fall of tau-b is made of, ties or order,
is seen beside measures that ties do not lower.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attention_audit.statistics.distributions import Floats, Mask, check_shapes

# Elements of a padded batch that Kendall's tau works on at once: temporaries then
# stay within a megabyte, which is also where they are fastest.
_CHUNK_ELEMENTS = 2**15

# Up to this length, comparing all pairs beats sorting; see benchmarks/kendall.py.
_BLOCK = 64


def ordered_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Unsigned integers in the order of the floats, equal where those are equal."""
    # Adding zero turns -0.0 into 0.0, which equals it but has other bits.
    bits = (values + np.float32(0)).view(np.uint32)
    # Negative numbers have all bits flipped, the others the sign alone.
    flips = (bits.view(np.int32) >> 31).view(np.uint32)
    flips |= np.uint32(1 << 31)
    bits ^= flips
    return bits


def tie_sums(equal: Mask) -> tuple[Floats, Floats]:
    """Sums of t(t-1)/2 and t(t-1)(t-2) over the groups of t equals in sorted rows.

    ``equal`` is ``(B, n - 1)``: whether an element equals its right neighbour.
    """
    batch, n = equal.shape[0], equal.shape[1] + 1
    # With a False at both ends of each row, a run of equals starts and stops where
    # the flag changes; there are few groups, so the changes are few.
    flags = np.zeros((batch, n + 1), dtype=bool)
    flags[:, 1:n] = equal
    changes = np.flatnonzero(flags[:, 1:] != flags[:, :-1])
    starts, stops = changes[::2], changes[1::2]
    t = (stops - starts + 1).astype(np.float64)
    rows = starts // n
    pairs = np.bincount(rows, t * (t - 1) / 2, minlength=batch)
    triples = np.bincount(rows, t * (t - 1) * (t - 2), minlength=batch)
    return pairs, triples


def _inversions(permutations: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Number of pairs out of order in each row of ``(B, n)`` permutations.

    Merge sort from blocks of at most 64: pairs within a block are all compared,
    pairs across the halves of a larger one are counted from the order that merging
    them gives. A left element stands behind as many right ones as precede it there,
    so the places of the left elements, less their places among themselves, sum to
    the inversions.
    """
    batch, n = permutations.shape
    levels = 0
    while -(-n >> levels) > _BLOCK:
        levels += 1
    width = -(-n >> levels)
    padded = width << levels
    # An element carries, below its value, the number of the block it starts in.
    bits, dtype = (16, np.uint32) if padded <= 2**16 else (32, np.uint64)
    key = np.empty((batch, padded), dtype=dtype)
    key[:, :n] = permutations
    key[:, n:] = np.arange(n, padded)
    total = _pairwise_inversions(key.reshape(-1, width)).reshape(batch, -1).sum(axis=1)
    key <<= dtype(bits)
    key |= np.repeat(np.arange(1 << levels, dtype=dtype), width)
    for level in range(levels):
        half = width << level
        key = key.reshape(batch, -1, 2 * half)
        key.sort(axis=-1)
        left = (key & dtype(1 << level)) == 0
        places = left.astype(np.float64) @ np.arange(2 * half, dtype=np.float64)
        total += (places - half * (half - 1) / 2).sum(axis=1).astype(np.int64)
    return total


def _pairwise_inversions(rows: npt.NDArray[np.unsignedinteger]) -> npt.NDArray:
    """Inversions of each row, at most `_BLOCK` long, by comparing all pairs."""
    largest = rows.max(initial=0)
    columns = np.ascontiguousarray(rows.astype(np.min_scalar_type(largest)).T)
    greater = np.empty(columns.shape, dtype=bool)
    greater_bytes = greater.view(np.uint8)
    # A byte holds the at most 63 elements that precede one and exceed it.
    count = np.zeros(columns.shape, dtype=np.uint8)
    for i in range(len(columns) - 1):
        later = slice(i + 1, None)
        np.greater(columns[i], columns[later], out=greater[later])
        count[later] += greater_bytes[later]
    return count.sum(axis=0, dtype=np.int64)


class PairCounts(NamedTuple):
    """What is counted of the pairs of positions of two rankings, whole numbers.

    ``difference`` is of concordant less discordant ones; the others are pairs and triples
    tied in x, in y, and in both.
    """

    difference: npt.NDArray
    x_pairs: npt.NDArray
    x_triples: npt.NDArray
    y_pairs: npt.NDArray
    y_triples: npt.NDArray
    both_pairs: npt.NDArray


def pair_counts(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], mask: Mask
) -> PairCounts:
    """Counts (B,) of the pairs of positions of x and y, (B, n) with n > 0.

    Knight's method (1966), a batch at a time: order by (x, y) and count the
    inversions of y. Two plain sorts of 64-bit integers do it, because each carries
    its payload in the lower half: the first sorts x with y, the second sorts that
    y with its place in the first order. The places, read in the second order, form
    the inverse of the permutation wanted, which has equally many inversions.
    """
    n = x.shape[1]
    lengths = mask.sum(axis=1)
    half, upper = np.uint64(32), np.uint64(2**32)
    places = np.arange(n, dtype=np.uint64)

    key = ordered_bits(x).astype(np.uint64)
    key <<= half
    key |= ordered_bits(y)
    # Masked positions sort last: no number has these bits, only a NaN.
    np.putmask(key, ~mask, np.uint64(2**64 - 1))
    key.sort(axis=1)
    exists = np.arange(1, n, dtype=np.int32) < lengths[:, None].astype(np.int32)
    change = key[:, 1:] ^ key[:, :-1]
    x_pairs, x_triples = tie_sums((change < upper) & exists)
    both_pairs, _ = tie_sums((change == 0) & exists)

    # The shift drops x, which has done its work.
    key <<= half
    key |= places
    key.sort(axis=1)
    change = key[:, 1:] ^ key[:, :-1]
    y_pairs, y_triples = tie_sums((change < upper) & exists)

    # Truncation to 32 bits leaves the place.
    discordant = _inversions(key.astype(np.uint32))

    total = lengths * (lengths - 1) / 2
    difference = total - x_pairs - y_pairs + both_pairs - 2 * discordant
    return PairCounts(difference, x_pairs, x_triples, y_pairs, y_triples, both_pairs)


class Agreement(NamedTuple):
    """How far two rankings agree; each (B,) float64, NaN where undefined."""

    tau_b: Floats
    p: Floats
    gamma: Floats
    cap: Floats


def kendall_tau_b(
    x: npt.ArrayLike, y: npt.ArrayLike, mask: Mask
) -> tuple[Floats, Floats]:
    """Kendall's tau-b and its p value: the first two of `rank_agreement`."""
    return rank_agreement(x, y, mask)[:2]


def rank_agreement(x: npt.ArrayLike, y: npt.ArrayLike, mask: Mask) -> Agreement:
    """Kendall's tau-b, its two-sided p value, gamma, and the cap that ties of x set.

    With P concordant and Q discordant of the N = n(n-1)/2 pairs, T_x and T_y pairs
    tied in x and in y, tau_b = (P - Q) / sqrt((N - T_x)(N - T_y)) (Kendall 1945).
    Ties of x alone keep it from 1: against a y without ties it is at most
    ``cap`` = sqrt(1 - T_x / N). Goodman and Kruskal's gamma, (P - Q) / (P + Q), asks
    nothing of tied pairs.
    The p value treats P - Q as normal with the variance that ties leave (Kendall,
    Rank Correlation Methods, 1970); it equals that of
    ``scipy.stats.kendalltau(method="asymptotic")``.

    Args:
        x, y: ``(B, n)``; compared as float32, and tied exactly where equal as such.
        mask: ``(B, n)`` bool.

    Returns:
        tau and gamma in [-1, 1], p and cap in [0, 1], each ``(B,)`` float64. All are
        NaN where fewer than two positions exist, where x or y is constant, and where
        either holds a NaN; gamma also where every pair is tied in x or in y.
    """
    x, y = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
    check_shapes(mask, x, y)
    parts = np.zeros((len(PairCounts._fields), len(mask)))
    for rows, width in chunks(mask, lambda length: _CHUNK_ELEMENTS // length):
        parts[:, rows] = pair_counts(x[rows, width], y[rows, width], mask[rows, width])
    lacking = (mask & (np.isnan(x) | np.isnan(y))).any(axis=1)
    return agreement_of(PairCounts(*parts), mask.sum(axis=1), lacking)


def chunks(
    mask: Mask, size: Callable[[int], int]
) -> Iterator[tuple[npt.NDArray[np.intp], slice]]:
    """Rows of a batch, and the width that they need, without those of length 0.

    ``size`` says how many rows, one at least, of a length go together.
    """
    lengths = mask.sum(axis=1)
    # Longest first, so that instances of like length share a chunk and little time
    # goes to padding.
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    first = 0
    while first < len(order):
        rows = order[first : first + max(1, size(int(lengths[order[first]])))]
        yield rows, slice(0, np.flatnonzero(mask[rows].any(axis=0))[-1] + 1)
        first += len(rows)


def agreement_of(counts: PairCounts, lengths: npt.NDArray, lacking: Mask) -> Agreement:
    """What counts of pairs come to, for (B,) ``lengths``; see `rank_agreement`.

    ``lacking`` (B,) is True where a value is not known.
    """
    difference, x_pairs, x_triples, y_pairs, y_triples, both_pairs = counts
    m = lengths * (lengths - 1.0)
    # t(t-1)(2t+5) = 2 t(t-1)(t-2) + 18 t(t-1)/2
    x_spread, y_spread = (
        2 * triples + 18 * pairs
        for triples, pairs in ((x_triples, x_pairs), (y_triples, y_pairs))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = difference / (m / 2 - x_pairs - y_pairs + both_pairs)
        cap = np.sqrt(1 - x_pairs / (m / 2))
        tau = difference / np.sqrt(m / 2 - x_pairs) / np.sqrt(m / 2 - y_pairs)
        variance = (m * (2 * lengths + 5) - x_spread - y_spread) / 18
        variance += 2 * x_pairs * y_pairs / m
        # two positions form no triple
        variance += x_triples * y_triples / (9 * m * np.maximum(lengths - 2, 1))
        # One number an instance; scipy's would take longer to import than to compute.
        erfc = np.vectorize(math.erfc, otypes=[np.float64])
        p = erfc(np.abs(difference) / np.sqrt(2 * variance))
    undefined = (lengths < 2) | (x_pairs == m / 2) | (y_pairs == m / 2) | lacking
    return Agreement(
        *(
            np.where(undefined, np.nan, value)
            for value in (np.clip(tau, -1, 1), p, gamma, cap)
        )
    )


# --- the top of a ranking -----------------------------------------------------------


def _by_instance(
    function: Callable[..., float], *arrays: np.ndarray, where: Mask
) -> Floats:
    """A function of the values (n,) of one instance, for each of a batch.

    One by one, because sums over padded rows would round by the length of the padding.
    """
    return np.array(
        [
            function(*(values[row, exists] for values in arrays))
            for row, exists in enumerate(where)
        ],
        dtype=np.float64,
    )


def _signs(values: Floats) -> Floats:
    """sign(v_i - v_j), (n, n)."""
    return np.sign(values[:, None] - values[None, :])


def _descending_ranks(first: Floats, second: Floats) -> Floats:
    """Ranks (n,) from 0 by ``first`` and, where that ties, ``second``, largest first.

    What ties in both has the mean of the ranks that it takes up.
    """
    above = _signs(first)
    order = np.where(above == 0, _signs(second), above)
    # An element ties with itself.
    return (order < 0).sum(axis=1) + ((order == 0).sum(axis=1) - 1) / 2


def weighted_tau(x: npt.ArrayLike, y: npt.ArrayLike, mask: Mask) -> Floats:
    """Weighted tau (Vigna 2015): pairs weigh the more, the higher their elements rank.

    An element of rank r, from 0, weighs 1 / (r + 1), a pair the sum of its two, and the
    mean is taken of ranks by x and of ranks by y: `scipy.stats.weightedtau` with its
    defaults, but that elements which tie in both share their ranks, where SciPy ranks
    them by position. ``(B,)``; NaN where x or y is constant, and under a NaN.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    check_shapes(mask, x, y)

    def one(x: Floats, y: Floats) -> float:
        of_x, of_y = _signs(x), _signs(y)
        if np.isnan(of_x).any() or np.isnan(of_y).any():
            return np.nan
        if not (of_x.any() and of_y.any()):
            return np.nan
        taus = []
        for ranks in (_descending_ranks(x, y), _descending_ranks(y, x)):
            weight = 1 / (ranks + 1)
            pair = weight[:, None] + weight[None, :]
            both, x_alone, y_alone = (
                (pair * a * b).sum()
                for a, b in ((of_x, of_y), (of_x, of_x), (of_y, of_y))
            )
            taus.append(both / math.sqrt(x_alone * y_alone))
        return float(np.clip(sum(taus) / 2, -1, 1))

    return _by_instance(one, x, y, where=mask)


def _kth_largest(values: Floats, k: npt.NDArray, mask: Mask) -> Floats:
    """The k-th largest value of each row, (B, 1); the largest for k = 0."""
    ordered = -np.sort(np.where(mask, -values, np.inf), axis=1)
    last = np.clip(k.astype(np.int64) - 1, 0, mask.shape[1] - 1)
    return np.take_along_axis(ordered, last[:, None], axis=1)


def _at_least_kth(values: Floats, k: npt.NDArray, mask: Mask) -> Mask:
    """Where values are no smaller than the k-th largest of their row; (B, n)."""
    return mask & (values >= _kth_largest(values, k, mask)) & (k > 0)[:, None]


def top_tau_b(
    x: npt.ArrayLike, y: npt.ArrayLike, mask: Mask, k: npt.ArrayLike
) -> Floats:
    """Kendall's tau-b over the positions among the k largest of x or of y.

    ``k``: (B,) whole numbers; ties with the k-th are in. For k = n it is tau-b.
    """
    x, y = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
    check_shapes(mask, x, y)
    k = np.asarray(k)
    top = _at_least_kth(x, k, mask) | _at_least_kth(y, k, mask)
    return rank_agreement(x, y, top).tau_b


def precision_at_support(
    attention: npt.ArrayLike, importance: npt.ArrayLike, mask: Mask
) -> Floats:
    """Share of the k most important positions that have weight, k of them having it.

    Where several positions tie for the last of the k places, what is expected if chance
    decides. ``(B,)``; NaN where all positions have weight, or none.
    """
    relevant, scores = _relevance(attention, importance, mask)
    k = relevant.sum(axis=1)
    kth = _kth_largest(scores, k, mask)
    above, level = mask & (scores > kth), mask & (scores == kth)
    places = k - above.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = (above & relevant).sum(axis=1) + places * (
            (level & relevant).sum(axis=1) / level.sum(axis=1)
        )
        # Where all have weight, or none, there is nothing to find.
        found = relevant.any(axis=1) & (relevant != mask).any(axis=1)
        return np.where(found, hits / k, np.nan)


def average_precision(
    attention: npt.ArrayLike, importance: npt.ArrayLike, mask: Mask
) -> Floats:
    """Average precision with which importance finds the positions that have weight.

    sum_k (R_k - R_(k-1)) P_k over the distinct values of importance from the largest
    down, with precision P and recall R of the positions that are no less important: that
    of `sklearn.metrics.average_precision_score`. ``(B,)``; NaN where all positions have
    weight, or none.
    """
    relevant, scores = _relevance(attention, importance, mask)

    def one(relevant: Mask, scores: Floats) -> float:
        if relevant.all() or not relevant.any():
            return np.nan
        found = scores[None, :] >= scores[:, None]  # as important as i, or more
        precision = (found & relevant).sum(axis=1) / found.sum(axis=1)
        return precision[relevant].mean()

    return _by_instance(one, relevant, scores, where=mask)


def intersection_over_union(
    relevant: npt.ArrayLike, scores: npt.ArrayLike, mask: Mask
) -> Floats:
    """Intersection over union of the k relevant positions and the k with the top scores.

    Where several positions tie for the last of the k places, what is expected if chance
    decides: the mean over all choices of them, which no order of the positions changes.
    ``(B,)``; NaN where all positions are relevant, or none.
    """
    relevant, scores = _relevance(relevant, scores, mask)

    def one(relevant: Mask, scores: Floats) -> float:
        k = int(relevant.sum())
        if relevant.all() or not k:
            return np.nan
        kth = np.sort(scores)[-k]
        above, level = scores > kth, scores == kth
        hits, places = int((above & relevant).sum()), k - int(above.sum())
        good, tied = int((level & relevant).sum()), int(level.sum())
        # Of the places, x go to relevant positions: hypergeometric.
        ways = {
            x: math.comb(good, x) * math.comb(tied - good, places - x)
            for x in range(min(good, places) + 1)
        }
        chosen = math.comb(tied, places)
        return sum(
            way / chosen * (hits + x) / (2 * k - hits - x) for x, way in ways.items()
        )

    return _by_instance(one, relevant, scores, where=mask)


def top_k_f1(relevant: npt.ArrayLike, scores: npt.ArrayLike, mask: Mask) -> Floats:
    """F1 of the k positions with the top scores, k the number of relevant ones.

    As many are chosen as are to be found, so that precision, recall and F1 are one number.
    Of ties for the last place chance decides, and this is what is expected. ``(B,)``; NaN
    where all positions are relevant, or none.
    """
    relevant, scores = _relevance(relevant, scores, mask)

    def one(relevant: Mask, scores: Floats) -> float:
        k = int(relevant.sum())
        if relevant.all() or not k:
            return np.nan
        kth = np.sort(scores)[-k]
        above, level = scores > kth, scores == kth
        places = (k - above.sum()) / level.sum()
        return ((above & relevant).sum() + places * (level & relevant).sum()) / k

    return _by_instance(one, relevant, scores, where=mask)


def reciprocal_rank(
    relevant: npt.ArrayLike, scores: npt.ArrayLike, mask: Mask
) -> Floats:
    """One over the place of the first relevant position, from the top score down.

    Among equal scores chance decides, and this is what is expected: of T positions that
    tie, g of them relevant, the first of these is the j-th in C(T - j, g - 1) of the C(T, g)
    orders. ``(B,)``; NaN where all positions are relevant, or none.
    """
    relevant, scores = _relevance(relevant, scores, mask)

    def one(relevant: Mask, scores: Floats) -> float:
        if relevant.all() or not relevant.any():
            return np.nan
        top = scores[relevant].max()
        above, level = int((scores > top).sum()), scores == top
        tied, good = int(level.sum()), int((level & relevant).sum())
        orders = math.comb(tied, good)
        return sum(
            math.comb(tied - j, good - 1) / orders / (above + j)
            for j in range(1, tied - good + 2)
        )

    return _by_instance(one, relevant, scores, where=mask)


def _relevance(
    attention: npt.ArrayLike, importance: npt.ArrayLike, mask: Mask
) -> tuple[Mask, Floats]:
    attention = np.asarray(attention, dtype=np.float32)
    importance = np.asarray(importance, dtype=np.float32)
    check_shapes(mask, attention, importance)
    return mask & (attention > 0), importance
