"""Over instances and seeds: intervals, tests, corrections and effect sizes.

The values of one measure in one cell of the grid form a matrix, instances by seeds,
with NaN where a measure is undefined or a run lacks the instance. Both are samples:
of the texts that could have been audited and of the models that training could have
given. Intervals cover both. p values speak of instances alone, given these seeds:
the few seeds that one can afford give no test of their own, so every comparison
also states the smallest and the largest difference that a single seed shows.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata, wilcoxon
from tqdm import tqdm

from attention_audit import tables
from attention_audit.errors import AuditError, suggestion
from attention_audit.measures import check_run
from attention_audit.randomness import generator

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

# Below this p value a rank correlation counts as significant (kendall_significant).
SIGNIFICANCE = 0.05

# Measures are made of single-precision numbers: the sum of 60 weights is off by up to
# 2e-7, that of 4,000 by up to 1e-6. Values that differ by less than this, relative to
# the largest, are equal.
RESOLUTION = 1e-6

# An importance is negligible where leaving anything out moves the output by less than
# this, as a mean over the class probabilities, in half of the texts.
NEGLIGIBLE = 1e-3

# Entries of the matrix of resampling counts that are held at once (32 MB).
_CHUNK_ELEMENTS = 2**22

# What identifies a cell's models up to normalizer and seed.
GROUP_COLUMNS = ("dataset", "encoder", "scorer")

# (measure, subject, reference)
Key = tuple[str, str, str | None]


@dataclass(frozen=True)
class Settings:
    """The section ``statistics`` of the configuration.

    ``reference`` is the normalizer that all others are compared with, ``correction``
    a method of `statsmodels.stats.multitest.multipletests`, and ``seed`` that of
    the bootstrap.
    """

    bootstrap_draws: int
    confidence: float
    reference: str = ""
    correction: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Subjects:
    """What the measures are about, as the config declares it.

    ``methods`` are those of importance in the order of their rows, behind all other
    subjects. ``bound`` holds, for each encoder, those whose importance is 0 wherever
    attention is (`methods.bound_to_weights`), and ``without_context`` the encoders
    whose hidden states depend on the input at their own position alone.
    """

    methods: Sequence[str] = ()
    bound: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without_context: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """One measure in one cell of the grid; NaN where undefined.

    ``mean`` is over all defined values, [``low``, ``high``] its interval over what
    ``interval_over`` says: instances and seeds, or instances where there is one seed.
    One instance has none.
    ``sd_instances`` is the standard deviation, over instances, of each one's mean
    over seeds; ``sd_seeds`` that, over seeds, of each one's mean over instances.
    ``n_undefined`` counts the pairs of instance and seed without a value. ``note`` is
    what has to be known to read the rest.
    """

    mean: float
    low: float
    high: float
    interval_over: str | None
    sd_instances: float
    sd_seeds: float
    n_instances: int
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
    seed_low: float
    seed_high: float
    p: float
    rank_biserial: float
    cohens_d: float
    n_instances: int
    n_seeds: int
    note: str | None


# --- inference on one matrix ----------------------------------------------------


def pigeonhole_bootstrap(
    values: npt.ArrayLike, draws: int, rng: np.random.Generator
) -> Floats:
    """Bootstrap means of a crossed sample, instances by seeds (Owen 2007).

    Each draw resamples the instances and, apart from them, the seeds, both with
    replacement; a value counts as often as its instance times its seed were drawn.
    For models of random effects the variance of these means is at least that of the
    mean: Owen shows it to err to the side of caution. With one seed this is the
    ordinary bootstrap over instances.

    Args:
        values: ``(I, S)``, NaN where missing; missing values carry no weight.
        draws: number of means to draw.

    Returns:
        ``(draws,)``; NaN for a draw that holds no value.
    """
    values = np.asarray(values, dtype=np.float64)
    instances, seeds = values.shape
    if values.size == 0:
        return np.full(draws, np.nan)
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    seed_counts = _resampling_counts(seeds, draws, rng)
    means = np.empty(draws)
    size = max(1, _CHUNK_ELEMENTS // instances)
    for first in range(0, draws, size):
        chunk = slice(first, min(first + size, draws))
        by_seed = seed_counts[chunk]
        counts = _resampling_counts(instances, len(by_seed), rng)
        total = ((counts @ filled) * by_seed).sum(axis=1)
        weight = ((counts @ present) * by_seed).sum(axis=1)
        with np.errstate(invalid="ignore"):
            means[chunk] = total / weight
    return means


def _resampling_counts(n: int, draws: int, rng: np.random.Generator) -> Floats:
    """How often each of n items occurs in n draws with replacement; ``(draws, n)``.

    Rows are multinomial. Drawing the items and counting them is many times faster
    than ``rng.multinomial``, which draws n binomial numbers a row.
    """
    items = rng.integers(n, size=(draws, n))
    items += np.arange(draws)[:, None] * n
    counts = np.bincount(items.ravel(), minlength=draws * n)
    return counts.reshape(draws, n).astype(np.float64)


def interval(draws: npt.ArrayLike, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap draws; NaN draws are left out."""
    draws = np.asarray(draws, dtype=np.float64)
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _bootstrapped(
    values: Floats, draws: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float, str | None]:
    """The interval of the mean of values (I, S), and what it is over; see `Summary`."""
    present = ~np.isnan(values)
    if present.any(axis=1).sum() < 2:
        return np.nan, np.nan, None
    low, high = interval(pigeonhole_bootstrap(values, draws, rng), confidence)
    several = present.any(axis=0).sum() > 1
    return low, high, "instances and seeds" if several else "instances"


