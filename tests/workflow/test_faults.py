"""Whatever stops a run, the next one ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.workflow import project
from tests.workflow.project import run, snakemake, start

STALL = Path(__file__).parent / "stall"
RUN = "reviews/bilstm/additive/entmax15/seed1"
MODEL = f"results/models/{RUN}/model.safetensors"
HISTORY = f"results/models/{RUN}/history.parquet"
CHECKPOINT = f"results/models/{RUN}/checkpoint.pt"
ATTENTION = f"results/attributions/{RUN}/attention.parquet"
IMPORTANCE = f"results/attributions/{RUN}/importance/input_gradient.parquet"
INFLUENCE = f"results/attributions/{RUN}/influence.parquet"
MEASURES = f"results/measures/{RUN}.parquet"
ARCHIVE = "results/raw/tiny_reviews.whl"
DATA = "results/data/reviews"

# stage -> the file before which it is stopped, what of it was put in place before,
# and all that its job makes
STAGES = {
    "fetch": (ARCHIVE, 0, [ARCHIVE]),
    "prepare": (
        f"{DATA}/dev.parquet",
        0,
        [f"{DATA}/{name}.parquet" for name in ("train", "dev", "test", "reading")]
        + [f"{DATA}/card.json"],
    ),
    "train": (CHECKPOINT, 1, [f"results/models/{RUN}"]),
    "train, all but saved": (HISTORY, 0, [f"results/models/{RUN}"]),
    "attend": (ATTENTION, 0, [ATTENTION]),
    "attribute": (IMPORTANCE, 0, [IMPORTANCE]),
    "trace_influence": (INFLUENCE, 0, [INFLUENCE]),
    "measure": (MEASURES, 0, [MEASURES]),
    "task": ("statistics/task.parquet", 0, ["results/statistics/task.parquet"]),
    "summary": (
        "statistics/summary.parquet",
        0,
        ["results/statistics/summary.parquet"],
    ),
    "comparison": (
        "statistics/comparison.parquet",
        0,
        ["results/statistics/comparison.parquet"],
    ),
    "figure": (
        "figures/agreement.pdf",
        0,
        [f"results/figures/agreement.{kind}" for kind in ("png", "pdf", "parquet")],
    ),
    "report": ("report/index.html", 0, ["results/report/index.html"]),
}
FAST = [
    ("train", signal.SIGKILL),
    ("measure", signal.SIGINT),
    ("figure", signal.SIGKILL),
]
ALL_STAGES = [(stage, s) for stage in STAGES for s in (signal.SIGINT, signal.SIGKILL)]


def cases() -> list:
    """Every stage with both signals; what is not among the fast ones is slow."""
    return [
        pytest.param(
            *case,
            marks=[] if case in FAST else pytest.mark.slow,
            id=f"{case[0]}-{case[1].name}",
        )
        for case in ALL_STAGES
    ]


def target(stage: str) -> str:
    """One file that asks for the stage's job."""
    made = STAGES[stage][2][0]
    return MODEL if stage.startswith("train") else made


def remove(folder: Path, stage: str) -> None:
    """Undo a stage: remove what its job makes."""
    for path in STAGES[stage][2]:
        path = folder / path
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            file.unlink()


def stalled(folder: Path, stage: str, **more: str) -> tuple[subprocess.Popen, int]:
    """Snakemake with a job stopped in the middle, and that job's process id."""
    before, after, _ = STAGES[stage]
    marker = folder / "stalled"
    process = start(
        folder,
        "--cores",
        "1",
        target(stage),
        PYTHONPATH=STALL,
        STALL_BEFORE=before,
        STALL_AFTER=str(after),
        STALL_MARKER=marker,
        **more,
    )
    deadline = time.monotonic() + 120
    while not marker.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{stage} did not get there:\n{stop(process, signal.SIGKILL)}")
        time.sleep(0.02)
    return process, int(marker.read_text())


def stop(process: subprocess.Popen, what: signal.Signals) -> str:
    """Signal Snakemake and all its jobs, as Ctrl-C or a dying machine does."""
    if process.poll() is None:
        os.killpg(process.pid, what)
    return process.communicate(timeout=60)[0]


def whole(folder: Path) -> dict[str, bytes]:
    """All results but what was set aside as damaged."""
    found = project.results(folder)
    return {path: b for path, b in found.items() if not path.endswith(".damaged")}


def log_of_training(folder: Path) -> str:
    return (folder / f"logs/train/{RUN}.log").read_text()


# --- interrupted -----------------------------------------------------------------


@pytest.mark.parametrize(("stage", "what"), cases())
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    done, finished, offline, stage, what
):
    remove(done, stage)
    process, _ = stalled(done, stage, **offline)
    stop(process, what)
    assert process.returncode != 0
    if what is signal.SIGKILL:
        # Nobody was left to take the lock away.
        status, output = snakemake(done, "--cores", "1", target(stage), **offline)
        assert status != 0 and "--unlock" in output
        run(done, "--unlock")
    run(done, "--cores", "2", target(stage), **offline)
    assert whole(done) == whole(finished)
    assert project.partial_files(done) == []
    if stage == "train":
        assert "resumed after epoch 1" in log_of_training(done)


