"""The report's page as a browser shows it: picked, filtered, linked to, and harmless."""

import json
import os
from importlib import resources
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import pytest
from PIL import Image

from attention_audit.figures import report
from attention_audit.figures.catalogue import PAGE_SOURCES
from attention_audit.figures.explorer import explorer_data, rounded
from tests.unit.browsable import METHODS, ODD, make
from tests.unit.browser import browser, found_browser

pytest.importorskip("vl_convert", reason="no vl-convert-python is installed")
pytest.importorskip("itables", reason="no itables is installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(found_browser() is None, reason="no Chromium is installed"),
]

SOURCES = Path(__file__).parents[2] / "workflow/report"
CLAIM = {
    "claim": "weak",
    "source": "somebody <b>1</b>",
    "text": "Attention is weak.",
    "rule": "below 0.5",
    "side": "below",
    "holds": "on_average",
    "note": None,
    "measure": "kendall_tau_b",
    "evidence": "statistics/summary.parquet",
    "figure": "agreement",
    "bound": 0.5,
    "low": 0.1,
    "high": 0.3,
    "n_seeds": 3,
    "n_supported": 1,
    "n_contradicted": 0,
    "n_undecided": 1,
}


def claims() -> pd.DataFrame:
    """Two claims over all cells, and the 30 cells of the first."""
    over = [
        CLAIM | {"n_cells": 2, "estimate": 0.2, "verdict": "supported"},
        CLAIM
        | {"claim": "strong", "n_cells": 2, "estimate": -1.5, "verdict": "undecided"}
        | {"side": "within"},
    ]
    cells = [
        CLAIM
        | {"dataset": f"set{i}", "encoder": "enc", "scorer": "additive"}
        | {"normalizer": "softmax", "estimate": i / 7 - 2, "verdict": "undecided"}
        for i in range(30)
    ]
    found = pd.DataFrame([*over, *cells])
    return found.assign(subject="attention", reference=None, less=None)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A browser, the page it shows, and the results that the page is of."""
    from attention_audit.figures.libraries import libraries

    folder = tmp_path_factory.mktemp("page")
    made = make(folder / "results")
    path = folder / "results/report/index.html"
    picture = folder / "agreement.png"
    Image.new("RGB", (60, 40), "white").save(picture)
    (folder / "results/statistics").mkdir()
    claims().to_parquet(folder / "results/statistics/claims.parquet")
    report.write_page(
        {name: (SOURCES / name).read_text(encoding="utf-8") for name in PAGE_SOURCES},
        {
            "experiment": "default",
            "date": "today",
            "commit": None,
            "changed": [],
            "config": "grid: {}",
        },
        {"agreement": (picture, "**Agreement.** A caption.")},
        [
            report.claim_table(claims(), ["agreement"], 0.95),
            report.claim_cell_table(claims(), 0.95),
        ],
        len(made.runs),
        made.order,
        path,
        None,
        libraries(),
        explorer_data(*made.gather(), made.order),
    )
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found, path, made


def view(shown, **chosen):
    """The page at the view of what is chosen; texts where nothing is."""
    page, path, _ = shown
    chosen = {"dataset": "texts", "item": "0000", "method": METHODS[0]} | chosen
    page.errors.clear()
    page.open(path, f"#explore?{urlencode(chosen)}")
    page.wait_for(
        f"document.querySelector('.view').dataset.ready === {chosen['item']!r}"
    )
    return page


def drawn(page) -> dict[str, dict[str, list[float]]]:
    """The values that are shown, by run and subject, bars and patches too."""
    return page.run("""Object.fromEntries([...document.querySelectorAll(".run")].map((run) => [
        run.dataset.run,
        Object.fromEntries([...run.querySelectorAll("[data-subject]")].map((row) => [
            row.dataset.subject,
            row.dataset.values ? JSON.parse(row.dataset.values)
                : [...row.querySelectorAll("[data-value]")].map((one) => Number(one.dataset.value)),
        ])),
    ]))""")


VIEWS = [("texts", "0000"), ("pictures", "p0"), ("pairs", "0a"), ("recordings", "0b")]


@pytest.mark.parametrize(("dataset", "item"), VIEWS)
@pytest.mark.parametrize("method", METHODS)
def test_every_view_shows_the_tables_numbers(shown, dataset, item, method):
    page = view(shown, dataset=dataset, item=item, method=method)
    page.run(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
    )
    found = drawn(page)
    rows = [
        row
        for row in shown[2].gather()[0].to_pylist()
        if row["item"] == item and row["instance_id"] in (item, "0a.000", "0b.00000")
    ]
    assert len(found) == 2
    compared = 0
    for row in rows:
        run = f"{dataset}/enc/additive/{row['normalizer']}/seed0"
        if row["subject"] in ("influence", *(m for m in METHODS if m != method)):
            continue
        values = found[run][row["subject"]]
        weights = rounded(row["weights"])
        if dataset == "pictures" and len(weights) == 2:
            # what a state has is spread over its two patches
            weights = [w / 2 for w in weights for _ in range(2)]
        assert values == pytest.approx(weights, rel=1e-3), (run, row["subject"])
        compared += 1
    # attention, importance and an adversary of both, and the cut of one
    assert compared == 7
    matrices = page.run("""[...document.querySelectorAll("[data-matrix]")].map((one) => [
        one.closest(".run").dataset.run, JSON.parse(one.dataset.matrix).flat()])""")
    for row in rows:
        if row["subject"] == "influence":
            run = f"{dataset}/enc/additive/{row['normalizer']}/seed0"
            assert [run, rounded(row["weights"])] in matrices
    assert "[object" not in page.run("document.body.innerText")
    assert page.errors == []


def test_the_cut_is_shown_with_its_own_agreement(shown):
    page = view(shown, item="0001")
    (head,) = page.run("""[...document.querySelectorAll("[data-subject=cut]")].map(
        (row) => row.parentElement.querySelector("strong").textContent)""")
    assert head.endswith("cut to as many places (0.10)")


def test_what_a_text_says_is_shown_and_not_done(shown):
    page = view(shown)
    assert page.run("window.injected") is None
    words = page.run(
        "[...document.querySelector('.run .paper').children].map((one) => one.textContent)"
    )
    assert words == ODD
    assert page.run("document.querySelectorAll('#explorer script').length") == 0
    # and what would be fetched or done is refused
    refused = page.run("""new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
        const script = document.createElement("script");
        script.textContent = "window.injected = 1";
        document.body.append(script);
    })""")
    assert refused.startswith("script-src") and page.run("window.injected") is None


def test_instances_are_picked_by_keys_and_the_address_follows(shown):
    page = view(shown)
    page.run("document.querySelector('.items').focus()")
    page.press("ArrowDown")
    page.wait_for("document.querySelector('.view').dataset.ready === '0001'")
    assert "item=0001" in page.run("location.hash")
    page.press("Home")
    page.wait_for("document.querySelector('.view').dataset.ready === '0000'")
    page.run("""(() => { const select = document.querySelector("select[name=a]");
        select.value = "sparsemax"; select.dispatchEvent(new Event("change")); })()""")
    page.wait_for("document.querySelectorAll('.run').length === 1")
    assert "a=sparsemax" in page.run("location.hash")
    assert page.errors == []


def test_instances_are_found_by_words_class_outcome_and_agreement(shown):
    page = view(shown)
    count = "document.querySelectorAll('.items [role=option]').length"
    for name, value, expected in [
        ("words", "FINE film", 1),
        ("words", "nowhere", 0),
        ("label", "bad <i>", 1),
        ("right", "right", 1),
        ("right", "wrong", 1),
        ("right", "differ", 0),
        # one of the two is undefined
        ("low", "-1", 1),
        ("high", "-1", 0),
    ]:
        page.run(f"""(() => {{ const field = document.querySelector("[name={name}]");
            field.value = {json.dumps(value)}; field.dispatchEvent(new Event("input")); }})()""")
        assert page.run(count) == expected, (name, value)
        page.run(f"""(() => {{ const field = document.querySelector("[name={name}]");
            field.value = ""; field.dispatchEvent(new Event("input")); }})()""")
    assert page.run(count) == 2


def test_tables_sort_and_filter_and_lead_to_their_rows(shown):
    duckdb = pytest.importorskip("duckdb")
    page, path, made = shown
    page.open(path)
    estimates = "[...document.querySelectorAll('#table-cells-of-the-claims tbody td:nth-child(10)')].map((one) => parseFloat(one.textContent))"
    page.run("document.querySelector('a[data-cells]').click()")
    assert len(page.run(estimates)) == 25
    page.run(
        "document.querySelector('#table-cells-of-the-claims th:nth-child(10)').click()"
    )
    page.run(
        "document.querySelector('#table-cells-of-the-claims th:nth-child(10)').click()"
    )
    largest = page.run(estimates)
    assert largest == sorted(largest, reverse=True) and largest[0] == pytest.approx(
        29 / 7 - 2, abs=1e-3
    )
    # of a verdict only its claims
    page.run("document.querySelector('button[data-verdict=supported]').click()")
    assert page.run("document.querySelectorAll('#claims-told tbody tr').length") == 1
    queries = page.run(
        "[...document.querySelectorAll('button[data-query]')].map((one) => one.dataset.query)"
    )
    before = Path.cwd()
    os.chdir(made.folder)
    try:
        for query in queries:
            if "claims.parquet" in query:
                rows = duckdb.sql(query).fetchall()
                assert (
                    len(rows)
                    == (1 if "claim" in query.partition("WHERE")[2] else len(rows))
                    > 0
                )
    finally:
        os.chdir(before)
    assert len(queries) > 25


CELLS = "document.getElementById('table-cells-of-the-claims')"


def filtered(page, **fields: str) -> list[str]:
    """The data sets of the cells that are shown when columns are filtered."""
    for name, value in fields.items():
        page.run(f"""(() => {{
            const field = {CELLS}.querySelector("[aria-label='Filter by {name}']");
            field.value = {json.dumps(value)}; field.dispatchEvent(new Event("input")); }})()""")
    return page.run(
        f"[...{CELLS}.tBodies[0].querySelectorAll('td:nth-child(2)')].map((one) => one.textContent)"
    )


def test_columns_are_filtered_by_a_choice_words_and_numbers(shown):
    page, path, _ = shown
    page.open(path)
    page.run(f"{CELLS}.closest('details').open = true")
    page.wait_for(f"{CELLS}.querySelector('.filters')")
    # 1.000 is shown of the first, and is not above it
    assert filtered(page, estimate=">1 <1.5") == ["set22", "set23", "set24"]
    assert filtered(page, estimate=">=1 <=1.143") == ["set21", "set22"]
    assert filtered(page, estimate="=-2.000 [0.1") == ["set0"]
    assert filtered(page, estimate="nothing") == []
    assert len(filtered(page, estimate="")) == 25
    # a name that others begin with is one name
    assert filtered(page, dataset="set2") == ["set2"]
    (query,) = page.run(
        f"[...{CELLS}.tBodies[0].querySelectorAll('button[data-query]')].map((one) => one.dataset.query)"
    )
    assert "\"dataset\" = 'set2'" in query
    assert filtered(page, claim="") == ["set2"]
    assert len(filtered(page, dataset="")) == 25
    assert page.errors == []


def test_tables_are_sorted_and_verdicts_chosen_by_keys(shown):
    page, path, _ = shown
    page.open(path)
    first = "document.querySelector('#claims-told tbody td:nth-child(3)').textContent"
    assert page.run(first).startswith("0.200")
    page.run(
        "document.querySelector('#claims-told th:nth-child(3) [tabindex]').focus()"
    )
    page.press("Enter")
    page.wait_for(f"{first}.startsWith('-1.500')")
    page.run("document.querySelector('button[data-verdict=supported]').focus()")
    rows = "document.querySelectorAll('#claims-told tbody tr').length"
    for pressed, number in (("true", 1), ("false", 2)):
        page.press("Enter")
        page.wait_for(
            f"{rows} === {number} && document.activeElement.ariaPressed === '{pressed}'"
        )


def test_the_chart_of_claims_shows_each_beside_its_bound(shown):
    page, path, _ = shown
    page.open(path)
    assert page.run("document.querySelectorAll('#claim-chart .chart').length") == 0
    page.run("document.getElementById('claim-chart').open = true")
    page.wait_for("document.querySelector('#claim-chart svg .mark-symbol path')")
    points = page.run(
        "JSON.parse(document.querySelector('#claim-chart .chart').dataset.points)"
    )
    assert points == [
        ["weak", pytest.approx(0.2 - 0.5), "supported"],
        ["strong", pytest.approx(-1.5 - 0.5), "undecided"],
    ]
    # of the second rule there are two bounds
    ticks = "document.querySelectorAll('#claim-chart .mark-rect.role-mark path').length"
    assert page.run(ticks) == 1
    # told apart without colours
    shapes = page.run("""[...document.querySelectorAll(
        "#claim-chart .mark-group .mark-symbol.role-mark path")].map((one) => one.getAttribute("d"))""")
    assert len(set(shapes)) == len(shapes) == 2
    assert page.errors == []


# Counts what is unpacked and which long texts are parsed.
COUNTED = """window.unpacked = 0; window.parsed = 0;
window.DecompressionStream = class extends DecompressionStream {
    constructor(...given) { super(...given); window.unpacked += 1; }
};
const parse = JSON.parse;
JSON.parse = (text, ...given) => {
    if (text === document.getElementById("explorer-index")?.textContent) window.parsed += 1;
    return parse(text, ...given);
};"""


def test_instances_are_read_when_they_are_looked_at(shown):
    page, path, _ = shown
    read = "[window.parsed, window.unpacked]"
    page.look(1440, 200)
    with page.before(COUNTED):
        page.open(path)
        assert page.run(read) == [0, 0]
        assert page.run("document.querySelectorAll('.filters').length") == 1
        page.run("document.getElementById('explorer').scrollIntoView()")
        page.wait_for("document.querySelector('.view')?.dataset.ready")
        # one of all instances
        assert page.run(read) == [1, 1]
    page.look(1440, 900)


def test_a_query_of_the_explorer_finds_the_weights(shown):
    duckdb = pytest.importorskip("duckdb")
    page = view(shown)
    queries = page.run(
        "[...document.querySelectorAll('#explore button[data-query]')].map((one) => one.dataset.query)"
    )
    before = Path.cwd()
    os.chdir(shown[2].folder)
    try:
        assert [len(duckdb.sql(query).fetchall()) > 0 for query in queries] == [
            True
        ] * len(queries)
    finally:
        os.chdir(before)
    # of two runs three rows each and the influence, a cut, and the agreement of all
    assert len(queries) == 2 * 4 + 1 + 1


@pytest.mark.parametrize(("width", "dark"), [(375, False), (1440, True)])
def test_it_can_be_read_by_all(shown, width, dark):
    axe = pytest.importorskip(
        "axe_core_python", reason="no axe-core-python is installed"
    )
    page, *_ = shown
    page.look(width, 900, dark)
    for dataset, item in VIEWS:
        view(shown, dataset=dataset, item=item)
        page.run(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        )
        # nothing but what scrolls in its own box is wider than the window
        assert page.run("document.documentElement.scrollWidth") <= width
        page.run(
            (resources.files(axe) / "axe.min.js").read_text(encoding="utf-8") + "; 0"
        )
        # the rest of the page is the same at every view
        part = "document" if dataset == "texts" else "'#explore'"
        found = page.run(f"axe.run({part}).then((found) => found.violations)")
        serious = [
            (one["id"], [node["html"] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
