"""Faithfulness by erasing tokens (DeYoung et al. 2020, ERASER, sec. 4).

Comprehensiveness is how much the probability of the predicted class falls when the
most important tokens are taken out of the input, sufficiency how much it falls when
only these are left.

Shapes: B instances, n positions, A rankings, S shares of tokens.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from attention_audit.attribution.ablation import probabilities_anew
from attention_audit.audit import Batch
from attention_audit.errors import AuditError
from attention_audit.model import Classifier
from attention_audit.randomness import generator
from attention_audit.tables import TableWriter, iterate_table


class Erasure(NamedTuple):
    """Falls in the probability of the predicted class, (A, B, S) each."""

    comprehensiveness: np.ndarray
    sufficiency: np.ndarray


def _falls(model: Classifier, token_ids: Tensor, keep: Tensor) -> Tensor:
    """Falls (R,) in the probability of the predicted class of one text (n,).

    Row r of ``keep`` (R, n) says which of its tokens are left.
    """
    # Many shares of a short text come to the same tokens; each is read once.
    distinct, inverse = keep.unique(dim=0, return_inverse=True)
    # Kept tokens move to the front, in their order.
    front, order = distinct.sort(dim=-1, descending=True, stable=True)
    own, left = probabilities_anew(model, token_ids, token_ids[order] * front, front)
    predicted = own.argmax()
    return (own[0, predicted] - left[:, predicted])[inverse.cpu()]


@torch.no_grad()
def erase(
    model: Classifier,
    token_ids: Tensor,
    mask: Tensor,
    ranks: Tensor,
    shares: Sequence[float],
) -> Erasure:
    """Comprehensiveness and sufficiency of rankings at every share of tokens.

    ``ranks`` (A, B, n) holds the place of each token in each ranking, 0 the most
    important; what stands at padding is not read. A share of a text is rounded up to
    whole tokens, so that it is at least one. Falls below the resolution of the output
    are exactly 0; see `outputs`. Texts are read one by one, so that none depends on its
    neighbours.
    """
    A, B, _ = ranks.shape
    falls = np.empty((2, A, B, len(shares)))
    for b, n in enumerate(mask.sum(-1).tolist()):
        # 0.2 * 5 must count as 1 token, not as the next after 1 and a rounding error.
        counts = np.ceil(np.asarray(shares) * n - 1e-9)
        counts = torch.from_numpy(counts).to(ranks.device)
        top = ranks[:, b, None, :n] < counts.unsqueeze(1)  # (A, S, n)
        keep = torch.stack([~top, top]).view(-1, n)
        found = _falls(model, token_ids[b, :n], keep)
        falls[:, :, b] = found.view(2, A, len(shares)).numpy()
    return Erasure(falls[0], falls[1])


def descending_ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places (n,) of values in descending order; ties fall in random order.

    Ties are no rarity: sparse attention ties at zero.
    """
    order = np.lexsort((rng.random(len(values)), -values))
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values))
    return ranks


def _importance_rows(
    path: str | Path, schema: str, column: str
) -> Iterator[tuple[str, np.ndarray]]:
    for table in iterate_table(path, schema, columns=["instance_id", column]):
        for row in table.to_pylist():
            yield row["instance_id"], np.asarray(row[column], dtype=np.float64)


def _ranks(
    batch: Batch,
    sources: Mapping[str, Iterator[tuple[str, np.ndarray]]],
    paths: Mapping[str, str | Path],
    random_orders: int,
    seed: int,
) -> Tensor:
    """Ranks (A, B, n): a ranking a source, then the random ones."""
    ranks = np.zeros((len(sources) + random_orders, *batch.mask.shape), dtype=np.int64)
    for b, (instance, n) in enumerate(
        zip(batch.instance_ids, batch.lengths, strict=True)
    ):
        for a, (name, rows) in enumerate(sources.items()):
            found, values = next(rows, (None, np.empty(0)))
            if found != instance or len(values) != n:
                raise AuditError(
                    f"{paths[name]}: expected instance '{instance}' with {n} values, "
                    f"found '{found}' with {len(values)}. Delete the file and run "
                    "snakemake again to rebuild it."
                )
            rng = generator(("erasure", name, instance), seed)
            ranks[a, b, :n] = descending_ranks(values, rng)
        rng = generator(("erasure", instance), seed)
        for a in range(len(sources), len(ranks)):
            ranks[a, b, :n] = rng.permutation(n)
    return torch.from_numpy(ranks).to(batch.mask.device)


def write_erasure(
    table: TableWriter,
    model: Classifier,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    shares: Sequence[float],
    random_orders: int,
    seed: int = 0,
) -> None:
    """Comprehensiveness and sufficiency, a row an (instance, ranking).

    Ranks by attention, by every importance and, as a floor, at random: the mean of
    ``random_orders`` orders. The tables hold the instances of ``batches`` in their
    order.
    """
    paths = {"attention": attention, **importances}
    sources = {
        name: _importance_rows(path, "attention", "attention")
        if name == "attention"
        else _importance_rows(path, "importance", "importance")
        for name, path in paths.items()
    }
    for batch in batches:
        ranks = _ranks(batch, sources, paths, random_orders, seed)
        scores = erase(model, batch.token_ids, batch.mask, ranks, shares)
        # (A, B, S) -> the random orders as one
        known = len(sources)
        merged = [
            np.concatenate([part[:known], part[known:].mean(0, keepdims=True)])
            for part in scores
        ]
        for index, subject in enumerate([*sources, "random"]):
            table.write(
                {
                    **run,
                    "instance_id": batch.instance_ids,
                    "length": batch.lengths,
                    "subject": subject,
                    "comprehensiveness": list(merged[0][index]),
                    "sufficiency": list(merged[1][index]),
                }
            )
