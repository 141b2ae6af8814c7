"""The page that people look at: figures with captions, and the main tables."""

import base64
import hashlib
import html
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup
from PIL import Image

from attention_audit.figures.catalogue import (
    CATEGORIES,
    OTHER,
    PAGE_SOURCES,
    category_of,
)
from attention_audit.figures.explorer import embedded
from attention_audit.figures.libraries import Libraries
from attention_audit.figures.scores import LABELS, scores_on_test
from attention_audit.records.tables import atomic_path
from attention_audit.statistics.controls import by_cut, cut_name, is_control

CELL = ["dataset", "encoder", "scorer", "normalizer"]

# After a number of whose row the statistics have something to say, by column.
MARKS = {"note": " †", "by_construction": " ‡"}


# In which order they are counted on the page; others follow.
VERDICTS = ("supported", "contradicted", "undecided")
# The widest picture of a figure, in pixels: twice what a page of 1440 shows.
WIDEST = 1800


def sql(source: str, /, **where: Any) -> str:
    """A query of duckdb for rows of a table; a value that is missing is asked for as null."""

    def condition(name: str, value: Any) -> str:
        if value is None or pd.isna(value):
            return f'"{name}" IS NULL'
        text = str(value).replace("'", "''")
        return (
            f"\"{name}\" = '{text}'" if isinstance(value, str) else f'"{name}" = {text}'
        )

    wanted = " AND ".join(condition(name, value) for name, value in where.items())
    return f"SELECT * FROM '{source}'" + (f" WHERE {wanted}" if wanted else "")


