"""Kendall's tau-b over a batch against a loop of `scipy.stats.kendalltau`.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/kendall.py``. Rotten
Tomatoes has about 21 words a sentence; IMDb has 234 words a review on average, which
are often cut. "sparse" sets 80 % of one side to zero, as sparse attention does. Results are compared before anything is timed. A ratio above one means that
the batched version is faster; times are medians after a warm-up.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.stats
from rich.console import Console
from rich.table import Table

from attention_audit.statistics.ranks import kendall_tau_b

INSTANCES = 1000

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


def main() -> None:
    """Check that both agree, time both, print a table."""
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


if __name__ == "__main__":
    main()
