"""The measures of both controls of one run, from its tables and its reference's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from attention_audit.statistics.controls import (
    CUT,
    SOFTMAX,
    cut,
    cut_name,
    softmax,
    softmax_name,
)
from attention_audit.statistics.distributions import Floats, support_size
from attention_audit.statistics.in_step import (
    Step,
    check_aligned,
    check_lengths,
    finite,
    read_in_step,
)
from attention_audit.statistics.plausibility import plausibility
from attention_audit.statistics.run_measures import (
    Block,
    agreement_blocks,
    concentration_blocks,
    lookback_blocks,
    table_of,
)


@dataclass(frozen=True)
class Attributed:
    """A run, by its identity, and the tables of its attention and importances."""

    identity: Mapping[str, object]
    attention: str | Path
    importances: Mapping[str, str | Path]


def measure_controls(
    run: Attributed, reference: Attributed, batch_size: int = 512
) -> Iterator[dict[str, pa.Table]]:
    """Yield the measures of the controls of ``run``, as tables of schema "measures".

    Under "cut" stands the reference's attention cut to the support of the run, held
    against the reference's importances; under "softmax" the run's scores under softmax,
    held against its own. A control has the run's identity but for its normalizer, which
    is the control's name. What the weights do not enter, the predictions and the
    importances, is measured of the runs themselves.

    Raises:
        AuditError: where the runs hold different instances, or where `measure_run` does.
    """
    cut_to = cut_name(reference.identity["normalizer"], run.identity["normalizer"])
    under = softmax_name(run.identity["normalizer"])
    both = (run, reference)
    streams = [
        read_in_step(of.identity, of.attention, of.importances, batch_size)
        for of in both
    ]
    paths = [of.attention for of in both]
    for batches in zip_longest(*streams):
        check_lengths(paths, batches)
        step, other = batches
        own, others = step.attention, other.attention
        check_aligned(own, others)
        scores = finite(step.table, "scores", run.attention, size=step.states)
        # In the precision of a model's attention, where what is too small ties at zero.
        weights = softmax(scores.values, own.mask).astype(np.float32)
        left = cut(others.values, support_size(own.values, own.mask), others.mask)
        cut_run = {**run.identity, "normalizer": cut_to}
        softmax_run = {**run.identity, "normalizer": under}
        yield {
            CUT: _measures(cut_run, left, other),
            SOFTMAX: _measures(softmax_run, weights, step),
        }


def _measures(identity: Mapping[str, object], weights: Floats, of: Step) -> pa.Table:
    """What is measured of weights (B, m) in the place of those of a step."""
    pieces = [table_of(identity, of.attention.ids, _blocks(weights, of))]
    marked, plausible = plausibility(of, {"attention": weights})
    if marked:
        pieces.append(table_of(identity, marked, plausible))
    return pa.concat_tables(pieces)


def _blocks(weights: Floats, of: Step) -> Iterator[Block]:
    mask = of.attention.mask
    yield from concentration_blocks(weights, mask)
    importances = {method: each.values for method, each in of.importances.items()}
    yield from agreement_blocks(weights, importances, mask)
    yield from lookback_blocks(of, {"attention": weights})
