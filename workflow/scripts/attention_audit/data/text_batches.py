"""Texts as a model reads them: batches of token ids, and whole splits of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from attention_audit.data.batches import PAD, UNK
from attention_audit.records import tables


@dataclass(frozen=True)
class TextBatch:
    """B texts, a decision each; their inputs are words. See `models.decisions.Batch`."""

    instance_ids: list[str]
    labels: Tensor | None  # (B,) int64
    lengths: np.ndarray  # (B,)
    token_ids: Tensor  # (B, n) int64
    mask: Tensor  # (B, n) bool
    cluster_ids: list[str] | None = None
    gold: list[np.ndarray | None] | None = None

    removal: ClassVar[str] = "delete"
    # Nobody guesses at words, and they lie on no grid and have no times.
    guess = None
    places = None
    times = None
    # Each text is a decision of its own.
    groups = None

    @classmethod
    def of(
        cls,
        instance_ids: list[str],
        texts: list[np.ndarray],
        device: torch.device,
        labels: Sequence[int] | np.ndarray | None = None,
        cluster_ids: list[str] | None = None,
        gold: list[np.ndarray | None] | None = None,
    ) -> Self:
        """Texts given as the ids of their words."""
        ids, mask = pad_batch(texts)
        if labels is not None:
            labels = torch.as_tensor(labels, dtype=torch.int64, device=device)
        return cls(
            instance_ids,
            labels,
            mask.sum(-1),
            torch.from_numpy(ids).to(device),
            torch.from_numpy(mask).to(device),
            cluster_ids,
            gold,
        )

    def take(self, rows: np.ndarray) -> Self:
        """The texts of some rows, padded to the longest of them."""
        lengths = self.lengths[rows]
        n = int(lengths.max())
        chosen = torch.as_tensor(rows, device=self.mask.device)
        return TextBatch(
            [self.instance_ids[row] for row in rows],
            None if self.labels is None else self.labels[chosen],
            lengths,
            self.token_ids[chosen, :n],
            self.mask[chosen, :n],
            self.cluster_ids and [self.cluster_ids[row] for row in rows],
            self.gold and [self.gold[row] for row in rows],
        )

    def without(self, removed: Tensor, removal: str = "delete") -> Self:
        """The one text of a batch R times, without the words at ``removed`` (R, n).

        ``removal`` is "delete", which makes it shorter, "replace", which puts the
        unknown word in their place, or "zero", an embedding of zeros.
        """
        (token_ids,) = self.token_ids
        ids, mask = self.left(token_ids, removed, removal)
        copies = len(removed)
        return TextBatch(
            self.instance_ids * copies,
            None if self.labels is None else self.labels.expand(copies),
            mask.sum(-1).cpu().numpy(),
            ids,
            mask,
            self.cluster_ids and self.cluster_ids * copies,
        )

    @staticmethod
    def left(token_ids: Tensor, removed: Tensor, removal: str) -> tuple[Tensor, Tensor]:
        """Ids (R, n) and mask (R, n) of a text's ids (n,) without those at ``removed`` (R, n).

        ``removal`` is "delete", which makes it shorter, "replace", which puts the unknown
        word in their place, or "zero", which puts padding there that counts as a word: its
        embedding is 0.
        """
        if removal != "delete":
            stand_in = {"replace": UNK, "zero": PAD}[removal]
            return token_ids.masked_fill(removed, stand_in), torch.ones_like(removed)
        # What is left moves to the front, in its order.
        mask, order = (~removed).sort(dim=-1, descending=True, stable=True)
        return token_ids[order].masked_fill(~mask, PAD), mask


@dataclass(frozen=True)
class TextExamples:
    """One split, as `read_examples` reads it: N texts. See `models.decisions.Examples`.

    ``token_ids`` are N int64 arrays of ``lengths`` (N,) ids, none of them PAD;
    ``labels`` (N,) are int64 indices into the card's ``label_names``.
    """

    instance_ids: list[str]
    token_ids: list[np.ndarray]
    labels: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.instance_ids)

    def take(self, rows: Sequence[int]) -> Self:
        """The texts of some rows, in that order."""
        return TextExamples(
            [self.instance_ids[row] for row in rows],
            [self.token_ids[row] for row in rows],
            self.labels[rows],
            self.lengths[rows],
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> TextBatch:
        """Some rows, padded to the longest."""
        return TextBatch.of(
            [self.instance_ids[row] for row in rows],
            [self.token_ids[row] for row in rows],
            device,
            self.labels[rows],
        )


def read_examples(path: str | Path) -> TextExamples:
    """Read one split that `prepare_dataset` wrote, in its order."""
    table = tables.read_table(
        path, "examples", ["instance_id", "token_ids", "label", "length"]
    )
    lengths = table["length"].to_numpy().astype(np.int64)
    flat = table["token_ids"].combine_chunks().flatten().to_numpy().astype(np.int64)
    return TextExamples(
        table["instance_id"].to_pylist(),
        np.split(flat, np.cumsum(lengths)[:-1]),
        table["label"].to_numpy().astype(np.int64),
        lengths,
    )


def pad_batch(token_ids: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, n) int64 and mask (B, n) bool; n is the longest text, padding is PAD.

    The mask is True at tokens and False at padding.
    """
    lengths = np.array([len(text) for text in token_ids])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (B, n)
    ids = np.full(mask.shape, PAD, dtype=np.int64)
    ids[mask] = np.concatenate(token_ids)
    return ids, mask
