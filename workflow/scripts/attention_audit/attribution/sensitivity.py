"""Importance from how steep the outputs are, whatever the value."""

import numpy as np
import torch
from torch import Tensor

from attention_audit.attribution.explained import Explained
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.randomness import generator


def _norms(explained: Explained, slopes: Tensor) -> Tensor:
    """sum_k |d y_k / d v_t|_2 of slopes (J, B, n, D): (B, n), exactly 0 at padding."""
    norms = explained.all_outputs(slopes).norm(dim=-1).sum(0)
    return norms * explained.mask.cpu()


def gradient_norm(
    model: DecisionModel,
    batch: Batch,
    of: str,
    attention: str = "attached",
    output: str | None = None,
) -> Tensor:
    """sum_k |d y_k / d v_t|_2 over the outputs y_k (Simonyan et al. 2014).

    v_t, ``attention`` and ``output`` are those of `gradients.gradient_importance`: how
    much the outputs change with a value, and not by what it is.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding, not normalized.
    """
    explained = Explained(model, batch, of, output)
    slopes = explained.mean_slopes(
        lambda b, n: explained.values[b : b + 1, :n].clone(), np.ones(1), attention
    )
    return _norms(explained, slopes)


def smooth_grad(
    model: DecisionModel,
    batch: Batch,
    of: str,
    samples: int,
    noise: float,
    output: str | None = None,
) -> Tensor:
    """sum_k |mean_s d y_k / d v_t (v + e_s)|_2 (Smilkov et al. 2017).

    e_s are ``samples`` draws of normal noise whose standard deviation is ``noise`` times
    the range of a decision's values. Each decision has draws of its own, by its id.

    Returns (B, n), of hidden states (B, m), exactly 0 at padding, not normalized.
    """
    explained = Explained(model, batch, of, output)

    def noisy(b: int, n: int) -> Tensor:
        own = explained.values[b, :n]
        known = own[:, explained.content]
        rng = generator(("smooth_grad", batch.instance_ids[b]), seed=0)
        drawn = rng.standard_normal((samples, *own.shape), dtype=np.float32)
        spread = noise * (known.max() - known.min())
        moved = torch.from_numpy(drawn).to(own) * spread * explained.movable(b, n)
        return own + moved

    slopes = explained.mean_slopes(noisy, np.full(samples, 1 / samples))
    return _norms(explained, slopes)
