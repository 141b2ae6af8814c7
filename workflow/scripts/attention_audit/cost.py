"""What a plan will cost: jobs, processor time, memory and disk, stage by stage.

What a job takes is known from its own benchmark, where it has run before; else guessed by
those of the most similar jobs of its rule; else by the formula that stands with the rule.
"""

import ast
import csv
import logging
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from attention_audit.records.schemas import RUN_COLUMNS

# What a SLURM job takes to begin: Snakemake starts twice on its node, and the queue.
SLURM_START = 30.0  # seconds
# A node's cores, and the hours on it, up to which one node is the better choice.
NODE_CORES, NODE_HOURS = 16, 0.5


@dataclass(frozen=True)
class Job:
    """A planned job, with what its rule's formulas expect of it.

    ``seconds``: processor time; ``mb``: memory that it asks for; ``disk_mb``: size of its
    outputs; ``group``: what it goes to SLURM with, a name first, None for one of the driver's.
    """

    rule: str
    stage: str
    wildcards: Mapping[str, str]
    outputs: Sequence[Path]
    seconds: float
    mb: float
    disk_mb: float
    group: tuple | None = None


@dataclass(frozen=True)
class Cost:
    """Of one job: seconds of processor time, MB of memory, MB on disk; and how known."""

    seconds: float
    mb: float
    disk_mb: float
    measured: bool


# What is expected of a job of a rule by its wildcards: seconds, and MB of outputs.
Expected = tuple[Callable[[Any], float], Callable[[Any], float]]
# Of a rule that says nothing: it takes no time.
NOTHING: Expected = (lambda wildcards: 0.5, lambda wildcards: 0.0)


class Wildcards(dict):
    """A job's wildcards as its rule's functions read them."""

    __getattr__ = dict.__getitem__


def planned_jobs(workflow: Any, expected: Mapping[str, Expected]) -> list[Job]:
    """The jobs of Snakemake's plan, with what ``expected`` says of each by its rule.

    In the order of the rules, which is that of the stages.
    """
    jobs = []
    order = {rule.name: i for i, rule in enumerate(workflow.rules)}
    needed = workflow.dag.needrun_jobs()
    for job in sorted(needed, key=lambda job: order[job.rule.name]):
        # A target makes nothing.
        if job.is_norun:
            continue
        seconds, disk_mb = expected.get(job.rule.name, NOTHING)
        typical = Wildcards(job.wildcards_dict, typical=True)
        jobs.append(
            Job(
                rule=job.rule.name,
                stage=Path(job.rule.snakefile).stem,
                wildcards=dict(job.wildcards_dict),
                outputs=[Path(output) for output in job.output],
                seconds=seconds(typical),
                mb=job.resources.get("mem_mb", 0),
                disk_mb=disk_mb(typical),
                # Jobs of the driver ask for nothing.
                group=_group(job) if job.rule.name in expected else None,
            )
        )
    return jobs


def _group(job: Any) -> tuple:
    """What of a plan goes to SLURM together: a group's jobs on one run, or one job.

    A dry run forms no groups of its own.
    """
    if job.rule.group is None:
        return job.rule.name, *job.wildcards_dict.values()
    return job.rule.group, *(job.wildcards_dict.get(axis) for axis in RUN_COLUMNS)


def finished(logs: str | Path) -> Iterator[dict[str, str]]:
    """What the jobs below a folder of logs left in their benchmarks, a row a job.

    Those of other experiments, which have folders of their own below it, are left out.
    """
    logs = Path(logs)
    for path in sorted(logs.rglob("*.tsv")):
        if "experiments" not in path.relative_to(logs).parts:
            with path.open(encoding="utf-8", newline="") as file:
                yield from csv.DictReader(file, delimiter="\t")


class Benchmarks:
    """What the jobs below a folder of logs took, read where a question needs it."""

    def __init__(self, logs: str | Path):
        self._logs = logs

    def of(self, job: Job) -> Cost | None:
        """The mean of the finished jobs of a rule that share most wildcards with one."""
        known = self._by_rule.get(job.rule)
        if not known:
            return None
        own = frozenset(job.wildcards.items())
        if own in known:
            best = [known[own]]
        else:
            alike = [len(own & other) for other in known]
            most = max(alike)
            best = [f for f, n in zip(known.values(), alike, strict=True) if n == most]
        seconds, used = zip(*best, strict=True)
        # Memory is sampled, and of the shortest jobs never.
        mb = max((mb for mb in used if mb is not None), default=job.mb)
        return Cost(fmean(seconds), mb, _size(job.outputs) or job.disk_mb, True)

    @cached_property
    def _by_rule(self) -> dict[str, dict[frozenset, tuple[float, float | None]]]:
        """Seconds and MB of each job by its wildcards: most jobs have run themselves."""
        rules = defaultdict(dict)
        for row in finished(self._logs):
            # Benchmarks of another profile say less.
            if not {"s", "max_rss", "rule_name", "wildcards"} <= row.keys():
                continue
            wildcards = frozenset(ast.literal_eval(row["wildcards"] or "{}").items())
            mb = None if row["max_rss"] in ("-", "NA", "") else float(row["max_rss"])
            # Not the processor time that Snakemake samples: too seldom for short jobs.
            rules[row["rule_name"]][wildcards] = float(row["s"]), mb
        return rules


