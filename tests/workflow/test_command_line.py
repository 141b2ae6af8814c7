"""Command lines that Snakemake would misread."""

import pytest

from tests.workflow import project

FILE = ("--configfile", "workflow/presets/smoke.yaml")
SETTING = ("--config", "experiment=default")


@pytest.mark.parametrize(
    "target", ["results/figures/agreement.png", "all", "results/data/reviews/card.json"]
)
@pytest.mark.parametrize("option", [FILE, ("--configfiles", FILE[1]), SETTING])
def test_a_target_behind_what_takes_all_that_follows_is_named(finished, option, target):
    status, output = project.snakemake(finished, "-n", *option, target)
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert status != 0 and "Traceback" not in output
    assert f"snakemake {target} {' '.join(option)}" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["all", "--configfile", "config.yaml", *SETTING, "-n"],
        [*SETTING, "--configfile=config.yaml", "all", "-n"],
        [*SETTING, "-n", "--configfile", "config.yaml", "--", "all"],
        [*SETTING, "-n", "--configfile", "config.yaml", "results/config.yaml"],
    ],
)
def test_other_command_lines_are_read_as_they_are(finished, arguments):
    status, output = project.snakemake(finished, *arguments)
    assert status == 0, output
