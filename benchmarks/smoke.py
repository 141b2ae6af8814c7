"""Processor time of the smoke preset, and how much of it jobs spend to get started.

    python benchmarks/smoke.py

A clone of the committed files runs the preset on one core with the archives that lie in
this checkout's results, so that neither network nor downloads count. Processor time is
user and system time of Snakemake and all its jobs. The start of a job is what its script
imports, measured once a script in a process of its own, times its number of jobs; what
the interpreter and Snakemake's preamble take is in it.
"""

import ast
import collections
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from planning import PROJECT, clone
from rich.console import Console
from rich.table import Table

# What Snakemake puts before a script, with what it has imported to unpickle.
PREAMBLE = "import snakemake.iocontainers\n"

FLAGS = re.MULTILINE | re.DOTALL
ARGUMENTS = ["--configfile", "workflow/presets/smoke.yaml", "--cores", "1"]


def processor_seconds(command: list[str], folder: Path) -> float:
    """User and system time of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def start_up(script: Path, folder: Path) -> float:
    """Processor time of a process that imports what a script does, and ends."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    program = PREAMBLE + ast.unparse(ast.Module(imports, []))
    # as `reported` does
    program += "\nimport gc\ngc.freeze()"
    return processor_seconds([sys.executable, "-c", program], folder)


def jobs_by_script(folder: Path) -> collections.Counter[str]:
    """How many jobs of the preset run each script, by the statistics of a dry run."""
    plan = subprocess.run(
        [sys.executable, "-m", "snakemake", *ARGUMENTS, "-n"],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    rules = "\n".join(
        p.read_text(encoding="utf-8") for p in (folder / "workflow/rules").glob("*.smk")
    )
    # The rule of all figures has its name from its loop.
    script_of = dict(re.findall(r"^ *rule ?(\w*):.*?scripts/(\w+\.py)", rules, FLAGS))
    counts: collections.Counter[str] = collections.Counter()
    # They come twice, before the jobs and after them.
    table = dict(re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, FLAGS))
    for rule, n in table.items():
        rule = "" if rule.startswith("figure_") else rule
        if rule in script_of:
            counts[script_of[rule]] += int(n)
    return counts


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = "workflow/scripts"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone(folder)
        raw = folder / "results/raw"
        raw.mkdir(parents=True, exist_ok=True)
        for archive in filter(Path.is_file, (PROJECT / "results/raw").glob("*")):
            (raw / archive.name).symlink_to(archive)
        jobs = jobs_by_script(folder)
        total = processor_seconds(
            [sys.executable, "-m", "snakemake", *ARGUMENTS, "--quiet", "all"], folder
        )
        scripts = folder / "workflow/scripts"
        starts = {script: start_up(scripts / script, folder) for script in jobs}
    table = Table("script", "jobs", "start, seconds a job")
    for script, n in jobs.most_common():
        table.add_row(script, str(n), f"{starts[script]:.2f}")
    started = sum(n * starts[script] for script, n in jobs.items())
    Console().print(table)
    print(
        f"smoke preset: {total:.0f} s of processor time for {jobs.total()} jobs, "
        f"{started:.0f} s ({started / total:.0%}) of it their start"
    )


if __name__ == "__main__":
    main()
