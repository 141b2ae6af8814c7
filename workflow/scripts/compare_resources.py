"""What jobs asked the cluster for against what they used, by rule and data set.

    python workflow/scripts/compare_resources.py [LOGS]

reads the benchmarks that every rule leaves under logs/ and prints a table: the largest
request and the largest use of memory (MB) and of time (minutes). Memory is sampled,
ever more seldom, so that a short peak can be missed.
"""

import ast
import sys
from pathlib import Path

import pandas as pd

from attention_audit.cost import finished

COLUMNS = ["s", "max_rss", "rule_name", "wildcards", "resources"]


def read_benchmarks(logs: Path) -> pd.DataFrame:
    """One row a job: rule, dataset, and memory and minutes, asked for and used.

    Raises `SystemExit` with a message where no benchmark tells what was asked for.
    """
    rows = [row for row in finished(logs) if set(COLUMNS) <= row.keys()]
    if not rows:
        sys.exit(
            f"{logs}: no extended benchmark below it. Run the pipeline here, with the "
            "default profile or with --benchmark-extended."
        )
    jobs = pd.DataFrame(rows, columns=COLUMNS)
    # Of the shortest jobs memory is never sampled.
    for column in ("s", "max_rss"):
        jobs[column] = pd.to_numeric(jobs[column], errors="coerce")
    asked = jobs["resources"].map(ast.literal_eval)
    return pd.DataFrame(
        {
            # every figure has a rule of its own
            "rule": jobs["rule_name"].str.replace(r"^figure_.*", "figure", regex=True),
            "dataset": jobs["wildcards"].map(
                lambda text: ast.literal_eval(text).get("dataset", "")
            ),
            "asked_mb": asked.map(lambda r: r.get("mem_mb")),
            "used_mb": jobs["max_rss"],
            "asked_min": asked.map(lambda r: r.get("runtime")),
            "used_min": jobs["s"] / 60,
        }
    )


def compare(jobs: pd.DataFrame) -> pd.DataFrame:
    """The number of jobs, the largest of each column, and use over request in percent.

    A rule and data set whose use comes near 100 is about to be killed and done again;
    one that stays low keeps others waiting.
    """
    table = jobs.groupby(["rule", "dataset"]).max()
    table.insert(0, "jobs", jobs.groupby(["rule", "dataset"]).size())
    for unit in ("mb", "min"):
        share = 100 * table[f"used_{unit}"] / table[f"asked_{unit}"]
        table.insert(
            table.columns.get_loc(f"used_{unit}") + 1, f"used_{unit}_percent", share
        )
    return table.round(1)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    logs = Path(sys.argv[1] if len(sys.argv) > 1 else "logs")
    print(compare(read_benchmarks(logs)).to_string())
