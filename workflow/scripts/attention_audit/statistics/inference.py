"""Over instances and seeds: the tables of every cell of the grid.

The values of one measure in one cell of the grid form a matrix, instances by seeds,
with NaN where a measure is undefined or a run lacks the instance. Both are samples:
of the texts that could have been audited and of the models that training could have
given. What is made of a matrix stands in `estimates`. A matrix is reduced as soon as it
is read, for the cells of a measure lend each other strength across the whole grid.

Controls stand among the runs, as normalizers of their own (see `controls`). They lend
each other strength, by kind, and none to declared normalizers, whose intervals are the
same without them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from attention_audit.records import tables
from attention_audit.statistics.controls import CUT, SOFTMAX
from attention_audit.statistics.estimates import (
    Compared,
    Interval,
    Settings,
    Summarised,
    intervals,
    joined,
    of_pairs,
    smallest_effect,
)
from attention_audit.statistics.families import correct_families
from attention_audit.statistics.matrices import (
    GROUP_COLUMNS,
    Key,
    Matrix,
    groups,
    sorted_keys,
)
from attention_audit.statistics.plausibility import GUESS
from attention_audit.statistics.run_measures import UNIFORM

logger = logging.getLogger(__name__)

# Below this p value a rank correlation counts as significant (kendall_significant).
SIGNIFICANCE = 0.05

# An importance is negligible where leaving anything out moves the output by less than
# this, as a mean over the class probabilities, in half of the texts.
NEGLIGIBLE = 1e-3

# Cells that lend each other strength: those of a measure that ask the same, by contrast
# or, in a summary, by control.
Pool = tuple[Key, str | None]

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


# What a difference of each control asks: of the control less the reference, and of the
# run less its control.
CONTRASTS = {CUT: ("cut", "beyond_cut"), SOFTMAX: ("scores", "zeros")}

# --- the cells of a group -------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """What was measured under one normalizer, or of one control.

    ``control`` says which control it is, of which normalizer ``of``; None where it is
    none. ``model`` holds the measures of the runs that its importances are those of: its
    own, where it is no control.
    """

    measures: Mapping[Key, Matrix]
    model: Mapping[Key, Matrix]
    control: str | None = None
    of: str | None = None

    @property
    def has_zeros(self) -> bool:
        """Whether the attention of the model has weights of 0."""
        zeros = self.model.get(("sparsity", "attention", None))
        return zeros is not None and bool((zeros.values > 0).any())


def _cells(
    runs: Sequence[Mapping[str, object]], found: Mapping[str, Mapping[Key, Matrix]]
) -> dict[str, _Cell]:
    """The cells of a group by normalizer, of what was ``found`` there."""
    controls = {run["normalizer"]: run for run in runs if "control" in run}
    cells = {}
    for normalizer, measures in found.items():
        run = controls.get(normalizer)
        if run is None:
            cells[normalizer] = _Cell(measures, measures)
        else:
            model = found.get(run["model"], {})
            cells[normalizer] = _Cell(measures, model, run["control"], run["of"])
    return cells


def _contrasts(
    cells: Mapping[str, _Cell], reference: str
) -> list[tuple[str, str, str]]:
    """What is compared in a group: the contrast, a normalizer and its baseline."""
    declared = [
        name for name, cell in cells.items() if not cell.control and name != reference
    ]
    found = [("normalizer", name, reference) for name in declared]
    for name, cell in cells.items():
        if cell.control:
            of_control, of_run = CONTRASTS[cell.control]
            found.append((of_control, name, reference))
            found.append((of_run, cell.of, name))
    order = ["normalizer", *sum(CONTRASTS.values(), ())]
    return sorted(found, key=lambda contrast: order.index(contrast[0]))


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
    "spearman",
    "top_overlap",
    "weighted_tau",
    "top_tau_b",
    "support_precision",
    "support_average_precision",
)
# Those that follow from how many positions have weight.
_OF_SUPPORT = ("sparsity", "support", "support_share", "tie_cap")
# Those of what of a hidden state comes from where.
_OF_INFLUENCE = (
    "coindexed_rank",
    "coindexed_share",
    "coindexed_top",
    "influence_dispersion",
    "influence_distance",
)


def _by_construction(
    key: Key, encoder: str, subjects: Subjects, *cells: _Cell
) -> str | None:
    """What of a measure in some cells is arithmetic and no finding; None where nothing is.

    A cut takes weight from positions whose hidden states keep their importance, so that
    what agrees then is no arithmetic, unless the reference has zeros itself. Under softmax
    the positions without importance are those with the lowest scores, and still rank last
    in both: of as many tokens as have weight, the scores take those that have it.
    """
    measure, *about = key
    controls = {cell.control for cell in cells}
    if measure in _OF_SUPPORT and CUT in controls:
        return "the cut leaves as many positions as the run attends to"
    if measure in _OF_SUPPORT and SOFTMAX in controls:
        return "softmax gives every position weight"
    if about[1] == "at_support" and SOFTMAX in controls:
        return "what has weight has the largest scores: the tokens are the same"
    if measure in _OF_INFLUENCE and encoder in subjects.without_context:
        return "the encoder has no context: a hidden state has one input"
    sparse = {cell.control for cell in cells if cell.has_zeros}
    if not sparse:
        return None
    bound = subjects.bound.get(encoder, ())
    if measure in _AGREEMENT and set(about) <= {"attention", *bound}:
        if SOFTMAX in sparse:
            return "no weight, no importance: these positions rank last in both"
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
    """Write the table "summary": a row a cell of the grid, or control, and measure.

    ``runs`` holds the identity of each of ``measure_paths``, ``examples`` the table that
    says what its instances share, by data set. Controls are said to be such, see
    `controls.controls_of`. Besides the measures
    found there, ``kendall_significant`` is the share of instances whose
    ``kendall_p`` is below 0.05. What rests on an importance that is negligible says so
    in its ``note``: a rank correlation does not show it. What agrees with attention as a
    matter of arithmetic says why in ``by_construction``.
    """
    subjects = subjects or Subjects()
    rows, found = [], []
    for group, normalizers in groups(runs, measure_paths, subjects.methods, examples):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        for normalizer, cell in _cells(runs, normalizers).items():
            negligible = _negligible(cell.model)
            for key, matrix in _significant(cell.measures, subjects).items():
                reason = _by_construction(key, encoder, subjects, cell)
                row = _identified(group, normalizer, key)
                row |= {"by_construction": reason}
                rows.append(((key, cell.control), row, (negligible,)))
                found.append(
                    Summarised.of(matrix.values, of_pairs(key), matrix.clusters)
                )
    known = _by_pool([pool for pool, *_ in rows], found, settings)
    written = [
        _noted(row | asdict(one.summary(interval)), *notes)
        for (_, row, notes), one, interval in zip(rows, found, known, strict=True)
    ]
    tables.write_rows(path, "summary", written, provenance)


def _by_pool(
    pools: Sequence[Pool],
    found: Sequence[Summarised] | Sequence[Compared],
    settings: Settings,
) -> list[Interval]:
    """`intervals` of the cells of each pool, in the order of ``pools``."""
    places: dict[Pool, list[int]] = {}
    for i, pool in enumerate(pools):
        places.setdefault(pool, []).append(i)
    known: dict[int, Interval] = {}
    for (key, _), of_pool in places.items():
        moments = [found[i].moments for i in of_pool]
        cells = intervals(moments, settings, of_pairs(key))
        known.update(zip(of_pool, cells, strict=True))
    return [known[i] for i in range(len(pools))]


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

    These have the ``contrast`` "normalizer"; those of controls are "cut", the control cut
    to a normalizer less the reference, "beyond_cut", the normalizer less that control,
    "scores", the control under softmax less the reference, and "zeros", the normalizer
    less that one. ``cut`` and ``beyond_cut`` add up to ``normalizer``, and so do the
    others, where all have the same values.

    Within a dataset, encoder and scorer, instances and seeds that both sides
    have are paired. ``p_corrected`` corrects over the ``family`` of the row, see
    `Settings`. ``note`` and ``by_construction`` are those of either side, as in
    `summary_table`.
    """
    subjects = subjects or Subjects()
    rows, found = [], []
    for group, normalizers in groups(runs, measure_paths, subjects.methods, examples):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        cells = _cells(runs, normalizers)
        if settings.reference not in cells:
            logger.info(
                "%s: no run with the reference normalizer '%s', nothing compared",
                "/".join(group),
                settings.reference,
            )
            continue
        negligible = {name: _negligible(cell.model) for name, cell in cells.items()}
        for contrast, normalizer, baseline in _contrasts(cells, settings.reference):
            sides = cells[normalizer], cells[baseline]
            shared = sides[0].measures.keys() & sides[1].measures.keys()
            for key in sorted_keys(shared, subjects.methods):
                # A guess is the same whatever the model.
                if key[0] in _NOT_COMPARED or key[1] in (GUESS, UNIFORM):
                    continue
                reason = _by_construction(key, encoder, subjects, *sides)
                row = _identified(group, normalizer, key) | {
                    "baseline": baseline,
                    "contrast": contrast,
                    "correction": settings.correction,
                    "by_construction": reason,
                }
                rows.append(
                    (
                        (key, contrast),
                        row,
                        (negligible[normalizer], negligible[baseline]),
                    )
                )
                a, b, clusters = sides[0].measures[key].paired(sides[1].measures[key])
                found.append(Compared.of(a, b, of_pairs(key), clusters))
    known = _by_pool([pool for pool, *_ in rows], found, settings)
    written = []
    for ((key, _), row, notes), one, interval in zip(rows, found, known, strict=True):
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
