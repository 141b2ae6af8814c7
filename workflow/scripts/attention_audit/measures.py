"""Per instance: how concentrated weights are, and how far two of them agree.

The numerical functions work on a padded batch: ``(B, n)`` arrays with a boolean
mask of the same shape, True where a position exists. What stands at masked
positions is never read. They return one float64 value an instance, NaN where the
measure is undefined. `measure_run` applies them to the tables of one run.

Weights need not sum to one: those of rectified linear attention sum to anything, or
to nothing. Entropy, dispersion and divergence are about how weight is shared out and
scale it to sum to one first, because the context is normalized after it in such a
model and the total has no effect of its own; without any weight there is nothing to
share out, and they are undefined. `mass` and `null` tell such instances apart.
Support, sparsity and ranks do not depend on the total.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit import tables
from attention_audit.distributions import (
    Floats,
    Mask,
    check_shapes,
    dispersion,
    entropy,
    support_size,
)
from attention_audit.errors import AuditError
from attention_audit.schemas import RUN_COLUMNS, SCHEMAS

# Elements of a padded batch that Kendall's tau works on at once: temporaries then
# stay within a megabyte, which is also where they are fastest.
_CHUNK_ELEMENTS = 2**15

# Up to this length, comparing all pairs beats sorting; see benchmarks/kendall.py.
_BLOCK = 64


class Measure(TypedDict):
    """What a measure is called, its range, its formula, and where it is undefined.

    ``high`` is None where no upper bound holds for all inputs, and ``undefined`` is
    empty where the measure has a value for every instance. The page of terms is made
    from these; they are plain values, so that a word more reruns nothing.
    """

    label: str
    unit: str
    low: float
    high: float | None
    formula: str
    undefined: str


# p: attention, with p̄ = p / Σp; q: another subject; n: length; y: class probabilities.
MEASURES: dict[str, Measure] = {
    "support": {
        "label": "Support",
        "unit": "positions",
        "low": 0,
        "high": None,
        "formula": "#{t : p_t > 0}",
        "undefined": "",
    },
    "support_share": {
        "label": "Share of inputs attended",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "support / n",
        "undefined": "",
    },
    "sparsity": {
        "label": "Sparsity",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 - support / n, the share of weights that are exactly 0",
        "undefined": "",
    },
    "entropy": {
        "label": "Entropy",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "-Σ_t p̄_t ln p̄_t",
        "undefined": "all weights are 0",
    },
    "dispersion": {
        "label": "Dispersion",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "entropy / ln n: 0 is one-hot, 1 uniform; also of each importance",
        "undefined": "one position, or all 0",
    },
    "mass": {
        "label": "Mass",
        "unit": "weight",
        "low": 0,
        "high": None,
        "formula": "Σ_t p_t, which is 1 for mappings to the simplex",
        "undefined": "",
    },
    "null": {
        "label": "Null attention",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where all p_t = 0, else 0; its mean is the null rate of Zhang et al. 2021",
        "undefined": "",
    },
    "max": {
        "label": "Largest weight",
        "unit": "weight",
        "low": 0,
        "high": None,
        "formula": "max_t p_t",
        "undefined": "",
    },
    "largest_effect": {
        "label": "Largest effect",
        "unit": "probability",
        "low": 0,
        "high": None,
        "formula": "max_t mean_k |Δ_t y_k|, what leaving out one position changes at most; for gradients to first order",
        "undefined": "",
    },
    "correct": {
        "label": "Accuracy",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k is the label, else 0",
        "undefined": "",
    },
    "kendall_tau_b": {
        "label": "Kendall's tau-b",
        "unit": "correlation",
        "low": -1,
        "high": 1,
        "formula": "(P - Q) / √((N - T_p)(N - T_q)), with P concordant and Q discordant of N = n(n - 1)/2 pairs of positions, T tied in one",
        "undefined": "either is constant, or one position",
    },
    "kendall_p": {
        "label": "p value of tau-b",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "two-sided, of P - Q as normal with the variance that ties leave (Kendall 1970)",
        "undefined": "as tau-b",
    },
    "kendall_significant": {
        "label": "Share of instances with p < 0.05",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where kendall_p < 0.05, else 0; in the statistics alone",
        "undefined": "as tau-b",
    },
    "influence_dispersion": {
        "label": "Dispersion of influence",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i of the dispersion of ‖∂h_i/∂x_j‖ over j",
        "undefined": "one position",
    },
    "coindexed_share": {
        "label": "Influence of the own input",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i ‖∂h_i/∂x_i‖ / Σ_j ‖∂h_i/∂x_j‖",
        "undefined": "no hidden state is influenced",
    },
    "coindexed_top": {
        "label": "Own input is the most influential",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "share of i for which no j has a larger ‖∂h_i/∂x_j‖ than i",
        "undefined": "",
    },
    "coindexed_rank": {
        "label": "Relative rank of the own input",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean_i (rank of i among j - 1) / (n - 1): 0 is the most influential",
        "undefined": "one position",
    },
    "permutation_difference": {
        "label": "Output under shuffled attention",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "median over shuffles of mean_k |y_k(shuffled) - y_k|",
        "undefined": "nothing can change places",
    },
    "permutation_mass": {
        "label": "Weight that a shuffle moves",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "mean over shuffles of Σ_t |p'_t - p_t| / 2Σ_t p_t; the same within the support and across its border",
        "undefined": "nothing can change places",
    },
    "permutation_within": {
        "label": "Part of shuffles within the support",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "d_support / (d_support + d_border), d the permutation_difference at equal mass; to be held against its value for weights placed at random (shuffled_null)",
        "undefined": "no border, fewer than two weights or only equal ones, or no change at all",
    },
    "adversarial_found": {
        "label": "Adversary found",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where other weights with the same output were found, else 0",
        "undefined": "all weights are 0",
    },
    "jsd": {
        "label": "Jensen-Shannon divergence",
        "unit": "nats",
        "low": 0,
        "high": 0.6931471805599453,
        "formula": "KL(p̄ ‖ m)/2 + KL(q̄ ‖ m)/2 with m = (p̄ + q̄)/2; at most ln 2",
        "undefined": "either is all 0",
    },
    "kl_run_adversary": {
        "label": "KL(run ‖ adversary)",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "Σ_t p̄_t ln(p̄_t / q̄_t), p of the run and q of an adversary",
        "undefined": "infinite, for zeros of q under weight of p",
    },
    "kl_adversary_run": {
        "label": "KL(adversary ‖ run)",
        "unit": "nats",
        "low": 0,
        "high": None,
        "formula": "Σ_t q̄_t ln(q̄_t / p̄_t), the direction of Wiegreffe & Pinter 2019",
        "undefined": "infinite, for zeros of p under weight of q",
    },
    "tvd": {
        "label": "Total variation distance",
        "unit": "probability",
        "low": 0,
        "high": 1,
        "formula": "Σ_k |y_k - y'_k| / 2, between the outputs of two models",
        "undefined": "",
    },
    "gain": {
        "label": "Gain in accuracy",
        "unit": "share",
        "low": -1,
        "high": 1,
        "formula": "1 where this run alone is right, -1 where the other is, else 0",
        "undefined": "",
    },
    "flip_never": {
        "label": "Decisions that never flip",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k stays as long as any weight is left, in an order of setting them to 0, else 0; over the draws of random orders their share",
        "undefined": "fewer than two weights",
    },
    "flip_share": {
        "label": "Positions removed until the decision flips",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "weights set to 0, in an order, until argmax_k y_k changes, / n; of decisions that flip alone",
        "undefined": "the decision never flips, or fewer than two weights",
    },
    "flip_support_share": {
        "label": "Weights removed until the decision flips",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "the same / support",
        "undefined": "the decision never flips, or fewer than two weights",
    },
    "decision_stands": {
        "label": "Decisions that stand",
        "unit": "share",
        "low": 0,
        "high": 1,
        "formula": "1 where argmax_k y_k has not changed without the first ⌊a · support⌋ weights of an order, else 0, with a the reference: a survival curve, which ends at flip_never",
        "undefined": "fewer than two weights",
    },
    "comprehensiveness": {
        "label": "Comprehensiveness",
        "unit": "probability",
        "low": -1,
        "high": 1,
        "formula": "mean over shares of y_c(text) - y_c(text without the top tokens), c the predicted class",
        "undefined": "",
    },
    "sufficiency": {
        "label": "Sufficiency",
        "unit": "probability",
        "low": -1,
        "high": 1,
        "formula": "mean over shares of y_c(text) - y_c(the top tokens alone)",
        "undefined": "",
    },
}


# --- rank agreement -------------------------------------------------------------


def _ordered_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Unsigned integers in the order of the floats, equal where those are equal."""
    # Adding zero turns -0.0 into 0.0, which equals it but has other bits.
    bits = (values + np.float32(0)).view(np.uint32)
    # Negative numbers have all bits flipped, the others the sign alone.
    flips = (bits.view(np.int32) >> 31).view(np.uint32)
    flips |= np.uint32(1 << 31)
    bits ^= flips
    return bits


