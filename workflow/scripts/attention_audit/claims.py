"""The declared claims: checked, and told which rows of this grid decide them.

An entry of ``workflow/claims.yaml`` names the rows by what they are about, also by the
settings of declared instances (``{kind: softmax}``), so that the same list serves every
grid. What a claim comes to is decided in `verdicts`.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_audit.config import checked
from attention_audit.data.sampling import rate_and_count
from attention_audit.faults import raise_any
from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, FIGURES
from attention_audit.grid import AXES, Run
from attention_audit.records.errors import suggestion
from attention_audit.records.unique_keys import read_yaml
from attention_audit.statistics.measures import (
    ALIGNMENT_MEASURES,
    MEASURES,
    REACTION_METRICS,
)
from attention_audit.targets import STATISTICS

# Tables whose rows are means of a measure in a cell, and those with a row a run.
OF_MEANS = ("summary", "explanation_summary")
OF_RUNS = ("task", "diagnostics")

# A table with measures of its own.
OF_ALIGNMENT = "alignment_comparison"

# Tables about scores of reactions: means, which are paired by recording, and differences.
OF_REACTIONS = "reaction_summary"
REACTIONS_COMPARED = "reaction_comparison"

# What a claim must name of a table, besides a measure, for its rows to ask one thing.
_CONTRAST = (
    "normalizer, for a normalizer less the reference; or cut, beyond_cut, scores, zeros, "
    "for its controls"
)
_TO_NAME = (
    ("comparison", "contrast", _CONTRAST),
    ("explanation_comparison", "contrast", _CONTRAST),
    (OF_REACTIONS, "subject", "model, base_rate or last_seconds"),
    (REACTIONS_COMPARED, "contrast", "normalizer or floor"),
    (OF_ALIGNMENT, "step", "predicts or reads"),
    (OF_ALIGNMENT, "links", "argmax, support, threshold or ranking"),
)

# The columns of a cell that a difference may be taken between.
BETWEEN = ("dataset", "encoder", "scorer")

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
    of_reactions = table in (OF_REACTIONS, REACTIONS_COMPARED)
    about = "metric" if of_runs or of_reactions else "measure"
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
            known = ALIGNMENT_MEASURES if table == OF_ALIGNMENT else MEASURES
            known = REACTION_METRICS if of_reactions else known
            # a run has metrics of its own, whatever its modality has
            checked_names = column == about and not of_runs
            if checked_names and not isinstance(names, Mapping):
                for name in _listed(names):
                    if name not in known:
                        yield (
                            f"{key}.{about}: '{name}' is no {about}."
                            f"{suggestion(name, known)}"
                        )
    for of_table, column, named in _TO_NAME:
        if table == of_table and column not in claim["where"]:
            yield f"where.{column} is missing ({named})"
    if claim["less"] and table not in (*OF_MEANS, *OF_RUNS, OF_REACTIONS):
        instead = table.replace("comparison", "summary")
        from_means = instead in (*OF_MEANS, OF_REACTIONS)
        instead = f"Take them from {instead}, or leave" if from_means else "Leave"
        yield f"less: the rows of {table} are differences. {instead} it out."
    # In the order of the columns, for a fault is told in the same words each time.
    refused = [c for c in columns if c in claim["less"]]
    if table == OF_REACTIONS:
        # floors are of no cell, and stand beside each
        for column in (c for c in refused if c not in (*BETWEEN, "normalizer")):
            yield (
                f"less.{column}: scores of reactions are paired by recording between data "
                f"sets, encoders, scorers or normalizers. Models less floors are in the "
                f"table {REACTIONS_COMPARED}."
            )
    else:
        for column in (c for c in refused if c in {*RUN_COLUMNS} - {*BETWEEN}):
            yield (
                f"less.{column}: a difference is taken within a normalizer and seed. "
                "Normalizers are compared in the tables comparison and "
                "explanation_comparison."
            )
    if "dataset" in claim["less"] and "dataset" not in claim["where"]:
        yield "where.dataset is missing (the data set that less.dataset is taken off)"
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

    Without a normalizer a claim is about all of the grid, and not about controls; without
    a scorer, not about models without attention.
    Settings stand for the instances of the grid, and the methods, that have them all,
    where a list means any of its values. ``lacks`` says what this config would need for
    the claim to be tested, and is None where it needs nothing.
    """
    runs = list(runs)
    grid = {axis: {getattr(run, axis) for run in runs} for axis in AXES}
    methods = set(config["methods"])
    for name, claim in claims.items():
        pairs = _compared(claim, config, grid["dataset"])
        raise_any(_unpaired(name, pairs, config), "workflow/claims.yaml")
    grid |= {"baseline": grid["normalizer"], "subject": methods, "reference": methods}
    found = []
    for name, claim in claims.items():
        lacks = [
            f"explanations.{experiment}.enabled"
            for experiment in claim["needs"]
            if not config["explanations"][experiment]["enabled"]
        ]
        lacks = [f"set {' and '.join(lacks)} to true"] if lacks else []
        lacks += _unequal(_compared(claim, config, grid["dataset"]), config)
        chosen: dict[str, dict[str, list[str]]] = {}
        for key in ("where", "less"):
            chosen[key] = {}
            for column, names in claim[key].items():
                if isinstance(names, Mapping):
                    declared = config[_SECTIONS[column]]
                    names = _chosen(names, declared, grid[column])
                    if not names:
                        lacks.append(_lacking(column, claim[key][column]))
                elif column in BETWEEN and not grid[column] & {*_listed(names)}:
                    named = " or ".join(_listed(names))
                    lacks.append(f"name {named} in grid.{_SECTIONS[column]}")
                chosen[key][column] = _listed(names)
        # what scorer last attends to is so by construction
        attending = sorted(
            name for name in grid["scorer"] if config["scorers"][name]["kind"] != "last"
        )
        if attending != sorted(grid["scorer"]):
            chosen["where"].setdefault("scorer", attending)
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


