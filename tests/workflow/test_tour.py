"""The notebook of docs/tour.ipynb, cell by cell on a finished grid."""

import ast
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from tests.workflow import project

TOUR = project.CHECKOUT / "docs/tour.ipynb"


def shown(source: str, names: dict[str, Any]) -> Any:
    """What a cell shows: the value of its last expression, None where it ends in none."""
    cell = ast.parse(source)
    last = None
    if isinstance(cell.body[-1], ast.Expr):
        last = ast.Expression(cell.body.pop().value)
    exec(compile(cell, "cell", "exec"), names)
    return last and eval(compile(last, "cell", "eval"), names)


@pytest.fixture(scope="module")
def tour() -> nbformat.NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def test_the_tour_is_kept_without_what_a_run_leaves_in_it(tour):
    nbformat.validate(tour)
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in cells)


def test_every_cell_of_the_tour_finds_something(tour, finished, monkeypatch):
    monkeypatch.chdir(finished)
    names: dict[str, Any] = {}
    found = [
        shown(cell.source, names) for cell in tour.cells if cell.cell_type == "code"
    ]
    assert names["results"] == Path.cwd() / "results"
    tables = [one for one in found if isinstance(one, pd.DataFrame)]
    assert len(tables) == 10 and all(len(table) > 0 for table in tables)
    runs, _, attention, words, *_, claims, _, outcome, _ = tables
    assert set(attention["normalizer"]) == set(runs["normalizer"])
    assert attention["least_sum"].to_numpy() == pytest.approx(1, abs=1e-4)
    # a row a word of one text
    assert words["attention"].sum() == pytest.approx(1, abs=0.01)
    assert {"supported", "contradicted", "undecided"} >= set(claims["verdict"])
    # what is right and what is wrong is what the measure `correct` counts
    wrong = names["ask"](
        """SELECT count(*) FILTER (value = 0) AS n FROM 'measures/**/*.parquet'
        WHERE measure = 'correct'"""
    )["n"][0]
    by_method = outcome.groupby("reference")["n_wrong"].sum()
    assert (by_method <= wrong).all() and by_method.max() > 0
    *_, (rule, code, libraries), inputs = found
    assert rule == "summary" and code and libraries and inputs and all(inputs.values())
