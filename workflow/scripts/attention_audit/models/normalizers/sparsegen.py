"""Sparsegen-lin."""

from torch import Tensor

from attention_audit.models.normalizers.sparsemax import sparsemax
from attention_audit.records.errors import AuditError


def sparsegen(scores: Tensor, mask: Tensor, lam: float = 0.0) -> Tensor:
    """argmin_p ||p - z||^2 - lam ||p||^2 over the simplex (Laha et al. 2018, eq. 3).

    Equals sparsemax(z / (1 - lam)): lam -> 1 is one-hot, lam -> -inf uniform.
    """
    if lam >= 1:
        raise AuditError(f"sparsegen: lam must be less than 1, got {lam}")
    return sparsemax(scores / (1 - lam), mask)


NORMALIZER = sparsegen
