"""The page of the study, of the files that `study.collect` keeps and a template.

What the page says in numbers, counts and verdicts is computed here or in the template
from rows of these tables; a verdict is told in the words of the table of claims.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from attention_audit.figures.study import CELL, PRESETS, PROVENANCE, RECORDED, STUDY
from attention_audit.records.errors import AuditError
from attention_audit.records.provenance import file_digest
from attention_audit.records.tables import read_json
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS

Row = dict[str, Any]

# Names, which a number could be taken for.
_TEXT = [*CELL, "name", "seeds", "settings", "base", "change", "note"]

# How a rule is told of an estimate.
_RULES = {
    "below": "below {:g}",
    "above": "above {:g}",
    "within": "within {:g} of 0",
    "outside": "farther than {:g} from 0",
}

# Cells that are named one by one, at most.
NAMED = 6

# What a difference comes to, in the order of the columns.
OUTCOMES = ("higher", "lower", "equivalent", "undecided")


def read(folder: str | Path) -> tuple[dict[str, list[Row]], Mapping[str, Any]]:
    """The tables by name, null as None, and provenance.json.

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
    return found, made


# Tables that the template may ask for; one that was not collected has no rows.
_NAMES = (
    "cells",
    "claim_cells",
    "claims",
    "comparison",
    "data",
    "explanation_claim_cells",
    "explanation_claims",
    "explanation_summary",
    "learning_curve",
    "learning_gain",
    "recorded",
    "scores",
    "settings",
    "summary",
)


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
            named = (f"{_cell(cell)} ({number(cell['estimate'])})" for cell in other)
            said += f"; {verdict} in {'; '.join(named)}"
    return said


def _cell(cell: Row) -> str:
    """A cell in words, and what it is of where claims are of several."""
    about = [cell["dataset"], cell["encoder"], cell["normalizer"]]
    of = cell["reference"] or cell["subject"]
    return ", ".join([*about, of.replace("_", " ")] if of else about)


def measured(row: Row) -> str:
    """What a recorded number is of."""
    if row["measure"] == "correct":
        return "accuracy"
    names = {"kendall_tau_b": "tau-b"}
    about = [row["subject"], row["reference"]]
    return (
        f"{names.get(row['measure'], row['measure'])}, "
        f"{listed(one.replace('_', ' ') for one in about if one)}"
    )


# --- views of the tables ----------------------------------------------------------


def data_table(data: Sequence[Row]) -> str:
    """Sizes and lengths of the data sets."""
    head = ["data set", "train", "dev", "test", "classes", "tokens at most", "median"]
    return table(
        [*head, "before the cut", "texts cut"],
        (
            [
                row["dataset"],
                *(f"{row[f'n_{split}']:,}" for split in ("train", "dev", "test")),
                row["n_classes"],
                row["max_length"],
                f"{row['tokens']:g}",
                f"{row['tokens_before_cut']:g}",
                f"{row['share_cut']:.1%}",
            ]
            for row in data
        ),
    )


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


def absent(cells: Sequence[Row]) -> list[str]:
    """The data sets of a grid of which nothing ran."""
    ran = {cell["dataset"] for cell in cells if cell["seeds"]}
    return list(dict.fromkeys(c["dataset"] for c in cells if c["dataset"] not in ran))


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


def gain_table(gains: Sequence[Row]) -> str:
    """What the second half of the training texts adds."""
    return table(
        ["data set", "encoder", "normalizer", "half", "all", "gain", "seeds"],
        (
            [
                *(row[axis] for axis in ("dataset", "encoder", "normalizer")),
                f"{row['n_half']:,}",
                f"{row['n_all']:,}",
                interval(row, "gain"),
                row["n_seeds"],
            ]
            for row in gains
        ),
    )


def score_table(cells: Sequence[Row], scores: Sequence[Row]) -> str:
    """Accuracy, a row a data set and model and a column a normalizer.

    Both in the order of ``cells``.
    """
    means = {
        tuple(row[axis] for axis in CELL): number(row["mean"])
        for row in scores
        if row["metric"] == "accuracy"
    }
    names = list(dict.fromkeys(cell["normalizer"] for cell in cells))
    ran = [cell for cell in cells if cell["seeds"]]
    models = dict.fromkeys(tuple(cell[axis] for axis in CELL[:-1]) for cell in ran)
    return table(
        ["data set", "encoder", "scorer", *names],
        ([*model, *(means.get((*model, n), "–") for n in names)] for model in models),
    )


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


