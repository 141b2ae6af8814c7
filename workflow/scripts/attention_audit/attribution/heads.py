"""What the heads of a model do: sparsity, support, null attention, diversity."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.heads import Heads
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.null_queries import write_null_queries


def describe_heads(weights: Tensor, allowed: Tensor) -> dict[str, Tensor]:
    """Describe the heads of one layer, a value an instance and head, (B, nh).

    ``weights`` is (B, nh, q, k), queries by keys, and not negative; ``allowed`` (B, q, k)
    says which keys a query may attend to, none where it is padding. Only such pairs
    count. Means are over the queries of an instance:

    - ``sparsity``: share of allowed pairs of query and key with a weight of exactly 0.
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
    queries = allowed.any(-1).unsqueeze(1)  # (B, 1, q)
    weights = weights.double() * allowed.unsqueeze(1)
    n_queries = queries.sum(-1)  # (B, 1)
    n_pairs = allowed.sum((-1, -2)).unsqueeze(-1)  # (B, 1)
    support = (weights > 0).sum(-1)  # (B, nh, q)
    some = support > 0
    mass = weights.sum(-1, keepdim=True)
    shares = weights / torch.where(mass > 0, mass, 1.0)

    heads = some.sum(1, keepdim=True)  # heads with weight at a query, (B, 1, q)
    middle = shares.sum(1, keepdim=True) / heads.clamp(min=1).unsqueeze(-1)
    divergence = (torch.xlogy(shares, shares) - torch.xlogy(shares, middle)).sum(-1)
    return {
        "sparsity": 1 - support.sum(-1) / n_pairs,
        "support": support.sum(-1) / n_queries,
        "null": (~some & queries).sum(-1) / n_queries,
        "entropy": _mean_over(torch.special.entr(shares).sum(-1), some),
        "divergence": _mean_over(divergence, some & (heads > 1)),
    }


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the last axis of what is chosen; NaN where nothing is."""
    return (values * chosen).sum(-1) / chosen.sum(-1)


def heads_of(model: DecisionModel, batch: Batch) -> Iterator[Heads]:
    """The heads of all layers of a model's encoder, or those that it tells of itself."""
    if hasattr(model, "heads"):
        yield from model.heads(batch)
        return
    _, layers = model.encoder.with_attention(model.embed(batch), batch.mask)
    for layer, weights in enumerate(layers):
        # A pyramid has other positions in each stage, and no padding.
        mask = (
            batch.mask
            if model.cell is None
            else batch.mask.new_ones(len(weights), weights.shape[2])
        )
        allowed = mask.unsqueeze(1) & mask.unsqueeze(2)
        yield Heads(
            "encoder", layer, batch.instance_ids, batch.lengths, weights, allowed
        )


@torch.no_grad()
def write_heads(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
) -> None:
    """Describe every head of a model on every instance; see `DecisionModel.heads`."""
    for batch in batches:
        for heads in heads_of(model, batch):
            described = describe_heads(heads.weights, heads.allowed)
            n_heads = heads.weights.shape[1]
            values = {
                name: pa.array(
                    value.flatten().cpu().numpy(), pa.float64(), from_pandas=True
                )
                for name, value in described.items()
            }
            table.write(
                {
                    **run,
                    "instance_id": np.repeat(heads.instance_ids, n_heads),
                    "length": np.repeat(heads.lengths, n_heads),
                    "kind": heads.kind,
                    "layer": heads.layer,
                    "head": np.tile(np.arange(n_heads), len(heads.lengths)),
                    **values,
                }
            )


@torch.no_grad()
def write_null(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    classes: Mapping[str, tuple[list[str], list[str]]],
) -> None:
    """Count the queries of every head that attend to nothing, by `word_classes`."""
    for batch in batches:
        for heads in heads_of(model, batch):
            weights = heads.weights * heads.allowed.unsqueeze(1)
            nothing = (weights == 0).all(-1) & heads.allowed.any(-1).unsqueeze(1)
            write_null_queries(
                table,
                run,
                heads.kind,
                heads.layer,
                heads.instance_ids,
                nothing.cpu().numpy(),
                classes,
            )
