"""The mean of a crossed sample, instances by seeds, and how well it is known.

A value is mean + instance + seed + residual, with the last three random: texts that
could have been audited, and models that training could have given. The variance of the
mean over such a matrix comes from its mean squares, also where values are missing
(Henderson 1953, method 3), and its degrees of freedom are Satterthwaite's (1946); the
interval and every test go by Student's t with both.

Few seeds know their variance badly. The moderated form estimates it from those of all
cells of a measure (Smyth 2004, as in limma): a cell's own, pulled towards theirs by as
much as they agree.

All functions take leading dimensions: matrices ``(..., I, S)`` give arrays ``(...)``.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import t

Floats = npt.NDArray[np.float64]

# Sums of squares below this share of the total are rounding.
_ROUNDING = 1e-12

# The least that a cell's variance counts for in the prior, as a share of the median
# (as in limma): one that is 0 by chance has no logarithm.
_LEAST_SHARE = 1e-5

# From so few cells a spread of their variances cannot be told from chance.
MIN_CELLS = 3

# How sure a difference that the design can detect would have been found.
POWER = 0.8


@dataclass(frozen=True)
class Moments:
    """Mean and mean squares of matrices, instances by seeds.

    ``squares`` and ``df`` have a last axis of three: instances adjusted for seeds,
    seeds adjusted for instances, residual. ``shares`` holds what a mean square less
    that of the residual adds to the variance of the mean. ``of_seeds`` says where
    seeds enter the variance, ``separable`` where they can be told from instances;
    elsewhere ``plain`` is the variance of the mean, with ``plain_df``.
    """

    mean: Floats
    n: Floats
    n_instances: Floats
    n_seeds: Floats
    squares: Floats
    df: Floats
    shares: Floats
    of_seeds: npt.NDArray[np.bool_]
    separable: npt.NDArray[np.bool_]
    plain: Floats
    plain_df: Floats


def moments(values: npt.ArrayLike, pairs: bool = False) -> Moments:
    """Mean and mean squares of values ``(..., I, S)``, NaN where missing.

    With ``pairs`` a value of a seed is its mean over pairs with every other seed, so
    that the mean is a U-statistic of degree two in the seeds. The part of the seeds in
    its variance is then the jackknife's (Arvesen 1969), which leaves out a seed with
    all its pairs and errs, if at all, to the side of caution; two seeds, which are one
    pair, have none.
    """
    values = np.asarray(values, dtype=np.float64)
    present = ~np.isnan(values)
    weights = present.astype(np.float64)
    by_instance, by_seed = weights.sum(-1), weights.sum(-2)
    n = by_instance.sum(-1)
    n_instances, n_seeds = (by_instance > 0).sum(-1), (by_seed > 0).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(present, values, 0).sum((-2, -1)) / n
        centred = np.where(present, values - mean[..., None, None], 0)
        row, column = centred.sum(-1), centred.sum(-2)
        per_instance = np.where(by_instance > 0, 1 / by_instance, 0)
        per_seed = np.where(by_seed > 0, 1 / by_seed, 0)

        # The normal equations of the seeds, with the instances swept out.
        swept = np.swapaxes(weights * per_instance[..., None], -1, -2)
        normal = by_seed[..., None] * np.eye(values.shape[-1]) - swept @ weights
        right = column - (swept @ row[..., None])[..., 0]
        sizes, directions = np.linalg.eigh(normal)
        along = (np.swapaxes(directions, -1, -2) @ right[..., None])[..., 0]
        estimable = sizes > 1e-9 * np.maximum(n, 1)[..., None]
        rank = estimable.sum(-1)

        total = (centred**2).sum((-2, -1))
        of_instances = (row**2 * per_instance).sum(-1)
        of_seeds = np.where(estimable, along**2 / sizes, 0).sum(-1)
        sums = np.stack(
            [
                of_instances + of_seeds - (column**2 * per_seed).sum(-1),
                of_seeds,
                total - of_instances - of_seeds,
            ],
            axis=-1,
        )
        sums = np.where(sums > _ROUNDING * total[..., None], sums, 0)
        df = np.stack([n_instances + rank - n_seeds, rank, n - n_instances - rank], -1)
        squares = sums / df
        shares = np.stack(
            [
                (by_instance**2).sum(-1) / n**2 * df[..., 0] / (n - n_seeds),
                (by_seed**2).sum(-1) / n**2 * rank / (n - n_instances),
            ],
            axis=-1,
        )
        separable = (df > 0).all(-1)
        several = n_seeds > (2 if pairs else 1)
        factor = 4 * (n_seeds - 1) ** 2 / (n_seeds - 2) ** 2 if pairs else 1.0
        shares[..., 1] *= factor
        # means of instances, or of seeds where no instance has two
        of_rows = ((row * per_instance) ** 2).sum(-1) / n_instances
        of_rows = of_rows - ((row * per_instance).sum(-1) / n_instances) ** 2
        of_columns = factor * (column**2).sum(-1) / n**2 * n_seeds / (n_seeds - 1)
        plain = np.where(several, of_columns, of_rows / (n_instances - 1))
        plain_df = np.where(several, n_seeds, n_instances) - 1.0
    return Moments(
        mean=mean,
        n=n,
        n_instances=n_instances,
        n_seeds=n_seeds,
        squares=squares,
        df=df,
        shares=shares,
        of_seeds=several & (n_instances > 1),
        separable=several & separable,
        plain=np.where(n_instances > 1, np.maximum(plain, 0), np.nan),
        plain_df=plain_df,
    )


def by_cluster(values: Floats, clusters: npt.NDArray[np.integer]) -> Floats:
    """Values ``(C, S)`` of clusters whose mean varies as that of ``values`` (I, S).

    ``clusters`` (I,) says to which each instance belongs. A cluster counts by the sum of
    what its instances differ from the mean (the linearized mean of a cluster sample,
    Cochran 1977, sec. 9A.2, with the number of instances itself random), so that a large
    one counts for more. Where every instance stands alone the values stay as they are.
    """
    _, places, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if (sizes == 1).all():
        return values
    present = ~np.isnan(values)
    n = present.sum()
    with np.errstate(invalid="ignore"):
        mean = np.where(present, values, 0).sum() / n
    beyond, met = np.zeros((2, len(sizes), values.shape[1]))
    np.add.at(beyond, places, np.where(present, values - mean, 0))
    np.add.at(met, places, present)
    cells = np.count_nonzero(met)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(met > 0, mean + beyond * cells / n, np.nan)


def variance_of_mean(m: Moments) -> tuple[Floats, Floats]:
    """The variance of the mean and its degrees of freedom (Satterthwaite).

    These are at least those of the part that has the fewest. A component of variance that
    would be negative counts as 0. NaN where there is one instance.
    """
    residual = m.squares[..., 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(m.squares[..., :2] > residual, m.shares, 0)
        own = 1 / m.n - shares.sum(-1)
        parts = np.concatenate([shares, own[..., None]], -1) * m.squares
        variance = parts.sum(-1)
        df = variance**2 / (parts**2 / m.df).sum(-1)
        # Where parts nearly cancel the formula goes to 0, of which Student's t makes an
        # interval without end.
        df = np.maximum(df, np.where(parts != 0, m.df, np.inf).min(-1))
    df = np.where(variance > 0, df, np.inf)
    return (
        np.where(m.separable, variance, m.plain),
        np.where(m.separable, df, m.plain_df),
    )


def _trigamma_inverse(x: Floats) -> Floats:
    """The y with trigamma(y) = x > 0, by Newton's method on 1 / trigamma."""
    y = 0.5 + 1 / x
    for _ in range(50):
        value = special.polygamma(1, y)
        step = value * (1 - value / x) / special.polygamma(2, y)
        y = y + step
        if (np.abs(step) <= 1e-10 * y).all():
            break
    return y


