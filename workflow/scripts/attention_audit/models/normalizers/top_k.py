"""Softmax over the largest scores."""

import torch
from torch import Tensor

from attention_audit.models.normalizers.softmax import softmax
from attention_audit.records.errors import AuditError


def top_k(scores: Tensor, mask: Tensor, k: int) -> Tensor:
    """Softmax over the k largest scores (Zhao et al. 2019, eq. 3 and 4).

    Scores that equal the k-th largest stay, so that permuting the scores permutes the
    weights; with k unmasked positions or fewer it is softmax. Only what stays gets a
    gradient.
    """
    if k < 1:
        raise AuditError(f"top_k: k must be at least 1, got {k}")
    visible = scores.detach().masked_fill(~mask, -torch.inf)
    largest = visible.topk(min(k, scores.shape[-1]), sorted=True).values
    # NaN counts as the largest here; it and +inf keep the whole row, to break it.
    dropped = (visible < largest[..., -1:]) & (largest[..., :1] < torch.inf)
    return softmax(scores, mask & ~dropped)


NORMALIZER = top_k
