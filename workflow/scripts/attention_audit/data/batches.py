"""Prepared examples, read back and cut into padded batches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_audit.records import tables

# Ids of padding and of words that the vocabulary lacks.
PAD, UNK = 0, 1


@dataclass(frozen=True)
class Examples:
    """One split, as `read_examples` reads it: N texts.

    ``token_ids`` are N int64 arrays of ``lengths`` (N,) ids, none of them PAD;
    ``labels`` (N,) are int64 indices into the card's ``label_names``.
    """

    instance_ids: list[str]
    token_ids: list[np.ndarray]
    labels: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.instance_ids)


def read_examples(path: str | Path) -> Examples:
    """Read one split that `prepare_dataset` wrote, in its order."""
    table = tables.read_table(
        path, "examples", ["instance_id", "token_ids", "label", "length"]
    )
    lengths = table["length"].to_numpy().astype(np.int64)
    flat = table["token_ids"].combine_chunks().flatten().to_numpy().astype(np.int64)
    return Examples(
        table["instance_id"].to_pylist(),
        np.split(flat, np.cumsum(lengths)[:-1]),
        table["label"].to_numpy().astype(np.int64),
        lengths,
    )


def read_vocabulary(path: str | Path) -> tuple[list[str], np.ndarray | None]:
    """Tokens by id (V), and their vectors as float32 (V, d), or None without any.

    A token without a pretrained vector has a row of NaN.
    """
    table = tables.read_table(path, "vocabulary", ["token", "vector"])
    tokens = table["token"].to_pylist()
    column = table["vector"].combine_chunks()
    covered = column.is_valid().to_numpy(zero_copy_only=False)
    if not covered.any():
        return tokens, None
    values = column.drop_null().flatten().to_numpy().reshape(covered.sum(), -1)
    vectors = np.full((len(tokens), values.shape[1]), np.nan, dtype=np.float32)
    vectors[covered] = values
    return tokens, vectors


def length_bucketed_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, bucket: int = 50
) -> list[np.ndarray]:
    """Batches of indices of texts of similar length, in random order.

    The texts are shuffled and sorted by length within pools of ``bucket`` batches,
    so that padding is small and the batches still differ from epoch to epoch. Each
    index of ``lengths`` (N,) comes exactly once; all batches but those at the end of
    a pool hold ``batch_size``.
    """
    order = rng.permutation(len(lengths))
    size = bucket * batch_size
    batches = []
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [
            pool[first : first + batch_size]
            for first in range(0, len(pool), batch_size)
        ]
    return [batches[i] for i in rng.permutation(len(batches))]


def pad_batch(token_ids: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, n) int64 and mask (B, n) bool; n is the longest text, padding is PAD.

    The mask is True at tokens and False at padding.
    """
    lengths = np.array([len(text) for text in token_ids])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (B, n)
    ids = np.full(mask.shape, PAD, dtype=np.int64)
    ids[mask] = np.concatenate(token_ids)
    return ids, mask
