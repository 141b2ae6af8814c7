"""Derivatives of what layers of self-attention are made of, a position or a score at a time.

Shapes: n positions, nh heads of size hs.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.enable_grad()
def context_slopes(normalizer: nn.Module, scores: Tensor, values: Tensor) -> Tensor:
    """Derivatives (hs, nh, I, n) of the contexts of I positions by their scores.

    Scores are (nh, I, n), values (nh, n, hs). They are backward passes from the weights,
    with a unit of the values for gradient. The sums take the place of ``grad_outputs``,
    with which torch imports sympy: 0.3 s.
    """
    scores = scores.detach().requires_grad_()
    everywhere = torch.ones(scores.shape[-1], dtype=torch.bool, device=scores.device)
    weights = normalizer(scores.unsqueeze(0), everywhere)[0]
    slopes = scores.new_zeros(values.shape[-1], *scores.shape)
    if weights.requires_grad:  # not where they are the same whatever the scores
        for slope, unit in zip(slopes, values.unbind(-1), strict=True):
            context = (weights * unit.unsqueeze(1)).sum()
            slope.copy_(*torch.autograd.grad(context, scores, retain_graph=True))
    return slopes


@torch.enable_grad()
def positionwise_jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Jacobians (n, out, in) of a function that maps each position of x (1, n, in) alone.

    One pass over ``out`` copies of x, each differentiated by another unit.
    """
    size = function(x).shape[-1]
    copies = x.detach().repeat(size, 1, 1).requires_grad_()
    units = function(copies).diagonal(dim1=0, dim2=2)  # (n, out)
    (jacobian,) = torch.autograd.grad(units.sum(), copies)
    return jacobian.transpose(0, 1)
