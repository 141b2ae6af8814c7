"""How long `snakemake -n` takes on a finished grid, by the number of runs.

    python benchmarks/planning.py 100 1000 5000

The grid is not computed: its files are made empty and Snakemake is told, with --touch,
that it made them. What is measured is thus what a user waits for who asks, with all
results there, whether there is anything to do: reading the rules, digesting the code
once a script, comparing the params, inputs and times of every job.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent


def clone(folder: Path) -> None:
    """The project's committed files in ``folder``, without any results."""
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=PROJECT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)


def grid(runs: int) -> dict:
    """A grid of at least ``runs`` runs: five axes of the paper's names, more seeds."""
    axes = {
        "datasets": ["rotten_tomatoes", "imdb", "newsgroups", "newsgroups20"],
        "encoders": ["average", "bilstm", "transformer"],
        "scorers": ["additive", "dot"],
        "normalizers": ["softmax", "entmax15", "sparsemax", "sparsegen"],
    }
    cells = 4 * 3 * 2 * 4
    seeds = list(range(-(-runs // cells)))
    return {"experiment": "default", "grid": axes | {"seeds": seeds}}


# Snakemake, that does not rest for a tenth of a second whenever it touches a file.
HURRIED = """
import sys
from snakemake.cli import main
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0
main(sys.argv[1:])
"""


def snakemake(
    folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "snakemake")
) -> tuple[float, str]:
    """Seconds that a call takes, and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *program, "--configfile", "grid.yaml", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - start, done.stdout + done.stderr


def measure(runs: int) -> tuple[int, int, float]:
    """Runs and files of a grid, and the seconds of a dry run with all of it there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone(folder)
        settings = grid(runs)
        (folder / "grid.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        _, summary = snakemake(folder, "--summary")
        files = [row.split("\t")[0] for row in summary.splitlines() if "\t" in row][1:]
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        touch = ("--touch", "--cores", "1", "--quiet")
        snakemake(folder, *touch, program=("-c", HURRIED))
        seconds, plan = snakemake(folder, "-n")
        if "Nothing to be done" not in plan:
            raise SystemExit(f"the grid is not finished:\n{plan}")
        return 96 * len(settings["grid"]["seeds"]), len(files), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="*", default=[100])
    table = Table("runs", "files", "seconds", "milliseconds a run")
    for runs in parser.parse_args().runs:
        made, files, seconds = measure(runs)
        table.add_row(
            f"{made:,}", f"{files:,}", f"{seconds:.1f}", f"{1000 * seconds / made:.1f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
