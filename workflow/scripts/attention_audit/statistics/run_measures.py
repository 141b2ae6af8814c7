"""Every measure of one run, an instance at a time: what its tables come to.

The numerical functions work on a padded batch: ``(B, n)`` arrays with a boolean
mask of the same shape, True where a position exists. What stands at masked
positions is never read. They return one float64 value an instance, NaN where the
measure is undefined. `measure_run` applies them to the tables of one run.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics.distributions import (
    Floats,
    Mask,
    dispersion,
    entropy,
    support_size,
)
from attention_audit.statistics.in_step import (
    Step,
    check_run,
    padded_column,
    read_in_step,
)
from attention_audit.statistics.plausibility import plausibility
from attention_audit.statistics.rank_pairs import rank_pairs
from attention_audit.statistics.ranks import (
    average_precision,
    precision_at_support,
    top_tau_b,
    weighted_tau,
)
from attention_audit.statistics.valence import valence_blocks

# What looks back as far as a guess would: equal weights.
UNIFORM = "uniform"

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


def _attention_blocks(step: Step, effects: Mapping[str, str]) -> Iterator[Block]:
    table, importances = step.table, step.importances
    weights, mask = step.attention.values, step.attention.mask
    largest = np.max(weights, axis=1, initial=0.0, where=mask)
    null = support_size(weights, mask) == 0
    yield from concentration_blocks(weights, mask)
    yield "mass", "attention", None, weights.sum(axis=1, where=mask, dtype=np.float64)
    yield "null", "attention", None, null
    yield "max", "attention", None, largest
    if table["label"].null_count:
        yield "absolute_error", "prediction", None, _absolute_error(table)
    else:
        correct = table["predicted"].to_numpy() == table["label"].to_numpy()
        yield "correct", "prediction", None, correct
    outputs = table["probabilities"].combine_chunks().value_lengths().to_numpy()
    for method, importance in importances.items():
        yield "dispersion", method, None, dispersion(importance.values, mask)
        if method in effects:
            # of one input, though its cell hold others
            read = step.read[method]
            most = np.max(read.values, axis=1, initial=0.0, where=read.mask)
            most = most.astype(np.float64) / (
                outputs if effects[method] == "sum" else 1
            )
            yield "largest_effect", method, None, most
    for method, error in step.errors.items():
        yield "completeness_error", method, None, error
    by_method = {method: of.values for method, of in importances.items()}
    yield from agreement_blocks(weights, by_method, mask, between=True)


def _absolute_error(table: pa.Table) -> npt.NDArray:
    """mean_k |y_k - t_k| of scores and what they are to be."""
    found, wanted = (
        np.stack(table[name].to_numpy()).astype(np.float64)
        for name in ("probabilities", "targets")
    )
    return np.abs(found - wanted).mean(1)


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
    attention: Floats,
    importances: Mapping[str, Floats],
    mask: Mask,
    between: bool = False,
) -> Iterator[Block]:
    """Agreement of attention with importances, by measures that ties fool and not.

    With ``between``, also that of every two importances, whose subject is the first.
    """
    support = support_size(attention, mask)
    pairs = rank_pairs(
        {"attention": attention, **importances}, mask, firsts=None if between else 1
    )
    for (subject, reference), found in pairs.items():
        measures = {
            "kendall_tau_b": found.tau_b,
            "kendall_p": found.p,
            "gamma": found.gamma,
            "spearman": found.spearman,
            "top_overlap": found.top_overlap,
        }
        if subject == "attention":
            about = (attention, importances[reference], mask)
            measures |= {
                "tie_cap": found.cap,
                "weighted_tau": weighted_tau(*about),
                "top_tau_b": top_tau_b(*about, support),
                "support_precision": precision_at_support(*about),
                "support_average_precision": average_precision(*about),
            }
        for measure, values in measures.items():
            yield measure, subject, reference, values


def lookback_blocks(step: Step, subjects: Mapping[str, Floats]) -> Iterator[Block]:
    """How far from their decisions, in seconds, weights lie; nothing where inputs have no times.

    ``subjects`` are (B, n), of inputs, or (B, m), of hidden states.
    """
    if step.table["times"].null_count:
        return
    times = padded_column(step.table, "times", step.attention.path)
    away = np.abs(times.values, dtype=np.float64)
    for subject, values in subjects.items():
        weights = np.where(times.mask, step.of_inputs(values), 0.0)
        with np.errstate(invalid="ignore"):
            mean = (weights * away).sum(axis=1) / weights.sum(axis=1)
        yield "lookback", subject, None, mean


def _mean_over_hidden_states(values: Floats, mask: Mask) -> Floats:
    """Row means over the positions in which a value is defined; NaN without any."""
    defined = mask & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)


def _influence_blocks(
    table: pa.Table, path: str | Path, states: int | None
) -> Iterator[Block]:
    spread = padded_column(table, "dispersion", path, states)
    share = padded_column(table, "coindexed_share", path, states)
    rank = padded_column(table, "coindexed_rank", path, states)
    mask = rank.mask
    ranks = rank.values.astype(np.float64)
    top = np.where(np.isnan(ranks), np.nan, ranks == 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = (ranks - 1) / (mask.sum(axis=1, keepdims=True) - 1)
    found = {
        "influence_dispersion": spread.values.astype(np.float64),
        "coindexed_share": share.values.astype(np.float64),
        "coindexed_top": top,
        "coindexed_rank": relative,
    }
    # Null of inputs that lie on no grid.
    if table["distance"].null_count < len(table):
        distance = padded_column(table, "distance", path, states)
        found["influence_distance"] = distance.values.astype(np.float64)
    for measure, values in found.items():
        mean = _mean_over_hidden_states(values, mask)
        yield measure, "hidden_states", "inputs", mean


def measure_run(
    identity: Mapping[str, object],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    influence: str | Path | None = None,
    effects: Mapping[str, str] | None = None,
    ratings: Mapping[str, Floats] | None = None,
    batch_size: int = 512,
) -> Iterator[pa.Table]:
    """Yield every measure of one run, as tables of schema "measures".

    The files of attention and importance are read in step, ``batch_size`` instances
    at a time, so that memory does not grow with the number of instances, their ids
    aside. Of inputs with times the look-back follows them, of marked instances the
    plausibility, and of rated words the valence. The influence, which covers
    some of the instances, follows in a pass of its own.

    Args:
        identity: dataset, encoder, scorer, normalizer and seed of the run.
        attention: a table of schema "attention".
        importances: a table of schema "importance" for each method's name, with the
            same instances in the same order. Of two methods the first is the subject.
        influence: a table of schema "influence" over a subset of them, or None.
        effects: what importances say of the output, by method; see `methods.EFFECTS`.
        ratings: (n,) of the words of each text, by its id; see `valence_blocks`.

    Raises:
        AuditError: where files hold different instances, lengths, methods or runs,
            or weights that are negative or not finite.
    """
    seen: set[str] = set()
    states = None
    for step in read_in_step(identity, attention, importances, batch_size):
        ids, states = step.attention.ids, step.states
        seen.update(ids)
        yield table_of(identity, ids, _attention_blocks(step, effects or {}))
        subjects = {"attention": step.attention.values}
        subjects |= {method: read.values for method, read in step.read.items()}
        with_uniform = subjects | {UNIFORM: step.attention.mask}
        looking = [*lookback_blocks(step, with_uniform)]
        if looking:
            yield table_of(identity, ids, looking)
        marked, blocks = plausibility(step, subjects, guess=True)
        if marked:
            yield table_of(identity, marked, blocks)
        if ratings is not None:
            rated, blocks = valence_blocks(step, with_uniform, ratings, UNIFORM)
            if rated:
                yield table_of(identity, rated, blocks)

    if influence is None:
        return
    # The matrices are large and not needed here.
    columns = [n for n in SCHEMAS["influence"].names if not n.startswith("matrix")]
    for batch in tables.iterate_table(influence, "influence", batch_size, columns):
        check_run(batch, identity, influence)
        ids = batch["instance_id"].to_pylist()
        unknown = [i for i in ids if i not in seen]
        if unknown:
            raise AuditError(
                f"{influence}: instance '{unknown[0]}' is not in {attention}. Delete "
                "both files and run snakemake again to rebuild them."
            )
        yield table_of(identity, ids, _influence_blocks(batch, influence, states))