def caption_html(text: str) -> str:
    """The little of reStructuredText that captions use: bold runs and literals."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    escaped = re.sub(r"``(.+?)``", r"<code>\1</code>", escaped)
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)


def _sorted(rows: pd.DataFrame, order: Mapping[str, Any]) -> pd.DataFrame:
    """Rows in the order of the config along every axis."""
    rank = {
        column: {name: i for i, name in enumerate(order[f"{column}s"])}
        for column in CELL
    }
    return rows.sort_values(
        CELL, key=lambda values: values.map(rank[values.name]), kind="stable"
    )


def _with_interval(row: pd.Series, value: str = "mean") -> str:
    if pd.isna(row[value]):
        return "–"
    if pd.isna(row["low"]):
        return f"{row[value]:.3f}"
    return f"{row[value]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _marked(row: pd.Series, text: str) -> str:
    return text + "".join(mark for name, mark in MARKS.items() if pd.notna(row[name]))


def _notes(rows: pd.DataFrame) -> str:
    """What the marks in a table of ``rows`` stand for."""
    said = {
        "note": sorted(rows["note"].dropna().unique()),
        "by_construction": [
            f"agrees by construction ({reason})"
            for reason in sorted(rows["by_construction"].dropna().unique())
        ],
    }
    return "".join(f"{MARKS[name]} {'; '.join(w)}." for name, w in said.items() if w)


def _over(rows: pd.DataFrame) -> str:
    """What the intervals of ``rows`` are over, and by which method they came."""
    found = set(rows["interval_over"].dropna())
    if not found:
        return "nothing: no cell has several instances"
    methods = sorted(
        name.replace("_", " ") for name in set(rows["interval_method"].dropna())
    )
    over = (
        "instances and, where there are several, seeds"
        if len(found) > 1
        else found.pop()
    )
    return f"{over} (Student's t; variance: {', '.join(methods)})"


def _families(rows: pd.DataFrame) -> str:
    """Which comparisons are corrected together, and what the verdicts go by."""
    tested = rows[rows["p"].notna()]
    said = [
        f"{family} ({size} comparisons)"
        for family, size in dict.fromkeys(
            zip(tested["family"], tested["family_size"], strict=True)
        )
    ]
    if not said:
        return "Too few seeds for a test: the sign of each stands instead of p."
    smallest = ", ".join(f"{one:g}" for one in sorted(set(tested["smallest_effect"])))
    return (
        f"Families: {'; '.join(said)}. Equivalent is what is surely smaller than "
        f"{smallest} (negligible where it differs from 0 as well)."
    )


def _wide(
    rows: pd.DataFrame,
    column: str,
    values: Sequence[str],
    order: Mapping[str, Any],
    text: pd.Series,
) -> tuple[list[str], list[list[str]]]:
    """One row a cell of the grid and one column for each of ``values`` in ``column``.

    A row begins with the names of its cell.
    """
    if rows.empty:
        return list(CELL), []
    # Cells stay in the index: a method may have the name of one of its columns.
    wide = rows.assign(text=text).pivot(index=CELL, columns=column, values="text")
    wide = wide.reindex(
        pd.MultiIndex.from_frame(_sorted(wide.index.to_frame(index=False), order))
    ).fillna("–")
    wide = wide[[value for value in values if value in wide]]
    columns = [*CELL, *(name.replace("_", " ") for name in wide.columns)]
    return columns, [[*cell, *wide.loc[cell]] for cell in wide.index]


def _of_cells(source: str, rows: Sequence[Sequence[str]], **where: Any) -> dict:
    """Where a table of cells comes from: its own query, and one a row."""
    return {
        "source": source,
        "query": sql(source, **where),
        "queries": [
            sql(source, **where, **dict(zip(CELL, row, strict=False))) for row in rows
        ],
    }


def claim_table(
    claims: pd.DataFrame, figures: Sequence[str], confidence: float
) -> dict:
    """Every declared claim over all cells, with its verdict and where it comes from.

    ``figures`` are those on the page, which can be linked to.
    """
    source = "statistics/claims.parquet"

    def said(row: pd.Series) -> Markup:
        about = (
            f"{row['source']}. Rule: {row['rule']}, {row['holds'].replace('_', ' ')}."
        )
        if pd.notna(row["note"]):
            about += f" {row['note'][0].upper()}{row['note'][1:]}."
        return Markup("{}<br><small>{}</small>").format(row["text"], about)

    def counts(row: pd.Series) -> str:
        return " / ".join(
            f"{row[f'n_{verdict}']:.0f}"
            for verdict in ("supported", "contradicted", "undecided")
        )

    def links(row: pd.Series) -> str:
        # what decides a claim that is not tested need not be there
        if row["n_cells"] == 0:
            return "–"
        shown = Markup('<a href="../{}">{}</a>').format(
            row["evidence"], Path(row["evidence"]).stem
        )
        if row["figure"] in figures:
            shown += Markup(', <a href="#{}">figure</a>').format(row["figure"])
        return shown + Markup(', <a href="#tables" data-cells="{}">cells</a>').format(
            row["claim"]
        )

    rows = claims[claims["n_cells"].notna()]
    return {
        "source": source,
        "query": f"{sql(source)} WHERE n_cells IS NOT NULL",
        "queries": [
            f"{sql(source, claim=claim)} AND n_cells IS NOT NULL"
            for claim in rows["claim"]
        ],
        "title": "Claims",
        # the claims are to be seen first
        "brief": True,
        "text": "What was said of attention, each claim with the rule that it is held "
        "against: on average over the cells of this grid (data set, "
        "model, normalizer, and what these are measured against), or somewhere among "
        f"them. In brackets the {confidence:.0%} interval of the average. Undecided is no "
        "finding, and all that fewer than three seeds can come to. Cells are counted as "
        "supported, contradicted, undecided. Each of them stands in "
        "statistics/claims.parquet and in the figure below; docs/statistics.md says how "
        "they are judged.",
        "columns": ["claim", "verdict", "estimate", "cells", "seeds", "from"],
        "rows": [
            [
                said(row),
                row["verdict"],
                _with_interval(row, "estimate"),
                counts(row),
                "–" if pd.isna(row["n_seeds"]) else f"{row['n_seeds']:.0f}",
                links(row),
            ]
            for _, row in rows.iterrows()
        ],
        "names": 0,
        "wrapped": ["claim"],
        "points": _points(rows[rows["estimate"].notna()]),
    }


def _points(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What a chart of claims needs of each, numbers that are missing as None."""
    numbers = ["estimate", "low", "high", "bound"]
    found = rows[["claim", "text", "rule", "side", "verdict", *numbers]].astype(object)
    return found.where(found.notna(), None).to_dict("records")