def contrasts(comparison: Sequence[Row]) -> dict[str, Row]:
    """What sparse attention changes in agreement, and the two parts that a cut makes.

    By contrast: the plain mean over cells, its ends, and how many cells came to which
    of `OUTCOMES`. What agrees by construction is left out of all three, so that in each
    cell, and in the mean, the parts make up the whole.
    """
    wanted = ("normalizer", "cut", "beyond_cut")
    by_cell: dict[tuple, dict[str, Row]] = {}
    for row in comparison:
        key = (*(row[axis] for axis in CELL), row["reference"])
        by_cell.setdefault(key, {})[row["contrast"]] = row
    whole = [
        parts
        for parts in by_cell.values()
        if set(parts) == set(wanted)
        and all(
            row["by_construction"] is None and row["difference"] is not None
            for row in parts.values()
        )
    ]
    if not whole:
        return {}
    found = {}
    for contrast in wanted:
        rows = [parts[contrast] for parts in whole]
        differences = [row["difference"] for row in rows]
        outcomes = [_outcome(row) for row in rows]
        found[contrast] = {
            "n": len(rows),
            "left_out": len(by_cell) - len(whole),
            "mean": sum(differences) / len(rows),
            "lowest": min(differences),
            "highest": max(differences),
            **{name: outcomes.count(name) for name in OUTCOMES},
        }
    return found


def _outcome(row: Row) -> str:
    """One of `OUTCOMES`: which way it differs, or that it is surely small."""
    if row["verdict"] == "different":
        return "higher" if row["difference"] > 0 else "lower"
    if row["verdict"] in ("equivalent", "negligible"):
        return "equivalent"
    return "undecided"


def contrast_table(parts: Mapping[str, Row]) -> str:
    """The whole difference and its parts, see `contrasts`."""
    names = {
        "normalizer": "sparse attention less softmax",
        "cut": "of this, softmax cut to as many positions",
        "beyond_cut": "of this, beyond the cut",
    }
    return table(
        ["tau-b with importance of inputs", "cells", "mean", "by cell", *OUTCOMES],
        (
            [
                names[contrast],
                part["n"],
                number(part["mean"], signed=True),
                f"{part['lowest']:+.3f} to {part['highest']:+.3f}",
                *(part[outcome] for outcome in OUTCOMES),
            ]
            for contrast, part in parts.items()
        ),
    )


def of_gain(rows: Sequence[Row]) -> Row | None:
    """How many cells gain and lose for sure, and the ends of the gain; None of none."""
    if not rows:
        return None
    known = [row for row in rows if row["low"] is not None]
    return {
        "n": len(known),
        "gain": sum(row["low"] > 0 for row in known),
        "lose": sum(row["high"] < 0 for row in known),
        "lowest": min(row["gain"] for row in rows),
        "highest": max(row["gain"] for row in rows),
    }


_AXES_OF_CHANGES = ("dataset", "encoder")


def recorded_rows(recorded: Sequence[Row], settings: Sequence[Row]) -> list[Row]:
    """The recorded numbers of the models that vary nothing, each with what was tried.

    ``tried`` holds, for a number beyond its interval, the rows of the table whose data
    set or encoder, and nothing else, is a variant: by how much the change has ``moved``
    our number, and its ``outcome``. Where the recorded number is within the interval of
    the variant since that one is wider, and not since it is nearer, that is told apart.
    """
    variants = {
        (row["axis"], row["name"]): row
        for row in settings
        if row["role"] == RECORDED and row["base"]
    }

    def varied(row: Row) -> list[tuple[str, Row]]:
        named = ((axis, (axis, row[axis])) for axis in _AXES_OF_CHANGES)
        return [(axis, variants[key]) for axis, key in named if key in variants]

    def key(row: Row, **other: str) -> tuple:
        shown = row | other
        columns = [*CELL, "measure", "subject", "reference", "recorded", "source"]
        return tuple(shown[column] for column in columns)

    tried: dict[tuple, list[Row]] = {}
    for row in recorded:
        match varied(row):
            case [(axis, variant)]:
                tried.setdefault(key(row, **{axis: variant["base"]}), []).append(
                    row | {"name": variant["name"], "change": variant["change"]}
                )
    found = []
    for row in recorded:
        if varied(row):
            continue
        changes = [
            one | {"moved": one["mean"] - row["mean"], "outcome": _of_change(one, row)}
            for one in (tried.get(key(row), []) if row["beyond"] else ())
        ]
        found.append(row | {"tried": changes})
    return found


# Where a recorded number is, of the interval of ours.
WITHIN = "within"
WIDER = "within a wider one"
BEYOND = "beyond"