def _compared(
    claim: Mapping[str, Any], config: Mapping[str, Any], known: set[str]
) -> list[tuple[str, str]]:
    """The pairs of data sets, among those ``known``, that a claim takes a difference of."""
    if "dataset" not in claim["less"]:
        return []
    sides = (claim[key]["dataset"] for key in ("where", "less"))
    chosen = (_chosen(names, config["datasets"], known) for names in sides)
    return list(itertools.product(*chosen))


def _unpaired(
    name: str, pairs: Iterable[tuple[str, str]], config: Mapping[str, Any]
) -> Iterator[str]:
    """Faults of a claim that compares data sets which have no instances in common."""
    for pair in pairs:
        one, other = (config["datasets"][side]["modality"] for side in pair)
        if one != other:
            yield (
                f"{name}.less.dataset: {pair[0]} is of modality {one}, and {pair[1]} of "
                f"{other}. Compare data sets of one modality."
            )


def _unequal(
    pairs: Iterable[tuple[str, str]], config: Mapping[str, Any]
) -> Iterator[str]:
    """What recordings lack that are decided by more moments in one data set than in another.

    Which are sparse and which are dense would not be all that differs.
    """
    for pair in pairs:
        found = [config["datasets"][side] for side in pair]
        if found[0]["modality"] == "reactions":
            one, other = (
                rate_and_count(of["rate"], of["span"], "sampling")[1]
                for of in (settings["sampling"] for settings in found)
            )
            if one != other:
                yield (
                    f"set sampling.rate and sampling.span of {pair[0]} ({one} moments) and "
                    f"{pair[1]} ({other}) to equal products"
                )


def _chosen(
    names: Any, declared: Mapping[str, Mapping[str, Any]], known: set[str]
) -> list[str]:
    """What names, or settings, stand for among the ``known`` instances, sorted."""
    if isinstance(names, Mapping):
        return sorted(name for name in known if _has(declared[name], names))
    return [name for name in _listed(names) if name in known]


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
