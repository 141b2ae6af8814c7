"""The same weight for every position."""

from torch import Tensor


def uniform(scores: Tensor, mask: Tensor) -> Tensor:
    """1/n over the unmasked positions, whatever their scores."""
    weights = mask.to(scores.dtype).expand_as(scores)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1)


NORMALIZER = uniform
