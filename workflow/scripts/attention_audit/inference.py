"""Over instances and seeds: the tables of every cell of the grid.

The values of one measure in one cell of the grid form a matrix, instances by seeds,
with NaN where a measure is undefined or a run lacks the instance. Both are samples:
of the texts that could have been audited and of the models that training could have
given. What is made of a matrix stands in `estimates`. A matrix is reduced as soon as it
is read, for the cells of a measure lend each other strength across the whole grid.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from attention_audit import tables
from attention_audit.estimates import (
    Compared,
    Interval,
    Settings,
    Summarised,
    intervals,
    joined,
    of_pairs,
    smallest_effect,
)
from attention_audit.families import correct_families
from attention_audit.matrices import (
    GROUP_COLUMNS,
    Key,
    Matrix,
    groups,
    sorted_keys,
)
from attention_audit.random_effects import Moments

logger = logging.getLogger(__name__)

# Below this p value a rank correlation counts as significant (kendall_significant).
SIGNIFICANCE = 0.05

# An importance is negligible where leaving anything out moves the output by less than
# this, as a mean over the class probabilities, in half of the texts.
NEGLIGIBLE = 1e-3

# p values of single texts: that of a mean of them has no meaning as a difference.
_NOT_COMPARED = ("kendall_p", "kendall_significant")


@dataclass(frozen=True)
class Subjects:
    """What the measures are about, as the config declares it.

    ``methods`` are those of importance in the order of their rows, behind all other
    subjects. ``bound`` holds, for each encoder, those whose importance is 0 wherever
    attention is (`methods.bound_to_weights`), and ``without_context`` the encoders
    whose hidden states depend on the input at their own position alone.
    """

    methods: Sequence[str] = ()
    bound: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without_context: Sequence[str] = ()


# --- tables over the grid -------------------------------------------------------


def _negligible(measures: Mapping[Key, Matrix]) -> dict[str, str]:
    """The methods of a cell whose importance is negligible, and the note that says so."""
    return {
        method: f"effects by {method} are negligible: below {NEGLIGIBLE:g} in half of "
        "the texts"
        for (measure, method, _), matrix in measures.items()
        if measure == "largest_effect" and np.nanmedian(matrix.values) < NEGLIGIBLE
    }


def _noted(row: dict, *cells: Mapping[str, str]) -> dict:
    """The row with the notes of what it rests on; see `_negligible`."""
    if row["measure"] == "largest_effect":
        return row
    about = [row["subject"], row["reference"]]
    notes = dict.fromkeys(cell[m] for m in about for cell in cells if m in cell)
    return row | {"note": joined(row["note"], *notes)}


# Measures of how far two rankings agree.
_AGREEMENT = (
    "kendall_tau_b",
    "kendall_p",
    "kendall_significant",
    "gamma",
    "weighted_tau",
    "top_tau_b",
    "support_precision",
    "support_average_precision",
)
# Those of what of a hidden state comes from where.
_OF_INFLUENCE = (
    "coindexed_rank",
    "coindexed_share",
    "coindexed_top",
    "influence_dispersion",
)


def _by_construction(
    key: Key,
    encoder: str,
    subjects: Subjects,
    *cells: Mapping[Key, Matrix],
) -> str | None:
    """What of a measure in some cells is arithmetic and no finding; None where nothing is."""
    measure, *about = key
    if measure in _OF_INFLUENCE and encoder in subjects.without_context:
        return "the encoder has no context: a hidden state has one input"
    zeros = (cell.get(("sparsity", "attention", None)) for cell in cells)
    if not any(m is not None and (m.values > 0).any() for m in zeros):
        return None
    bound = subjects.bound.get(encoder, ())
    if measure in _AGREEMENT and set(about) <= {"attention", *bound}:
        return "no weight, no importance: the zeros of both coincide"
    if measure == "dispersion" and about[0] in bound:
        return "no weight, no importance: spread over the support at most"
    return None


def _significant(measures: Mapping[Key, Matrix], subjects: Subjects) -> dict:
    """``measures`` with ``kendall_significant`` beside ``kendall_p``, in order."""
    added = {
        ("kendall_significant", *key[1:]): Matrix(
            matrix.instances,
            matrix.seeds,
            np.where(np.isnan(matrix.values), np.nan, matrix.values < SIGNIFICANCE),
            matrix.clusters,
        )
        for key, matrix in measures.items()
        if key[0] == "kendall_p"
    }
    found = {**measures, **added}
    return {key: found[key] for key in sorted_keys(found, subjects.methods)}


def summary_table(
    runs: Sequence[Mapping[str, object]],
    measure_paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
    subjects: Subjects | None = None,
    examples: Mapping[str, str | Path] | None = None,
) -> None:
    """Write the table "summary": a row a cell of the grid and measure.

    ``runs`` holds the identity of each of ``measure_paths``, ``examples`` the table that
    says what its instances share, by data set. Besides the measures
    found there, ``kendall_significant`` is the share of instances whose
    ``kendall_p`` is below 0.05. What rests on an importance that is negligible says so
    in its ``note``: a rank correlation does not show it. What agrees with attention as a
    matter of arithmetic says why in ``by_construction``.
    """
    subjects = subjects or Subjects()
    rows, found = [], []
    for group, normalizers in groups(runs, measure_paths, subjects.methods, examples):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        for normalizer, measures in normalizers.items():
            negligible = _negligible(measures)
            for key, matrix in _significant(measures, subjects).items():
                reason = _by_construction(key, encoder, subjects, measures)
                row = _identified(group, normalizer, key)
                rows.append((key, row | {"by_construction": reason}, (negligible,)))
                found.append(
                    Summarised.of(matrix.values, of_pairs(key), matrix.clusters)
                )
    known = _by_key([key for key, *_ in rows], [one.moments for one in found], settings)
    written = [
        _noted(row | asdict(one.summary(interval)), *notes)
        for (_, row, notes), one, interval in zip(rows, found, known, strict=True)
    ]
    tables.write_rows(path, "summary", written, provenance)


def _by_key(
    keys: Sequence[Key], found: Sequence[Moments], settings: Settings
) -> list[Interval]:
    """`intervals` of the cells of each key, in the order of ``keys``."""
    places: dict[Key, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    known: dict[int, Interval] = {}
    for key, of_key in places.items():
        cells = intervals([found[i] for i in of_key], settings, of_pairs(key))
        known.update(zip(of_key, cells, strict=True))
    return [known[i] for i in range(len(keys))]


def comparison_table(
    runs: Sequence[Mapping[str, object]],
    measure_paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
    subjects: Subjects | None = None,
    examples: Mapping[str, str | Path] | None = None,
) -> None:
    """Write the table "comparison": each normalizer less the reference, by measure.

    Within a dataset, encoder and scorer, instances and seeds that both normalizers
    have are paired. ``p_corrected`` corrects over the ``family`` of the row, see
    `Settings`. ``note`` and ``by_construction`` are those of either side, as in
    `summary_table`.
    """
    subjects = subjects or Subjects()
    rows, found = [], []
    for group, normalizers in groups(runs, measure_paths, subjects.methods, examples):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        baseline = normalizers.pop(settings.reference, None)
        if baseline is None:
            logger.info(
                "%s: no run with the reference normalizer '%s', nothing compared",
                "/".join(group),
                settings.reference,
            )
            continue
        of_baseline = _negligible(baseline)
        for normalizer, measures in normalizers.items():
            negligible = _negligible(measures)
            shared = measures.keys() & baseline.keys()
            for key in sorted_keys(shared, subjects.methods):
                if key[0] in _NOT_COMPARED:
                    continue
                reason = _by_construction(key, encoder, subjects, measures, baseline)
                row = _identified(group, normalizer, key) | {
                    "baseline": settings.reference,
                    "correction": settings.correction,
                    "by_construction": reason,
                }
                rows.append((key, row, (negligible, of_baseline)))
                a, b, clusters = measures[key].paired(baseline[key])
                found.append(Compared.of(a, b, of_pairs(key), clusters))
    known = _by_key([key for key, *_ in rows], [one.moments for one in found], settings)
    written = []
    for (key, row, notes), one, interval in zip(rows, found, known, strict=True):
        smallest = smallest_effect(key[0], settings)
        comparison = one.comparison(interval, smallest, settings.confidence)
        written.append(_noted(row | asdict(comparison), *notes))
    correct_families(written, settings)
    tables.write_rows(path, "comparison", written, provenance)


def _identified(group: tuple[str, ...], normalizer: str, key: Key) -> dict:
    measure, subject, reference = key
    return dict(zip(GROUP_COLUMNS, group, strict=True)) | {
        "normalizer": normalizer,
        "measure": measure,
        "subject": subject,
        "reference": reference,
    }
