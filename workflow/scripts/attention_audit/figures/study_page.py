"""The page of the study, of the files that `study.KEPT` names; see `published_page`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attention_audit.figures.published import CELL
from attention_audit.figures.published_page import (
    Row,
    accuracies,
    by_cell,
    interval,
    listed,
    number,
    read,
    rendered,
    table,
)
from attention_audit.figures.study import PRESETS, RECORDED

# What a difference comes to, in the order of the columns.
OUTCOMES = ("higher", "lower", "equivalent", "undecided")

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


def without_weight(summary: Sequence[Row]) -> list[Row]:
    """The cells in which attention is without any weight in some texts."""
    return [row for row in summary if row["measure"] == "null"]


def null_table(rows: Sequence[Row], scores: Sequence[Row]) -> str:
    """Cells of `without_weight`, with the accuracy of their worst and best seed."""
    accuracy = accuracies(scores)
    head = ["data set", "encoder", "normalizer", "texts without any weight", "seeds"]
    return table(
        [*head, "lowest accuracy", "highest"],
        (
            [
                *(row[axis] for axis in ("dataset", "encoder", "normalizer")),
                f"{row['mean']:.1%}",
                row["n_seeds"],
                *(number(accuracy[cell][end]) for end in ("lowest", "highest")),
            ]
            for cell, row in by_cell(rows).items()
        ),
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


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    files = read(folder)
    found = files.tables
    return rendered(
        template_path,
        files,
        PRESETS,
        tables={name: found.get(name, []) for name in _NAMES},
        gains=of_gain(found.get("learning_gain", [])),
        contrasts=contrasts(found["comparison"]),
        recorded=recorded_rows(found.get("recorded", []), found["settings"]),
        measured=measured,
        without_weight=without_weight,
        null_table=null_table,
        explained=explained,
        data_table=data_table,
        gain_table=gain_table,
        contrast_table=contrast_table,
        recorded_table=recorded_table,
        tried_table=tried_table,
    )
