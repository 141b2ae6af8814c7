"""What becomes of a text without each of its words in turn, not all of it read again.

All removals of a text advance together, and what they have in common is computed once: the
words before the removed one, the words far enough behind it, the keys and values of self-
attention. Results are those of reading what is left; they differ by rounding, far less than
`outputs.RESOLUTION`.

How is up to the encoder. A kind for which there is a way has a module of this package of its
name, which defines ``left(encoder, x, stand_in)``: the hidden states of all that is left of
a text x (n, E) without each of its words, some of them after the others, or None where to
read each takes no longer. ``stand_in`` (E,) is what stands in for a removed word, None where
it is deleted. The workflow tells each job the one of its encoder, so that a job depends on
that and on no other.

Shapes: n words, N of them with markers, R removals, m places of a text, S different hidden
states, E embedding size, H hidden size, K outputs.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from attention_audit.models.decisions import Batch, DecisionModel


class Left(NamedTuple):
    """The hidden states of R texts that have some in common."""

    states: Tensor  # (S, H), each once
    which: Tensor  # (R, m), the one at each place
    mask: Tensor  # (R, m) bool, False where none is


def logits_left(model: DecisionModel, batch: Batch, removal: str) -> Tensor | None:
    """Logits (n, K) of the one text of a batch without each of its n words.

    As `outputs.read_anew` has them of ``batch.without``. None where that is as fast, or the
    only way: for short texts, scorers that look at more than a state, and encoders without a
    way of their own.
    """
    # a modality of one's own may rebuild its models from other settings
    settings = getattr(model, "settings", None)
    left = None if settings is None else _way_of(settings.encoder["kind"])
    if (
        # inputs of a line alone, all of this decision, are alike wherever they stand
        any(what is not None for what in (batch.groups, batch.places, batch.times))
        or batch.lengths[0] == 1
        or not getattr(model.pooling.scorer, "pointwise", False)
        or batch.mask.device.type == "mps"  # which knows no double precision
        or left is None
    ):
        return None
    (x,), stand_in = model.embed(batch), None
    if removal != "delete":
        nothing = batch.without(torch.ones_like(batch.mask), removal)
        stand_in = model.embed(nothing)[0, 0]
    found = left(model.encoder, x, stand_in)
    return None if found is None else torch.cat([_logits(model, of) for of in found])


@functools.cache
def _way_of(kind: str) -> Callable[..., Iterable[Left] | None] | None:
    """What the module of a kind of encoder defines; None for one without a module."""
    module = f"{__name__}.{kind}"
    if importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module).left


def _logits(model: DecisionModel, left: Left) -> Tensor:
    """Logits (R, K)."""
    pooling = model.pooling
    (scores,) = pooling.scores(left.states.unsqueeze(0))
    weights = pooling.normalizer(scores[left.which], left.mask)
    contexts = functional.embedding_bag(
        left.which,
        pooling.values(left.states),
        mode="sum",
        per_sample_weights=weights,
    )
    return model.output(model.finish(pooling.normalizer.context(contexts), None))
