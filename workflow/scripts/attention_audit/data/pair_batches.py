"""Sentence pairs as a model reads them: a decision is the next word of a translation.

Shapes: P sentence pairs, n source tokens, T target tokens, B decisions: of a pair there
are T + 1, for after the last word its end is to be predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from attention_audit.data.batches import BOS, EOS
from attention_audit.data.text_batches import TextBatch, pad_batch
from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id

# What an audit reads of a table "sentence_pairs".
COLUMNS = ("instance_id", "source_ids", "target_ids", "sure")


@dataclass(frozen=True)
class PairBatch:
    """B next words of P sentence pairs. See `models.decisions.Batch`.

    Their inputs are the source words, which the decisions of a pair have in common. What
    stands before the next word is no input: it asks.
    """

    instance_ids: list[str]
    cluster_ids: list[str]
    labels: Tensor  # (B,) int64, the next word
    source_ids: Tensor  # (P, n) int64
    source_mask: Tensor  # (P, n) bool
    target_ids: Tensor  # (P, T + 1) int64, a start and the words behind it
    target_mask: Tensor  # (P, T + 1) bool
    pair: np.ndarray  # (B,) the pair of each decision
    step: np.ndarray  # (B,) how many target words stand before it
    gold: list[np.ndarray | None] | None = None

    removal: ClassVar[str] = "delete"
    guess = None
    places = None
    times = None

    @classmethod
    def of(
        cls,
        pair_ids: Sequence[str],
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        device: torch.device,
        gold: list[np.ndarray | None] | None = None,
    ) -> Self:
        """All decisions of P pairs, given as the ids of their words on either side."""
        source_ids, source_mask = pad_batch(list(sources))
        read = [np.concatenate([[BOS], words]) for words in targets]
        target_ids, target_mask = pad_batch(read)
        steps = target_mask.sum(-1)
        pair = np.repeat(np.arange(len(steps)), steps)
        step = np.concatenate([np.arange(count) for count in steps])
        labels = np.concatenate([part for words in targets for part in (words, [EOS])])
        return cls(
            [decision_id(pair_ids[p], s) for p, s in zip(pair, step, strict=True)],
            [pair_ids[p] for p in pair],
            torch.from_numpy(labels.astype(np.int64)).to(device),
            torch.from_numpy(source_ids).to(device),
            torch.from_numpy(source_mask).to(device),
            torch.from_numpy(target_ids).to(device),
            torch.from_numpy(target_mask).to(device),
            pair,
            step,
            gold,
        )

    @cached_property
    def lengths(self) -> np.ndarray:
        """Source words of each decision, (B,)."""
        return self.source_mask.sum(-1).cpu().numpy()[self.pair]

    @cached_property
    def mask(self) -> Tensor:
        """True at source words and False at padding, (B, n)."""
        return self.source_mask[self.pair]

    @property
    def groups(self) -> np.ndarray:
        """The pair of each decision, (B,)."""
        return self.pair

    def take(self, rows: np.ndarray) -> Self:
        """Some decisions, and of the pairs only theirs, padded to the longest of them."""
        rows = np.asarray(rows)
        pairs, pair = np.unique(self.pair[rows], return_inverse=True)
        step = self.step[rows]
        source_mask = self.source_mask[pairs]
        n = max(1, int(source_mask.sum(-1).max()))
        steps = int(step.max()) + 1
        return PairBatch(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            self.labels[rows],
            self.source_ids[pairs, :n],
            source_mask[:, :n],
            self.target_ids[pairs, :steps],
            self.target_mask[pairs, :steps],
            pair,
            step,
            self.gold and [self.gold[row] for row in rows],
        )

    def without(self, removed: Tensor, removal: str = "delete") -> Self:
        """The decisions of the one pair of a batch R times, without some source words.

        Row r lacks those where ``removed`` (R, n) is True; see `text_batches.TextBatch`.
        """
        (source_ids,) = self.source_ids
        ids, mask = TextBatch.left(source_ids, removed, removal)
        copies, decisions = len(removed), len(self.step)
        return PairBatch(
            self.instance_ids * copies,
            self.cluster_ids * copies,
            self.labels.repeat(copies),
            ids,
            mask,
            self.target_ids.expand(copies, -1),
            self.target_mask.expand(copies, -1),
            np.repeat(np.arange(copies), decisions),
            np.tile(self.step, copies),
            self.gold and self.gold * copies,
        )


@dataclass(frozen=True)
class PairExamples:
    """One split, as `read_examples` reads it: N sentence pairs, whose decisions go together.

    ``sources`` and ``targets`` are N int64 arrays of ids, and ``lengths`` (N,) count the
    words of both sides: what batches are made by.
    """

    instance_ids: list[str]
    sources: list[np.ndarray]
    targets: list[np.ndarray]
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.instance_ids)

    def take(self, rows: Sequence[int]) -> Self:
        """The pairs of some rows, in that order."""
        return PairExamples(
            [self.instance_ids[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.targets[row] for row in rows],
            self.lengths[rows],
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> PairBatch:
        """All decisions of the pairs of some rows."""
        return PairBatch.of(
            [self.instance_ids[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.targets[row] for row in rows],
            device,
        )


def _ids(column: pa.ChunkedArray) -> list[np.ndarray]:
    """The rows of a column of lists."""
    lists = column.combine_chunks()
    lengths = lists.value_lengths().to_numpy()
    flat = lists.flatten().to_numpy().astype(np.int64)
    return np.split(flat, np.cumsum(lengths)[:-1])


def read_examples(path: str | Path) -> PairExamples:
    """Read one split that `pairs.prepare_dataset` wrote, in its order."""
    table = tables.read_table(
        path, "sentence_pairs", ["instance_id", "source_ids", "target_ids"]
    )
    sources, targets = _ids(table["source_ids"]), _ids(table["target_ids"])
    lengths = [len(s) + len(t) for s, t in zip(sources, targets, strict=True)]
    return PairExamples(
        table["instance_id"].to_pylist(), sources, targets, np.array(lengths)
    )


def batch_of(rows: pa.Table, path: str | Path, device: torch.device) -> PairBatch:
    """All decisions of some rows of a table "sentence_pairs" with `COLUMNS`.

    Marked are the source words that a target word is surely linked with; none for the end
    of a sentence, and for pairs that nobody aligned.
    """
    sources, targets = _ids(rows["source_ids"]), _ids(rows["target_ids"])
    gold: list[np.ndarray | None] = []
    for source, target, links in zip(
        sources, targets, rows["sure"].to_pylist(), strict=True
    ):
        if links is None:
            gold += [None] * (len(target) + 1)
            continue
        marked = np.zeros((len(target), len(source)), dtype=bool)
        for link in links:
            marked[link["target"], link["source"]] = True
        gold += [*marked, None]
    ids = rows["instance_id"].to_pylist()
    return PairBatch.of(ids, sources, targets, device, gold)
