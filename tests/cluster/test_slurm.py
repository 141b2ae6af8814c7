"""The profile on a real SLURM: the same bytes, and recovery from what goes wrong."""

import filecmp
import os
import re
from pathlib import Path

import pytest

from tests.cluster.conftest import Driver, pipeline
from tests.cluster.local_slurm import wait_until

MODEL = "results/models/rotten_tomatoes/bilstm/additive/softmax/seed0/model.safetensors"

# A rule that waits, longer at its first attempt, and writes which attempt succeeded.
WAITING = """
rule all:
    input: expand("done/{{i}}", i=range({jobs}))
rule waiting:
    output: "done/{{i}}"
    resources:
        mem_mb=1000,
        runtime=lambda wildcards, attempt: attempt,
        seconds=lambda wildcards, attempt: {seconds} if attempt == 1 else 0,
        tries=lambda wildcards, attempt: attempt,
    shell: "touch {{output}}.started; sleep {{resources.seconds}}; echo {{resources.tries}} > {{output}}"
"""


def waiting(folder: Path, seconds: int, jobs: int = 1) -> list[str]:
    """Arguments for a workflow of jobs that wait and do nothing else."""
    (folder / "Snakefile").write_text(
        WAITING.format(jobs=jobs, seconds=seconds), encoding="utf-8"
    )
    return ["--snakefile", str(folder / "Snakefile")]


def attempts(folder: Path) -> list[int]:
    """With which attempt the waiting jobs succeeded."""
    return [
        int(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "done").glob("?"))
    ]


def running(slurm) -> list[str]:
    """The ids of the jobs that run."""
    return slurm.command("squeue", "-h", "--states=running", "-o", "%i").split()


def states(slurm, ids) -> list[str]:
    listed = ",".join(ids)
    return slurm.command(
        "squeue", "-h", "--sort=i", "--states=all", "-o", "%T", "--jobs", listed
    ).split()


def submitted(text: str) -> list[str]:
    """The ids of the SLURM jobs that a driver tells of."""
    return re.findall(r"has been submitted with SLURM jobid (\d+)", text)


def results(folder: Path) -> set[Path]:
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    return {path.relative_to(folder) for path in files}


def test_smoke_preset_gives_the_bytes_of_a_local_run(slurm, start, workdir, archives):
    cluster, local = workdir, archives.parents[1]
    text = start(cluster, *pipeline()).succeed(1200)
    Driver(local, dict(os.environ), "--cores", "2", *pipeline()).succeed(1200)

    assert results(cluster) == results(local)
    _, different, unread = filecmp.cmpfiles(
        cluster, local, map(str, results(local)), shallow=False
    )
    assert not different and not unread
    # Groups: far fewer SLURM jobs than the pipeline has steps.
    ids = submitted(text)
    steps = int(re.search(r"\d+ of (\d+) steps \(100%\)", text)[1])
    assert len(ids) < steps / 4
    nodes = slurm.command(
        "squeue", "-h", "--sort=i", "--states=all", "-o", "%N", "--jobs", ",".join(ids)
    )
    assert len(set(nodes.split())) > 1, "everything ran on one node"


def test_job_over_its_memory_runs_again_with_more(slurm, start, workdir):
    # Too little for PyTorch at first, enough with the last attempt.
    asked = ["--set-resources", "train:mem_mb=300 * 2 ** (attempt - 1)"]
    text = start(workdir, *asked, *pipeline(), MODEL).succeed()
    # The first job that was submitted prepares the data; the others train.
    ids = submitted(text)[1:]
    requests = [
        slurm.command(
            "squeue", "-h", "--sort=i", "--states=all", "-o", "%m", "-j", i
        ).strip()
        for i in ids
    ]
    assert len(ids) > 1
    assert requests == ["300M", "600M", "1200M", "2400M"][: len(ids)]
    assert "exceeded memory limit" in "".join(
        path.read_text(encoding="utf-8")
        for path in (workdir / "logs/slurm").rglob(f"{ids[0]}.log")
    )
    assert (workdir / MODEL).exists()


def test_job_over_its_time_runs_again_with_more(slurm, start, tmp_path):
    # Two minutes are more than one, which is the shortest limit that SLURM knows.
    text = start(tmp_path, *waiting(tmp_path, seconds=200)).succeed()
    assert attempts(tmp_path) == [2]
    assert states(slurm, submitted(text)) == ["TIMEOUT", "COMPLETED"]
    limits = slurm.command(
        "squeue",
        "-h",
        "--sort=i",
        "--states=all",
        "-o",
        "%l",
        "-j",
        ",".join(submitted(text)),
    )
    assert limits.split() == ["1:00", "2:00"]


def test_cancelled_job_runs_again(slurm, start, tmp_path):
    driver = start(tmp_path, *waiting(tmp_path, seconds=50))
    wait_until((tmp_path / "done/0.started").exists, "a running job", 60)
    slurm.command("scancel", *running(slurm))
    text = driver.succeed()
    assert attempts(tmp_path) == [2]
    assert states(slurm, submitted(text)) == ["CANCELLED", "COMPLETED"]


def test_controller_restarts_in_mid_run(slurm, start, tmp_path):
    driver = start(tmp_path, *waiting(tmp_path, seconds=20, jobs=2))
    begun = (tmp_path / "done").glob
    # Before that a job needs the controller itself, to start its step.
    wait_until(lambda: len(list(begun("*.started"))) == 2, "two running jobs", 60)
    slurm.stop_controller()
    # Long enough that jobs end, and are asked for, while nobody answers.
    with pytest.raises(TimeoutError):
        wait_until(lambda: driver.process.poll() is not None, "the driver's end", 40)
    slurm.start_controller()
    text = driver.succeed()
    assert attempts(tmp_path) == [1, 1]
    assert len(submitted(text)) == 2


def test_work_goes_on_after_a_broken_driver(slurm, start, workdir):
    other = MODEL.replace("seed0", "seed1")
    first = start(workdir, *pipeline(), MODEL)
    first.succeed()
    made = (workdir / MODEL).stat().st_mtime_ns
    driver = start(workdir, *pipeline(), MODEL, other)
    wait_until(lambda: running(slurm), "a running job")
    driver.kill()
    # What docs/cluster.md says: end what the dead driver has left, unlock, go on.
    slurm.command("scancel", "--name", re.search(r"run ID: (\S+)", driver.text)[1])
    wait_until(lambda: not running(slurm), "no running job")
    start(workdir, "--unlock", *pipeline(), MODEL, other).succeed()
    text = start(workdir, *pipeline(), MODEL, other).succeed()
    assert (workdir / other).exists()
    assert len(submitted(text)) == 1
    assert (workdir / MODEL).stat().st_mtime_ns == made, "finished work was done again"


def test_arrays_submit_all_jobs_of_a_rule_at_once(slurm, start, tmp_path):
    arrays = ["--slurm-array-jobs", "waiting"]
    text = start(tmp_path, *arrays, *waiting(tmp_path, 1, jobs=6)).succeed()
    assert attempts(tmp_path) == [1] * 6
    assert text.count("Submitted array job") == 1
    assert not submitted(text)
