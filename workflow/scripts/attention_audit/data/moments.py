"""Moments of a recording: which of them a decision is made by, and how tables hold them.

The **grid** has as many moments a second as sampling needs, and one of them is always the
middle of a second, which is where a decision stands. A feature is that of its moment and no
mean over the time since the one before: to sample sparsely is to leave moments out.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from attention_audit.data.sampling import rate_and_count


class Sampling(NamedTuple):
    """Which moments a decision is made by: ``count`` of them, ``rate`` a second.

    They lie ``1 / rate`` seconds apart. The decision's own is the last where ``side`` is
    "past"; where it is "both", as many come after it as before, or one fewer.
    """

    rate: Fraction
    count: int
    side: str

    @classmethod
    def of(cls, rate: float, span: float, side: str, where: str) -> Self:
        """Raises `AuditError`, naming ``where``, for moments that lie on no grid."""
        return cls(*rate_and_count(rate, span, where), side)

    @property
    def base(self) -> int:
        """Moments a second of the grid."""
        return max(1, int(self.rate))

    @property
    def steps(self) -> np.ndarray:
        """Where the moments lie on the grid from the decision's own, (count,), in order."""
        after = 0 if self.side == "past" else self.count - 1 - self.count // 2
        return (np.arange(self.count) - self.count + 1 + after) * int(
            self.base / self.rate
        )

    @property
    def times(self) -> np.ndarray:
        """When the moments are, in seconds from the decision, (count,), in order."""
        return self.steps / self.base

    def middle(self, seconds: np.ndarray) -> np.ndarray:
        """The moments of the grid in the middle of some seconds."""
        return seconds * self.base + self.base // 2

    def grid(self, end: float) -> np.ndarray:
        """The moments of a recording that lasts until ``end``, in seconds."""
        first = 0.5 - (self.base // 2) / self.base
        count = max(0, int(np.ceil((end - first) * self.base - 1e-9)))
        return first + np.arange(count) / self.base


def as_array(value: Any) -> np.ndarray:
    """A list of a table as an array."""
    return value.values.to_numpy(zero_copy_only=False)


def as_streams(streams: Mapping[str, np.ndarray]) -> pa.Array:
    """The streams (m, d) of a recording as a column of one row; see `stream_arrays`."""
    lists = pa.array([values.ravel() for values in streams.values()])
    return pa.ListArray.from_arrays([0, len(lists)], lists)


def stream_arrays(value: Any, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The streams of a row by name, (m, d) each."""
    return {
        name: as_array(stream).reshape(-1, size)
        for (name, size), stream in zip(sizes.items(), value, strict=True)
    }
