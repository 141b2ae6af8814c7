"""What a plan costs, by benchmarks and by formulas."""

from pathlib import Path

import pytest
from rich.console import Console

from attention_audit.cost import (
    Benchmarks,
    Job,
    Stage,
    as_table,
    by_stage,
    cost_of,
    duration,
    on_cores,
    on_slurm,
    slurm_jobs,
)

HEADER = "s\tmax_rss\trule_name\twildcards\n"


def job(rule="train", stage="train", group=None, outputs=(), **wildcards) -> Job:
    return Job(rule, stage, wildcards, outputs, 100.0, 2000.0, 5.0, group)


def benchmark(logs: Path, name: str, seconds, mb, rule="train", **wildcards) -> None:
    path = logs / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t{mb}\t{rule}\t{wildcards}\n", encoding="utf-8")


def test_without_benchmarks_the_formula_counts(tmp_path):
    cost = cost_of(job(dataset="a"), Benchmarks(tmp_path))
    assert (cost.seconds, cost.mb, cost.disk_mb, cost.measured) == (100, 2000, 5, False)


def test_a_job_takes_what_it_took(tmp_path):
    benchmark(tmp_path, "train/a", 10, 300, dataset="a", seed="0")
    benchmark(tmp_path, "train/b", 30, 500, dataset="b", seed="0")
    cost = cost_of(job(dataset="a", seed="0"), Benchmarks(tmp_path))
    assert (cost.seconds, cost.mb, cost.measured) == (10, 300, True)


def test_a_new_job_takes_what_the_most_similar_ones_took(tmp_path):
    for seed, seconds in enumerate((10, 20)):
        benchmark(
            tmp_path, f"a{seed}", seconds, 300 + seed, dataset="a", seed=str(seed)
        )
    benchmark(tmp_path, "b", 99, 900, dataset="b", seed="0")
    cost = cost_of(job(dataset="a", seed="7"), Benchmarks(tmp_path))
    assert (cost.seconds, cost.mb) == (15, 301)
    other = cost_of(job("measure", dataset="a"), Benchmarks(tmp_path))
    assert not other.measured


def test_what_other_experiments_took_says_nothing(tmp_path):
    benchmark(tmp_path, "experiments/small/train/a", 1, 10, dataset="a")
    assert not cost_of(job(dataset="a"), Benchmarks(tmp_path)).measured
    within = Benchmarks(tmp_path / "experiments/small")
    assert cost_of(job(dataset="a"), within).seconds == 1


def test_a_benchmark_of_another_profile_is_left_out(tmp_path):
    (tmp_path / "a.tsv").write_text("s\th:m:s\n1.0\t0:00:01\n")
    assert not cost_of(job(dataset="a"), Benchmarks(tmp_path)).measured


def test_a_short_job_whose_memory_was_never_sampled(tmp_path):
    benchmark(tmp_path, "a", 0.1, "-", dataset="a")
    cost = cost_of(job(dataset="a"), Benchmarks(tmp_path))
    assert cost.seconds == 0.1
    assert cost.mb == 2000


def test_disk_is_that_of_the_files_that_will_be_replaced(tmp_path):
    benchmark(tmp_path, "a", 1, 1, dataset="a")
    output = tmp_path / "model"
    output.write_bytes(bytes(3_000_000))
    cost = cost_of(job(outputs=[output], dataset="a"), Benchmarks(tmp_path))
    assert cost.disk_mb == 3


def test_stages_add_up(tmp_path):
    benchmark(tmp_path, "a", 10, 300, dataset="a")
    jobs = [job(dataset="a"), job(dataset="a"), job("compare", "compare")]
    stages = by_stage(jobs, Benchmarks(tmp_path))
    assert list(stages) == ["train", "compare", "all"]
    assert stages["train"] == Stage(jobs=2, measured=2, seconds=20, mb=300, disk_mb=10)
    assert stages["compare"].measured == 0
    assert stages["all"] == Stage(3, 2, 120, 2000, 15)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (7200, "2.0 h")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_groups_are_sent_to_slurm_together():
    runs = [job(group=("audit", str(i))) for i in range(5) for _ in range(3)]
    alone = [job(group=("train", str(i))) for i in range(2)]
    driver = [job(group=None)]
    assert slurm_jobs(runs + alone + driver, {"audit": 4}) == 2 + 2


def test_slurm_is_for_what_one_node_cannot_do_soon():
    few = [job(group=("train", i)) for i in range(4)]
    words = on_slurm(few, 400, {})
    assert words.startswith("4 SLURM jobs of 2 min each. One node is the better choice")
    assert "better choice" not in on_slurm(few, 400_000, {})
    # What takes no longer than to start it.
    many = [job(group=("train", i)) for i in range(4000)]
    assert "better choice" in on_slurm(many, 100_000, {})
    assert on_cores(80_000, 2) == "About 11.1 h on 2 cores."


def test_a_terminal_shows_every_stage(capsys):
    stages = {"train": Stage(2, 1, 20, 300, 1500), "all": Stage(2, 1, 20, 300, 1500)}
    Console(width=90).print(as_table(stages))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    row = ["│", "train", "│", "2", "│", "20", "s", "│", "300", "MB", "│", "1.5", "GB"]
    assert [*row, "│", "50%", "│"] in lines
