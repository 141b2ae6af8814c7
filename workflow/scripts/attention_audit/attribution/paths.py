"""Importance from slopes along the way from nothing to what is there.

Of these a sum over t is promised: what the outputs differ by between both ends. How far
it is from that is the completeness error, see `explained.Explained.incompleteness`.
"""

import numpy as np
import torch
from torch import Tensor

from attention_audit.attribution.explained import Explained
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.randomness import generator


def _attributed(explained: Explained, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Importance (B, n) and completeness error (B,) of mean slopes (J, B, n, D)."""
    difference = (explained.values - explained.baseline).cpu().double()
    signed = (slopes * difference).sum(-1)  # (J, B, n)
    return explained.importance(signed), explained.incompleteness(signed)


def integrated_gradients(
    model: DecisionModel,
    batch: Batch,
    of: str,
    steps: int,
    output: str | None = None,
) -> tuple[Tensor, Tensor]:
    """sum_k |(v_t - v'_t) . int_0^1 d y_k / d v_t (v' + a (v - v')) da|.

    Sundararajan et al. (2017), equation 1, summed over the numbers of an embedding or a
    hidden state. v' is 0, the mean of what the model was trained on where that is
    standardized; when an input was stays. The integral is the Gauss-Legendre quadrature of
    ``steps`` nodes. Of outputs that turn at once, as sparse attention's do, it takes more
    nodes.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding and not normalized, and
    the completeness error (B,).
    """
    explained = Explained(model, batch, of, output)
    nodes, shares = np.polynomial.legendre.leggauss(steps)
    along = torch.from_numpy((nodes + 1) / 2).to(explained.values).view(-1, 1, 1)
    start = explained.baseline

    def between(b: int, n: int) -> Tensor:
        return start[b, :n] + along * (explained.values[b, :n] - start[b, :n])

    return _attributed(explained, explained.mean_slopes(between, shares / 2))


def gradient_shap(
    model: DecisionModel,
    batch: Batch,
    of: str,
    samples: int,
    noise: float,
    output: str | None = None,
) -> tuple[Tensor, Tensor]:
    """sum_k |mean_s (v_t - v'_t) . d y_k / d v_t (v' + a_s (v + e_s - v'))|.

    Expected gradients (Lundberg & Lee 2017 and their library; Erion et al. 2021) from the
    baseline of `integrated_gradients`: a_s are uniform draws from [0, 1] and e_s normal
    ones with a standard deviation of ``noise`` times the range of a decision's values.
    They are each decision's own, by its id.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding and not normalized, and
    the completeness error (B,), which is that of a mean of ``samples`` draws.
    """
    explained = Explained(model, batch, of, output)
    start = explained.baseline

    def drawn(b: int, n: int) -> Tensor:
        own = explained.values[b, :n]
        known = own[:, explained.content]
        rng = generator(("gradient_shap", batch.instance_ids[b]), seed=0)
        shares = torch.from_numpy(rng.random((samples, 1, 1))).to(own)
        normal = rng.standard_normal((samples, *own.shape), dtype=np.float32)
        spread = noise * (known.max() - known.min())
        moved = torch.from_numpy(normal).to(own) * spread * explained.movable(b, n)
        return start[b, :n] + shares * (own + moved - start[b, :n])

    slopes = explained.mean_slopes(drawn, np.full(samples, 1 / samples))
    return _attributed(explained, slopes)
