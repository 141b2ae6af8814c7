"""The heads of a layer of attention, as audits describe them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Heads(NamedTuple):
    """The heads of one layer of attention over R of a batch's sequences."""

    # "encoder" or "decoder" of attention of a sequence to itself, "cross" between both
    kind: str
    # of its kind, from 0; of a pyramid through its stages
    layer: int
    instance_ids: Sequence[str]  # (R,)
    lengths: np.ndarray  # (R,) inputs of each
    weights: Tensor  # (R, nh, q, k)
    allowed: Tensor  # (R, q, k) bool, which keys a query may attend to
