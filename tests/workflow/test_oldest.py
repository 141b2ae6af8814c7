"""The oldest Snakemake that the Snakefile allows plans as the installed one does."""

import re
import site
import subprocess
import sys

import pytest

from tests.workflow import project
from tests.workflow.test_changes import CHANGES

ROWS = (
    "nothing",
    "a comment in a script",
    "a new function",
    "all results touched",
    "where an archive is to be had",
    "a deleted figure",
    "a method's code",
    "the schema of a table",
    "a new seed",
    "another archive",
)


@pytest.fixture
def oldest(tmp_path, monkeypatch) -> None:
    """Snakemake is called in that version, on the libraries of this environment."""
    snakefile = (project.CHECKOUT / "Snakefile").read_text()
    (version,) = re.findall(r'min_version\("(.*)"\)', snakefile)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "beneath.pth").write_text("\n".join(site.getsitepackages()))
    python = venv / "bin/python"
    pip = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"snakemake=={version}.0"],
        capture_output=True,
        text=True,
    )
    if pip.returncode:
        pytest.skip(f"pip cannot install Snakemake {version}.0: {pip.stderr[-200:]}")
    monkeypatch.setattr(sys, "executable", str(python))


@pytest.mark.slow
def test_it_makes_the_grid_and_plans_the_same(oldest, fresh, offline, tmp_path):
    project.run(fresh, "--cores", "2", **offline)
    for row in ROWS:
        edit, expected = CHANGES[row]
        folder = project.copy(fresh, tmp_path / row)
        surroundings = edit(folder) or {}
        assert project.planned(folder, **surroundings) == expected, row
    subprocess.run(["cp", "-r", fresh, tmp_path / "copied"], check=True)
    assert project.planned(tmp_path / "copied") == {}