def _tie_sums(equal: Mask) -> tuple[Floats, Floats]:
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


def _concordance(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], mask: Mask
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Concordant less discordant pairs, then pairs and triples tied in x and in y.

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

    key = _ordered_bits(x).astype(np.uint64)
    key <<= half
    key |= _ordered_bits(y)
    # Masked positions sort last: no number has these bits, only a NaN.
    np.putmask(key, ~mask, np.uint64(2**64 - 1))
    key.sort(axis=1)
    exists = np.arange(1, n, dtype=np.int32) < lengths[:, None].astype(np.int32)
    change = key[:, 1:] ^ key[:, :-1]
    x_pairs, x_triples = _tie_sums((change < upper) & exists)
    both_pairs, _ = _tie_sums((change == 0) & exists)

    # The shift drops x, which has done its work.
    key <<= half
    key |= places
    key.sort(axis=1)
    change = key[:, 1:] ^ key[:, :-1]
    y_pairs, y_triples = _tie_sums((change < upper) & exists)

    # Truncation to 32 bits leaves the place.
    discordant = _inversions(key.astype(np.uint32))

    total = lengths * (lengths - 1) / 2
    difference = total - x_pairs - y_pairs + both_pairs - 2 * discordant
    return difference, x_pairs, x_triples, y_pairs, y_triples


