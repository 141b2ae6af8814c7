"""The vocabulary of a data set: which tokens have an id, and a vector."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attention_audit.data.batches import UNK
from attention_audit.records import tables

_BATCH = 1000  # tokens written at once

SPECIALS = ("<pad>", "<unk>")


def build_vocabulary(
    counts: Mapping[str, int],
    min_count: int,
    max_size: int | None,
    specials: Sequence[str] = SPECIALS,
) -> list[str]:
    """``specials``, then tokens by falling count, ties in alphabetical order.

    ``max_size`` includes the specials. A token's id is its position.
    """
    known = [
        token
        for token, count in counts.items()
        if count >= min_count and token not in specials
    ]
    known.sort(key=lambda token: (-counts[token], token))
    return [*specials, *known][:max_size]


def token_ids_of(tokens: list[str], ids: Mapping[str, int]) -> list[int]:
    """The ids of tokens; those that the vocabulary lacks are UNK."""
    return [ids.get(token, UNK) for token in tokens]


def vector_card(
    name: str | None,
    known: Mapping[str, np.ndarray],
    vocabulary: list[str],
    counts: Mapping[str, int],
) -> dict[str, Any]:
    types = vocabulary[len(SPECIALS) :]
    return {
        "name": name,
        "dimension": len(next(iter(known.values()))),
        "covered_types": len(known),
        "share_of_types": len(known) / len(types),
        "share_of_training_tokens": sum(counts[token] for token in known)
        / sum(counts.values()),
    }


def write_vocabulary(
    table: tables.TableWriter,
    name: str,
    vocabulary: list[str],
    counts: Mapping[str, int],
    vectors: Mapping[str, np.ndarray],
) -> None:
    for start in range(0, len(vocabulary), _BATCH):
        tokens = vocabulary[start : start + _BATCH]
        table.write(
            {
                "dataset": name,
                "token_id": range(start, start + len(tokens)),
                "token": tokens,
                "count": [counts.get(token, 0) for token in tokens],
                "vector": [vectors.get(token) for token in tokens],
            }
        )
