"""Outputs of a model for hidden states that are pooled with other weights."""

import torch
from torch import Tensor

from attention_audit.attribution.ablation import TOKENS_PER_PASS
from attention_audit.model import Classifier


@torch.no_grad()
def probabilities_of_weights(
    model: Classifier, hidden: Tensor, weights: Tensor
) -> Tensor:
    """Class probabilities (R, K) of one text's hidden states (n, H) under R weightings.

    ``weights`` is (R, n); how many of them are pooled at once is bounded by memory.
    """
    rows = max(1, TOKENS_PER_PASS // weights.shape[1])
    return torch.cat(
        [
            model.classify(hidden.expand(len(part), -1, -1), part).softmax(-1)
            for part in weights.split(rows)
        ]
    )
