"""Rows of a Jacobian by reverse mode, many in one pass."""

from collections.abc import Iterator

import torch
from torch import Tensor

# Rows of the Jacobian that one batched backward pass computes. More would wait for
# memory: at 80 positions, 512 rows took 2.5 times as long as 64.
ROWS_PER_PASS = 64


def row_squares(
    hidden: Tensor, x: Tensor, states: Tensor, pulls: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some of R rows' states i, and squared norms (rows, n) of u' d h_i / d x_j.

    Of ``hidden`` (m, H), a function of x (n, E); the i are ``states`` (R,), the u
    ``pulls`` (R, H).
    """
    for of_states, of_pulls in zip(
        states.split(ROWS_PER_PASS), pulls.split(ROWS_PER_PASS), strict=True
    ):
        rows = torch.arange(len(of_states), device=x.device)
        outputs = hidden.new_zeros(len(rows), *hidden.shape)
        outputs[rows, of_states] = of_pulls
        (gradient,) = torch.autograd.grad(
            hidden, x, grad_outputs=outputs, retain_graph=True, is_grads_batched=True
        )
        yield of_states, gradient.double().square().sum(-1)