def claim_cell_table(claims: pd.DataFrame, confidence: float) -> dict:
    """Every claim in every cell behind it."""
    source = "statistics/claims.parquet"
    rows = claims[claims["n_cells"].isna()]
    of = [*CELL, "measure", "subject", "reference", "less"]
    return {
        "source": source,
        "query": sql(source, n_cells=None),
        "queries": [
            sql(source, n_cells=None, **{name: row[name] for name in ("claim", *of)})
            for _, row in rows.iterrows()
        ],
        "title": "Cells of the claims",
        "text": "Each claim in each cell of the grid, with what is measured there and the "
        f"{confidence:.0%} interval. What is compared is less the cell under 'less'.",
        "columns": ["claim", *of, "estimate", "bound", "verdict"],
        "rows": [
            [
                row["claim"],
                *("–" if pd.isna(row[name]) else row[name] for name in of),
                _with_interval(row, "estimate"),
                f"{row['bound']:g}",
                row["verdict"],
            ]
            for _, row in rows.iterrows()
        ],
        "names": 1 + len(of),
    }


def score_table(task: pd.DataFrame, order: Mapping[str, Any]) -> dict:
    """Test scores, mean over seeds with their range where there are several."""
    test = task[task["split"] == "test"]
    of_scores = ["pearson", "concordance", "absolute_error"]
    metrics = ["accuracy", "macro_f1", *of_scores]
    rows = test[test["metric"].isin(metrics)]
    by_seed = rows.groupby([*CELL, "metric"])["value"]
    grouped = by_seed.agg(["count", "mean", "min", "max"]).reset_index()

    def text(row: pd.Series) -> str:
        mean = f"{row['mean']:.3f}"
        if row["count"] < 2:
            return mean
        return f"{mean} [{row['min']:.3f}, {row['max']:.3f}]"

    written = grouped.apply(text, axis=1)
    columns, values = _wide(grouped, "metric", metrics, order, written)
    several = (grouped["count"] > 1).any()
    absent = test[test["metric"] == "classes_absent"]
    absent = absent.groupby("dataset")["value"].max()
    lacking = "; ".join(f"{name} {n:.0f}" for name, n in absent[absent > 0].items())
    return {
        **_of_cells("statistics/task.parquet", values, split="test"),
        "title": "Task scores",
        "text": "Test split: "
        + (
            "mean over seeds, and the lowest and highest seed."
            if several
            else "one seed."
        )
        + (
            " Classes without an instance in test, which macro F1 leaves out unless they are "
            f"predicted: {lacking}."
            if lacking
            else ""
        )
        + (
            " Pearson's correlation and concordance are those within a recording, the mean "
            "over recordings."
            if set(of_scores) & set(rows["metric"])
            else ""
        ),
        "columns": columns,
        "rows": values,
        "names": len(CELL),
    }


def cost_table(
    task: pd.DataFrame,
    sizes: pd.DataFrame,
    speed: pd.DataFrame,
    order: Mapping[str, Any],
) -> dict:
    """What a decision costs beside the score on test, means over seeds."""
    scores, _ = scores_on_test(task, "accuracy")
    costs = sizes.merge(speed, on=[*CELL, "seed"], suffixes=("", "_timed"))
    shown = {
        "parameters": "{:,.0f}",
        "trainable_parameters": "{:,.0f}",
        "multiply_adds": "{:,.0f}",
        "decisions_per_second": "{:,.0f}",
        "value": "{:.3f}",
    }
    means = scores.merge(costs, on=[*CELL, "seed"]).groupby(CELL)[list(shown)].mean()
    means = _sorted(means.reset_index(), order)
    return {
        **_of_cells("statistics/sizes.parquet", means[CELL].to_numpy().tolist()),
        "title": "What models cost",
        "text": "Means over seeds. Multiply-adds are those of a decision in matrix "
        "products and convolutions, without padding; decisions per second of processor "
        "time are measured, on one thread, and differ from one time to the next.",
        "columns": [
            *CELL,
            *(name.replace("_", " ") for name in shown if name != "value"),
            " or ".join(LABELS[name] for name in LABELS if name in {*scores["metric"]}),
        ],
        "rows": [
            [*(row[column] for column in CELL)]
            + [look.format(row[name]) for name, look in shown.items()]
            for _, row in means.iterrows()
        ],
        "names": len(CELL),
    }


