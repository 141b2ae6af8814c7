"""Alpha-entmax, with alpha given or learned."""

import torch
from torch import Tensor, nn

from attention_audit.models import simplex
from attention_audit.models.normalizers import Normalizer
from attention_audit.records.errors import AuditError

# The value of `alpha` that makes it a parameter.
LEARNED = "learned"


def alpha_entmax(scores: Tensor, mask: Tensor, alpha: float | Tensor = 1.5) -> Tensor:
    """argmax_p p.z + H_alpha(p), H the Tsallis entropy (Peters et al. 2019, eq. 10).

    alpha = 1 is softmax, 2 is sparsemax; larger alpha gives sparser weights. As a
    tensor it gets a gradient; see `simplex.entmax`.
    """
    if not isinstance(alpha, Tensor) and alpha < 1:
        raise AuditError(f"entmax: alpha must be at least 1, got {alpha}")
    return simplex.entmax(scores, mask, alpha)


class Entmax(Normalizer):
    """`alpha_entmax` with alpha given or learned.

    Learned, alpha = 1 + sigmoid(a) lies between softmax and sparsemax, with one a for
    a pooling layer and one a head of self-attention (Correia et al. 2019, sec. 3.3).
    It starts at 1.5.
    """

    def __init__(self, size: int, heads: int | None = None, alpha: float | str = 1.5):
        super().__init__()
        self.fixed = None if alpha == LEARNED else alpha
        if self.fixed is None:
            # (nh, 1, 1), against scores (B, nh, n, n)
            shape = (1,) if heads is None else (heads, 1, 1)
            self.raw_alpha = nn.Parameter(torch.zeros(shape))

    @property
    def alpha(self) -> float | Tensor:
        return 1 + self.raw_alpha.sigmoid() if self.fixed is None else self.fixed

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        return alpha_entmax(scores, mask, self.alpha)


NORMALIZER = Entmax