def _size(paths: Iterable[Path]) -> float:
    """MB of the files that are there."""
    return sum(p.stat().st_size for p in paths if p.is_file()) / 1e6


def cost_of(job: Job, benchmarks: Benchmarks) -> Cost:
    """What one job will take."""
    formula = Cost(job.seconds, job.mb, job.disk_mb, False)
    return benchmarks.of(job) or formula


@dataclass
class Stage:
    """Sums over the jobs of a stage; ``mb`` is that of the largest, ``measured`` a count."""

    jobs: int = 0
    measured: int = 0
    seconds: float = 0.0
    mb: float = 0.0
    disk_mb: float = 0.0

    def add(self, cost: Cost) -> None:
        self.jobs += 1
        self.measured += cost.measured
        self.seconds += cost.seconds
        self.mb = max(self.mb, cost.mb)
        self.disk_mb += cost.disk_mb


def by_stage(jobs: Iterable[Job], benchmarks: Benchmarks) -> dict[str, Stage]:
    """What each stage takes, and under "all" what all of them take."""
    stages: dict[str, Stage] = defaultdict(Stage)
    whole = Stage()
    for job in jobs:
        cost = cost_of(job, benchmarks)
        stages[job.stage].add(cost)
        whole.add(cost)
    return {**stages, "all": whole}


def duration(seconds: float) -> str:
    """A time in words that a reader takes in: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(mb: float) -> str:
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1000:.1f} GB"


def as_table(stages: Mapping[str, Stage]) -> Any:
    """The stages and their sum, as a `rich.table.Table`."""
    # Snakemake reads the rules for every job; few of them print.
    from rich.table import Table

    table = Table(title="What this plan costs", title_justify="left")
    table.add_column("stage")
    for name in ("jobs", "processor time", "memory", "disk", "measured"):
        table.add_column(name, justify="right")
    for name, stage in stages.items():
        if name == "all":
            table.add_section()
        table.add_row(
            name,
            str(stage.jobs),
            duration(stage.seconds),
            size(stage.mb),
            size(stage.disk_mb),
            f"{stage.measured / max(1, stage.jobs):.0%}",
        )
    return table


def slurm_jobs(jobs: Iterable[Job], components: Mapping[str, int]) -> int:
    """How many SLURM jobs a plan is, with so many ``components`` of a group in one."""
    groups = Counter(group[0] for group in {job.group for job in jobs} - {None})
    return sum(math.ceil(n / components.get(name, 1)) for name, n in groups.items())


def on_cores(seconds: float, cores: int) -> str:
    """How long a plan takes on one machine."""
    return f"About {duration(seconds / cores)} on {cores} cores."


def on_slurm(jobs: Sequence[Job], seconds: float, components: Mapping[str, int]) -> str:
    """In how many SLURM jobs, and where one node would do better."""
    number = slurm_jobs(jobs, components)
    words = f"{number} SLURM jobs of {duration(seconds / max(1, number))} each."
    on_node = seconds / NODE_CORES
    if on_node < NODE_HOURS * 3600 or seconds < SLURM_START * number:
        words += (
            f" One node is the better choice: {NODE_CORES} cores take about "
            f"{duration(on_node)}, and the start of each SLURM job some "
            f"{duration(SLURM_START)} beside its queue. Ask for one and run "
            f"`snakemake --cores {NODE_CORES}` there."
        )
    return words


class Announcer(logging.Handler):
    """Prints the cost of a dry run below Snakemake's statistics of its jobs."""

    def __init__(
        self,
        workflow: Any,
        expected: Mapping[str, Expected],
        logs: str | Path,
        arguments: Sequence[str],
    ):
        super().__init__()
        self._workflow, self._expected = workflow, expected
        self._logs, self._arguments = logs, arguments
        self._jobs: list[Job] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", None) != LogEvent.RUN_INFO:
            return
        if not self._workflow.dryrun:
            return
        # A dry run shows its statistics twice, and at its end counts its jobs as done; a
        # quiet one shows them once.
        if self._jobs is None:
            self._jobs = planned_jobs(self._workflow, self._expected)
            quiet = self._workflow.output_settings.quiet
            if quiet != {Quietness.RULES, Quietness.PROGRESS}:
                return
        from rich.console import Console

        stages = by_stage(self._jobs, Benchmarks(self._logs))
        seconds = stages["all"].seconds
        components = self._workflow.group_settings.group_components
        words = (
            on_slurm(self._jobs, seconds, components)
            if any("slurm" in word for word in self._arguments)
            else on_cores(seconds, self._cores())
        )
        console = Console(stderr=True, highlight=False)
        console.print(as_table(stages))
        console.print(words, soft_wrap=True)

    def _cores(self) -> int:
        """Those that the run was told; a dry run that was told none has all."""
        told = any(re.match("-c|-j|--cores|--jobs", word) for word in self._arguments)
        cores = self._workflow.resource_settings.cores if told else None
        return cores or os.cpu_count() or 1
