"""Time and memory of the summary and the comparison as their rows grow.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/inference.py``. Measures are
simulated: two normalizers, five seeds, fifty measures, and as many texts as make 0.1, 1
and 10 million rows of (text, measure). A row of a table stands for all of these. Each
size runs in a process of its own, so that the peak is its own; the time is processor
time, without that of writing the files and of loading libraries. Linear is a time a row that does not
grow.
"""

import gc
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from attention_audit.records import tables
from attention_audit.statistics import inference
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.families import correct

ROWS = (100_000, 1_000_000, 10_000_000)
NORMALIZERS, SEEDS, MEASURES = ("softmax", "sparsemax"), range(5), 50
# instances that are written at once
BLOCK = 2000


def write_run(path: Path, run: dict, instances: int, rng: np.random.Generator) -> None:
    """A table of schema "measures", in blocks of instances as a run measures them."""
    names = [f"measure{i}" for i in range(MEASURES)]
    with tables.open_table(path, "measures", {}) as table:
        for first in range(0, instances, BLOCK):
            # as long as the hash of a text
            ids = [f"{i:032x}" for i in range(first, min(first + BLOCK, instances))]
            table.write(
                run
                | {
                    "instance_id": ids * MEASURES,
                    "measure": np.repeat(names, len(ids)),
                    "subject": "attention",
                    "reference": pa.nulls(MEASURES * len(ids), pa.string()),
                    "value": rng.normal(size=MEASURES * len(ids)),
                }
            )


def measure(rows: int, folder: Path) -> dict[str, float]:
    """Processor seconds of either table, and the peak of memory in MiB."""
    instances = rows // (len(NORMALIZERS) * len(SEEDS) * MEASURES)
    runs, paths = [], []
    rng = np.random.default_rng(0)
    for normalizer in NORMALIZERS:
        for seed in SEEDS:
            run = {"dataset": "d", "encoder": "e", "scorer": "s"}
            runs.append(run | {"normalizer": normalizer, "seed": seed})
            paths.append(folder / f"{normalizer}{seed}.parquet")
            write_run(paths[-1], runs[-1], instances, rng)
    settings = Settings(
        confidence=0.95, reference="softmax", smallest_effect={"default": 0.05}
    )
    # loads statsmodels, which takes as long for any number of rows
    correct([0.5], settings.correction)
    # as a job does: a correction searches for garbage
    gc.freeze()
    found = {}
    for name, function in {
        "summary": inference.summary_table,
        "comparison": inference.comparison_table,
    }.items():
        start = time.process_time()
        function(runs, paths, settings, {}, folder / f"{name}.parquet")
        found[name] = time.process_time() - start
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def _measured(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return measure(rows, Path(folder))


def main() -> None:
    """Measure each size in a fresh process, print a table."""
    table = Table(title="Statistics by rows of (text, measure)")
    for heading in ("rows", "summary", "comparison", "a million rows", "peak"):
        table.add_column(heading)
    spawn = multiprocessing.get_context("spawn")
    for rows in ROWS:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            found = pool.submit(_measured, rows).result()
        each = (found["summary"] + found["comparison"]) / rows * 1e6
        table.add_row(
            f"{rows:,}",
            f"{found['summary']:.1f} s",
            f"{found['comparison']:.1f} s",
            f"{each:.1f} s",
            f"{found['peak']:,.0f} MiB",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
