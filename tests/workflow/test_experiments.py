"""Experiments stand in folders of their own and make once what they share."""

import yaml

from attention_audit.records.lineage import broken, trace
from tests.workflow import project

RUN = "reviews/bilstm/additive/softmax/seed0"


def write(folder, name: str, **settings) -> str:
    """A config file to lay over the folder's own."""
    path = folder / name
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return name


def test_an_experiment_makes_what_is_its_own_and_takes_over_the_rest(done):
    config = write(
        done,
        "other.yaml",
        experiment="other",
        grid={"normalizers": ["softmax"], "seeds": [0]},
        audit={"instances": 6},
    )
    before = project.results(done)
    project.run(done, "--cores", "2", "--configfile", config)
    after = project.results(done)
    other = "results/experiments/other/"
    assert before == {k: v for k, v in after.items() if not k.startswith(other)}

    logs = done / "logs/experiments/other"
    for log in ("prepare/reviews.log", f"train/{RUN}.log"):
        assert "taken over from results/" in (logs / log).read_text(encoding="utf-8")
    figure = f"{other}figures/agreement.png"
    files = trace(figure, done)
    assert not list(broken(files))
    assert all(path.startswith((other, "reviews.csv")) for path in files)
    page = after[f"{other}report/index.html"].decode()
    assert "<strong>other</strong>, made 2023-11-14 22:13 UTC" in page

    # Its config is whole, and makes the same again anywhere.
    assert project.planned(done, "--configfile", f"{other}config.yaml") == {}
    assert project.planned(done) == {}


def test_a_config_that_names_no_experiment_is_refused(done):
    config = write(done, "my grid.yaml", grid={"seeds": [0]})
    status, output = project.snakemake(done, "-n", "--configfile", config)
    assert status != 0 and "Traceback" not in output
    assert "my grid.yaml: names no experiment. Add the line `experiment: my_grid`" in (
        " ".join(output.split())
    )
    # The line that it asks for is enough.
    more = ("--config", "experiment=my_grid")
    planned = project.planned(done, "--configfile", config, *more)
    assert "train" in planned
