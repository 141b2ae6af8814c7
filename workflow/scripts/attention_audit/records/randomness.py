"""Random generators that depend on what they are for, and on nothing else."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np


def generator(key: Iterable[object], seed: int) -> np.random.Generator:
    """A random generator that depends on ``key`` and ``seed`` alone.

    Each group or instance draws from its own, so that adding one, or batching them in
    another way, changes no other's draws.
    """
    text = json.dumps([seed, *key]).encode()
    return np.random.default_rng(
        int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    )
