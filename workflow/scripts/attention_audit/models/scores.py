"""How well models do: of classes, and of scores that are followed over recordings.

Shapes: N decisions, K outputs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def macro_f1(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """F1 averaged over the classes that are present or predicted, as scikit-learn has it."""
    hits, labelled, guessed = (
        np.bincount(ids, minlength=n_classes)
        for ids in (labels[labels == predicted], labels, predicted)
    )
    # 2 TP / (2 TP + FP + FN)
    total = labelled + guessed
    met = total > 0
    return float(np.mean(2 * hits[met] / total[met]))


def classes_absent(labels: np.ndarray, n_classes: int) -> int:
    """How many classes no text has."""
    return n_classes - len(np.unique(labels))


def class_scores(
    labels: np.ndarray, predicted: np.ndarray, n_classes: int
) -> dict[str, Any]:
    """Accuracy, macro F1 and ``classes_absent``, the classes without any decision."""
    return {
        "accuracy": float(np.mean(predicted == labels)),
        "macro_f1": macro_f1(labels, predicted, n_classes),
        "classes_absent": classes_absent(labels, n_classes),
    }


def _correlations(y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's and Lin's of columns (N, K), (K,) each; NaN where t does not vary.

    Of outputs that do not vary both are 0, as they follow nothing.
    """
    apart = y.mean(0) - t.mean(0)
    # exactly, for a mean of equal numbers may differ from them in its last digit
    follows, known = (np.ptp(values, axis=0) > 0 for values in (y, t))
    y, t = y - y.mean(0), t - t.mean(0)
    covariance, of_y, of_t = ((a * b).mean(0) for a, b in ((y, t), (y, y), (t, t)))
    with np.errstate(invalid="ignore", divide="ignore"):
        pearson = covariance / np.sqrt(of_y * of_t)
        concordance = 2 * covariance / (of_y + of_t + apart**2)
    return tuple(
        np.where(known, np.where(follows, r, 0.0), np.nan)
        for r in (pearson, concordance)
    )


def agreement_scores(
    outputs: np.ndarray, targets: np.ndarray, recordings: Sequence[str] | None
) -> dict[str, Any]:
    """How well outputs (N, K) follow what they are to be, over each recording (N,).

    ``pearson`` and ``concordance`` (Lin 1989) are means over outputs within a recording,
    and of these over recordings. ``constant`` counts the pairs of recording and output
    that are left out, as what is to be followed does not vary there; the scores are None
    where that is all. Without ``recordings`` all decisions are of one.
    """
    names = [""] * len(outputs) if recordings is None else recordings
    _, places = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    y, t = outputs.astype(np.float64), targets.astype(np.float64)
    found = np.stack(
        [
            _correlations(y[places == place], t[places == place])
            for place in range(places.max() + 1)
        ]
    )  # (recordings, 2, K)
    known = ~np.isnan(found[:, 0])
    some = known.any(1)
    # Of a recording over the outputs that are known, of which there is one at least.
    means = np.nanmean(found[some], axis=2).mean(0) if some.any() else (None, None)
    pearson, concordance = (None if mean is None else float(mean) for mean in means)
    return {
        "pearson": pearson,
        "concordance": concordance,
        "absolute_error": float(np.abs(y - t).mean()),
        "constant": int((~known).sum()),
    }
