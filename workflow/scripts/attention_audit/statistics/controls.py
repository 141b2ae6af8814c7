"""Controls: what a normalizer's zeros do by themselves, and what its scores say alone.

A run with sparse attention differs from its reference, the run with the reference
normalizer and the same seed, in two ways: most of its weights are zero, and it was
trained with that. Two sets of weights tell these apart. The reference's weights *cut*
afterwards to as many positions as the run attends to in the same text have the zeros
without the training; the run's scores under *softmax* have the training without the
zeros. Each stands in the tables like a normalizer, under a name of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from attention_audit.statistics.distributions import Floats, Mask, check_shapes

# The two controls, as their files are called.
CUT = "cut"
SOFTMAX = "softmax"
CONTROLS = (CUT, SOFTMAX)


def cut_name(reference: str, normalizer: str) -> str:
    """What the reference's weights cut to the support of ``normalizer`` are called.

    Declared names have no spaces, so that none is like it.
    """
    return f"{reference} cut to {normalizer}"


def softmax_name(normalizer: str) -> str:
    """What the scores of a run with ``normalizer`` under softmax are called."""
    return f"{normalizer} under softmax"


def is_control(normalizer: str) -> bool:
    """Whether what stands in the place of a normalizer is a control."""
    return " " in normalizer


def by_cut(comparison: Any) -> dict[str, str]:
    """The normalizer that each cut is to, of a table "comparison"."""
    rows = comparison[comparison["contrast"] == "beyond_cut"]
    return dict(zip(rows["baseline"], rows["normalizer"], strict=True))


def has_controls(normalizer: str, kind: str, reference: str) -> bool:
    """Whether runs with a normalizer have controls: not the reference, nor uniform ones.

    ``kind`` is that of the normalizer. Uniform weights have neither zeros nor scores.
    """
    return normalizer != reference and kind != "uniform"


def controls_of(
    runs: Sequence[Any], kinds: Mapping[str, str], reference: str
) -> list[tuple[Any, dict[str, Any]]]:
    """Every control of a grid, behind the run that it is a control of.

    ``kinds`` are those of the normalizers, by name. A run has controls where its
    reference run, the same with the normalizer ``reference``, is in the grid. A control
    is called as the run but for its own name in the place of the normalizer, and says
    what it is: which ``control``, the normalizer that it is a control ``of``, and the
    normalizer of the ``model`` whose importances it is held against.
    """
    found = []
    for run in runs:
        name = run.normalizer
        paired = replace(run, normalizer=reference) in runs
        if not paired or not has_controls(name, kinds[name], reference):
            continue
        for control, called, model in (
            (CUT, cut_name(reference, name), reference),
            (SOFTMAX, softmax_name(name), name),
        ):
            said = {"control": control, "of": name, "model": model}
            found.append((run, asdict(run) | {"normalizer": called} | said))
    return found


def cut(weights: npt.ArrayLike, support: npt.ArrayLike, mask: Mask) -> Floats:
    """The ``support`` (B,) largest of ``weights`` (B, n) in each row, and 0 elsewhere.

    Weights that equal the last of these stay, as in top-k. They are not scaled. With a
    support of 0 no weight is left.
    """
    w = np.asarray(weights, dtype=np.float64)
    check_shapes(mask, w)
    support = np.asarray(support)
    if not w.shape[1]:
        return w
    ordered = -np.sort(-np.where(mask, w, -np.inf), axis=1)
    last = np.clip(support - 1, 0, w.shape[1] - 1)
    threshold = np.take_along_axis(ordered, last[:, None], axis=1)
    kept = mask & (w >= threshold) & (support > 0)[:, None]
    return np.where(kept, w, 0.0)


def softmax(scores: npt.ArrayLike, mask: Mask) -> Floats:
    """Softmax of ``scores`` (B, n) over the mask, in double precision; 0 elsewhere."""
    z = np.asarray(scores, dtype=np.float64)
    check_shapes(mask, z)
    z = np.where(mask, z, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
        return np.where(mask, weights / weights.sum(axis=1, keepdims=True), 0.0)