def agreement_table(
    summary: pd.DataFrame, order: Mapping[str, Any], confidence: float
) -> dict:
    """Kendall's tau-b of attention with every importance."""
    rows = summary[
        (summary["measure"] == "kendall_tau_b")
        & (summary["subject"] == "attention")
        & ~summary["normalizer"].map(is_control)
    ]
    text = rows.apply(lambda row: _marked(row, _with_interval(row)), axis=1)
    columns, values = _wide(rows, "reference", order["methods"], order, text)
    of = {"measure": "kendall_tau_b", "subject": "attention"}
    return {
        **_of_cells("statistics/summary.parquet", values, **of),
        "title": "Agreement of attention with importance",
        "text": "Kendall's tau-b, mean over instances and seeds, with a "
        f"{confidence:.0%} interval over {_over(rows)}.{_notes(rows)}",
        "columns": columns,
        "rows": values,
        "names": len(CELL),
    }


def difference_table(
    comparison: pd.DataFrame,
    order: Mapping[str, Any],
    reference: str,
    correction: str,
    contrast: str = "normalizer",
) -> dict:
    """Each normalizer's agreement less that of the reference normalizer.

    Or a part of it: with the contrast "cut" what the reference loses by being cut to the
    support of a normalizer, with "beyond_cut" what remains between the two.
    A cell has its difference, interval, corrected p and verdict; the signs of its seeds
    instead of the last two where these are too few for a test.
    """
    rows = comparison[
        (comparison["measure"] == "kendall_tau_b")
        & (comparison["subject"] == "attention")
        & (comparison["contrast"] == contrast)
    ]
    # whatever the side, a row is about the normalizer that was cut to
    rows = rows.assign(normalizer=rows["normalizer"].replace(by_cut(comparison)))

    def text(row: pd.Series) -> str:
        p = row["p_corrected"]
        if pd.isna(p):
            signs = row["seed_signs"]
            test = "" if pd.isna(signs) else f", seeds {signs.replace('-', '−')}"
        else:
            test = f", p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}, {row['verdict']}"
        return _marked(row, _with_interval(row, "difference") + test)

    titles = {
        "normalizer": f"Agreement less that of {reference}",
        "cut": f"Of this, what cutting {reference} does",
        "beyond_cut": f"Of this, what remains beyond the cut of {reference}",
    }
    said = {
        "normalizer": "",
        "cut": f"{reference}, cut afterwards to the largest weights, as many as the "
        f"normalizer has in the same instance, less {reference} uncut: arithmetic. ",
        "beyond_cut": f"The normalizer less {reference} cut to its support: what training "
        "with it did. ",
    }
    written = rows.apply(text, axis=1)
    columns, values = _wide(rows, "reference", order["methods"], order, written)
    source = "statistics/comparison.parquet"
    of = {"measure": "kendall_tau_b", "subject": "attention", "contrast": contrast}
    stands = [
        [*row[:3], cut_name(reference, row[3]) if contrast == "cut" else row[3]]
        for row in values
    ]
    return {
        **_of_cells(source, stands, **of),
        "title": titles[contrast],
        "text": f"{said[contrast]}Paired by instance and seed. The interval is over "
        f"{_over(rows)}, and p from the same model, corrected by the method "
        f"'{correction}'. {_families(rows)}{_notes(rows)}",
        "columns": columns,
        "rows": values,
        "names": len(CELL),
    }


def recorded_table(recorded: pd.DataFrame, order: Mapping[str, Any]) -> dict:
    """What papers recorded, beside ours."""
    rows = recorded.assign(
        of=[
            " ".join(a for a in about if pd.notna(a)).replace("_", " ")
            for about in zip(
                recorded["measure"],
                recorded["subject"],
                recorded["reference"],
                strict=True,
            )
        ]
    )
    rows = _sorted(rows, order)
    source = "statistics/recorded.parquet"
    keys = ["source", *CELL, "measure", "subject", "reference"]
    return {
        "source": source,
        "query": sql(source),
        "queries": [sql(source, **row) for row in rows[keys].to_dict("records")],
        "title": "Beside what papers recorded",
        "text": "Ours less the recorded number, with the interval of ours; a paper's own "
        "is not on record.",
        "columns": ["source", *CELL, "measure", "recorded", "ours", "difference"],
        "rows": [
            [
                row["source"],
                *(row[column] for column in CELL),
                row["of"],
                f"{row['recorded']:.3f}",
                f"{row['mean']:.3f}",
                _with_interval(row, "difference"),
            ]
            for _, row in rows.iterrows()
        ],
        "names": len(CELL) + 2,
    }


