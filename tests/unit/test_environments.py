"""A laptop, a conda site and a container get the same versions."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
PINS = ["requirements.txt", "cluster.txt"]
RECIPES = ["Containerfile", "apptainer.def"]


def canonical(name):
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(file):
    """The packages that a .in file names."""
    lines = (
        line.partition("#")[0].strip()
        for line in file.read_text(encoding="utf-8").splitlines()
    )
    return {canonical(re.split(r"[\[=<>~!]", line)[0]) for line in lines if line}


def pinned(file):
    """Package to version; anything but an exact pin is an error."""
    pins = dict(
        line.split("==") for line in file.read_text(encoding="utf-8").splitlines()
    )
    return {canonical(name): version for name, version in pins.items()}


def every_pin():
    return {name: v for file in PINS for name, v in pinned(ENVS / file).items()}


def conda_pins():
    """What the conda environment installs with pip, as package to version."""
    environment = yaml.safe_load(
        (ENVS / "environment.yaml").read_text(encoding="utf-8")
    )
    (by_pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    pins = {}
    for line in by_pip:
        if line.startswith("-r "):
            pins |= pinned(ENVS / line.removeprefix("-r "))
        else:
            name, version = line.split("==")
            pins[canonical(name)] = version
    return pins


def installed_by(recipe):
    """What a container recipe installs: every file that it gives to pip, resolved."""
    text = re.sub(r"#.*", "", (ENVS / recipe).read_text(encoding="utf-8"))
    # No package may be named on pip's own command line, beside the files.
    ((arguments),) = re.findall(r"pip install ((?:.*\\\n)*.*)", text)
    files = re.findall(r"--requirement /envs/(\S+)", arguments)
    beside = re.sub(r"--requirement \S+|--no-cache-dir|\\\n", "", arguments).split()
    assert not beside
    return {name: v for file in files for name, v in pinned(ENVS / file).items()}


def test_conda_and_the_containers_install_the_pins_and_nothing_else():
    assert conda_pins() == every_pin()
    for recipe in RECIPES:
        assert installed_by(recipe) == every_pin(), recipe


def test_python_is_the_same_everywhere():
    environment = yaml.safe_load(
        (ENVS / "environment.yaml").read_text(encoding="utf-8")
    )
    (conda,) = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    found = {"environment.yaml": conda.removeprefix("python=")}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found["Makefile"] = re.search(r"^PYTHON \?= python(\S+)", makefile, re.M)[1]
    for recipe in RECIPES:
        found[recipe] = re.search(
            r"library/python:([\d.]+)", (ENVS / recipe).read_text(encoding="utf-8")
        )[1]
    assert set(found.values()) == {"3.11"}, found


def test_no_package_is_pinned_twice():
    assert not pinned(ENVS / PINS[0]).keys() & pinned(ENVS / PINS[1]).keys()


@pytest.mark.parametrize("pins", PINS)
def test_whatever_is_asked_for_is_pinned(pins):
    asked = named((ENVS / pins).with_suffix(".in"))
    assert asked and asked <= pinned(ENVS / pins).keys()
