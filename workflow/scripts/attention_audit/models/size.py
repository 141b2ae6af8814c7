"""What a model costs: its parameters, and the multiply-adds of a pass."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def n_parameters(model: nn.Module) -> int:
    """How many numbers a model learns, frozen ones among them."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(function: Callable[..., Any], *inputs: Any) -> int:
    """Of all matrix products and convolutions in a call of ``function``.

    Linear maps and both products of self-attention, then; not norms, activations,
    normalizers and bilinear sampling. On the meta device nothing is computed.
    """
    # Half of what torch counts, which is multiplications and additions.
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops() // 2