def fit_prior(
    variances: Floats, df: Floats, eligible: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Degrees of freedom d0 and variance s0² that cells (..., C) have in common.

    A cell's variance, times its df and over the true one, is chi-squared; the true
    ones are s0² d0 over a chi-squared with d0. Fitted by the moments of the log
    variances, as in limma's fitFDist; d0 is infinite where they spread no more than
    chance has it, and s0² then the pooled variance.
    """
    df = np.where(eligible, df, 1.0)
    cells = eligible.sum(-1)

    def mean(values: Floats) -> Floats:
        return np.where(eligible, values, 0).sum(-1) / cells

    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.where(eligible, variances, np.nan)
        # the median of none is NaN, with no word of it
        ranked = np.sort(known, -1)
        middle = np.stack([(cells - 1) // 2, cells // 2], -1).clip(0)
        median = np.take_along_axis(ranked, middle, -1).mean(-1, keepdims=True)
        logs = np.log(np.maximum(known, _LEAST_SHARE * median))
        logs = logs - special.digamma(df / 2) + np.log(df / 2)
        centre = mean(logs)
        spread = mean((logs - centre[..., None]) ** 2) * cells / (cells - 1)
        spread = spread - mean(special.polygamma(1, df / 2))
        differ = spread > 0
        prior_df = 2 * _trigamma_inverse(np.where(differ, spread, 1.0))
        own = np.exp(centre + special.digamma(prior_df / 2) - np.log(prior_df / 2))
        pooled = mean(known * df) / mean(df)
    return np.where(differ, prior_df, np.inf), np.where(differ, own, pooled)


def moderated(m: Moments) -> tuple[Moments, npt.NDArray[np.bool_]]:
    """Moments whose mean squares of seeds borrow from all cells, the last axis.

    What is shared is the variance of a seed's mean. Also returns which cells took part:
    those in which seeds can be told from instances and do not agree throughout, where
    there are `MIN_CELLS` of them.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = m.df[..., 1] / (m.n - m.n_instances)
    own_df = m.df[..., 1]
    eligible = m.separable & (m.squares[..., 1:] > 0).any(-1)
    eligible &= eligible.sum(-1, keepdims=True) >= MIN_CELLS
    variances = m.squares[..., 1] * scale
    prior_df, prior = (v[..., None] for v in fit_prior(variances, own_df, eligible))
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(np.isinf(prior_df), 1, prior_df / (prior_df + own_df))
        variances = weight * prior + (1 - weight) * variances
        # no cell can know more than all of them together
        most = np.where(eligible, own_df, 0).sum(-1, keepdims=True)
        df = np.minimum(prior_df + own_df, most)
        squares, dfs = m.squares.copy(), m.df.astype(np.float64)
        squares[..., 1] = np.where(eligible, variances / scale, squares[..., 1])
    dfs[..., 1] = np.where(eligible, df, dfs[..., 1])
    return replace(m, squares=squares, df=dfs), eligible


# --- what follows from a mean, its variance and degrees of freedom ----------------


def t_interval(
    mean: Floats, variance: Floats, df: Floats, confidence: float
) -> tuple[Floats, Floats]:
    """Both ends of Student's interval."""
    half = t.ppf((1 + confidence) / 2, df) * np.sqrt(variance)
    return mean - half, mean + half


def t_test(mean: Floats, variance: Floats, df: Floats) -> Floats:
    """Two-sided p of a mean of 0; 1 where the mean is 0 and nothing varies."""
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.abs(mean) / np.sqrt(variance)
    statistic = np.where((mean == 0) & (variance == 0), 0, statistic)
    return np.minimum(2 * t.sf(statistic, df), 1)


def equivalence_test(
    mean: Floats, variance: Floats, df: Floats, smallest: Floats
) -> Floats:
    """p of a mean that is ``smallest`` or more from 0 (Schuirmann 1987).

    Two one-sided tests, of which the larger p counts: small where the mean lies within
    the bounds for sure.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = (smallest - np.abs(mean)) / np.sqrt(variance)
    statistic = np.where(np.abs(mean) == smallest, 0, statistic)
    return t.sf(statistic, df)


def detectable(variance: Floats, df: Floats, confidence: float) -> Floats:
    """The smallest mean that the test at ``1 - confidence`` finds with power `POWER`."""
    critical = t.ppf((1 + confidence) / 2, df)
    return special.nctdtrinc(df, 1 - POWER, critical) * np.sqrt(variance)