def _mean(values: Floats, axis: int | None = None) -> Floats:
    """Mean of what is defined; NaN, without a warning, where nothing is."""
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(axis=axis) / present.sum(axis=axis)


def _sd(values: Floats) -> float:
    """Sample standard deviation of what is defined; NaN for fewer than two."""
    values = values[~np.isnan(values)]
    return float(values.std(ddof=1)) if values.size > 1 else np.nan


def summarise(
    values: npt.ArrayLike, draws: int, confidence: float, rng: np.random.Generator
) -> Summary:
    """Summarise values ``(I, S)``, instances by seeds, NaN where undefined."""
    values = np.asarray(values, dtype=np.float64)
    present = ~np.isnan(values)
    low, high, over = _bootstrapped(values, draws, confidence, rng)
    n_instances = int(present.any(axis=1).sum())
    return Summary(
        mean=float(_mean(values)),
        low=low,
        high=high,
        interval_over=over,
        sd_instances=_sd(_mean(values, axis=1)),
        sd_seeds=_sd(_mean(values, axis=0)),
        n_instances=n_instances,
        n_seeds=int(present.any(axis=0).sum()),
        n_undefined=int((~present).sum()),
        note="one instance: no interval" if n_instances == 1 else None,
    )


def compare(
    values_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> Comparison:
    """Compare two matrices ``(I, S)`` of one measure, paired by instance and seed.

    Only pairs that both have count, and values that differ by less than RESOLUTION,
    relative to the largest of all, are equal: what rounding does is no effect.
    ``difference`` is the mean of a - b and [``low``, ``high``] its pigeonhole bootstrap
    interval over what ``interval_over`` says. ``seed_low`` and ``seed_high`` are the
    smallest and the largest mean difference of one seed, of at least two.

    The other figures rest on each instance's difference averaged over seeds, and so
    speak of instances, given these seeds; of one instance they say nothing and are
    NaN. ``p`` is two-sided from the Wilcoxon
    signed-rank test as `scipy.stats.wilcoxon` gives it, with zeros ranked and then
    left out (Pratt 1959); it is 1 where all differences are zero.
    ``rank_biserial`` is the matched-pairs rank-biserial correlation (Kerby 2014):
    the rank sum of positive less that of negative differences over their total, in
    [-1, 1]. ``cohens_d`` is d_z, mean over standard deviation of the differences;
    NaN where these are constant and not zero. Differences are ranked in steps of the
    resolution, so that rounding breaks no tie.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (values_a, values_b))
    if a.shape != b.shape:
        raise ValueError(f"expected matrices of one shape, got {a.shape} and {b.shape}")
    differences = a - b
    present = ~np.isnan(differences)
    size = max(np.abs(v[present]).max(initial=0.0) for v in (a, b))
    resolution = RESOLUTION * size
    rounding = np.abs(differences) <= resolution
    only_rounding = (rounding | ~present).all() and (differences[present] != 0).any()
    differences = np.where(rounding, 0.0, differences)
    low, high, over = _bootstrapped(differences, draws, confidence, rng)
    by_seed = _mean(differences, axis=0)
    by_seed = by_seed[~np.isnan(by_seed)]
    by_instance = _mean(differences, axis=1)
    by_instance = by_instance[~np.isnan(by_instance)]
    p, rank_biserial, cohens_d = _paired_tests(by_instance, resolution)
    return Comparison(
        difference=float(_mean(differences)),
        low=low,
        high=high,
        interval_over=over,
        seed_low=float(by_seed.min()) if by_seed.size > 1 else np.nan,
        seed_high=float(by_seed.max()) if by_seed.size > 1 else np.nan,
        p=p,
        rank_biserial=rank_biserial,
        cohens_d=cohens_d,
        n_instances=by_instance.size,
        n_seeds=by_seed.size,
        note=_joined(
            "one instance: no interval, no test" if by_instance.size == 1 else None,
            "equal but for rounding" if only_rounding else None,
        ),
    )


def _joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None


def _paired_tests(differences: Floats, resolution: float) -> tuple[float, float, float]:
    """p value, rank-biserial correlation and d_z of differences without NaN."""
    if differences.size < 2:
        return np.nan, np.nan, np.nan
    # Values of any size have a resolution; without any, all differences are zero.
    rounded = np.round(differences / resolution) if resolution else differences
    if not rounded.any():
        return 1.0, 0.0, 0.0
    p = float(wilcoxon(rounded, zero_method="pratt").pvalue)
    ranks = rankdata(np.abs(rounded)) * np.sign(rounded)
    rank_biserial = float(ranks.sum() / np.abs(ranks).sum())
    sd = _sd(rounded)
    return p, rank_biserial, float(rounded.mean() / sd) if sd > 0 else np.nan


def correct(p: npt.ArrayLike, method: str) -> Floats:
    """p values corrected by `multipletests`; NaN stays NaN and is not counted."""
    # Costs a second to import, and the tables that need no correction do without.
    from statsmodels.stats.multitest import multipletests, multitest_alias

    if method not in multitest_alias:
        raise AuditError(
            f"statistics.correction: unknown method '{method}'."
            f"{suggestion(method, multitest_alias)}"
        )
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    defined = ~np.isnan(p)
    if defined.any():
        corrected[defined] = multipletests(p[defined], method=method)[1]
    return corrected


# --- tables over the grid -------------------------------------------------------


def _read_measures(path: str | Path, run: Mapping[str, object]) -> dict[Key, pd.Series]:
    """The values of one run, for each measure a series over instance ids."""
    table = tables.read_table(path, "measures")
    check_run(table, run, path)
    columns = ["instance_id", "measure", "subject", "reference", "value"]
    frame = table.select(columns).to_pandas()
    values: dict[Key, pd.Series] = {}
    keys = ["measure", "subject", "reference"]
    for (measure, subject, reference), rows in frame.groupby(keys, dropna=False):
        series = rows.set_index("instance_id")["value"]
        if not series.index.is_unique:
            twice = series.index[series.index.duplicated()][0]
            raise AuditError(
                f"{path}: instance '{twice}' has measure '{measure}' of '{subject}' "
                "twice. Delete the file and run snakemake again to rebuild it."
            )
        reference = None if pd.isna(reference) else reference
        values[measure, subject, reference] = series
        if measure == "kendall_p":
            significant = (series < SIGNIFICANCE).astype(float).where(series.notna())
            values["kendall_significant", subject, reference] = significant
    return values


def _sorted_keys(keys: Iterable[Key], methods: Sequence[str]) -> list[Key]:
    """By measure, subject and reference: methods in their order behind the others."""
    places = {name: i for i, name in enumerate(methods)}

    def place(name: str | None) -> tuple[int, str]:
        return places.get(name, -1), name or ""

    return sorted(keys, key=lambda key: (key[0], place(key[1]), place(key[2])))


def _groups(
    runs: Sequence[Mapping[str, object]],
    paths: Sequence[str | Path],
    methods: Sequence[str],
) -> Iterator[tuple[tuple[str, ...], dict[str, dict[Key, pd.DataFrame]]]]:
    """Yield each (dataset, encoder, scorer) with its values, one group in memory.

    The values are, for each normalizer and measure, instances by seeds.
    """
    grouped: dict[tuple, list] = {}
    for run, path in zip(runs, paths, strict=True):
        group = tuple(run[column] for column in GROUP_COLUMNS)
        grouped.setdefault(group, []).append(
            (run["normalizer"], run["seed"], path, run)
        )
    for group in tqdm(sorted(grouped), desc="groups", disable=None):
        pieces: dict[str, dict[Key, dict[int, pd.Series]]] = {}
        for normalizer, seed, path, run in sorted(grouped[group], key=lambda r: r[:2]):
            cell = pieces.setdefault(normalizer, {})
            for key, series in _read_measures(path, run).items():
                cell.setdefault(key, {})[seed] = series
        yield (
            group,
            {
                normalizer: {
                    key: pd.concat(cell[key], axis=1).sort_index()
                    for key in _sorted_keys(cell, methods)
                }
                for normalizer, cell in pieces.items()
            },
        )


def _negligible(measures: Mapping[Key, pd.DataFrame]) -> dict[str, str]:
    """The methods of a cell whose importance is negligible, and the note that says so."""
    return {
        method: f"effects by {method} are negligible: below {NEGLIGIBLE:g} in half of "
        "the texts"
        for (measure, method, _), frame in measures.items()
        if measure == "largest_effect" and np.nanmedian(frame.to_numpy()) < NEGLIGIBLE
    }


def _noted(row: dict, *cells: Mapping[str, str]) -> dict:
    """The row with the notes of what it rests on; see `_negligible`."""
    if row["measure"] == "largest_effect":
        return row
    about = [row["subject"], row["reference"]]
    notes = dict.fromkeys(cell[m] for m in about for cell in cells if m in cell)
    return row | {"note": _joined(row["note"], *notes)}


# Measures of how far two rankings agree.
_AGREEMENT = (
    "kendall_tau_b",
    "kendall_p",
    "kendall_significant",
    "gamma",
    "weighted_tau",
    "top_tau_b",
    "support_precision",
    "support_average_precision",
)
# Those of what of a hidden state comes from where.
_OF_INFLUENCE = (
    "coindexed_rank",
    "coindexed_share",
    "coindexed_top",
    "influence_dispersion",
)


def _by_construction(
    key: Key,
    encoder: str,
    subjects: Subjects,
    *cells: Mapping[Key, pd.DataFrame],
) -> str | None:
    """What of a measure in some cells is arithmetic and no finding; None where nothing is."""
    measure, *about = key
    if measure in _OF_INFLUENCE and encoder in subjects.without_context:
        return "the encoder has no context: a hidden state has one input"
    zeros = (cell.get(("sparsity", "attention", None)) for cell in cells)
    if not any(frame is not None and (frame > 0).any(axis=None) for frame in zeros):
        return None
    bound = subjects.bound.get(encoder, ())
    if measure in _AGREEMENT and set(about) <= {"attention", *bound}:
        return "no weight, no importance: the zeros of both coincide"
    if measure == "dispersion" and about[0] in bound:
        return "no weight, no importance: spread over the support at most"
    return None


def summary_table(
    runs: Sequence[Mapping[str, object]],
    measure_paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
    subjects: Subjects | None = None,
) -> None:
    """Write the table "summary": a row a cell of the grid and measure.

    ``runs`` holds the identity of each of ``measure_paths``. Besides the measures
    found there, ``kendall_significant`` is the share of instances whose
    ``kendall_p`` is below 0.05. What rests on an importance that is negligible says so
    in its ``note``: a rank correlation does not show it. What agrees with attention as a
    matter of arithmetic says why in ``by_construction``.
    """
    subjects = subjects or Subjects()
    rows = []
    for group, normalizers in _groups(runs, measure_paths, subjects.methods):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        for normalizer, measures in normalizers.items():
            negligible = _negligible(measures)
            for key, frame in measures.items():
                rng = generator(("summary", *group, normalizer, *key), settings.seed)
                summary = summarise(
                    frame.to_numpy(), settings.bootstrap_draws, settings.confidence, rng
                )
                row = _identified(group, normalizer, key) | asdict(summary)
                reason = _by_construction(key, encoder, subjects, measures)
                rows.append(_noted(row, negligible) | {"by_construction": reason})
    tables.write_rows(path, "summary", rows, provenance)


def comparison_table(
    runs: Sequence[Mapping[str, object]],
    measure_paths: Sequence[str | Path],
    settings: Settings,
    provenance: Mapping[str, object],
    path: str | Path,
    subjects: Subjects | None = None,
) -> None:
    """Write the table "comparison": each normalizer less the reference, by measure.

    Within a dataset, encoder and scorer, instances and seeds that both normalizers
    have are paired. ``p_corrected`` corrects over one family for each (measure,
    subject, reference): the comparisons of all normalizers in all datasets, encoders
    and scorers. Measures are separate questions and not corrected for one another.
    ``note`` and ``by_construction`` are those of either side, as in `summary_table`.
    """
    subjects = subjects or Subjects()
    rows = []
    for group, normalizers in _groups(runs, measure_paths, subjects.methods):
        encoder = group[GROUP_COLUMNS.index("encoder")]
        baseline = normalizers.pop(settings.reference, None)
        if baseline is None:
            logger.info(
                "%s: no run with the reference normalizer '%s', nothing compared",
                "/".join(group),
                settings.reference,
            )
            continue
        of_baseline = _negligible(baseline)
        for normalizer, measures in normalizers.items():
            negligible = _negligible(measures)
            shared = measures.keys() & baseline.keys()
            for key in _sorted_keys(shared, subjects.methods):
                a, b = measures[key].align(baseline[key], join="inner")
                name = ("comparison", *group, normalizer, settings.reference, *key)
                comparison = compare(
                    a.to_numpy(),
                    b.to_numpy(),
                    settings.bootstrap_draws,
                    settings.confidence,
                    generator(name, settings.seed),
                )
                row = (
                    _identified(group, normalizer, key)
                    | {
                        "baseline": settings.reference,
                        "correction": settings.correction,
                    }
                    | asdict(comparison)
                )
                reason = _by_construction(key, encoder, subjects, measures, baseline)
                rows.append(
                    _noted(row, negligible, of_baseline) | {"by_construction": reason}
                )
    families: dict[Key, list[dict]] = {}
    for row in rows:
        key = (row["measure"], row["subject"], row["reference"])
        families.setdefault(key, []).append(row)
    for family in families.values():
        corrected = correct([row["p"] for row in family], settings.correction)
        for row, p in zip(family, corrected, strict=True):
            row["p_corrected"] = p
    tables.write_rows(path, "comparison", rows, provenance)


def _identified(group: tuple[str, ...], normalizer: str, key: Key) -> dict:
    measure, subject, reference = key
    return dict(zip(GROUP_COLUMNS, group, strict=True)) | {
        "normalizer": normalizer,
        "measure": measure,
        "subject": subject,
        "reference": reference,
    }
