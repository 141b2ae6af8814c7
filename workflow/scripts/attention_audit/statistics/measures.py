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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.distributions import (
    Floats,
    Mask,
    dispersion,
    entropy,
    support_size,
)
from attention_audit.statistics.ranks import (
    average_precision,
    precision_at_support,
    rank_agreement,
    top_tau_b,
    weighted_tau,
)


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
    "tie_cap": {
        "label": "largest tau-b that the ties of attention leave",
        "unit": "correlation",
        "low": 0.0,
        "high": 1.0,
        "formula": "√(1 - T_p / N): tau-b with an importance that has no ties",
        "undefined": "as tau-b",
    },
    "gamma": {
        "label": "Goodman and Kruskal's gamma",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "(P - Q) / (P + Q): of the pairs that neither ties",
        "undefined": "as tau-b, or each pair is tied in one",
    },
    "weighted_tau": {
        "label": "weighted tau",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "tau in which a pair weighs 1/(r + 1) + 1/(s + 1), by the ranks r, s of "
        "its positions from 0, mean over ranks by either (Vigna 2015)",
        "undefined": "as tau-b",
    },
    "top_tau_b": {
        "label": "tau-b over the top",
        "unit": "correlation",
        "low": -1.0,
        "high": 1.0,
        "formula": "tau-b over the positions among the k largest of either, k the support; "
        "for k = n it is tau-b",
        "undefined": "as tau-b, among these",
    },
    "support_precision": {
        "label": "precision at the support",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "share of the k most important positions that have weight, k the support; "
        "ties for the last place by chance",
        "undefined": "all positions have weight, or none",
    },
    "support_average_precision": {
        "label": "average precision of the support",
        "unit": "share",
        "low": 0.0,
        "high": 1.0,
        "formula": "Σ (R_k - R_{k-1}) P_k of finding the support by importance",
        "undefined": "all positions have weight, or none",
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
        "formula": "y_c(text) - y_c(text without its top k tokens), c the predicted class: mean over shares a of k = ⌈a · n⌉, or with the reference one share (share_a), or k = support (at_support)",
        "undefined": "at_support where the support is 0 or n",
    },
    "sufficiency": {
        "label": "Sufficiency",
        "unit": "probability",
        "low": -1,
        "high": 1,
        "formula": "y_c(text) - y_c(the top k tokens alone), with the same k",
        "undefined": "at_support where the support is 0 or n",
    },
}


# --- one run --------------------------------------------------------------------


@dataclass(frozen=True)
class Padded:
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


def _padded(table: pa.Table, column: str, path: str | Path) -> Padded:
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
    return Padded(path, ids, values, mask)


def finite(
    table: pa.Table, column: str, path: str | Path, low: float = -np.inf
) -> Padded:
    """As `_padded`, for values that must be finite and at least ``low``."""
    padded = _padded(table, column, path)
    bad = padded.mask & ~((padded.values >= low) & np.isfinite(padded.values))
    if bad.any():
        i, j = np.argwhere(bad)[0]
        bound = f" of at least {low:g}" if np.isfinite(low) else ""
        raise AuditError(
            f"{path}: '{column}' of instance '{padded.ids[i]}' is {padded.values[i, j]} "
            f"at position {j}; expected finite values{bound}. Did the model's "
            "training diverge? See its metrics.json and history.parquet."
        )
    return padded


def check_aligned(first: Padded, other: Padded) -> None:
    """Raise an `AuditError` unless both hold the same instances in the same order."""
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
Block = tuple[str, str, str | None, npt.NDArray]


def table_of(
    identity: Mapping[str, object], ids: list[str], blocks: Iterable[Block]
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
    attention: Padded,
    importances: Mapping[str, Padded],
    effects: Mapping[str, str],
) -> Iterator[Block]:
    weights, mask = attention.values, attention.mask
    largest = np.max(weights, axis=1, initial=0.0, where=mask)
    null = support_size(weights, mask) == 0
    correct = table["predicted"].to_numpy() == table["label"].to_numpy()
    yield from concentration_blocks(weights, mask)
    yield "mass", "attention", None, weights.sum(axis=1, where=mask, dtype=np.float64)
    yield "null", "attention", None, null
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
    for method, importance in importances.items():
        yield from agreement_blocks(weights, method, importance.values, mask)
    for subject, reference in combinations(importances, 2):
        found = rank_agreement(
            importances[subject].values, importances[reference].values, mask
        )
        yield "kendall_tau_b", subject, reference, found.tau_b
        yield "kendall_p", subject, reference, found.p


