"""Controls: what a normalizer's zeros do by themselves, and what its scores say alone.

A run with sparse attention differs from its reference, the run with the reference
normalizer and the same seed, in two ways: most of its weights are zero, and it was
trained with that. Two sets of weights tell these apart. The reference's weights *cut*
afterwards to as many positions as the run attends to in the same text have the zeros
without the training; the run's scores under *softmax* have the training without the
zeros. Each stands in the tables like a normalizer, under a name of its own.
"""

import numpy as np
import numpy.typing as npt

from attention_audit.distributions import Floats, Mask, check_shapes


def cut_name(reference: str, normalizer: str) -> str:
    """What the reference's weights cut to the support of ``normalizer`` are called.

    Declared names have no spaces, so that none is like it.
    """
    return f"{reference} cut to {normalizer}"


def softmax_name(normalizer: str) -> str:
    """What the scores of a run with ``normalizer`` under softmax are called."""
    return f"{normalizer} under softmax"


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
