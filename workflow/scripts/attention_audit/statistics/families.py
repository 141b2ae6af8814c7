"""Many tests at once: families, corrections, and what a comparison comes to."""

import gc
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from attention_audit.records.errors import AuditError, suggestion
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.random_effects import Floats


def correct(p: npt.ArrayLike, method: str) -> Floats:
    """p values corrected by `multipletests`; NaN stays NaN and is not counted."""
    # Costs a second to import, and the tables that need no correction do without.
    from statsmodels.stats.multitest import multipletests, multitest_alias

    if method not in multitest_alias:
        raise AuditError(
            f"statistics.correction: unknown method '{method}'."
            f"{suggestion(method, multitest_alias)}"
        )
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    defined = ~np.isnan(p)
    if defined.any():
        # Each call collects garbage (statsmodels 0.15), half a second's walk through all
        # that is loaded, which has been frozen out of its way.
        gc.freeze()
        try:
            corrected[defined] = multipletests(p[defined], method=method)[1]
        finally:
            gc.unfreeze()
    return corrected


def correct_families(rows: Sequence[dict], settings: Settings) -> None:
    """Add to ``rows`` their family, its size, corrected p values and the verdict.

    A family is the comparisons that have the columns ``settings.families`` in common.
    At ``1 - confidence`` and by corrected p values a difference is "different",
    "equivalent" (smaller than the smallest of interest), "negligible" where it is
    both, and "undecided" where it is neither.
    """
    families: dict[tuple, list[dict]] = {}
    for row in rows:
        named = tuple(row[column] for column in settings.families)
        families.setdefault(named, []).append(row)
    verdicts = {
        (True, False): "different",
        (False, True): "equivalent",
        (True, True): "negligible",
        (False, False): "undecided",
    }
    alpha = 1 - settings.confidence
    for named, family in families.items():
        said = ", ".join(
            f"{column} {name}"
            for column, name in zip(settings.families, named, strict=True)
            if name is not None
        )
        size = sum(not np.isnan(row["p"]) for row in family)
        corrected = {
            name: correct([row[name] for row in family], settings.correction)
            for name in ("p", "p_equivalence")
        }
        for i, row in enumerate(family):
            p, equivalence = corrected["p"][i], corrected["p_equivalence"][i]
            row |= {
                "family": said or "all comparisons",
                "family_size": size,
                "p_corrected": p,
                "p_equivalence_corrected": equivalence,
                "verdict": None
                if np.isnan(p)
                else verdicts[bool(p < alpha), bool(equivalence < alpha)],
            }