def _of_change(one: Row, base: Row) -> str:
    if one["beyond"] is None:
        return "no interval"
    if one["beyond"]:
        return BEYOND
    # of its own interval, or of one as wide as that of the base as well
    half = (base["high"] - base["low"]) / 2
    return WITHIN if abs(one["difference"]) <= half else WIDER


def explained(row: Row) -> str:
    """Which of the changes tried bring a recorded number within the interval, in words."""

    def of(outcome: str) -> list[str]:
        return [f"`{one['name']}`" for one in row["tried"] if one["outcome"] == outcome]

    said = listed(of(WITHIN)) if of(WITHIN) else ""
    if not said:
        nearest = min(row["tried"], key=lambda one: abs(one["difference"]))
        said = f"none of the {len(row['tried'])} tried"
        if abs(nearest["difference"]) < abs(row["difference"]):
            left = number(nearest["difference"], signed=True)
            said += f", of which `{nearest['name']}` comes nearest and leaves {left}"
        else:
            said += ", and none comes nearer"
    if of(WIDER):
        said += f"; {listed(of(WIDER))} only in that the interval is wider"
    return said


def recorded_table(recorded: Sequence[Row]) -> str:
    """Every recorded number beside ours, of `recorded_rows`."""
    said = {None: "no interval", True: BEYOND, False: WITHIN}
    head = ["data set", "encoder", "scorer", "measure", "recorded", "ours"]
    return table(
        [*head, "difference", "recorded number"],
        (
            [
                *(row[axis] for axis in CELL[:-1]),
                measured(row),
                number(row["recorded"]),
                number(row["mean"]),
                interval(row, "difference"),
                said[row["beyond"]],
            ]
            for row in recorded
        ),
    )


def tried_table(recorded: Sequence[Row]) -> str:
    """A row a number beyond its interval and change that was tried."""
    head = ["data set", "encoder", "scorer", "measure", "difference", "changed"]
    return table(
        [*head, "moves ours by", "leaves", "recorded number"],
        (
            [
                *(row[axis] for axis in CELL[:-1]),
                measured(row),
                number(row["difference"], signed=True),
                f"`{one['name']}`",
                number(one["moved"], signed=True),
                interval(one, "difference"),
                one["outcome"],
            ]
            for row in recorded
            for one in row["tried"]
        ),
    )


def source_table(made: Mapping[str, Any]) -> str:
    """A row a source: its digests, in part, and the files that are made of it."""

    def short(value: str | None) -> str:
        return f"`{value[:12]}`" if value else "–"

    return table(
        ["made from", "sha256", "code", "config", "seeds", "makes"],
        (
            [
                f"`{source}`",
                short(about["sha256"]),
                short(about.get("code")),
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


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    folder = Path(folder)
    found, made = read(folder)
    environment = jinja2.Environment(
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
        "measured": measured,
    }
    template = environment.from_string(Path(template_path).read_text(encoding="utf-8"))
    experiments = {row["role"]: row for row in found["experiments"]}
    cells = {
        role: [cell for cell in found["cells"] if cell["role"] == role]
        for role in PRESETS
    }
    recorded = recorded_rows(found.get("recorded", []), found["settings"])
    written = template.render(
        folder=folder.name,
        made=made,
        figures=[name for name in made["files"] if name.endswith(".png")],
        experiments=experiments,
        percent=f"{experiments[STUDY]['confidence']:.0%}",
        cells=cells,
        tables={name: found.get(name, []) for name in _NAMES},
        gains=of_gain(found.get("learning_gain", [])),
        contrasts=contrasts(found["comparison"]),
        recorded=recorded,
        told=told,
        not_tested=NOT_TESTED,
        explained=explained,
        absent=absent,
        experiment_table=experiment_table,
        data_table=data_table,
        grid_table=grid_table,
        gain_table=gain_table,
        score_table=score_table,
        claim_table=claim_table,
        contrast_table=contrast_table,
        recorded_table=recorded_table,
        tried_table=tried_table,
        source_table=source_table,
    )
    # parts that are not there leave no gaps
    blocks = re.split(r"\n{2,}", written.strip("\n"))
    return "\n\n".join(map(_wrapped, blocks)) + "\n"


def _wrapped(block: str) -> str:
    """A paragraph in lines of one width; headings, tables, lists and code as they are."""
    if block.startswith(("#", "|", "-", "!", " ")):
        return block
    return textwrap.fill(block, 88, break_long_words=False, break_on_hyphens=False)
