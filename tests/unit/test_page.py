"""The page of the report: whole and escaped, whatever the names and the grid."""

import base64
import hashlib
import html
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from attention_audit.figures import report
from attention_audit.figures.catalogue import (
    CATEGORIES,
    EXPERIMENT_FIGURES,
    FIGURES,
    OTHER,
    PAGE_SOURCES,
    category_of,
)
from attention_audit.figures.libraries import Libraries, with_global
from tests.unit.grids import order_of, tables_of

FOLDER = Path(__file__).parents[2] / "workflow/report"
SOURCES = {name: (FOLDER / name).read_text(encoding="utf-8") for name in PAGE_SOURCES}
ODD = "<b>&amp;\"'</td>{{ x }}\u65e5\u672c"


class Page(HTMLParser):
    """The tables of a page as lists of rows of cells, and what its tags say."""

    def __init__(self, text: str):
        super().__init__()
        self.tables, self.tags, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._open = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data):
        if self._open:
            self.tables[-1][-1][-1] += data


def examples_of(order) -> pd.DataFrame:
    """Two texts of every cell and method, by two seeds, with odd words."""
    summary = tables_of(order)["summary"]
    rows = summary.loc[
        (summary["measure"] == "kendall_tau_b") & (summary["subject"] == "attention"),
        [*report.CELL, "reference"],
    ]
    words = [[ODD, "film"]] * len(rows)
    return pd.concat(
        rows.assign(
            seed=seed,
            extreme=extreme,
            rank=rank,
            mean=-0.5,
            label=ODD,
            predicted="no",
            tokens=words,
            attended=words,
            important=words,
        )
        for seed in (3, 4)
        for extreme in ("worst", "best")
        for rank in (1, 2)
    )


def tables(order, labels=("negative", "positive")) -> list[dict]:
    made = tables_of(order)
    counts = dict.fromkeys(labels, 10)
    card = {
        "name": order["datasets"][0],
        "counts": {split: counts for split in ("train", "dev", "test")},
        "label_names": list(labels),
        "dropped": {"duplicates": 3},
    }
    return [
        report.score_table(made["task"], order),
        report.agreement_table(made["summary"], order, 0.95),
        report.difference_table(
            made["comparison"], order, order["normalizers"][0], "holm"
        ),
        report.example_table(examples_of(order), order),
        report.data_table([card]),
        report.cost_table(made["task"], made["sizes"], made["speed"], order),
    ]


def page(
    folder: Path, order, tables, figures=(), notice=None, **more
) -> tuple[Page, str]:
    path = folder / "results/report/index.html"
    pictures = folder / "results/figures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in figures:
        Image.new("RGB", (30, 20), "red").save(pictures / f"{name}.png")
    figures = {
        name: (pictures / f"{name}.png", f"**{ODD}** caption") for name in figures
    }
    about = {
        "experiment": "default",
        "date": "2026-01-01 00:00 UTC",
        "commit": "0123456789abcdef",
        "changed": ["config.yaml"],
        "config": "grid: {}",
    }
    report.write_page(SOURCES, about, figures, tables, 3, order, path, notice, **more)
    text = path.read_text(encoding="utf-8")
    return Page(text), text


def test_the_page_says_what_experiment_it_shows(tmp_path):
    _, text = page(tmp_path, order_of(), tables(order_of()))
    text = " ".join(text.split())
    assert (
        "Experiment <strong>default</strong>, made 2026-01-01 00:00 UTC from commit "
        "<code>0123456789ab</code>, with changes that are not committed in config.yaml."
    ) in text
    assert '<pre tabindex="0">grid: {}</pre>' in text


def test_every_cell_is_on_the_page(tmp_path):
    order = order_of(datasets=2, encoders=2, normalizers=3, methods=3)
    made = tables(order)
    read, _ = page(tmp_path, order, made)
    assert len(read.tables) == len(made) == 6
    for found, table in zip(read.tables, made, strict=True):
        assert found == [table["columns"], *table["rows"]]
    scores, agreement, difference, examples, data, cost = (len(t["rows"]) for t in made)
    assert (scores, agreement, difference, examples, data) == (12, 12, 8, 12, 1)
    assert cost == scores
    # in the order of the config
    assert [row[3] for row in made[1]["rows"][:3]] == order["normalizers"]


@pytest.mark.parametrize("column", ["dataset", "encoder", "scorer", "normalizer"])
def test_a_method_may_be_called_like_a_column(tmp_path, column):
    order = order_of(methods=[column, "other"])
    made = tables(order)
    assert made[1]["columns"] == [*report.CELL, column, "other"]
    read, _ = page(tmp_path, order, made)
    assert read.tables[1] == [made[1]["columns"], *made[1]["rows"]]


def test_one_run_has_nothing_to_compare(tmp_path):
    order = order_of(normalizers=1, methods=1)
    made = tables(order)
    assert made[2]["rows"] == []
    read, text = page(tmp_path, order, made)
    assert len(read.tables) == 5
    assert "Nothing to show: no run of this grid has these numbers." in text
    for found, table in zip(read.tables, [*made[:2], *made[3:]], strict=True):
        assert found == [table["columns"], *table["rows"]]


