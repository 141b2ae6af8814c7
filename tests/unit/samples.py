"""Samples of which everything is known: instances by seeds, and pairs of seeds."""

import numpy as np

SD_INSTANCES, SD_RESIDUAL = 0.25, 0.2


def simulated(random, cells, instances, seeds, sd_seed, *, spread=0.0, holes=0.0):
    """Matrices (*cells, I, S) of mean 0: instances, seeds and a residual.

    ``spread`` is the standard deviation of the logarithm of the variance of seeds
    between cells, ``holes`` the share of values that are missing.
    """

    def normal(*shape):
        return random.standard_normal((*cells, *shape), dtype=np.float32)

    sd = sd_seed * np.exp(spread / 2 * normal(1, 1))
    values = SD_INSTANCES * normal(instances, 1) + sd * normal(1, seeds)
    values = values + SD_RESIDUAL * normal(instances, seeds)
    if holes:
        values[random.random(values.shape) < holes] = np.nan
    return values


def simulated_pairs(random, samples, instances, seeds, dimensions=20):
    """Mean distances (samples, I, S) of a seed from all others; their mean is 1.

    A seed has a place for each instance, most of which all instances share, so that
    some seeds are far from all others.
    """
    shared = random.standard_normal((samples, 1, seeds, dimensions))
    own = random.standard_normal((samples, instances, seeds, dimensions))
    place = np.sqrt(0.8) * shared + np.sqrt(0.2) * own
    squares = (place**2).sum(-1)
    inner = place @ np.swapaxes(place, -1, -2)
    distances = squares[..., :, None] + squares[..., None, :] - 2 * inner
    # more or less, as the instance has it
    distances *= random.gamma(4, 1 / 4, (samples, instances, 1, 1))
    return distances.sum(-1) / (2 * dimensions * (seeds - 1))
