"""Rank agreement over a batch against a loop of `scipy.stats.kendalltau`.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/kendall.py``. Rotten
Tomatoes has about 21 words a sentence; IMDb has 234 words a review on average, which
are often cut. "sparse" sets 80 % of one side to zero, as sparse attention does. A second table is of every two of several methods, which are
ranked once: with tau-b and its p value come gamma, Spearman's rho and the overlap of tops.
There the loop takes some of the instances. Results are compared before anything is timed. A
ratio above one means that the batched version is faster; times are medians after a warm-up,
which loads what is compiled or, once, compiles it.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.stats
from rich.console import Console
from rich.table import Table

from attention_audit.statistics.rank_pairs import (
    counted,
    counted_by_kernel,
    rank_pairs,
)
from attention_audit.statistics.ranks import kendall_tau_b

INSTANCES = 1000

# methods, tokens, instances, and of how many of these the loop is timed
PAIRS = ((4, 20, 1000, 50), (12, 20, 1000, 10), (12, 200, 500, 10), (12, 1000, 50, 2))

# name: shortest and longest length, between which lengths spread evenly
LENGTHS = {"about 21": (12, 30), "80 to 200": (80, 200), "80 to 400": (80, 400)}


def loop(x: np.ndarray, y: np.ndarray, mask: np.ndarray) -> tuple:
    """What a user would write."""
    results = [
        scipy.stats.kendalltau(a[m], b[m], method="asymptotic")
        for a, b, m in zip(x, y, mask, strict=True)
    ]
    return [r.statistic for r in results], [r.pvalue for r in results]


def median_seconds(function: Callable, arguments: tuple, repeats: int) -> float:
    """Median wall time of a call, after one to warm up."""
    function(*arguments)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def loop_of_pairs(subjects: dict[str, np.ndarray]) -> dict[tuple[str, str], list]:
    """What a user would write of every two methods."""
    return {
        (a, b): [
            scipy.stats.kendalltau(x, y, method="asymptotic").statistic
            for x, y in zip(subjects[a], subjects[b], strict=True)
        ]
        for a, b in itertools.combinations(subjects, 2)
    }


def of_pairs(rng: np.random.Generator) -> Table:
    """Every two of several methods, the first of which ties, as sparse attention does."""
    table = Table(title="Every two of several methods, a pair of an instance")
    for heading in ("methods", "tokens", "scipy loop", "NumPy", "compiled", "ratio"):
        table.add_column(heading)
    for methods, tokens, instances, timed in PAIRS:
        values = rng.random((methods, instances, tokens), dtype=np.float32)
        values[0][rng.random((instances, tokens)) < 0.8] = 0
        subjects = {f"method{i}": of for i, of in enumerate(values)}
        some = {name: of[:timed] for name, of in subjects.items()}
        mask = np.ones((instances, tokens), dtype=bool)
        expected = loop_of_pairs(some)
        seconds = []
        for count in (counted, counted_by_kernel):
            found = rank_pairs(subjects, mask, count=count)
            for pair, taus in expected.items():
                np.testing.assert_allclose(found[pair].tau_b[:timed], taus, rtol=1e-9)
            arguments = (subjects, mask, None, count)
            seconds.append(median_seconds(rank_pairs, arguments, repeats=7))
        pairs = len(expected)
        theirs = median_seconds(loop_of_pairs, (some,), repeats=3) / (pairs * timed)
        ours = [each / (pairs * instances) for each in seconds]
        table.add_row(
            str(methods),
            str(tokens),
            *(f"{each * 1e6:.2f} µs" for each in (theirs, *ours)),
            f"{theirs / ours[1]:.0f}x",
        )
    return table


def main() -> None:
    """Check that all agree, time them, print a table of each."""
    rng = np.random.default_rng(0)
    table = Table(title=f"Kendall's tau-b of {INSTANCES} instances")
    for heading in ("length", "weights", "scipy loop", "batched", "ratio"):
        table.add_column(heading)
    for name, (shortest, longest) in LENGTHS.items():
        lengths = rng.integers(shortest, longest + 1, INSTANCES)
        mask = np.arange(longest) < lengths[:, None]
        importance, dense = rng.random((2, *mask.shape), dtype=np.float32)
        sparse = np.where(rng.random(mask.shape) < 0.8, np.float32(0), dense)
        for weights, attention in {"dense": dense, "sparse": sparse}.items():
            batch = (attention, importance, mask)
            np.testing.assert_allclose(
                kendall_tau_b(*batch), loop(*batch), rtol=1e-9, atol=1e-14
            )
            theirs = median_seconds(loop, batch, repeats=3)
            ours = median_seconds(kendall_tau_b, batch, repeats=21)
            table.add_row(
                name,
                weights,
                f"{theirs * 1e3:.0f} ms",
                f"{ours * 1e3:.2f} ms",
                f"{theirs / ours:.0f}x",
            )
    Console().print(table)
    Console().print(of_pairs(rng))


if __name__ == "__main__":
    main()
