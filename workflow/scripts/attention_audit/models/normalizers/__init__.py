"""Normalizers map attention scores to weights, and may act on the context vector.

Each maps scores z over the last axis to weights p >= 0, with masked positions at
exactly 0 and without gradient. Those ``on_simplex``, as nearly all are, have sum p = 1,
unless every position is masked, where all weights are 0. A score of -inf is like a
mask. One of NaN or +inf makes its row's weights NaN, for every kind alike, so that a
model that diverged is noticed.

A kind is a module of this package, which defines `NORMALIZER`: a function ``(scores,
mask, **parameters) -> weights``, or, for one that learns parameters, changes the context
or leaves the simplex, a subclass of `Normalizer`. Its parameters are the keys of the
instance in the config. The module is found by its name, and the workflow tells each job
which kinds its model has, so that a job depends on these and on no other.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from attention_audit.records.errors import AuditError, suggestion


class Normalizer(nn.Module):
    """From scores to weights, and from their weighted sum to the context vector."""

    # The name of its module.
    kind: str | None = None
    # Whether the weights of a row sum to one; `laws` holds them to it.
    on_simplex: bool = True
    # A tensor where the exponent of entmax is a parameter, or follows from one.
    alpha: float | Tensor | None = None

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Weights of the shape and dtype of ``scores``.

        ``scores``: (..., n) floats; ``mask``: bool, broadcastable to it, True where a
        position may be attended.
        """
        raise NotImplementedError

    def context(self, context: Tensor) -> Tensor:
        """What becomes of the weighted sum of values, (..., size) -> (..., size)."""
        return context


class Fixed(Normalizer):
    """A normalizer that is a function of scores and mask alone."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        return self.function(scores, mask)


def build_normalizer(
    settings: Mapping[str, Any], size: int, heads: int | None = None
) -> Normalizer:
    """The normalizer of a declared instance.

    ``size`` is that of a context vector. ``heads``: None for one set of scores an
    instance, (B, n); in self-attention the number of heads, where scores are
    (B, heads, n, n) and each head has parameters of its own.
    """
    parameters = dict(settings)
    kind = parameters.pop("kind")
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if kind not in known:
        raise AuditError(f"unknown normalizer kind '{kind}'.{suggestion(kind, known)}")
    made = importlib.import_module(f"{__name__}.{kind}").NORMALIZER
    if isinstance(made, type):
        normalizer = made(size, heads, **parameters)
    else:
        normalizer = Fixed(partial(made, **parameters))
    normalizer.kind = kind
    return normalizer
