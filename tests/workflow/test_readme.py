"""The commands of the README as they are printed, and its queries on the tiny grid."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workflow import project
from tests.workflow.conftest import made_once
from tests.workflow.project import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
KEYS = ["dataset", "encoder", "scorer", "normalizer", "seed"]


def section(title: str) -> str:
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def code_of(title: str) -> str:
    """The indented lines of a section, one below the other."""
    lines = section(title).splitlines()
    return "\n".join(
        textwrap.dedent("\n".join(block))
        for block in _runs(lines, lambda line: line.startswith("    ") or not line)
    )


def _runs(lines, wanted):
    block = []
    for line in [*lines, "end"]:
        if wanted(line):
            block.append(line)
        elif any(block):
            yield block
            block = []


# --- commands ---------------------------------------------------------------------

PROGRAMS = ("make ", "snakemake ", "python ", ".venv/bin/", "$EDITOR ")
COMMANDS = [
    re.split(r"\s+#", line.strip())[0]
    for line in README.splitlines()
    if line.startswith("    ") and line.strip().startswith(PROGRAMS)
]
# What another test follows as it is printed, with what it needs.
ELSEWHERE = {
    "workflow/scripts/explain.py": "tests/workflow/test_explain.py",
    "profiles/slurm": "tests/cluster/test_slurm.py",
    "workflow/presets/paper.yaml": "tests/workflow/test_end_to_end.py",
    "KIND=mine": "tests/workflow/test_own_normalizer.py",
}


@pytest.fixture(scope="session")
def cloned(shared) -> Path:
    """The project as a new user has it. Not to be written to."""
    return made_once(shared / "cloned", lambda folder: project.clone(folder))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works_as_it_is_printed(command, cloned, done):
    program, *words = shlex.split(command)
    for word, test in ELSEWHERE.items():
        if word in words:
            source = (CHECKOUT / test).read_text(encoding="utf-8")
            name = "Add to it" if word == "KIND=mine" else word
            assert Path(word).stem in source or name in source
            return
    if program == "$EDITOR":
        assert (cloned / words[0]).is_file()
    elif program == "make":
        run = ["make", "-n", *words]
        subprocess.run(run, cwd=CHECKOUT, check=True, capture_output=True)
    elif program == "python":
        run = [sys.executable, *words]
        subprocess.run(run, cwd=done, check=True, capture_output=True)
    elif "--configfile" in words:
        # Presets are laid over the default config; what they make takes too long.
        project.run(cloned, *words, "-n")
    else:
        project.run(done, *words)


def test_the_commands_are_found():
    assert len(COMMANDS) == len(set(COMMANDS)) > 10


# --- queries ----------------------------------------------------------------------

CODE = code_of("Read the tables")
QUERIES = re.findall(r'sql\("""(.*?)"""\)', CODE, re.DOTALL)


def renamed(source: Path, target: Path, **columns) -> None:
    """A copy of a table under other names."""
    table = pq.read_table(source)
    for name, value in columns.items():
        index = table.schema.get_field_index(name)
        repeated = pa.repeat(
            pa.scalar(value, table.schema.field(name).type), len(table)
        )
        table = table.set_column(index, table.schema.field(name), repeated)
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target)


@pytest.fixture
def lived_in(done, monkeypatch) -> Path:
    """The finished grid with a run that has left it, and with a second data set."""
    results = done / "results"
    grid = pq.read_table(results / "statistics/runs.parquet").to_pandas()
    stages = {
        "measures/{}.parquet": "seed",
        "attributions/{}/attention.parquet": "seed",
    }
    again = []
    for run in grid.to_dict("records"):
        twin = run | {"dataset": "twin", "path": f"twin/{run['path']}"}
        left = run | {"seed": run["seed"] + 70, "path": f"{run['path']}7"}
        again.append(twin)
        for pattern in stages:
            for other in (twin, left):
                renamed(
                    results / pattern.format(run["path"]),
                    results / pattern.format(other["path"]),
                    **{key: other[key] for key in KEYS},
                )
    renamed(
        results / "data/reviews/test.parquet",
        results / "data/twin/test.parquet",
        dataset="twin",
    )
    pd.concat([grid, pd.DataFrame(again)]).to_parquet(
        results / "statistics/runs.parquet", index=False
    )
    monkeypatch.chdir(done)
    return done


def test_the_code_of_the_section_runs(lived_in, capsys):
    exec(compile(CODE, "README.md", "exec"), {})
    assert "softmax" in capsys.readouterr().out
    assert len(QUERIES) == 3


def test_a_mean_is_over_the_runs_of_the_grid_alone(lived_in):
    (query,) = (q for q in QUERIES if "avg(value)" in q)
    found = duckdb.sql(query).df()
    runs = pd.read_parquet("results/statistics/runs.parquet")
    measures = pd.concat(
        pd.read_parquet(f"results/measures/{path}.parquet") for path in runs["path"]
    )
    support = measures[measures["measure"] == "support"]
    expected = support.groupby("normalizer")["value"].mean()
    assert dict(zip(found["normalizer"], found["support"], strict=True)) == (
        pytest.approx(expected.to_dict())
    )
    # one row too many would be seen: what left the grid is there to be read
    everything = duckdb.sql(
        "select count(*) from 'results/measures/**/*.parquet' where measure = 'support'"
    ).fetchall()[0][0]
    assert everything > len(support)


def test_a_join_with_texts_multiplies_no_rows(lived_in):
    (query,) = (q for q in QUERIES if "tokens" in q)
    found = duckdb.sql(query).df()
    runs = pd.read_parquet("results/statistics/runs.parquet")
    audited = sum(
        pq.read_metadata(f"results/attributions/{path}/attention.parquet").num_rows
        for path in runs["path"]
    )
    assert len(found) == audited
    assert (found["tokens"].map(len) == found["attention"].map(len)).all()
    # joined on the text alone, every row stands for both sets
    alone = query.replace("using (dataset, instance_id)", "using (instance_id)")
    assert alone != query
    assert len(duckdb.sql(alone).df()) == 2 * audited


def test_runs_are_those_of_the_grid(finished):
    runs = pd.read_parquet(finished / "results/statistics/runs.parquet")
    assert list(runs.columns) == [*KEYS, "path"]
    assert list(runs["path"]) == [
        f"reviews/bilstm/additive/{normalizer}/seed{seed}"
        for normalizer in ("entmax15", "softmax")
        for seed in (0, 1)
    ]
    for path in runs["path"]:
        assert (finished / f"results/measures/{path}.parquet").is_file()
