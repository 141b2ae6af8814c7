"""Texts without each of their words, of encoders without context; see `removals`."""

import torch
from torch import Tensor

from attention_audit.attribution.removals import Left
from attention_audit.models.encoders import AverageEncoder


def left(
    encoder: AverageEncoder, x: Tensor, stand_in: Tensor | None
) -> list[Left] | None:
    """Where something stands in for the word: otherwise no state is another."""
    return None if stand_in is None else [average_left(encoder, x, stand_in)]


def average_left(encoder: AverageEncoder, x: Tensor, stand_in: Tensor) -> Left:
    """Of a text x (n, E), whose words have a state each: one other for all removals."""
    n = len(x)
    read = torch.cat([x, stand_in.unsqueeze(0)]).unsqueeze(0)
    every = torch.ones(read.shape[:2], dtype=torch.bool, device=x.device)
    which = torch.arange(n, device=x.device).repeat(n, 1).fill_diagonal_(n)
    return Left(encoder(read, every)[0], which, every[0, :n].expand(n, n))