def kendall_tau_b(
    x: npt.ArrayLike, y: npt.ArrayLike, mask: Mask
) -> tuple[Floats, Floats]:
    """Kendall's tau-b and its two-sided p value, for each instance of a batch.

    With P concordant and Q discordant of the N = n(n-1)/2 pairs, T_x and T_y pairs
    tied in x and in y, tau_b = (P - Q) / sqrt((N - T_x)(N - T_y)) (Kendall 1945).
    The p value treats P - Q as normal with the variance that ties leave (Kendall,
    Rank Correlation Methods, 1970); it equals that of
    ``scipy.stats.kendalltau(method="asymptotic")``.

    Args:
        x, y: ``(B, n)``; compared as float32, and tied exactly where equal as such.
        mask: ``(B, n)`` bool.

    Returns:
        tau in [-1, 1] and p in [0, 1], each ``(B,)`` float64. Both are NaN where
        fewer than two positions exist, where x or y is constant, and where either
        holds a NaN.
    """
    x, y = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
    check_shapes(mask, x, y)
    batch = len(mask)
    parts = np.zeros((5, batch))
    lengths = mask.sum(axis=1)
    # Longest first, so that instances of like length share a chunk and little time
    # goes to padding.
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < batch and lengths[order[first]] > 0:
        rows = order[first : first + max(1, _CHUNK_ELEMENTS // lengths[order[first]])]
        width = slice(0, np.flatnonzero(mask[rows].any(axis=0))[-1] + 1)
        parts[:, rows] = _concordance(x[rows, width], y[rows, width], mask[rows, width])
        first += len(rows)
    difference, x_pairs, x_triples, y_pairs, y_triples = parts

    m = lengths * (lengths - 1.0)
    # t(t-1)(2t+5) = 2 t(t-1)(t-2) + 18 t(t-1)/2
    x_spread, y_spread = (
        2 * triples + 18 * pairs
        for triples, pairs in ((x_triples, x_pairs), (y_triples, y_pairs))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = difference / np.sqrt(m / 2 - x_pairs) / np.sqrt(m / 2 - y_pairs)
        variance = (m * (2 * lengths + 5) - x_spread - y_spread) / 18
        variance += 2 * x_pairs * y_pairs / m
        # two positions form no triple
        variance += x_triples * y_triples / (9 * m * np.maximum(lengths - 2, 1))
        # One number an instance; scipy's would take longer to import than to compute.
        erfc = np.vectorize(math.erfc, otypes=[np.float64])
        p = erfc(np.abs(difference) / np.sqrt(2 * variance))
    undefined = (
        (lengths < 2)
        | (x_pairs == m / 2)
        | (y_pairs == m / 2)
        | (mask & (np.isnan(x) | np.isnan(y))).any(axis=1)
    )
    return (
        np.where(undefined, np.nan, np.clip(tau, -1, 1)),
        np.where(undefined, np.nan, p),
    )


# --- one run --------------------------------------------------------------------


@dataclass(frozen=True)
class _Padded:
    """One list column of a batch: ids (B,), values (B, n) and mask (B, n)."""

    path: str | Path
    ids: list[str]
    values: np.ndarray
    mask: Mask


def check_run(
    table: pa.Table, identity: Mapping[str, object], path: str | Path
) -> None:
    """Raise an `AuditError` unless every row carries the run's identity."""
    for column in RUN_COLUMNS:
        for value in pc.unique(table[column]).to_pylist():
            if value != identity[column]:
                raise AuditError(
                    f"{path}: holds {column} '{value}', expected '{identity[column]}': "
                    "the file belongs to another run. Delete it and run snakemake "
                    "again to rebuild it."
                )


def _padded(table: pa.Table, column: str, path: str | Path) -> _Padded:
    """Pad a list column; lists must be as long as the column ``length`` says."""
    lists = table[column].combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    expected = table["length"].to_numpy()
    ids = table["instance_id"].to_pylist()
    wrong = np.flatnonzero(lengths != expected)
    if wrong.size:
        i = wrong[0]
        raise AuditError(
            f"{path}: instance '{ids[i]}' has length {expected[i]}, but its list "
            f"'{column}' has {lengths[i]} values. Delete the file and run snakemake "
            "again to rebuild it."
        )
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    values = np.zeros(mask.shape, dtype=flat.dtype)
    values[mask] = flat
    return _Padded(path, ids, values, mask)


def _weights(table: pa.Table, column: str, path: str | Path) -> _Padded:
    """As `_padded`, for values that must be finite and not negative."""
    padded = _padded(table, column, path)
    bad = padded.mask & ~((padded.values >= 0) & np.isfinite(padded.values))
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise AuditError(
            f"{path}: '{column}' of instance '{padded.ids[i]}' is {padded.values[i, j]} "
            f"at position {j}; expected finite values of at least 0. Did the model's "
            "training diverge? See its metrics.json and history.parquet."
        )
    return padded


def _check_aligned(first: _Padded, other: _Padded) -> None:
    for i, (a, b) in enumerate(zip_longest(first.ids, other.ids)):
        if a != b:
            raise AuditError(
                f"{first.path} and {other.path} hold different instances: where the "
                f"first has '{a}', the second has '{b}'. Delete both files and run "
                "snakemake again to rebuild them."
            )
        if first.mask[i].sum() != other.mask[i].sum():
            raise AuditError(
                f"{first.path} and {other.path} disagree on the length of instance "
                f"'{a}': {first.mask[i].sum()} and {other.mask[i].sum()}. Delete both "
                "files and run snakemake again to rebuild them."
            )


# (measure, subject, reference, values)
_Block = tuple[str, str, str | None, npt.NDArray]


def _rows(
    identity: Mapping[str, object], ids: list[str], blocks: Iterable[_Block]
) -> pa.Table:
    """A table of schema "measures": the blocks one below the other, NaN as null."""
    pieces = []
    for measure, subject, reference, values in blocks:
        columns = {
            **identity,
            "measure": measure,
            "subject": subject,
            "reference": reference,
        }
        arrays = []
        for field in SCHEMAS["measures"]:
            if field.name == "instance_id":
                arrays.append(pa.array(ids, field.type))
            elif field.name == "value":
                values = np.asarray(values, dtype=np.float64)
                arrays.append(pa.array(values, field.type, from_pandas=True))
            else:
                scalar = pa.scalar(columns[field.name], field.type)
                arrays.append(pa.repeat(scalar, len(ids)))
        pieces.append(pa.Table.from_arrays(arrays, schema=SCHEMAS["measures"]))
    return pa.concat_tables(pieces)


def _attention_blocks(
    table: pa.Table,
    attention: _Padded,
    importances: Mapping[str, _Padded],
    effects: Mapping[str, str],
) -> Iterator[_Block]:
    weights, mask = attention.values, attention.mask
    support = support_size(weights, mask)
    with np.errstate(invalid="ignore"):
        share = support / mask.sum(axis=1)
    largest = np.max(weights, axis=1, initial=0.0, where=mask)
    correct = table["predicted"].to_numpy() == table["label"].to_numpy()
    yield "support", "attention", None, support
    yield "support_share", "attention", None, share
    yield "sparsity", "attention", None, 1 - share
    yield "entropy", "attention", None, entropy(weights, mask)
    yield "dispersion", "attention", None, dispersion(weights, mask)
    yield "mass", "attention", None, weights.sum(axis=1, where=mask, dtype=np.float64)
    yield "null", "attention", None, support == 0
    yield "max", "attention", None, largest
    yield "correct", "prediction", None, correct
    classes = table["probabilities"].combine_chunks().value_lengths().to_numpy()
    for method, importance in importances.items():
        yield "dispersion", method, None, dispersion(importance.values, mask)
        if method in effects:
            most = np.max(importance.values, axis=1, initial=0.0, where=mask)
            most = most.astype(np.float64) / (
                classes if effects[method] == "sum" else 1
            )
            yield "largest_effect", method, None, most
    ranked = {"attention": attention, **importances}
    for subject, reference in combinations(ranked, 2):
        tau, p = kendall_tau_b(ranked[subject].values, ranked[reference].values, mask)
        yield "kendall_tau_b", subject, reference, tau
        yield "kendall_p", subject, reference, p


def _mean_over_hidden_states(values: Floats, mask: Mask) -> Floats:
    """Row means over the positions in which a value is defined; NaN without any."""
    defined = mask & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)


def _influence_blocks(table: pa.Table, path: str | Path) -> Iterator[_Block]:
    spread = _padded(table, "dispersion", path)
    share = _padded(table, "coindexed_share", path)
    rank = _padded(table, "coindexed_rank", path)
    mask = rank.mask
    ranks = rank.values.astype(np.float64)
    top = np.where(np.isnan(ranks), np.nan, ranks == 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = (ranks - 1) / (mask.sum(axis=1, keepdims=True) - 1)
    for measure, values in {
        "influence_dispersion": spread.values.astype(np.float64),
        "coindexed_share": share.values.astype(np.float64),
        "coindexed_top": top,
        "coindexed_rank": relative,
    }.items():
        mean = _mean_over_hidden_states(values, mask)
        yield measure, "hidden_states", "inputs", mean


def measure_run(
    identity: Mapping[str, object],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    influence: str | Path | None = None,
    effects: Mapping[str, str] | None = None,
    batch_size: int = 512,
) -> Iterator[pa.Table]:
    """Yield every measure of one run, as tables of schema "measures".

    The files of attention and importance are read in step, ``batch_size`` instances
    at a time, so that memory does not grow with the number of instances, their ids
    aside. The influence, which covers some of the instances, follows in a pass of
    its own.

    Args:
        identity: dataset, encoder, scorer, normalizer and seed of the run.
        attention: a table of schema "attention".
        importances: a table of schema "importance" for each method's name, with the
            same instances in the same order. Of two methods the first is the subject.
        influence: a table of schema "influence" over a subset of them, or None.
        effects: what importances say of the output, by method; see `methods.EFFECTS`.

    Raises:
        AuditError: where files hold different instances, lengths, methods or runs,
            or weights that are negative or not finite.
    """
    methods = list(importances)
    streams = [tables.iterate_table(attention, "attention", batch_size)]
    streams += [
        tables.iterate_table(importances[m], "importance", batch_size) for m in methods
    ]
    paths = [attention, *(importances[m] for m in methods)]
    seen: set[str] = set()
    for batches in zip_longest(*streams):
        for path, batch in zip(paths, batches, strict=True):
            if batch is None:
                longer = next(
                    p for p, b in zip(paths, batches, strict=True) if b is not None
                )
                raise AuditError(
                    f"{path} holds fewer instances than {longer}. Delete both files "
                    "and run snakemake again to rebuild them."
                )
            check_run(batch, identity, path)
        main = _weights(batches[0], "attention", attention)
        others = {}
        for method, path, batch in zip(methods, paths[1:], batches[1:], strict=True):
            for found in pc.unique(batch["method"]).to_pylist():
                if found != method:
                    raise AuditError(
                        f"{path}: holds method '{found}', expected '{method}'. Delete "
                        "the file and run snakemake again to rebuild it."
                    )
            others[method] = _weights(batch, "importance", path)
            _check_aligned(main, others[method])
        repeated = seen.intersection(main.ids)
        if repeated or len(set(main.ids)) < len(main.ids):
            raise AuditError(
                f"{attention}: an instance stands twice"
                f"{f' ({min(repeated)})' if repeated else ''}. Delete the file and "
                "run snakemake again to rebuild it."
            )
        seen.update(main.ids)
        blocks = _attention_blocks(batches[0], main, others, effects or {})
        yield _rows(identity, main.ids, blocks)

    if influence is None:
        return
    # The matrices are large and not needed here.
    columns = [n for n in SCHEMAS["influence"].names if n != "matrix"]
    for batch in tables.iterate_table(influence, "influence", batch_size, columns):
        check_run(batch, identity, influence)
        ids = batch["instance_id"].to_pylist()
        unknown = [i for i in ids if i not in seen]
        if unknown:
            raise AuditError(
                f"{influence}: instance '{unknown[0]}' is not in {attention}. Delete "
                "both files and run snakemake again to rebuild them."
            )
        yield _rows(identity, ids, _influence_blocks(batch, influence))
