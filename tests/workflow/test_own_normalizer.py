"""A kind of normalizer of one's own: README's recipe as it is printed, and its faults."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.workflow import project
from tests.workflow.project import replace_in

MODULES = "workflow/scripts/attention_audit/models/normalizers"
SCHEMA = "workflow/schemas/config.schema.yaml"
README = (project.CHECKOUT / "README.md").read_text(encoding="utf-8")
RECIPE = README.split("**A normalizer.**")[1].split("\n**")[0]
# The checkout may hold what the recipe makes, for whoever has tried it.
KIND, NAME = "recipe", "recipe_hot"
RECIPE = re.sub(r"\bhot\b", NAME, re.sub(r"\bmine\b", KIND, RECIPE))
RECIPE = RECIPE.replace("normalizer_mine", f"normalizer_{KIND}")
MODULE, LINE_AND_BRANCH, COMMAND = (
    textwrap.dedent(block.strip("\n"))
    for block in re.findall(r"(?:^(?:    .*)?\n)+", RECIPE, re.M)
    if block.strip()
)
LINE, BRANCH = re.search(r" +(- .*\n)\n(.*)", LINE_AND_BRANCH, re.S).groups()
INSTANCE = re.search(rf"`({NAME}: .*)`", RECIPE)[1]


def follow(folder: Path) -> None:
    """Do what the recipe says."""
    (folder / MODULES / f"{KIND}.py").write_text(MODULE, encoding="utf-8")
    project.describe_kind(folder, KIND, LINE, BRANCH)
    replace_in(
        folder / "config.yaml",
        "\nnormalizers:\n",
        f"\nnormalizers:\n  {INSTANCE}\n",
    )


@pytest.fixture
def mine(tmp_path) -> Path:
    """The project with the recipe followed, and its own config."""
    folder = project.clone(tmp_path / "project")
    follow(folder)
    return folder


def in_folder(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=project.environment(PYTHONPATH="workflow/scripts", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def check(folder: Path, command: str = COMMAND) -> tuple[int, str]:
    """Status and output of the recipe's command, with the Python of this session."""
    made, binaries = ("-o", ".venv/installed"), f"BIN={Path(sys.executable).parent}"
    return in_folder(folder, *command.split(), *made, binaries)


def test_the_recipe_ends_in_a_kind_that_passes(mine):
    status, output = check(mine)
    assert status == 0, output
    assert re.search(r"\b\d\d passed", output) and "failed" not in output


def test_the_recipe_breaks_no_test_that_holds_the_kinds(mine):
    tests = ("config", "kinds", "repository")
    files = [f"tests/unit/test_{name}.py" for name in tests]
    subprocess.run(["git", "init", "-q"], cwd=mine, check=True)
    status, output = in_folder(
        mine, sys.executable, "-m", "pytest", "-q", "--tb=short", "-x", *files
    )
    assert status == 0, output


# Every law is held against a wrong kind in tests/unit/test_laws.py.
WRONG = {
    "forgets the mask": (
        "scores.softmax(-1)",
        f"the weights of kind '{KIND}' must be exactly 0 where masked, got ",
    ),
    "depends on the order": (
        "softmax(scores + torch.arange(scores.shape[-1]), mask)",
        "permuted scores have other weights than the permuted ones",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_kind_fails_with_words(mine, fault):
    weights, words = WRONG[fault]
    path = mine / MODULES / f"{KIND}.py"
    replace_in(path, "softmax(scores / temperature, mask)", weights)
    path.write_text(f"import torch\n\n{path.read_text(encoding='utf-8')}")
    status, output = check(mine)
    assert status != 0
    assert words in output, output


def test_a_kind_that_is_not_there_is_told(mine):
    schema = mine / SCHEMA
    whole = schema.read_text(encoding="utf-8")
    schema.write_text(whole.replace(f"normalizer_{KIND}:", "forgotten:"))
    status, output = check(mine)
    assert status != 0 and "Traceback" not in output
    assert f"the normalizer kind '{KIND}' lacks $defs.normalizer_{KIND}." in output
    schema.write_text(whole, encoding="utf-8")

    status, output = check(mine, "make check-normalizer KIND=recipes")
    assert status != 0
    assert f"no normalizer of kind 'recipes'. Did you mean '{KIND}'?" in output
    assert "Traceback" not in output
    status, output = check(mine, "make check-normalizer")
    assert status != 0 and "make check-normalizer KIND=mine" in output


def test_a_kind_that_lacks_its_module_is_refused_before_anything_is_planned(fresh):
    follow(fresh)
    assert project.planned(fresh)
    (fresh / MODULES / f"{KIND}.py").unlink()
    status, output = project.snakemake(fresh, "-n")
    assert status != 0 and "Traceback" not in output
    assert (
        f"{SCHEMA}: the normalizer kind '{KIND}' lacks the module {MODULES}/{KIND}.py "
        "with its NORMALIZER. Add what is missing, or take out its name in $defs."
    ) in output


def test_a_kind_that_breaks_a_law_ends_its_training_with_words(fresh, offline):
    follow(fresh)
    replace_in(
        fresh / MODULES / f"{KIND}.py",
        "softmax(scores / temperature, mask)",
        "(scores / temperature).softmax(-1)",
    )
    project.set_key(fresh, "grid.normalizers", ["softmax", NAME])
    target = f"results/models/reviews/bilstm/additive/{NAME}/seed0/model.safetensors"
    status, output = project.snakemake(fresh, "--cores", "1", target, **offline)
    assert status != 0
    assert (
        f"error: normalizer kind '{KIND}': its weights must be exactly 0 where masked"
    ) in output
    assert not (fresh / target).exists()