def test_names_are_shown_as_they_are_written(tmp_path):
    order = order_of([ODD], [ODD], [ODD], [ODD, "other"], [ODD])
    made = tables(order, labels=[ODD, "x" * 300])
    read, text = page(tmp_path, order, made, figures=["task_score"])
    for found, table in zip(read.tables, made, strict=True):
        assert found == [table["columns"], *table["rows"]]
    assert "<b>" not in text
    assert not any(tag == "b" for tag, _ in read.tags)
    # long lists are broken, numbers are not
    assert ("td", {"class": "wrapped"}) in read.tags


def test_a_figure_is_on_the_page_with_a_link_to_all_its_pages(tmp_path):
    order = order_of()
    read, text = page(tmp_path, order, tables(order), figures=["task_score"])
    (picture,) = (found for tag, found in read.tags if tag == "img")
    assert picture["alt"] == "task score"
    assert (picture["width"], picture["height"]) == ("30", "20")
    held = picture["src"].removeprefix("data:image/webp;base64,")
    with Image.open(io.BytesIO(base64.b64decode(held))) as shown:
        assert shown.size == (30, 20) and shown.getpixel((3, 3)) == (255, 0, 0)
    links = [found["href"] for tag, found in read.tags if tag == "a"]
    assert "../figures/task_score.pdf" in links
    assert ("figure", {"id": "task_score"}) in read.tags
    assert "<h3>Scores and costs</h3>" in text
    queries = [found.get("data-query") for _, found in read.tags]
    assert "SELECT * FROM 'figures/task_score.parquet'" in queries


def test_every_figure_is_about_one_thing():
    placed = [name for names in CATEGORIES.values() for name in names]
    drawn = {*FIGURES}.union(*EXPERIMENT_FIGURES.values())
    assert sorted(placed) == sorted(drawn)
    assert category_of("of_my_own") == OTHER


def test_a_page_runs_its_own_scripts_and_fetches_nothing(tmp_path):
    order = order_of()
    script = "const ended = '</script><!--';"
    given = Libraries([script], "table { }", ["A library, MIT"])
    _, text = page(tmp_path, order, tables(order), libraries=given)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    policy = html.unescape(policy)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    found = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 2 and found[0] == r"const ended = '<\/script><\!--';"
    for one in found:
        digest = base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "A library, MIT" in text and "table { }" in text
    # without any there are none
    _, text = page(tmp_path, order, tables(order))
    assert "<script" not in text and "script-src 'none'" in html.unescape(text)


def test_what_a_bundle_exports_can_be_named():
    made = with_global("var a$1=1;export{b as jQuery,a$1 as default,c as d}", "Table")
    assert made.endswith("\nwindow.Table = a$1;\n")


def test_every_table_says_where_it_is_from_and_every_row_is_found_again(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    order = order_of(datasets=2, encoders=2, normalizers=["it's", "other", "third"])
    made = tables_of(order)
    own, more = order["normalizers"][0], ("normalizer", "cut", "beyond_cut")
    shown = [
        report.score_table(made["task"], order),
        report.agreement_table(made["summary"], order, 0.95),
        *(
            report.difference_table(made["comparison"], order, own, "holm", contrast)
            for contrast in more
        ),
        report.example_table(examples_of(order), order),
        report.cost_table(made["task"], made["sizes"], made["speed"], order),
    ]
    (tmp_path / "statistics").mkdir()
    for name in ("task", "summary", "comparison", "sizes"):
        made[name].to_parquet(tmp_path / f"statistics/{name}.parquet")
    examples_of(order).to_parquet(tmp_path / "statistics/examples.parquet")
    asked = 0
    for table in shown:
        assert len(table["queries"]) == len(table["rows"]) > 0
        for query, row in zip(table["queries"], table["rows"], strict=True):
            assert f"FROM '{table['source']}'" in query
            there = query.replace("'statistics/", f"'{tmp_path}/statistics/")
            found = duckdb.sql(there).df()
            assert len(found) > 0, query
            assert set(found["dataset"]) == {row[0]} and set(found["encoder"]) == {
                row[1]
            }
            asked += 1
    assert asked == 72


def test_a_notice_stands_above_all_and_on_every_printed_page(tmp_path):
    order = order_of()
    said = f"Smoke run, {ODD}"
    read, text = page(tmp_path, order, tables(order), notice=said)
    notices = [attributes for _, attributes in read.tags if "class" in attributes]
    assert notices[0] == {"class": "notice"}
    assert "<b>" not in text and text.index("Smoke run") < text.index("<h1>")
    assert "@media print { .notice { position: fixed; }" in text
    _, text = page(tmp_path, order, tables(order))
    assert '<p class="notice">' not in text


def test_inputs_stand_before_hidden_states(tmp_path):
    order = order_of(methods=["hidden", "a_hidden", "input", "z_input"])
    order |= {
        "methods": ["z_input", "input", "hidden", "a_hidden"],
        "hidden_methods": ["hidden", "a_hidden"],
    }
    made = tables(order)
    for table in made[1:3]:
        assert table["columns"][4:] == ["z input", "input", "hidden", "a hidden"]
