"""The declared claims: checked, and told which rows of this grid decide them.

An entry of ``workflow/claims.yaml`` names the rows by what they are about, also by the
settings of declared instances (``{kind: softmax}``), so that the same list serves every
grid. What a claim comes to is decided in `verdicts`.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_audit.config import checked
from attention_audit.faults import raise_any
from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, FIGURES
from attention_audit.grid import AXES, Run
from attention_audit.records.errors import suggestion
from attention_audit.records.unique_keys import read_yaml
from attention_audit.statistics.measures import ALIGNMENT_MEASURES, MEASURES
from attention_audit.targets import STATISTICS

# Tables whose rows are means of a measure in a cell, and those with a row a run.
OF_MEANS = ("summary", "explanation_summary")
OF_RUNS = ("task", "diagnostics")

# A table with measures of its own.
OF_ALIGNMENT = "alignment_comparison"

# What a claim must name of a table, besides a measure, for its rows to ask one thing.
_CONTRAST = (
    "normalizer, for a normalizer less the reference; or cut, beyond_cut, scores, zeros, "
    "for its controls"
)
_TO_NAME = (
    ("comparison", "contrast", _CONTRAST),
    ("explanation_comparison", "contrast", _CONTRAST),
    (OF_ALIGNMENT, "step", "predicts or reads"),
    (OF_ALIGNMENT, "links", "argmax, support, threshold or ranking"),
)

# The columns of a cell that a difference may be taken between.
BETWEEN = ("encoder", "scorer")

# A column whose names are those of declared instances -> the section that declares them.
_SECTIONS = {
    **AXES,
    "baseline": "normalizers",
    "subject": "methods",
    "reference": "methods",
}


def read_claims(path: str | Path, schema_path: str | Path) -> dict[str, dict[str, Any]]:
    """The claims of a file by name, completed with defaults, in their order.

    Raises `AuditError` with a line for each of the first few faults, which names the
    file, the claim, its key and the fix.
    """
    claims = checked(read_yaml(path) or {}, schema_path, str(path))
    raise_any(
        (f"{name}.{fault}" for name, c in claims.items() for fault in _faults(c)),
        str(path),
    )
    return claims


def _faults(claim: Mapping[str, Any]) -> Iterator[str]:
    """Faults of an entry that follows the schema, each behind its key."""
    # Loads arrow, which whoever only reads a config does without.
    from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS

    table, of_runs = claim["table"], claim["table"] in OF_RUNS
    about = "metric" if of_runs else "measure"
    if about not in claim["where"]:
        yield f"where.{about} is missing (which {about} of {table} decides the claim)"
    columns = SCHEMAS[table].names
    for key in ("where", "less"):
        for column, names in claim[key].items():
            if column not in columns:
                yield (
                    f"{key}.{column}: {table} has no such column."
                    f"{suggestion(column, columns)}"
                )
            if isinstance(names, Mapping) and column not in _SECTIONS:
                yield (
                    f"{key}.{column} must name {column}s, got settings. Only "
                    f"{', '.join(_SECTIONS)} are declared with settings."
                )
            if column == "measure" and not isinstance(names, Mapping):
                known = ALIGNMENT_MEASURES if table == OF_ALIGNMENT else MEASURES
                for name in _listed(names):
                    if name not in known:
                        yield (
                            f"{key}.measure: '{name}' is no measure."
                            f"{suggestion(name, known)}"
                        )
    for of_table, column, named in _TO_NAME:
        if table == of_table and column not in claim["where"]:
            yield f"where.{column} is missing ({named})"
    if claim["less"] and table not in (*OF_MEANS, *OF_RUNS):
        instead = table.replace("comparison", "summary")
        instead = (
            f"Take them from {instead}, or leave" if instead in OF_MEANS else "Leave"
        )
        yield f"less: the rows of {table} are differences. {instead} it out."
    for column in claim["less"].keys() & {*RUN_COLUMNS} - {*BETWEEN}:
        yield (
            f"less.{column}: a difference is taken within a data set, normalizer and seed. "
            "Normalizers are compared in the tables comparison and "
            "explanation_comparison."
        )
    makers = STATISTICS[table]
    if makers and not set(makers) & set(claim["needs"]):
        yield (
            f"needs must name the experiments that make its rows of {table}: "
            f"{'' if len(makers) == 1 else 'of '}{', '.join(makers)}"
        )
    figures = [*FIGURES, *(f for made in EXPERIMENT_FIGURES.values() for f in made)]
    if claim["figure"] not in figures:
        yield f"figure: no figure '{claim['figure']}'.{suggestion(claim['figure'], figures)}"


def _listed(names: Any) -> list:
    return list(names) if isinstance(names, list) else [names]


def resolved(
    claims: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Any],
    runs: Iterable[Run],
) -> list[dict[str, Any]]:
    """The claims as a job takes them, with names in place of settings.

    Without a normalizer a claim is about all of the grid, and not about controls.
    Settings stand for the instances of the grid, and the methods, that have them all,
    where a list means any of its values. ``lacks`` says what this config would need for
    the claim to be tested, and is None where it needs nothing.
    """
    runs = list(runs)
    grid = {axis: {getattr(run, axis) for run in runs} for axis in AXES}
    methods = set(config["methods"])
    grid |= {"baseline": grid["normalizer"], "subject": methods, "reference": methods}
    found = []
    for name, claim in claims.items():
        lacks = [
            f"explanations.{experiment}.enabled"
            for experiment in claim["needs"]
            if not config["explanations"][experiment]["enabled"]
        ]
        lacks = [f"set {' and '.join(lacks)} to true"] if lacks else []
        chosen: dict[str, dict[str, list[str]]] = {}
        for key in ("where", "less"):
            chosen[key] = {}
            for column, names in claim[key].items():
                if isinstance(names, Mapping):
                    declared = config[_SECTIONS[column]]
                    names = sorted(n for n in grid[column] if _has(declared[n], names))
                    if not names:
                        lacks.append(_lacking(column, claim[key][column]))
                elif column in BETWEEN and not grid[column] & {*_listed(names)}:
                    named = " or ".join(_listed(names))
                    lacks.append(f"name {named} in grid.{_SECTIONS[column]}")
                chosen[key][column] = _listed(names)
        if claim["table"] in OF_MEANS:
            # controls stand there in the place of normalizers
            chosen["where"].setdefault("normalizer", sorted(grid["normalizer"]))
        found.append(
            {
                "claim": name,
                **{k: claim[k] for k in ("source", "text", "table", "rule", "holds")},
                "figure": claim["figure"],
                **chosen,
                "lacks": "; ".join(dict.fromkeys(lacks)) or None,
            }
        )
    return found


def _has(instance: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether a declared instance has all the settings."""
    return all(instance.get(key) in _listed(wanted) for key, wanted in settings.items())


def _lacking(column: str, settings: Mapping[str, Any]) -> str:
    section = _SECTIONS[column]
    place = section if section == "methods" else f"grid.{section}"
    said = " and ".join(
        f"{key} {' or '.join(map(str, _listed(value)))}"
        for key, value in settings.items()
    )
    return f"name an instance with {said} in {place}"
