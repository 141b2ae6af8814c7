"""What the heads of self-attention do: sparsity, support, null attention, diversity."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.tables import TableWriter


def describe_heads(weights: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Describe the heads of one layer, a value an instance and head, (B, nh).

    ``weights`` is (B, nh, n, n), queries by keys, and not negative; ``mask`` (B, n).
    Only unmasked queries and keys count. Means are over the queries of an instance:

    - ``sparsity``: share of pairs of query and key with a weight of exactly 0.
    - ``support``: mean number of keys with weight.
    - ``null``: share of queries without any weight (Zhang et al. 2021).
    - ``entropy``: mean entropy, in nats, of weights scaled to sum to one.
    - ``divergence``: mean Kullback-Leibler divergence, in nats, of a head's scaled
      weights from those of all heads, averaged. Its mean over the heads of a layer is
      their Jensen-Shannon divergence, between 0 and ln nh (Correia et al. 2019).

    A query without any weight has no distribution. Entropy and divergence are over the
    others, and the divergence of a query is over the heads that have weight there, at
    least two of them; NaN where nothing remains.
    """
    pairs = (mask.unsqueeze(1) & mask.unsqueeze(2)).unsqueeze(1)  # (B, 1, n, n)
    queries = mask.unsqueeze(1)  # (B, 1, n)
    weights = weights.double() * pairs
    lengths = mask.sum(-1, keepdim=True)  # (B, 1)
    support = (weights > 0).sum(-1)  # (B, nh, n)
    some = support > 0
    mass = weights.sum(-1, keepdim=True)
    shares = weights / torch.where(mass > 0, mass, 1.0)

    heads = some.sum(1, keepdim=True)  # heads with weight at a query, (B, 1, n)
    middle = shares.sum(1, keepdim=True) / heads.clamp(min=1).unsqueeze(-1)
    divergence = (torch.xlogy(shares, shares) - torch.xlogy(shares, middle)).sum(-1)
    return {
        "sparsity": 1 - support.sum(-1) / lengths**2,
        "support": support.sum(-1) / lengths,
        "null": (~some & queries).sum(-1) / lengths,
        "entropy": _mean_over(torch.special.entr(shares).sum(-1), some),
        "divergence": _mean_over(divergence, some & (heads > 1)),
    }


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the last axis of what is chosen; NaN where nothing is."""
    return (values * chosen).sum(-1) / chosen.sum(-1)


@torch.no_grad()
def write_heads(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
) -> None:
    """Describe every head of an encoder's self-attention on every instance.

    The layers of a pyramid are numbered through its stages, each with keys of its own.
    """
    for batch in batches:
        embeddings = model.embed(batch)
        _, layers = model.encoder.with_attention(embeddings, batch.mask)
        for layer, weights in enumerate(layers):
            n_heads, n = weights.shape[1:3]
            # A pyramid has other positions in each stage, and no padding.
            mask = (
                batch.mask
                if model.cell is None
                else batch.mask.new_ones(len(weights), n)
            )
            described = describe_heads(weights, mask)
            values = {
                name: pa.array(
                    value.flatten().cpu().numpy(), pa.float64(), from_pandas=True
                )
                for name, value in described.items()
            }
            table.write(
                {
                    **run,
                    "instance_id": np.repeat(batch.instance_ids, n_heads),
                    "length": np.repeat(batch.lengths, n_heads),
                    "layer": layer,
                    "head": np.tile(np.arange(n_heads), len(batch.lengths)),
                    **values,
                }
            )