def concentration_blocks(weights: Floats, mask: Mask) -> Iterator[Block]:
    """How few positions have weight, and how unequal the weights are."""
    support = support_size(weights, mask)
    with np.errstate(invalid="ignore"):
        share = support / mask.sum(axis=1)
    yield "support", "attention", None, support
    yield "support_share", "attention", None, share
    yield "sparsity", "attention", None, 1 - share
    yield "entropy", "attention", None, entropy(weights, mask)
    yield "dispersion", "attention", None, dispersion(weights, mask)


def agreement_blocks(
    attention: Floats, method: str, importance: Floats, mask: Mask
) -> Iterator[Block]:
    """Agreement of attention with one importance, by measures that ties fool and not."""
    found = rank_agreement(attention, importance, mask)
    support = support_size(attention, mask)
    for name, values in {
        "kendall_tau_b": found.tau_b,
        "kendall_p": found.p,
        "tie_cap": found.cap,
        "gamma": found.gamma,
        "weighted_tau": weighted_tau(attention, importance, mask),
        "top_tau_b": top_tau_b(attention, importance, mask, support),
        "support_precision": precision_at_support(attention, importance, mask),
        "support_average_precision": average_precision(attention, importance, mask),
    }.items():
        yield name, "attention", method, values


def _mean_over_hidden_states(values: Floats, mask: Mask) -> Floats:
    """Row means over the positions in which a value is defined; NaN without any."""
    defined = mask & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)


def _influence_blocks(table: pa.Table, path: str | Path) -> Iterator[Block]:
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


def read_in_step(
    identity: Mapping[str, object],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    batch_size: int = 512,
) -> Iterator[tuple[pa.Table, Padded, dict[str, Padded]]]:
    """Yield the table, the attention and every importance of one run, in batches.

    Arguments and errors are those of `measure_run`.
    """
    methods = list(importances)
    streams = [tables.iterate_table(attention, "attention", batch_size)]
    streams += [
        tables.iterate_table(importances[m], "importance", batch_size) for m in methods
    ]
    paths = [attention, *(importances[m] for m in methods)]
    seen: set[str] = set()
    for batches in zip_longest(*streams):
        check_lengths(paths, batches)
        for path, batch in zip(paths, batches, strict=True):
            check_run(batch, identity, path)
        main = finite(batches[0], "attention", attention, low=0.0)
        others = {}
        for method, path, batch in zip(methods, paths[1:], batches[1:], strict=True):
            for found in pc.unique(batch["method"]).to_pylist():
                if found != method:
                    raise AuditError(
                        f"{path}: holds method '{found}', expected '{method}'. Delete "
                        "the file and run snakemake again to rebuild it."
                    )
            others[method] = finite(batch, "importance", path, low=0.0)
            check_aligned(main, others[method])
        repeated = seen.intersection(main.ids)
        if repeated or len(set(main.ids)) < len(main.ids):
            raise AuditError(
                f"{attention}: an instance stands twice"
                f"{f' ({min(repeated)})' if repeated else ''}. Delete the file and "
                "run snakemake again to rebuild it."
            )
        seen.update(main.ids)
        yield batches[0], main, others


def check_lengths(
    paths: Sequence[str | Path], batches: Sequence[object | None]
) -> None:
    """Raise an `AuditError` where some of the files have ended before others."""
    ended = [path for path, batch in zip(paths, batches, strict=True) if batch is None]
    going = [
        path for path, batch in zip(paths, batches, strict=True) if batch is not None
    ]
    if ended:
        raise AuditError(
            f"{ended[0]} holds fewer instances than {going[0]}. Delete both files "
            "and run snakemake again to rebuild them."
        )


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
    seen: set[str] = set()
    for table, main, others in read_in_step(
        identity, attention, importances, batch_size
    ):
        seen.update(main.ids)
        blocks = _attention_blocks(table, main, others, effects or {})
        yield table_of(identity, main.ids, blocks)

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
        yield table_of(identity, ids, _influence_blocks(batch, influence))
