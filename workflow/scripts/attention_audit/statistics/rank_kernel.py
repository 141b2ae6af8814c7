"""Counts of how the rankings of every two subjects agree, compiled.

What is kept of a ranking are sets of positions, as bits: for each position, which ones have
a smaller value, and which a larger. A pair of positions is concordant where the sets of
smaller ones of both subjects have it, so that an "and" and a count of bits take 64 pairs at
once. A subject is ranked once, whatever the number of others.

Numba takes half a second to import, and longer to compile what it has not kept of an earlier
job: import this module where there is enough to count.
"""

from collections.abc import Callable

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_ONE = np.uint64(1)
# Of a key: what lies above its lower half, and that half.
_HALF, _LOWER = np.uint64(32), np.uint64(2**32 - 1)


def compiled(function: Callable) -> Callable:
    """The function in machine code, which is kept for later jobs where a folder allows it."""
    try:
        return njit(function, cache=True)
    except RuntimeError:  # neither the package's nor the user's can be written to
        return njit(function)


@intrinsic
def _bits_set(_, word):
    """Number of bits set in an unsigned 64-bit integer, the processor's own."""

    def generated(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generated


@compiled
def _common(a, b):
    """Number of elements that two sets, (words,), have in common."""
    found = np.uint64(0)
    for i in range(a.size):
        found += _bits_set(a[i] & b[i])
    return np.int64(found)


@compiled
def _add(members, place):
    """Add a position to a set (words,)."""
    members[place // 64] |= _ONE << np.uint64(place % 64)


@compiled
def _rank(key, n, top, smaller, larger, ranks, sure, rival):
    """Rank one subject from its sorted ``key`` (>= n,), filling what follows ``top``.

    Returns the pairs and triples that tie, and the places and rivals of the top.
    """
    words = sure.size
    # What does not exist has no smaller ones, no rank, and is in no set.
    for i in range(key.size):
        ranks[i] = 0
        for word in range(words):
            smaller[i * words + word] = 0
    seen = np.zeros(words, np.uint64)
    for word in range(words):
        sure[word] = rival[word] = 0
    pairs, triples, places = 0, 0, 0
    first = 0
    while first < n:
        after = first + 1
        while after < n and key[after] >> _HALF == key[first] >> _HALF:
            after += 1
        tied = after - first
        pairs += tied * (tied - 1) // 2
        triples += tied * (tied - 1) * (tied - 2)
        left = top - (n - after)  # places of the top for these
        for i in range(first, after):
            place = np.int64(key[i] & _LOWER)
            ranks[place] = first + after - n
            for word in range(words):
                smaller[place * words + word] = seen[word]
            if left >= tied:
                _add(sure, place)
            elif left > 0:
                _add(rival, place)
                places = left
        for i in range(first, after):
            _add(seen, np.int64(key[i] & _LOWER))
        for i in range(first, after):
            start = np.int64(key[i] & _LOWER) * words
            for word in range(words):
                larger[start + word] = ~seen[word]
        first = after
    return pairs, triples, places, _common(rival, rival)


@compiled
def count(key, lengths, tops, firsts, of_subjects, of_pairs):
    """Fill ``of_subjects`` (4, M, b) and ``of_pairs`` (7, pairs, b) int64.

    They are the fields of `rank_pairs.Rankings`, in their order. ``key`` (M, b, n) uint64
    is sorted along n: a value's order in the upper half, its position in the lower; the
    first ``lengths`` (b,) of them exist, and ``tops`` (b,) of them are the top. Pairs are
    of one of ``firsts`` subjects and a later one.
    """
    subjects, batch, n = key.shape
    words = (n + 63) // 64
    # By subject, words of one position after the other.
    smaller = np.empty((subjects, n * words), np.uint64)
    larger = np.zeros((subjects, n * words), np.uint64)
    ranks = np.empty((subjects, n), np.int64)
    sure = np.empty((subjects, words), np.uint64)
    rival = np.empty((subjects, words), np.uint64)
    for row in range(batch):
        for i in range(subjects):
            found = _rank(
                key[i, row],
                lengths[row],
                tops[row],
                smaller[i],
                larger[i],
                ranks[i],
                sure[i],
                rival[i],
            )
            for field in range(4):
                of_subjects[field, i, row] = found[field]
        at = 0
        for i in range(firsts):
            for j in range(i + 1, subjects):
                product = 0
                for place in range(n):
                    product += ranks[i, place] * ranks[j, place]
                of_pairs[0, at, row] = _common(smaller[i], smaller[j])
                of_pairs[1, at, row] = _common(smaller[i], larger[j])
                of_pairs[2, at, row] = product
                of_pairs[3, at, row] = _common(sure[i], sure[j])
                of_pairs[4, at, row] = _common(sure[i], rival[j])
                of_pairs[5, at, row] = _common(rival[i], sure[j])
                of_pairs[6, at, row] = _common(rival[i], rival[j])
                at += 1
