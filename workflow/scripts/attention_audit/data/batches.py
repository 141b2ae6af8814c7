"""The prepared vocabulary, read back, and splits cut into batches."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attention_audit.records import tables

# Ids of padding and of words that the vocabulary lacks.
PAD, UNK = 0, 1
# Ids of what stands around a sentence, in vocabularies that have it.
BOS, EOS = 2, 3


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


def in_order_of_length(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Batches of indices of ``lengths`` (N,), the shortest first.

    For passes whose results do not depend on the order.
    """
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