def example_table(examples: pd.DataFrame, order: Mapping[str, Sequence[str]]) -> dict:
    """The text of every cell that disagrees most, as its first seed reads it.

    By the first method of the config: one text stands for the many of the table.
    """
    method = next(iter(order["methods"]), "importance")
    rows = examples[
        (examples["reference"] == method)
        & (examples["extreme"] == "worst")
        & (examples["rank"] == 1)
    ]
    rows = rows[rows["seed"] == rows.groupby(CELL)["seed"].transform("min")]
    rows = _sorted(rows, order)
    name = method.replace("_", " ")
    of = {"reference": method, "extreme": "worst", "rank": 1}
    source = "statistics/examples.parquet"
    return {
        **_of_cells(source, rows[CELL].to_numpy().tolist(), **of),
        "title": "Where they disagree most",
        "text": f"The text with the lowest mean of Kendall's tau-b, over seeds, of "
        f"attention with {name}; prediction and words with the largest weights are those "
        "of the first seed. More of them, of every method and of either end, stand in "
        "examples.parquet.",
        "columns": [
            *CELL,
            "tau-b",
            "class",
            "predicted",
            "attention",
            f"by {name}",
            "text",
        ],
        "rows": [
            [
                *(row[column] for column in CELL),
                f"{row['mean']:.3f}",
                row["label"],
                row["predicted"],
                " ".join(row["attended"]),
                " ".join(row["important"]),
                " ".join(row["tokens"]),
            ]
            for row in rows.to_dict("records")
        ],
        "names": len(CELL),
        "wrapped": ["text"],
    }


def _decided(card: Mapping[str, Any]) -> str:
    """Classes, or reactions with how they are spread over the seconds of each split."""
    if "reactions" not in card:
        # where a decision is a word, there are as many as words
        return ", ".join(card.get("label_names", [])) or "words"
    splits = card["splits"]

    def spread(reaction: str, key: str, look: str) -> str:
        found = (one[key][reaction] for one in splits.values())
        return " / ".join(look.format(value) for value in found)

    told = [
        f"{reaction}: target on average {spread(reaction, 'target_mean', '{:.3f}')}"
        + (
            f", event in {spread(reaction, 'event_rate', '{:.1%}')} of seconds"
            if all("event_rate" in one for one in splits.values())
            else ""
        )
        for reaction in card["reactions"]
    ]
    seconds = " / ".join(f"{one['seconds']:,}" for one in splits.values())
    return "; ".join([f"{seconds} seconds", *told])


def _left_out(card: Mapping[str, Any]) -> dict[str, int]:
    """What was left out, of recordings parts of them too."""
    return card["dropped"] | (card["left_out"] if "reactions" in card else {})


def data_table(cards: Sequence[Mapping[str, Any]]) -> dict:
    """What each data set holds and what was dropped."""
    rows = [
        [
            card["name"],
            *(str(sum(card["counts"][s].values())) for s in ("train", "dev", "test")),
            _decided(card),
            ", ".join(f"{k} {v}" for k, v in _left_out(card).items()) or "nothing",
        ]
        for card in cards
    ]

    def rows_of(dataset: str) -> str:
        files = f"data/{dataset}/*.parquet".replace("'", "''")
        return (
            'SELECT filename, count(*) AS "rows" FROM read_parquet('
            f"'{files}', filename = true, union_by_name = true) GROUP BY filename"
        )

    return {
        "source": "data/",
        "query": rows_of("*"),
        "queries": [rows_of(card["name"]) for card in cards],
        "title": "Data",
        "text": " ".join(
            [
                "Instances a split, what is decided of them, and what was left out by reason.",
                *(
                    f"{card['name']}: {card['note']}"
                    for card in cards
                    if card.get("note")
                ),
            ]
        ),
        "columns": ["dataset", "train", "dev", "test", "decided", "left out"],
        "rows": rows,
        "names": 1,
        # lists, which may be long
        "wrapped": ["decided", "left out"],
    }


