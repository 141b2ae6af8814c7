"""Adam with AMSGrad, for models and for weights that are searched."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class AMSGrad:
    """Adam with AMSGrad (Reddi et al. 2018) and L2 weight decay, of torch's fused kernel.

    To the bit what `torch.optim.Adam(groups, amsgrad=True, fused=True)` computes, whose
    constructor imports torch's compiler: 1.1 s of processor time, about an epoch of a
    small model. A group is a dictionary of ``params``, their ``weight_decay`` and, where
    they learn at a rate of their own, a ``learning_rate_factor``; parameters without a
    gradient stay as they are. In the first ``warmup_steps`` the rate rises evenly to what
    it is to be (Vaswani et al. 2017, sec. 5.3, without the fall behind it).
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        learning_rate: float,
        warmup_steps: int = 0,
    ):
        self.param_groups = [
            {"learning_rate_factor": 1.0, **group, "params": list(group["params"])}
            for group in groups
        ]
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        # A parameter's mean gradient, mean square, largest mean square, and steps.
        self.state = {
            p: [
                *(torch.zeros_like(p) for _ in range(3)),
                torch.zeros((), dtype=torch.float32, device=p.device),
            ]
            for group in self.param_groups
            for p in group["params"]
        }

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.state:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the gradients."""
        rate = self.learning_rate
        if self.warmup_steps:
            taken = max(int(steps) for *_, steps in self.state.values())
            rate *= min(1.0, (1 + taken) / self.warmup_steps)
        for group in self.param_groups:
            moved = [
                (p, p.grad, *self.state[p])
                for p in group["params"]
                if p.grad is not None
            ]
            if moved:
                adam(
                    *map(list, zip(*moved, strict=True)),
                    fused=True,
                    amsgrad=True,
                    beta1=0.9,
                    beta2=0.999,
                    lr=rate * group["learning_rate_factor"],
                    weight_decay=group["weight_decay"],
                    eps=1e-8,
                    maximize=False,
                )

    def state_dict(self) -> list[list[Tensor]]:
        """What to save beside the parameters to go on from here."""
        return list(self.state.values())

    def load_state_dict(self, state: list[list[Tensor]]) -> None:
        """Go on from a saved state of the same parameters."""
        for mine, saved in zip(self.state.values(), state, strict=True):
            for tensor, value in zip(mine, saved, strict=True):
                tensor.copy_(value)


def learning_rate_factors(model: nn.Module, learning_rate: float) -> dict[int, float]:
    """id of a parameter: factor, for those whose module has a ``learning_rate_factor``.

    Or an ``own_learning_rate``, whatever the ``learning_rate`` of the others.
    """
    factors = {}
    for module in model.modules():
        if hasattr(module, "own_learning_rate"):
            factor = module.own_learning_rate / learning_rate
        elif hasattr(module, "learning_rate_factor"):
            factor = module.learning_rate_factor
        else:
            continue
        for parameter in module.parameters(recurse=False):
            factors[id(parameter)] = factor
    return factors