def test_a_job_that_is_killed_alone_is_reported_and_made_again(done, finished):
    remove(done, "measure")
    process, job = stalled(done, "measure")
    os.kill(job, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "Error in rule measure" in output
    assert not (done / MEASURES).exists()
    run(done, "--cores", "1", MEASURES)
    assert whole(done) == whole(finished)
    assert project.partial_files(done) == []


def test_a_second_call_is_told_that_the_first_is_at_work(done):
    remove(done, "measure")
    process, _ = stalled(done, "measure")
    status, output = snakemake(done, "--cores", "1", MEASURES)
    stop(process, signal.SIGINT)
    assert status != 0
    assert "Directory cannot be locked" in output and "Traceback" not in output
    # The first has taken its lock away.
    run(done, "--cores", "1", MEASURES)


# --- damaged files -----------------------------------------------------------------


def flip_a_bit(path: Path) -> None:
    """Change one bit of the file's values, where no parser of a header stumbles."""
    content = bytearray(path.read_bytes())
    place = len(content) * 2 // 3
    if path.suffix == ".parquet":
        column = pq.read_metadata(path).row_group(0).column(0)
        place = column.data_page_offset + column.total_compressed_size - 1
    content[place] ^= 1
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half])
def test_a_damaged_checkpoint_of_training_is_named_and_not_resumed(
    done, finished, damage
):
    remove(done, "train")
    process, _ = stalled(done, "train")
    stop(process, signal.SIGINT)
    damage(done / CHECKPOINT)
    run(done, "--cores", "1", MODEL)
    assert f"{CHECKPOINT}: damaged, starting over" in log_of_training(done)
    assert whole(done) == whole(finished)


@pytest.mark.parametrize(
    ("path", "asked", "damage"),
    [
        pytest.param(MODEL, ATTENTION, flip_a_bit, id="model"),
        pytest.param(IMPORTANCE, MEASURES, flip_a_bit, id="table"),
        pytest.param(MODEL, ATTENTION, cut_in_half, marks=pytest.mark.slow),
        pytest.param(IMPORTANCE, MEASURES, cut_in_half, marks=pytest.mark.slow),
        pytest.param(
            f"results/models/{RUN}/metrics.json",
            "results/statistics/task.parquet",
            cut_in_half,
            marks=pytest.mark.slow,
        ),
        pytest.param(ARCHIVE, f"{DATA}/card.json", cut_in_half, marks=pytest.mark.slow),
        pytest.param(ARCHIVE, f"{DATA}/card.json", flip_a_bit, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_file_is_named_and_rebuilt_by_the_next_call(
    done, finished, offline, path, asked, damage
):
    damage(done / path)
    damaged = (done / path).read_bytes()
    status, output = snakemake(done, "--cores", "1", asked, **offline)
    assert status != 0 and "Traceback" not in output
    aside = Path(f"{path}.damaged")
    assert f"error: {path}: " in output
    assert f"It is now {aside.name}; run snakemake again to rebuild it." in output
    assert (done / aside).read_bytes() == damaged
    run(done, "--cores", "2", asked, **offline)
    assert whole(done) == whole(finished)


# --- the disk ----------------------------------------------------------------------


def mount(*arguments: str | Path) -> bool:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True)
    return done.returncode == 0


@pytest.fixture
def disk(done) -> Iterator:
    """Puts a small disk of its own under a folder of the results; needs root."""
    mounted = []

    def put(folder: str, size: str) -> Path:
        place = done / folder
        if not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place):
            pytest.skip("mounting a disk needs root")
        mounted.append(place)
        # Snakemake removes a folder that it leaves empty, which no mounted one allows.
        (place / "lost+found").mkdir()
        (place / "lost+found" / "kept").touch()
        return place

    yield put
    for place in mounted:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    ("stage", "place"),
    [
        ("train", f"results/models/{RUN}"),
        ("measure", str(Path(MEASURES).parent)),
        pytest.param("figure", "results/figures", marks=pytest.mark.slow),
        pytest.param("prepare", DATA, marks=pytest.mark.slow),
        pytest.param("report", "results/report", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    done, finished, disk, stage, place
):
    remove(done, stage)
    disk(place, "4k")
    status, output = snakemake(done, "--cores", "1", target(stage))
    assert status != 0
    assert "The disk is full: make room and run snakemake again." in output
    assert "Traceback" not in output
    assert sorted(path.name for path in (done / place).iterdir()) == ["lost+found"]
    assert mount("-o", "remount,size=50m", done / place)
    run(done, "--cores", "1", target(stage))
    for path in STAGES[stage][2]:
        for file in (
            (finished / path).iterdir() if "." not in path else [finished / path]
        ):
            made = done / file.relative_to(finished)
            assert made.read_bytes() == file.read_bytes()


def test_results_that_cannot_be_written_are_named(done, disk):
    remove(done, "figure")
    place = disk("results/figures", "1m")
    assert mount("-o", "remount,ro", place)
    status, output = snakemake(done, "--cores", "1", "results/figures/agreement.png")
    assert status != 0
    assert "Read-only file system" in output and "results/figures" in output
