"""Sparsemax."""

from torch import Tensor

from attention_audit.models import simplex


def sparsemax(scores: Tensor, mask: Tensor) -> Tensor:
    """argmin_p ||p - z||^2 over the simplex (Martins & Astudillo 2016, eq. 1)."""
    return simplex.entmax(scores, mask, 2.0)


NORMALIZER = sparsemax
