"""Softmax."""

from torch import Tensor

from attention_audit.models import simplex


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """p_i proportional to exp z_i: positive everywhere."""
    return simplex.entmax(scores, mask, 1.0)


NORMALIZER = softmax