def _relative(path: str | Path, folder: Path) -> str:
    """A file's address in a page of ``folder``."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def picture_address(path: str | Path) -> tuple[str, int, int]:
    """A picture as an address that holds it, with its width and height in pixels.

    As WebP without loss, which takes a third of what the file of a chart does.
    """
    with Image.open(path) as picture:
        shown = picture.convert("RGB")
    if shown.width > WIDEST:
        height = round(shown.height * WIDEST / shown.width)
        shown = shown.resize((WIDEST, height), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    shown.save(held, "WEBP", lossless=True, quality=60, method=4)
    encoded = base64.b64encode(held.getvalue()).decode("ascii")
    return f"data:image/webp;base64,{encoded}", shown.width, shown.height


def _script(text: str) -> str:
    """A script that no page takes to end before it does."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """What the page may do: run these scripts and no others, and fetch nothing."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    allowed = allowed or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _figure(name: str, picture: str | Path, caption: str, folder: Path) -> dict:
    address, width, height = picture_address(picture)
    source = f"figures/{name}.parquet"
    return {
        "id": name,
        "name": name.replace("_", " "),
        "picture": address,
        "width": width,
        "height": height,
        "pdf": _relative(Path(picture).with_suffix(".pdf"), folder),
        "caption": Markup(caption_html(caption)),
        "source": source,
        "query": sql(source),
    }


def _by_category(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures that there are, under what they are about."""
    found = [
        {
            "name": c,
            "figures": [f for name, f in figures.items() if category_of(name) == c],
        }
        for c in (*CATEGORIES, OTHER)
    ]
    return [category for category in found if category["figures"]]


def write_page(
    sources: Mapping[str, str],
    experiment: Mapping[str, Any],
    figures: Mapping[str, tuple[str | Path, str]],
    tables: Sequence[Mapping[str, Any]],
    n_runs: int,
    order: Mapping[str, Any],
    path: str | Path,
    notice: str | None = None,
    libraries: Libraries | None = None,
    explorer: tuple[Mapping[str, Any], Sequence[str]] | None = None,
) -> None:
    """Write the page, which needs no other file and fetches none.

    ``sources`` are the texts of `PAGE_SOURCES` by name; ``experiment`` holds the contents
    of experiment.json and, under ``config``, the text of the whole config; ``figures`` maps a name to its picture's path and caption. ``notice`` stands
    above all, and over every page where it is printed. ``explorer`` is what
    `explorer.explorer_data` returns. Without ``libraries`` the page has no scripts: tables
    and figures can be read all the same.
    """
    path = Path(path)
    scripts, style = [], sources["page.css"]
    if libraries is not None:
        own = "\n".join(sources[name] for name in PAGE_SOURCES if name.endswith(".js"))
        scripts = [_script(text) for text in (*libraries.scripts, own)]
        style = f"{libraries.style}\n{style}"
    found = Counter(
        row[1] for row in tables[0]["rows"] if tables[0]["title"] == "Claims"
    )
    verdicts = {v: found.pop(v) for v in VERDICTS if v in found} | found
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["slug"] = _slug
    page = environment.from_string(sources["page.html"]).render(
        experiment=experiment,
        n_runs=n_runs,
        notice=notice,
        axes="; ".join(
            f"{axis} {', '.join(order[axis])}"
            for axis in ("datasets", "encoders", "scorers", "normalizers")
        ),
        results=path.parent.parent.as_posix(),
        verdicts=verdicts,
        points=Markup(embedded(tables[0].get("points", []))),
        categories=_by_category(
            {
                name: _figure(name, picture, caption, path.parent)
                for name, (picture, caption) in figures.items()
            }
        ),
        tables=tables,
        explorer=explorer
        and {"index": Markup(embedded(explorer[0])), "blocks": explorer[1]},
        scripts=[Markup(text) for text in scripts],
        style=Markup(style),
        policy=_policy(scripts),
        licences=[] if libraries is None else libraries.licences,
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
