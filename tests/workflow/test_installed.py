"""The installed package: found from anywhere, and never in place of a job's own."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.workflow import project

OTHER = "this is the installed package"
# Python runs it on its own, and after what is installed in its environment.
SITE = "import os, site\nsite.addsitedir(os.environ['INSTALLED'])\n"


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Another checkout, installed as ``make`` does, whose package ends who imports it."""
    folder = tmp_path_factory.mktemp("installed")
    other = project.clone(folder / "other")
    package = other / "workflow/scripts/attention_audit/__init__.py"
    package.write_text(f"raise SystemExit({OTHER!r})\n", encoding="utf-8")
    git(other, "init", "--quiet")
    git(other, "add", "--all")
    # The pinned backend comes from the index; any that knows the keys will do here.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    pip += ["--no-build-isolation", "--no-deps", "--prefix", folder / "prefix"]
    subprocess.run([*pip, "--editable", other], check=True)
    (folder / "path").mkdir()
    (folder / "path/sitecustomize.py").write_text(SITE, encoding="utf-8")
    return folder


@pytest.fixture
def surroundings(installed) -> dict[str, str]:
    """The environment of a process in which the other checkout is installed."""
    prefix = {"base": str(installed / "prefix"), "platbase": str(installed / "prefix")}
    packages = sysconfig.get_path("purelib", vars=prefix)
    return {"PYTHONPATH": str(installed / "path"), "INSTALLED": packages}


def test_the_package_is_found_from_anywhere_and_its_scripts_are_not(
    surroundings, tmp_path
):
    def said(module: str) -> str:
        # Without the packages of this environment, among which it may be too.
        command = [sys.executable, "-S", "-c", f"{SITE}import {module}"]
        return subprocess.run(
            command, cwd=tmp_path, env=surroundings, capture_output=True, text=True
        ).stderr

    assert said("attention_audit.models.model") == f"{OTHER}\n"
    assert "No module named 'write_report'" in said("write_report")


def test_installing_leaves_nothing_that_git_would_show(installed):
    other = installed / "other"
    assert git(other, "ls-files", "--others", "--exclude-standard") == ""
    assert git(other, "diff", "--name-only") == ""


def test_a_job_uses_the_package_of_its_own_checkout(fresh, surroundings):
    made = "results/data/own/card.json"
    output = project.run(fresh, "--cores", "1", made, **surroundings)
    assert (fresh / made).is_file() and OTHER not in output


def test_make_installs_it_after_the_pins():
    makefile = (project.CHECKOUT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split("$(VENV)/installed:")[1].split("\n\n")[0]
    assert recipe.index("install -r") < recipe.index("install --no-deps --editable .")
