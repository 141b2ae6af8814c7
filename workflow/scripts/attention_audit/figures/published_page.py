"""What pages of published experiments share: reading their files, words and tables.

What a page says in numbers, counts and verdicts is computed from rows of these tables; a
verdict is told in the words of the table of claims.
"""

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from attention_audit.figures.published import CELL, PROVENANCE
from attention_audit.records.errors import AuditError
from attention_audit.records.provenance import file_digest
from attention_audit.records.tables import read_json
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS

Row = dict[str, Any]

# Names, which a number could be taken for.
_TEXT = [*CELL, "name", "seeds", "settings", "base", "change", "note", "left_out"]

# How a rule is told of an estimate.
_RULES = {
    "below": "below {:g}",
    "above": "above {:g}",
    "within": "within {:g} of 0",
    "outside": "farther than {:g} from 0",
}

# Cells that are named one by one, at most.
NAMED = 6


@dataclass(frozen=True)
class Files:
    """The tables of a folder by name, null as None, and what its provenance.json says."""

    folder: Path
    tables: dict[str, list[Row]]
    made: Mapping[str, Any]


def read(folder: str | Path) -> Files:
    """What was kept in a folder.

    Raises `AuditError` where a file is not the one that provenance.json has.
    """
    folder = Path(folder)
    made = read_json(folder / PROVENANCE)
    found: dict[str, list[Row]] = {}
    for name, file in made["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != file["sha256"]:
            raise AuditError(
                f"{path}: not the file whose sha256 {PROVENANCE} has. Collect the tables "
                "anew, or take both from the same commit."
            )
        if path.suffix == ".csv":
            rows = pd.read_csv(
                path,
                dtype=dict.fromkeys(_TEXT, str),
                keep_default_na=False,
                na_values=[""],
            ).astype(object)
            found[path.stem] = rows.where(rows.notna(), None).to_dict("records")
    return Files(folder, found, made)


# --- words ------------------------------------------------------------------------


def number(value: float | None, signed: bool = False) -> str:
    """Three decimals; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(row: Row, column: str = "estimate") -> str:
    """An estimate with its interval, where it has one."""
    if row[column] is None or row["low"] is None:
        return number(row[column])
    return f"{row[column]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def called(name: str) -> str:
    """A name in words."""
    return name.replace("_", " ")


def ends(row: Row, digits: int) -> str:
    """A mean over seeds, with the lowest and highest of several."""
    mean, low, high = (f"{row[c]:.{digits}f}" for c in ("mean", "lowest", "highest"))
    return mean if row["n_seeds"] == 1 else f"{mean} ({low} to {high})"


def listed(words: Iterable[str]) -> str:
    """Words with commas, and the last behind "and"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, word: str) -> str:
    """A number and a noun, with s for more than one."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of Markdown; numbers are told before."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def told(claim: Row, cells: Sequence[Row]) -> str:
    """What a claim comes to, over all cells and among them.

    ``cells`` are those of all claims. Cells that are decided otherwise than the claim are
    named where they are few.
    """
    if claim["verdict"] == NOT_TESTED:
        return f"**{NOT_TESTED}** ({claim['note']})"
    own = [cell for cell in cells if cell["claim"] == claim["claim"]]
    estimates = [cell["estimate"] for cell in own]
    rule = _RULES[claim["side"]].format(claim["bound"])
    anywhere = " in some cell" if claim["holds"] == "somewhere" else ""
    said = (
        f"**{claim['verdict']}**. The mean over cells is {interval(claim)}, where the rule "
        f"is {rule}{anywhere}; a cell's is from {number(min(estimates))} to "
        f"{number(max(estimates))}. Of {counted(claim['n_cells'], 'cell')}, "
        f"{claim['n_supported']} support it, {claim['n_contradicted']} contradict it and "
        f"{claim['n_undecided']} are undecided"
    )
    for verdict in ("supported", "contradicted"):
        other = [cell for cell in own if cell["verdict"] == verdict]
        if verdict != claim["verdict"] and 0 < len(other) <= NAMED:
            several = len({cell["scorer"] for cell in own}) > 1
            named = (
                f"{_cell(cell, several)} ({number(cell['estimate'])})" for cell in other
            )
            said += f"; {verdict} in {'; '.join(named)}"
    return said


def _cell(cell: Row, several: bool) -> str:
    """A cell in words, and what it is of where claims are of several.

    Its scorer is named where there are ``several``.
    """
    axes = [axis for axis in CELL if axis != "scorer" or several]
    about = [cell[axis] for axis in axes]
    of = cell["reference"] or cell["subject"]
    return ", ".join([*about, of.replace("_", " ")] if of else about)


# --- tables -----------------------------------------------------------------------


def experiment_table(experiments: Iterable[Row]) -> str:
    """Models, seeds and audited texts of each experiment."""
    return table(
        ["experiment", "models", "seeds", "audited texts", "of these for influence"],
        (
            [
                f"`{row['experiment']}`",
                row["n_runs"],
                row["seeds"],
                row["instances"],
                row["instances_influence"],
            ]
            for row in experiments
        ),
    )


def absent(experiment: Row) -> list[str]:
    """The data sets that an experiment went without, for lack of their files."""
    return (experiment["left_out"] or "").split()


def grid_table(cells: Sequence[Row]) -> str:
    """Of each data set and model the normalizers that ran, and those left out."""
    found: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for cell in cells:
        key = tuple(cell[axis] for axis in CELL[:-1])
        ran, out = found.setdefault(key, ([], []))
        (ran if cell["seeds"] else out).append(cell["normalizer"])
    return table(
        ["data set", "encoder", "scorer", "normalizers", "left out"],
        (
            [*key, ", ".join(ran) or "–", ", ".join(out) or "–"]
            for key, (ran, out) in found.items()
        ),
    )


def by_cell(rows: Iterable[Row]) -> dict[tuple, Row]:
    """Rows of which each is of another cell, by its names."""
    return {tuple(row[axis] for axis in CELL): row for row in rows}


def accuracies(scores: Iterable[Row]) -> dict[tuple, Row]:
    """The rows of the table of scores that are about accuracy, by cell."""
    return by_cell(row for row in scores if row["metric"] == "accuracy")


def score_table(cells: Sequence[Row], scores: Sequence[Row]) -> str:
    """Accuracy, a row a data set and model and a column a normalizer.

    Both in the order of ``cells``.
    """
    means = {cell: number(row["mean"]) for cell, row in accuracies(scores).items()}
    names = list(dict.fromkeys(cell["normalizer"] for cell in cells))
    ran = [cell for cell in cells if cell["seeds"]]
    models = dict.fromkeys(tuple(cell[axis] for axis in CELL[:-1]) for cell in ran)
    return table(
        ["data set", "encoder", "scorer", *names],
        ([*model, *(means.get((*model, n), "–") for n in names)] for model in models),
    )


def cell_table(cells: Sequence[Row], columns: Mapping[str, Mapping[tuple, str]]) -> str:
    """A row a cell that ran, in the order of ``cells``; columns hold a text a cell.

    A dash where a column has none. Scorers are named where cells differ in them alone.
    """
    ran = by_cell(cell for cell in cells if cell["seeds"])
    axes = cell_axes(ran)
    shown = [CELL.index(axis) for axis in axes]
    return table(
        [*(axis.replace("dataset", "data set") for axis in axes), *columns],
        (
            [*(key[i] for i in shown), *(one.get(key, "–") for one in columns.values())]
            for key in ran
        ),
    )


def cell_axes(keys: Collection[tuple]) -> list[str]:
    """The names that tell cells apart: without the scorer, where they do."""
    place = CELL.index("scorer")
    without = {(*key[:place], *key[place + 1 :]) for key in keys}
    return [axis for axis in CELL if axis != "scorer" or len(without) < len(keys)]


def means_table(cells: Sequence[Row], rows: Sequence[Row], column: str) -> str:
    """Means with intervals: a row a cell that ran, a column a value of ``column``.

    ``rows`` are of one measure.
    """
    names = sorted({row[column] for row in rows})
    columns = {
        called(name): {
            key: interval(row, "mean")
            for key, row in by_cell(row for row in rows if row[column] == name).items()
        }
        for name in names
    }
    return cell_table(cells, columns)


def tests_table(
    cells: Sequence[Row],
    rows: Sequence[Row],
    tests: Mapping[str, str],
    of_several: Mapping[str, str],
) -> str:
    """Means of the tests of attention as explanation, a row a cell.

    ``tests`` holds in order what each measure is called, and ``of_several`` the column by
    whose values, subjects or references, one is told of several.
    """

    def head(row: Row) -> str:
        label, column = tests[row["measure"]], of_several.get(row["measure"])
        return label if column is None else f"{label}: {called(row[column])}"

    columns: dict[str, dict[tuple, str]] = {}
    for row in sorted(rows, key=lambda row: list(tests).index(row["measure"])):
        key = tuple(row[axis] for axis in CELL)
        columns.setdefault(head(row), {})[key] = number(row["mean"])
    return cell_table(cells, columns)


def claim_table(claims: Sequence[Row], confidence: float) -> str:
    """Every claim over all cells."""

    def row(claim: Row) -> list[str]:
        tested = claim["verdict"] != NOT_TESTED
        counts = ", ".join(str(claim[f"n_{verdict}"]) for verdict in VERDICTS)
        anywhere = ", in some cell" if claim["holds"] == "somewhere" else ""
        return [
            claim["text"],
            claim["source"],
            interval(claim) if tested else "–",
            claim["rule"] + anywhere,
            claim["verdict"] if tested else f"{NOT_TESTED}: {claim['note']}",
            counts if tested else "–",
        ]

    estimate = f"estimate [{confidence:.0%} interval]"
    counted = f"cells {', '.join(VERDICTS)}"
    return table(
        ["claim", "source", estimate, "rule", "verdict", counted], map(row, claims)
    )


def source_table(made: Mapping[str, Any]) -> str:
    """A row a source: its digests, in part, and the files that are made of it."""

    def short(value: str | None) -> str:
        return f"`{value[:12]}`" if value else "–"

    return table(
        ["made from", "sha256", "code or commit", "config", "seeds", "makes"],
        (
            [
                f"`{source}`",
                short(about["sha256"]),
                short(about.get("code") or about.get("commit")),
                short(about.get("config")),
                " ".join(map(str, about.get("seeds", []))) or "–",
                ", ".join(
                    name
                    for name, file in made["files"].items()
                    if source in file["from"]
                ),
            ]
            for source, about in made["sources"].items()
        ),
    )


# --- the page ---------------------------------------------------------------------


def rendered(
    template_path: str | Path, files: Files, roles: Iterable[str], **more: Any
) -> str:
    """A page as Markdown, of a template and of what it may ask for.

    That is what all pages have, cells by role among it, and ``more``, with ``tables``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(template_path).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "listed": listed,
        "counted": counted,
    }
    experiments = {row["role"]: row for row in files.tables["experiments"]}
    (first, *_) = experiments.values()
    cells = {
        role: [cell for cell in files.tables["cells"] if cell["role"] == role]
        for role in roles
    }
    written = environment.get_template(Path(template_path).name).render(
        folder=files.folder.name,
        made=files.made,
        figures=[name for name in files.made["files"] if name.endswith(".png")],
        experiments=experiments,
        percent=f"{first['confidence']:.0%}",
        cells=cells,
        told=told,
        not_tested=NOT_TESTED,
        absent=absent,
        experiment_table=experiment_table,
        grid_table=grid_table,
        score_table=score_table,
        claim_table=claim_table,
        means_table=means_table,
        source_table=source_table,
        **more,
    )
    # parts that are not there leave no gaps
    blocks = re.split(r"\n{2,}", written.strip("\n"))
    return "\n\n".join(map(_wrapped, blocks)) + "\n"


def _wrapped(block: str) -> str:
    """A paragraph in lines of one width; headings, tables, lists and code as they are."""
    if block.startswith(("#", "|", "-", "!", " ")):
        return block
    return textwrap.fill(block, 88, break_long_words=False, break_on_hyphens=False)
