"""A mean, or a difference, of one measure in a cell of the grid: interval, test, sizes.

Interval, test and equivalence come from one model of instances and seeds
(`random_effects`), and so agree. Fewer than `MIN_SEEDS` seeds give an interval, but no
test: the sign of each seed's difference stands in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from attention_audit.statistics.matrices import Floats, Key
from attention_audit.statistics.random_effects import (
    Moments,
    by_cluster,
    detectable,
    equivalence_test,
    moderated,
    moments,
    t_interval,
    t_test,
    variance_of_mean,
)

# Which instances are not independent of each other, (I,).
Clusters = npt.NDArray[np.integer]

# A test that speaks of seeds needs so many.
MIN_SEEDS = 3

# Measures are made of single-precision numbers: the sum of 60 weights is off by up to
# 2e-7, that of 4,000 by up to 1e-6. Values that differ by less than this, relative to
# the largest, are equal.
RESOLUTION = 1e-6

# What a value of a seed is held against, where that is the mean of its pairs with every
# other seed.
OF_PAIRS = "other_seeds"


@dataclass(frozen=True)
class Settings:
    """The section ``statistics`` of the configuration.

    ``interval`` is "moderated" or "random_effects", ``reference`` the normalizer that
    all others are compared with, ``correction`` a method of
    `statsmodels.stats.multitest.multipletests`, and ``families`` the columns that the
    comparisons of a family have in common. ``smallest_effect`` holds, by measure, the
    smallest difference of interest, under "default" that of the others.
    """

    confidence: float
    interval: str = "moderated"
    reference: str = ""
    correction: str = "holm"
    families: Sequence[str] = ("contrast", "measure", "subject", "reference")
    smallest_effect: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Interval:
    """A mean and its interval; NaN where undefined, as with one instance.

    ``interval_over`` says what was sampled: instances and seeds, instances and pairs of
    seeds, or instances where there is one seed or pair. ``interval_method`` says where
    the variance comes from: "moderated" or "random_effects"; "jackknife" of pairs of
    seeds; "seed_means" where no instance has two seeds; "one_sample" of instances.
    """

    mean: float
    variance: float
    df: float
    low: float
    high: float
    interval_over: str | None
    interval_method: str | None

    @property
    def standard_error(self) -> float:
        return float(np.sqrt(self.variance))


@dataclass(frozen=True)
class Summary:
    """One measure in one cell of the grid; NaN where undefined.

    ``mean`` is over all defined values, [``low``, ``high``] its interval, which is
    Student's with ``standard_error`` and ``df`` degrees of freedom, see `Interval`.
    ``sd_instances`` is the standard deviation, over instances, of each one's mean
    over seeds; ``sd_seeds`` that, over seeds, of each one's mean over instances, which
    pairs of seeds do not have.
    ``n_undefined`` counts the pairs of instance and seed without a value. ``note`` is
    what has to be known to read the rest.
    """

    mean: float
    low: float
    high: float
    interval_over: str | None
    interval_method: str | None
    standard_error: float
    df: float
    sd_instances: float
    sd_seeds: float
    n_instances: int
    n_clusters: int
    n_seeds: int
    n_undefined: int
    note: str | None


@dataclass(frozen=True)
class Comparison:
    """A measure under one normalizer less the same under another; see `compare`."""

    difference: float
    low: float
    high: float
    interval_over: str | None
    interval_method: str | None
    standard_error: float
    df: float
    seed_low: float
    seed_high: float
    seed_signs: str | None
    p: float
    smallest_effect: float
    p_equivalence: float
    detectable: float
    rank_biserial: float
    cohens_d: float
    n_instances: int
    n_clusters: int
    n_seeds: int
    note: str | None


# --- inference on the matrices of one measure -------------------------------------


def intervals(
    found: Sequence[Moments], settings: Settings, pairs: bool = False
) -> list[Interval]:
    """The interval of each cell of one measure, which lend each other strength.

    ``pairs`` says that seeds are paired with each other; their cells stand alone.
    """
    if not found:
        return []
    stacked = Moments(
        **{
            f.name: np.stack([getattr(m, f.name) for m in found])
            for f in fields(Moments)
        }
    )
    borrowed = np.zeros(len(found), dtype=bool)
    if settings.interval == "moderated" and not pairs:
        stacked, borrowed = moderated(stacked)
    variance, df = variance_of_mean(stacked)
    low, high = t_interval(stacked.mean, variance, df, settings.confidence)
    over = np.where(stacked.of_seeds, "instances and seeds", "instances")
    method = np.where(stacked.of_seeds, "seed_means", "one_sample")
    method = np.where(stacked.separable, "random_effects", method)
    method = np.where(borrowed, "moderated", method)
    if pairs:
        over = np.where(stacked.of_seeds, "instances and pairs of seeds", "instances")
        method = np.where(stacked.of_seeds, "jackknife", "one_sample")
    return [
        Interval(
            mean=float(stacked.mean[i]),
            variance=float(variance[i]),
            df=float(df[i]) if known else np.nan,
            low=float(low[i]),
            high=float(high[i]),
            interval_over=str(over[i]) if known else None,
            interval_method=str(method[i]) if known else None,
        )
        for i, known in enumerate(~np.isnan(variance))
    ]


def _mean(values: Floats, axis: int | None = None) -> Floats:
    """Mean of what is defined; NaN, without a warning, where nothing is."""
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(axis=axis) / present.sum(axis=axis)


def _sd(values: Floats) -> float:
    """Sample standard deviation of what is defined; NaN for fewer than two."""
    values = values[~np.isnan(values)]
    return float(values.std(ddof=1)) if values.size > 1 else np.nan


def _n_instances(values: Floats) -> int:
    return int((~np.isnan(values)).any(axis=1).sum())


def _moments(values: Floats, pairs: bool, clusters: Clusters | None) -> Moments:
    """`moments` with clusters in place of instances where these are not independent."""
    if clusters is not None:
        values = by_cluster(values, clusters)
    return moments(values, pairs)


def of_pairs(key: Key) -> bool:
    return key[2] == OF_PAIRS


def _note_on_pairs(n_seeds: int) -> str | None:
    if n_seeds < 2:
        return None
    if n_seeds == 2:
        return "two seeds are one pair: the interval is over instances alone"
    return f"{n_seeds} seeds make {n_seeds * (n_seeds - 1) // 2} pairs"


@dataclass(frozen=True)
class Summarised:
    """What is kept of a matrix until all cells of its measure are there."""

    moments: Moments
    sd_instances: float
    sd_seeds: float
    n_instances: int
    n_undefined: int
    pairs: bool

    @classmethod
    def of(
        cls, values: Floats, pairs: bool = False, clusters: Clusters | None = None
    ) -> "Summarised":
        return cls(
            moments=_moments(values, pairs, clusters),
            sd_instances=_sd(_mean(values, axis=1)),
            sd_seeds=np.nan if pairs else _sd(_mean(values, axis=0)),
            n_instances=_n_instances(values),
            n_undefined=int(np.isnan(values).sum()),
            pairs=pairs,
        )

    def summary(self, interval: Interval) -> Summary:
        n_clusters = int(self.moments.n_instances)
        n_seeds = int(self.moments.n_seeds)
        return Summary(
            mean=interval.mean,
            low=interval.low,
            high=interval.high,
            interval_over=interval.interval_over,
            interval_method=interval.interval_method,
            standard_error=interval.standard_error,
            df=interval.df,
            sd_instances=self.sd_instances,
            sd_seeds=self.sd_seeds,
            n_instances=self.n_instances,
            n_clusters=n_clusters,
            n_seeds=n_seeds,
            n_undefined=self.n_undefined,
            note=joined(
                "one instance: no interval" if n_clusters == 1 else None,
                _note_on_pairs(n_seeds) if self.pairs else None,
            ),
        )


def summarise(
    cells: Sequence[npt.ArrayLike],
    settings: Settings,
    pairs: bool = False,
    clusters: Sequence[Clusters | None] | None = None,
) -> list[Summary]:
    """Summarise the cells of one measure.

    Each is a matrix ``(I, S)``, instances by seeds, NaN where undefined. With ``pairs``
    a value is the mean of a seed's pairs with every other. ``clusters`` (I,) of a cell
    says which of its instances are not independent of each other.
    """
    found = [
        Summarised.of(np.asarray(values, dtype=np.float64), pairs, of_cell)
        for values, of_cell in zip(cells, clusters or [None] * len(cells), strict=True)
    ]
    known = intervals([one.moments for one in found], settings, pairs)
    return [one.summary(interval) for one, interval in zip(found, known, strict=True)]


@dataclass(frozen=True)
class Compared:
    """What is kept of two matrices until all cells of their measure are there."""

    moments: Moments
    by_seed: Floats
    rank_biserial: float
    cohens_d: float
    n_instances: int
    only_rounding: bool
    pairs: bool

    @classmethod
    def of(
        cls,
        a: Floats,
        b: Floats,
        pairs: bool = False,
        clusters: Clusters | None = None,
    ) -> "Compared":
        if a.shape != b.shape:
            raise ValueError(
                f"expected matrices of one shape, got {a.shape} and {b.shape}"
            )
        differences = a - b
        present = ~np.isnan(differences)
        size = max(np.abs(v[present]).max(initial=0.0) for v in (a, b))
        resolution = RESOLUTION * size
        rounding = np.abs(differences) <= resolution
        only_rounding = (rounding | ~present).all() and (
            differences[present] != 0
        ).any()
        differences = np.where(rounding, 0.0, differences)
        by_instance = _mean(differences, axis=1)
        by_instance = by_instance[~np.isnan(by_instance)]
        by_seed = _mean(differences, axis=0)
        rank_biserial, cohens_d = _effect_sizes(by_instance, resolution)
        return cls(
            moments=_moments(differences, pairs, clusters),
            by_seed=by_seed[~np.isnan(by_seed)],
            rank_biserial=rank_biserial,
            cohens_d=cohens_d,
            n_instances=_n_instances(differences),
            only_rounding=bool(only_rounding),
            pairs=pairs,
        )

    def comparison(self, interval: Interval, smallest: float, confidence: float):
        """The `Comparison`, without p values where there are too few seeds."""
        n_clusters, n_seeds = int(self.moments.n_instances), self.by_seed.size
        known = (interval.mean, interval.variance, interval.df)
        tested = n_seeds >= MIN_SEEDS and not np.isnan(interval.variance)
        apart = n_seeds > 1 and not self.pairs
        # one pair of seeds has one sign
        signs = self.by_seed[:1] if self.pairs and n_seeds == 2 else self.by_seed
        return Comparison(
            difference=interval.mean,
            low=interval.low,
            high=interval.high,
            interval_over=interval.interval_over,
            interval_method=interval.interval_method,
            standard_error=interval.standard_error,
            df=interval.df,
            seed_low=float(self.by_seed.min()) if apart else np.nan,
            seed_high=float(self.by_seed.max()) if apart else np.nan,
            seed_signs="".join("-0+"[int(np.sign(d)) + 1] for d in signs) or None,
            p=float(t_test(*known)) if tested else np.nan,
            smallest_effect=smallest,
            p_equivalence=float(equivalence_test(*known, smallest))
            if tested
            else np.nan,
            detectable=(
                float(detectable(interval.variance, interval.df, confidence))
                if tested
                else np.nan
            ),
            rank_biserial=self.rank_biserial,
            cohens_d=self.cohens_d,
            n_instances=self.n_instances,
            n_clusters=n_clusters,
            n_seeds=n_seeds,
            note=joined(
                "one instance: no interval, no test" if n_clusters == 1 else None,
                _note_on_pairs(n_seeds) if self.pairs else None,
                "equal but for rounding" if self.only_rounding else None,
            ),
        )


def compare(
    cells: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    settings: Settings,
    measure: str = "",
    pairs: bool = False,
) -> list[Comparison]:
    """Compare two matrices ``(I, S)``, paired by instance and seed, in cells of one measure.

    Only pairs that both have count, and values that differ by less than RESOLUTION,
    relative to the largest of all, are equal: what rounding does is no effect.
    ``difference`` is the mean of a - b and [``low``, ``high``] its interval, see
    `Interval`. ``seed_low`` and ``seed_high`` are the smallest and the largest mean
    difference of one seed, of at least two, and ``seed_signs`` the sign of each, in
    the order of the seeds.

    ``p`` is that of no difference, ``p_equivalence`` that of a difference of
    ``smallest_effect`` or more, and ``detectable`` the smallest difference that a test
    at this confidence finds with a power of .8: all by Student's t with the variance
    and the degrees of freedom of the interval. They are NaN with fewer than `MIN_SEEDS`
    seeds.

    The effect sizes rest on each instance's difference averaged over seeds, and so
    speak of instances, given these seeds. ``rank_biserial`` is the matched-pairs
    rank-biserial correlation (Kerby 2014): the rank sum of positive less that of
    negative differences over their total, in [-1, 1]. ``cohens_d`` is d_z, mean over
    standard deviation of the differences; NaN where these are constant and not zero.
    Differences are ranked in steps of the resolution, so that rounding breaks no tie.
    """
    found = [
        Compared.of(*(np.asarray(v, dtype=np.float64) for v in sides), pairs)
        for sides in cells
    ]
    known = intervals([one.moments for one in found], settings, pairs)
    smallest = smallest_effect(measure, settings)
    return [
        one.comparison(interval, smallest, settings.confidence)
        for one, interval in zip(found, known, strict=True)
    ]


def smallest_effect(measure: str, settings: Settings) -> float:
    effects = settings.smallest_effect
    return effects.get(measure, effects.get("default", np.nan))


def joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None


def _effect_sizes(differences: Floats, resolution: float) -> tuple[float, float]:
    """Rank-biserial correlation and d_z of differences without NaN."""
    if differences.size < 2:
        return np.nan, np.nan
    # Values of any size have a resolution; without any, all differences are zero.
    rounded = np.round(differences / resolution) if resolution else differences
    if not rounded.any():
        return 0.0, 0.0
    ranks = rankdata(np.abs(rounded)) * np.sign(rounded)
    rank_biserial = float(ranks.sum() / np.abs(ranks).sum())
    sd = _sd(rounded)
    return rank_biserial, float(rounded.mean() / sd) if sd > 0 else np.nan
