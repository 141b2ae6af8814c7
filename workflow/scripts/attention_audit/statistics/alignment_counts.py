"""Links that attention and importances come to, counted against gold, pair by pair.

Weights of a sentence pair are (T + 1, S): a row a step, of which the last predicts the
end, a column a source word. They are scaled to sum to one a step before anything is made
of them, so that steps and subjects are on one scale: an importance has no unit, and not
all attention sums to one. A step without any weight stays without.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.records.decision_ids import parts
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.alignment import (
    COUNTS,
    Counts,
    Gold,
    alignment_average_precision,
    alignment_error_rate,
    best_threshold,
    links_by_argmax,
    links_by_support,
    links_by_threshold,
    padded_gold,
    steps,
)
from attention_audit.statistics.distributions import Floats, Mask
from attention_audit.statistics.in_step import read_in_step

# How links are made of weights; without links, weights rank them.
ARGMAX, SUPPORT, THRESHOLD = "argmax", "support", "threshold"
RANKING = "ranking"


class Subject(NamedTuple):
    """What has weights: attention, a method or a floor; or a head of another layer."""

    name: str
    layer: int | None = None
    head: int | None = None


ATTENTION = Subject("attention")
# What the heads of cross-attention are called that are not the attention of the audits.
HEAD = "head"

# By sentence pair, (T + 1, S) each.
OfPairs = Mapping[str, Floats]


class GoldPairs(NamedTuple):
    """Sentence pairs that somebody aligned: ids (P,), and gold (P, T, S)."""

    ids: list[str]
    gold: Gold


def read_gold(path: str | Path, wanted: Sequence[str]) -> GoldPairs | None:
    """The wanted pairs of a split that somebody aligned, in its order; None without any."""
    columns = ["instance_id", "source_length", "target_length", "sure", "possible"]
    chosen = pa.array(sorted(wanted), pa.string())
    found = []
    for table in tables.iterate_table(path, "sentence_pairs", columns=columns):
        aligned = pc.and_(
            pc.is_in(table["instance_id"], chosen), pc.is_valid(table["sure"])
        )
        found.append(table.filter(aligned))
    whole = pa.concat_tables(found) if found else None
    if not whole:
        return None
    return GoldPairs(whole["instance_id"].to_pylist(), padded_gold(whole))


# ---------------------------------------------------------------- weights of pairs


def add_steps(
    found: dict[str, list[Floats]],
    instance_ids: Sequence[str],
    weights: Floats,
    lengths: Sequence[int],
    source: str | Path,
) -> None:
    """Add rows of ``weights`` (B, n), a decision each, to those of their pairs.

    The steps of a pair come in order, from 0. ``source`` is what a fault is said of.
    """
    for instance, row, n in zip(instance_ids, weights, lengths, strict=True):
        pair, step = parts(instance)
        rows = found.setdefault(pair, [])
        if step != len(rows):
            raise tables.mismatch(
                source, f"'{instance}' stands where step {len(rows)} should"
            )
        rows.append(np.asarray(row[:n], dtype=np.float64))


def weights_of_tables(
    run: Mapping[str, Any],
    attention: str | Path,
    importances: Mapping[str, str | Path],
) -> dict[Subject, OfPairs]:
    """Attention and every importance of a run, by subject and sentence pair."""
    found: dict[Subject, dict[str, list[Floats]]] = {
        subject: {} for subject in (ATTENTION, *map(Subject, importances))
    }
    for step in read_in_step(run, attention, importances):
        lengths = step.table["length"].to_pylist()
        of_methods = {Subject(name): one for name, one in step.importances.items()}
        for subject, one in {ATTENTION: step.attention, **of_methods}.items():
            add_steps(found[subject], one.ids, one.values, lengths, one.path)
    return {subject: stacked(pairs) for subject, pairs in found.items()}


def stacked(pairs: Mapping[str, Sequence[Floats]]) -> dict[str, Floats]:
    """What `add_steps` made, a (T + 1, S) array a pair."""
    return {pair: np.stack(rows) for pair, rows in pairs.items()}


def scaled(weights: Floats) -> Floats:
    """Rows (..., S) divided by their sums; those without weight stay as they are."""
    mass = weights.sum(-1, keepdims=True)
    return weights / np.where(mass > 0, mass, 1.0)


def padded_weights(pairs: OfPairs, aligned: GoldPairs, source: str | Path) -> Floats:
    """The scaled weights of the pairs of gold, (P, T + 1, S), 0 at padding."""
    mask = aligned.gold.mask
    weights = np.zeros((len(mask), mask.shape[1] + 1, mask.shape[2]))
    for i, pair in enumerate(aligned.ids):
        n_target, n_source = mask[i].any(1).sum(), mask[i].any(0).sum()
        if pair not in pairs or pairs[pair].shape != (n_target + 1, n_source):
            raise tables.mismatch(
                source,
                f"expected {n_target + 1} steps of {n_source} source tokens for the "
                f"sentence pair '{pair}'",
            )
        weights[i, : n_target + 1, :n_source] = scaled(pairs[pair])
    return weights


# ---------------------------------------------------------------- counts


def links_of(weights: Floats, mask: Mask, threshold: float) -> dict[str, Mask]:
    """The links that are made of weights (P, T, S), by how they are made."""
    return {
        ARGMAX: links_by_argmax(weights, mask),
        SUPPORT: links_by_support(weights, mask),
        THRESHOLD: links_by_threshold(weights, mask, threshold),
    }


class OnDev(NamedTuple):
    """What the dev pairs chose, and came to: a threshold, and a value by kind of links.

    The error rate of the links of all pairs together, and of a ranking the mean average
    precision over pairs.
    """

    threshold: float
    values: Mapping[str, float]

    @classmethod
    def of(cls, weights: Floats, gold: Gold) -> "OnDev":
        threshold = best_threshold(weights, *gold)
        values = {
            how: float(alignment_error_rate(Counts.of(links, *gold).pooled()))
            for how, links in links_of(weights, gold.mask, threshold).items()
        }
        precisions = alignment_average_precision(weights, *gold)
        defined = precisions[~np.isnan(precisions)]
        values[RANKING] = float(defined.mean()) if defined.size else np.nan
        return cls(threshold, values)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def count_columns(
    ids: Sequence[str], weights: Floats, gold: Gold, dev: OnDev | None
) -> Iterator[dict[str, Any]]:
    """Columns of the counts of weights (P, T, S), a table a kind of links.

    Without dev pairs nobody chose a threshold, and there are no links by one.
    """
    threshold = np.nan if dev is None else dev.threshold
    nothing = dict.fromkeys(COUNTS)
    for how, links in links_of(weights, gold.mask, threshold).items():
        if how == THRESHOLD and dev is None:
            continue
        counts = Counts.of(links, *gold)._asdict()
        yield {
            "instance_id": ids,
            "links": how,
            "threshold": _known(threshold) if how == THRESHOLD else None,
            "on_dev": None if dev is None else _known(dev.values[how]),
            **{name: values.astype(np.int64) for name, values in counts.items()},
            "average_precision": None,
        }
    precisions = alignment_average_precision(weights, *gold)
    yield {
        "instance_id": ids,
        "links": RANKING,
        "threshold": None,
        "on_dev": None if dev is None else _known(dev.values[RANKING]),
        **nothing,
        "average_precision": pa.array(precisions, from_pandas=True),
    }


def write_alignment(
    table: TableWriter,
    run: Mapping[str, Any],
    test: tuple[Mapping[Subject, OfPairs], GoldPairs, str | Path],
    dev: tuple[Mapping[Subject, OfPairs], GoldPairs, str | Path] | None,
) -> None:
    """Count the links of every subject of a run on the test pairs.

    ``test`` and ``dev`` hold weights, gold, and what a fault is said of; dev is None where
    nobody aligned any of its pairs.
    """
    weights, aligned, source = test
    for subject, pairs in weights.items():
        of_steps = steps(padded_weights(pairs, aligned, source))
        of_dev = {}
        if dev is not None:
            found = padded_weights(dev[0][subject], *dev[1:])
            of_dev = {s: OnDev.of(w, dev[1].gold) for s, w in steps(found).items()}
        for step, own in of_steps.items():
            for columns in count_columns(
                aligned.ids, own, aligned.gold, of_dev.get(step)
            ):
                table.write(
                    {
                        **run,
                        "subject": subject.name,
                        "layer": subject.layer,
                        "head": subject.head,
                        "step": step,
                        **columns,
                    }
                )
