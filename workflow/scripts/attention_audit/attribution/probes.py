"""Norms of Jacobians estimated by random probes, with standard errors (Hutchinson 1990).

For a random u with E[u u'] = 1, E |u' J_ij|^2 is the squared norm |J_ij|^2. The probes here
are orthonormal, a random basis of all k directions without replacement, times the root of
k: that of all of them the mean is exact, and that of S of them has the variance of a
sample from a finite population, s^2 / S (1 - S / k) with s^2 the sample's (Cochran 1977,
sec. 2.5). Shapes: n inputs, m hidden states, H hidden size.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attention_audit.attribution.backward_passes import row_squares
from attention_audit.attribution.stacked_influence import directions, stacked_squares
from attention_audit.models.encoders import TransformerEncoder

# Probes by which it is judged how many are needed.
FIRST_PROBES = 4


class ProbedNorms(NamedTuple):
    """What S of k probes say of the squared norms (m, n): (S, m, n), each without bias."""

    squares: np.ndarray
    population: int

    def norms(self) -> np.ndarray:
        """(m, n); of a norm with relative error e too small by about e^2 / 2."""
        return np.sqrt(self.squares.mean(0))

    def unsampled(self) -> float:
        """The share of directions that no probe has taken: 0 where all is exact."""
        return 1 - len(self.squares) / self.population

    def errors(self) -> np.ndarray:
        """Standard errors (m, n) of the norms, to first order; 0 where a norm is 0."""
        if not self.unsampled():
            return np.zeros(self.squares.shape[1:])
        variance = self.squares.var(0, ddof=1) / len(self.squares) * self.unsampled()
        twice = 2 * self.norms()
        return np.sqrt(variance) / np.where(twice > 0, twice, 1.0)

    def relative_error(self) -> float:
        """The standard error of a norm as share of it, a mean weighted by the norms."""
        total = self.norms().sum()
        return float(self.errors().sum() / total) if total > 0 else 0.0

    def jackknifed(self, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Standard error of a ``statistic`` of the norms, leaving out a probe at a time."""
        S = len(self.squares)
        whole = self.squares.sum(0)
        # Rounding may leave less than 0.
        without = ((whole - one).clip(min=0) / (S - 1) for one in self.squares)
        values = np.stack([statistic(np.sqrt(squares)) for squares in without])
        return np.sqrt(values.var(0) * (S - 1) * self.unsampled())


def probed_norms(
    encoder: nn.Module,
    x: Tensor,
    rng: np.random.Generator,
    error: float,
    most: int,
) -> ProbedNorms:
    """Estimate `influence.jacobian_norms` of one decision x (n, E), for any encoder.

    Takes as many probes as bring `ProbedNorms.relative_error` to ``error``, as far as the
    first ones tell, and no more than ``most``. Where structure helps, in a Transformer,
    each input is moved in random directions; elsewhere each hidden state is pulled in some,
    by a backward pass each.
    """
    if isinstance(encoder, TransformerEncoder):
        every = directions(encoder)
        population, subjects = every.shape[1], len(x)
    else:
        mask = torch.ones(1, len(x), dtype=torch.bool, device=x.device)
        x = x.detach().requires_grad_()
        (hidden,) = encoder(x.unsqueeze(0), mask)
        subjects, population = hidden.shape
    most = min(most, population)
    drawn = torch.from_numpy(rng.standard_normal((subjects, population, most)))
    # (subjects, k, most), orthonormal columns
    bases = (torch.linalg.qr(drawn).Q * population**0.5).to(x)

    def squares_of(first: int, last: int) -> np.ndarray:
        chosen = bases[:, :, first:last]
        if isinstance(encoder, TransformerEncoder):
            found = stacked_squares(encoder, x, every @ chosen)
        else:
            states = torch.arange(subjects, device=x.device).repeat(last - first)
            pulls = chosen.permute(2, 0, 1).flatten(0, 1)
            rows = [found for _, found in row_squares(hidden, x, states, pulls)]
            found = torch.cat(rows).view(last - first, subjects, len(x))
        return found.cpu().numpy()

    found = ProbedNorms(squares_of(0, min(FIRST_PROBES, most)), population)
    while (S := len(found.squares)) < most and (now := found.relative_error()) > error:
        # error^2 = s^2 (1 / S - 1 / k)
        per_probe = now**2 / (1 / S - 1 / population)
        needed = per_probe / (error**2 + per_probe / population)
        last = min(most, max(S + 1, int(np.ceil(needed))))
        more = squares_of(S, last)
        found = ProbedNorms(np.concatenate([found.squares, more]), population)
    return found
