"""How large a model is: its parameters, and the multiply-adds of a pass."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from attention_audit.models.decisions import Batch, DecisionModel, grouped


def n_parameters(model: nn.Module, trainable: bool = False) -> int:
    """How many numbers a model has, or only those that training may change."""
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable
    )


def multiply_adds(function: Callable[..., Any], *inputs: Any) -> int:
    """Of all matrix products and convolutions in a call of ``function`` on a CPU.

    Linear maps, the gates of LSTMs and both products of self-attention, then; not norms,
    activations, normalizers and bilinear sampling. On the meta device nothing is computed.
    """
    # Half of what torch counts, which is multiplications and additions.
    with FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_TORCH) as counter:
        function(*inputs)
    return counter.get_total_flops() // 2


def _lstm(x: Sequence[int], *weights: Any, out_shape: Any, **_: Any) -> int:
    """Operations of an LSTM over x (n, B, E) with two matrices of weights."""
    return 2 * x[0] * x[1] * sum(map(math.prod, weights[:2]))


# How torch computes an LSTM on a CPU, which its counter takes for nothing.
_UNKNOWN_TO_TORCH = {torch.ops.aten.mkldnn_rnn_layer: _lstm}


@torch.no_grad()
def sizes(model: DecisionModel, batches: Sequence[Batch]) -> dict[str, float]:
    """The columns of the table "sizes" for a model that reads some decisions.

    Multiply-adds are the mean over the decisions, each read by itself, or with those that
    have its inputs in common: padding, which depends on what shares a batch, costs nothing.
    Those with equally many inputs cost the same, and one of them is read; together, with as
    many others.
    """
    of_group: dict[tuple[int, int], int] = {}
    total = count = 0
    for batch in batches:
        for rows in grouped(batch):
            key = int(batch.lengths[rows[0]]), len(rows)
            if key not in of_group:
                of_group[key] = multiply_adds(model, batch.take(rows))
            total += of_group[key]
            count += len(rows)
    return {
        "parameters": n_parameters(model),
        "trainable_parameters": n_parameters(model, trainable=True),
        "multiply_adds": total / count,
        "n_instances": count,
    }
