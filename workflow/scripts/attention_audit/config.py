"""The configuration: checked, completed with defaults, expanded into runs.

The keys, their types and their defaults are described once, in
``workflow/schemas/config.schema.yaml``. This module turns violations into messages
that name the key and the fix, and adds the checks that span several keys.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend

from attention_audit.errors import AuditError, suggestion
from attention_audit.experiments import DEFAULT, results_of
from attention_audit.kinds import check_kinds
from attention_audit.unique_keys import read_yaml

# The axes of the grid, in the order of a run's path, with the section that declares
# their instances. The fifth axis, the seed, is a number and not declared.
AXES = {
    "dataset": "datasets",
    "encoder": "encoders",
    "scorer": "scorers",
    "normalizer": "normalizers",
}

# What a method may not be called, as shell patterns: a method's name is a subject and a
# reference of measures, and these are others. Two of one name could not be told apart.
RESERVED_METHODS = (
    # subjects: the weights, what they lead to, and the rankings of erasure and flips
    "attention",
    "attention_gradient",
    "hidden_states",
    "prediction",
    "random",
    # references: what influences, other weights, fewer of them or of the tokens, and
    # other models
    "inputs",
    "adversarial*",
    "at_support",
    "other_seeds",
    "share_*",
    "shuffled_*",
    "trained_*",
    "uniform",
    "without_*",
    # tables about attention, which are no importance
    "heads",
    "influence",
    # what a word is, where a text of one's own is explained
    "position",
    "token",
)

# Sections whose names are parts of paths, which some disks fold to one case.
IN_PATHS = (*AXES.values(), "archives", "methods")

MAX_REPORTED = 5


@dataclass(frozen=True)
class Run:
    """One cell of the grid: the names of its instances and its seed."""

    dataset: str
    encoder: str
    scorer: str
    normalizer: str
    seed: int

    @property
    def path(self) -> str:
        """The run's folder below ``results/{stage}``."""
        return (
            f"{self.dataset}/{self.encoder}/{self.scorer}/{self.normalizer}"
            f"/seed{self.seed}"
        )


def validate(config: dict[str, Any], schema_path: str | Path) -> dict[str, Any]:
    """A completed copy of ``config``; ``config`` itself is left as it is.

    Every key that the schema gives a default is filled in, keys stand in the order
    of the schema (names in the order of their declaration), numbers are floats
    where the schema wants numbers, and the axes of ``grid`` are lists of names.
    Two ways to write one setting thus come out the same. Validating the result
    again changes nothing.

    A sweep is an instance under ``normalizers`` with a list for one of its settings:
    ``entmax: {kind: entmax, alpha: [1, 1.5, 2]}`` stands for the instances
    ``entmax_1``, ``entmax_1.5`` and ``entmax_2``, in this order. Where ``grid`` or
    ``exclude`` names the sweep, it names all of them. A list in an entry of ``exclude``
    stands for an entry each.

    Raises `AuditError` with a line for each of the first few faults, the most
    telling first, and before that where schema and code know different kinds.
    """
    schema = read_yaml(schema_path)
    check_kinds(schema)
    validator = _Validator(schema)
    raise_any(_wrong_keys(config))
    config = _unrolled(config)
    raise_any(_violations(validator, config))
    completed = _completed(validator, schema, config)
    for section in AXES.values():
        if completed["grid"][section] is None:
            completed["grid"][section] = list(completed[section])
    raise_any(_inconsistencies(completed))
    return completed


def checked(value: Any, schema_path: str | Path, name: str) -> Any:
    """A completed copy of what a file of another schema holds, as `validate` makes it.

    Raises `AuditError` with a line for each of the first few faults, behind ``name``.
    """
    schema = read_yaml(schema_path)
    validator = _Validator(schema)
    raise_any(_wrong_keys(value), name)
    raise_any(_violations(validator, value), name)
    return _completed(validator, schema, value)


def check_named(files: Iterable[str | Path], settings: Mapping[str, Any]) -> None:
    """Raise an `AuditError` where config files on the command line name no experiment.

    ``settings`` is what they say together. What is laid over the default config is
    another experiment unless it says otherwise, and would write over its results.
    """
    files = [Path(file) for file in files]
    if files and "experiment" not in settings:
        name = re.sub(r"[^A-Za-z0-9]+", "_", files[-1].stem).strip("_") or "mine"
        raise AuditError(
            f"{files[-1]}: names no experiment. Add the line `experiment: {name}`, and "
            f"all that it makes will stand in {results_of(name)}/; or `experiment: "
            f"{DEFAULT}`, to go on with the results of the default."
        )


def grid(config: Mapping[str, Any]) -> list[Run]:
    """The runs of a validated configuration, in declared order, less the excluded."""
    axes = [config["grid"][section] for section in (*AXES.values(), "seeds")]
    runs = (Run(*cell) for cell in itertools.product(*axes))
    return [
        run
        for run in runs
        if not any(_matches(run, entry) for entry in config["exclude"])
    ]


def without_missing(
    config: dict[str, Any], folder: str | Path = "."
) -> tuple[dict[str, Any], list[str]]:
    """A validated configuration whose grid lacks the optional data sets that are missing.

    And a notice for each, which names the file in ``folder``. Which of them are optional
    is settled with that, and no part of what a data set is made of. Raises `AuditError`
    where no data set is left.
    """
    notices, present = [], []
    for name in config["grid"]["datasets"]:
        dataset = config["datasets"][name]
        files = dataset["source"]["files"].values() if dataset["optional"] else ()
        lacks = [file for file in files if not Path(folder, file).is_file()]
        if lacks:
            notices.append(f"{lacks[0]} is not there: the grid goes without '{name}'.")
        else:
            present.append(name)
    datasets = {
        name: {key: value for key, value in dataset.items() if key != "optional"}
        for name, dataset in config["datasets"].items()
    }
    config = {
        **config,
        "grid": {**config["grid"], "datasets": present},
        "datasets": datasets,
    }
    if not grid(config):
        raise AuditError(f"{notices[0]} It has no other. Put the file there.")
    return config, notices


def _matches(run: Run, entry: Mapping[str, Any]) -> bool:
    return all(getattr(run, axis) == value for axis, value in entry.items())


# --- violations of the schema -------------------------------------------------


def _is_integer(_: TypeChecker, value: Any) -> bool:
    # The draft counts 1.0 as an integer, but seed1.0 is another path than seed1.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: TypeChecker, value: Any) -> bool:
    # YAML can write .nan and .inf, which pass every comparison with a bound or none.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a dictionary",
    "string": "text",
}

# Which fault to report first: a misspelt name explains what else is missing.
_RANKS = ("additionalProperties", "enum", "propertyNames", "required", "type")

_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


def raise_any(faults: Iterable[str], name: str = "config") -> None:
    """Raise an `AuditError` with a line for each of the first faults, if any."""
    faults = list(dict.fromkeys(faults))
    if not faults:
        return
    lines = [f"{name}: {fault}" for fault in faults[:MAX_REPORTED]]
    if len(faults) > MAX_REPORTED:
        lines.append(f"{name}: and {len(faults) - MAX_REPORTED} more")
    raise AuditError("\n".join(lines))


def _dotted(path: Iterable[str | int]) -> str:
    """A path through dictionaries and lists as ``exclude[0].encoder``."""
    key = ""
    for part in path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    return key.removeprefix(".")


def _shown(value: Any) -> str:
    """A value as its writer knows it, shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wrong_keys(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Keys that YAML does not read as text, which a JSON schema cannot describe."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if isinstance(key, str):
                yield from _wrong_keys(child, (*path, key))
            else:
                where = _dotted(path) or "the top level"
                yield (
                    f"the key {_shown(key)} in {where} is read as {type(key).__name__}, "
                    "not as text. Put it in quotes."
                )
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _wrong_keys(child, (*path, index))


def _violations(validator: Draft202012Validator, config: Any) -> list[str]:
    """One line for each key that violates the schema, the most telling first."""
    found: dict[str, tuple[int, str]] = {}
    for error in validator.iter_errors(config):
        rule = _rule(error)
        rank = _RANKS.index(rule) if rule in _RANKS else len(_RANKS)
        for key, message in _explained(validator, error):
            if key not in found or rank < found[key][0]:
                found[key] = (rank, message)
    return [message for _, message in sorted(found.values(), key=lambda f: f[0])]


def _rule(error: ValidationError) -> str:
    """The keyword that was violated."""
    # A name is an instance of its own, checked in a schema below propertyNames.
    return "propertyNames" if "propertyNames" in error.schema_path else error.validator


def _explained(
    validator: Draft202012Validator, error: ValidationError
) -> Iterator[tuple[str, str]]:
    """The keys at fault, dotted, each with a message that names it."""
    path, value, rule = list(error.absolute_path), error.instance, _rule(error)
    key = _dotted(path)
    # The schema's reason is about the value; one of a wrong type has no value yet, but
    # may have a shape.
    if rule == "type":
        several = isinstance(value, list | dict)
        reason = error.schema.get("shapeMessage") if several else None
    else:
        reason = error.schema.get("errorMessage")
    because = f": {reason}" if reason else ""
    if rule == "propertyNames":
        name = _dotted([*path, value])
        yield name, f"the name {_shown(value)} in {key} is not allowed{because}"
    elif rule == "additionalProperties":
        known = error.schema["properties"]
        of_kind = f" for kind '{value['kind']}'" if "kind" in value else ""
        for extra in value:
            if extra not in known:
                name = _dotted([*path, extra])
                yield name, f"unknown key '{name}'{of_kind}.{suggestion(extra, known)}"
    elif rule == "required":
        for missing in error.validator_value:
            if missing not in value:
                name = _dotted([*path, missing])
                described = _resolved(validator, error.schema["properties"][missing])
                yield name, f"{name} is missing{_expected(described)}"
    elif rule == "enum" and path[-1] == "kind":
        hint = suggestion(value, error.validator_value)
        yield key, f"{key} {_shown(value)} is unknown.{hint}"
    else:
        yield key, f"{key or 'the file'} {_expectation(error)}{because}"


def _expected(described: Mapping[str, Any]) -> str:
    """What a missing key should hold, in the words of the schema."""
    text = f" ({described['description'].rstrip('.')})"
    if "enum" in described:
        text += f": one of {', '.join(described['enum'])}"
    return text


def _expectation(error: ValidationError) -> str:
    """What a value must be and what was found."""
    rule, wanted, value = error.validator, error.validator_value, error.instance
    got = f"got {_shown(value)}"
    if rule == "type":
        wanted = [wanted] if isinstance(wanted, str) else wanted
        names = " or ".join(_TYPES[name] for name in wanted)
        return f"must be {names}, got {_shown_mistyped(value, wanted)}"
    if rule in _BOUNDS:
        return f"must be {_BOUNDS[rule]} {wanted}, {got}"
    if rule == "enum":
        choices = ", ".join("null" if choice is None else choice for choice in wanted)
        return f"must be one of {choices}, {got}"
    if rule == "const":
        return f"must be {_shown(wanted)}, {got}"
    if rule in ("minItems", "minProperties", "minLength"):
        return f"must not be empty, {got}"
    if rule == "maxLength":
        return f"must have {wanted} character at most, {got}"
    if rule == "uniqueItems":
        return f"must not name anything twice, {got}"
    if rule == "pattern":
        return f"is not well formed, {got}"
    return f"is not allowed, {got} ({error.message})"


def _shown_mistyped(value: Any, wanted: list[str]) -> str:
    """A value of a wrong type, with the fix where YAML read it in an unexpected way."""
    if isinstance(value, str) and {"integer", "number"} & set(wanted):
        return f"the text '{value}'{_unquoted(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which is not finite"
    if wanted[0] == "string" and isinstance(value, bool | int | float | date):
        return f"{_shown(value)}. Put it in quotes."
    return _shown(value)


def _unquoted(text: str) -> str:
    """How to write a number that YAML read as text, as it does 1e-3 for want of a dot."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    plain = int(number) if number.is_integer() else number
    return f". Write {yaml.safe_dump(plain).split()[0]}, without quotes."


# --- sweeps -------------------------------------------------------------------


def _unrolled(config: Any) -> Any:
    """A copy with every sweep replaced by its instances, wherever it is named.

    Anything that is not of the expected shape is left for the schema to report.
    """
    if not isinstance(config, Mapping):
        return config
    declared = config.get("normalizers")
    if not isinstance(declared, Mapping):
        return config
    instances: dict[str, Any] = {}
    sweeps: dict[str, list[str]] = {}
    faults: list[str] = []
    for name, settings in declared.items():
        swept = [
            key
            for key, value in (
                settings.items() if isinstance(settings, Mapping) else ()
            )
            if isinstance(value, list)
        ]
        if not swept:
            made = {name: settings}
        elif len(swept) > 1:
            faults.append(
                f"normalizers.{name}: a sweep has a list for one setting, got lists "
                f"for {' and '.join(swept)}"
            )
            continue
        else:
            (key,) = swept
            values = settings[key]
            if not values:
                faults.append(f"normalizers.{name}.{key} must not be empty, got []")
            made = {}
            for value in values:
                instance = f"{name}_{_value_name(value)}"
                if instance in made:
                    faults.append(
                        f"normalizers.{name}.{key} must not name anything twice, got "
                        f"{_shown(values)}"
                    )
                made[instance] = {**settings, key: value}
            sweeps[name] = list(made)
        for instance in made:
            if swept and (instance in instances or instance in declared):
                faults.append(
                    f"normalizers.{name}: the sweep makes an instance '{instance}', "
                    "which is declared already. Rename one of them."
                )
        instances |= made
    reference = _get(config, "statistics", "reference")
    if isinstance(reference, str) and reference in sweeps:
        faults.append(
            f"statistics.reference: '{reference}' is a sweep of "
            f"{', '.join(sweeps[reference])}. Name one of these."
        )
    raise_any(faults)

    unrolled = {**config, "normalizers": instances}
    named = _get(config, "grid", "normalizers")
    if isinstance(named, list):
        names = [one for name in named for one in _members(name, sweeps)]
        unrolled["grid"] = {**config["grid"], "normalizers": names}
    if isinstance(excluded := config.get("exclude"), list):
        unrolled["exclude"] = [
            part for entry in excluded for part in _exclusions(entry, sweeps)
        ]
    return unrolled


def _value_name(value: Any) -> str:
    """How a value ends the name of its instance; 2 and 2.0 are one setting."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _get(config: Mapping, section: str, key: str) -> Any:
    found = config.get(section)
    return found.get(key) if isinstance(found, Mapping) else None


def _members(name: Any, sweeps: Mapping[str, list[str]]) -> list[Any]:
    """The instances that a name stands for."""
    return sweeps.get(name, [name]) if isinstance(name, str) else [name]


def _exclusions(entry: Any, sweeps: Mapping[str, list[str]]) -> Iterator[Any]:
    """An entry of ``exclude``, or one for each way to choose from the lists in it.

    The name of a sweep is a list of its instances.
    """
    if not isinstance(entry, Mapping):
        yield entry
        return
    choices = [
        [
            one
            for name in (value if isinstance(value, list) and value else [value])
            for one in (_members(name, sweeps) if axis == "normalizer" else [name])
        ]
        for axis, value in entry.items()
    ]
    for chosen in itertools.product(*choices):
        yield dict(zip(entry, chosen, strict=True))


# --- defaults -----------------------------------------------------------------


def _resolved(
    validator: Draft202012Validator, schema: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A schema with its reference, if it is one, replaced by what that stands for.

    What stands beside the reference, such as a default, goes before the definition.
    """
    if "$ref" not in schema:
        return schema
    definition = schema["$ref"].removeprefix("#/$defs/")
    siblings = {key: value for key, value in schema.items() if key != "$ref"}
    return {**validator.schema["$defs"][definition], **siblings}


def _completed(
    validator: Draft202012Validator, schema: Mapping[str, Any], value: Any
) -> Any:
    """A copy of a valid value with the schema's defaults, in the schema's order."""
    schema = _resolved(validator, schema)
    for part in schema.get("allOf", ()):
        value = _completed(validator, part, value)
    if "if" in schema:
        holds = validator.evolve(schema=schema["if"]).is_valid(value)
        branch = schema.get("then" if holds else "else", {})
        value = _completed(validator, branch, value)
    if isinstance(value, Mapping):
        return _completed_object(validator, schema, value)
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_completed(validator, items, item) for item in value]
    # 2 and 2.0 are one setting, and must not differ in what a job depends on.
    if "number" in schema.get("type", "") and not isinstance(value, str):
        return float(value)
    return value


def _completed_object(
    validator: Draft202012Validator, schema: Mapping[str, Any], value: Mapping
) -> dict[str, Any]:
    completed = {}
    for key, described in schema.get("properties", {}).items():
        default = _resolved(validator, described)
        if key in value:
            completed[key] = _completed(validator, described, value[key])
        elif "default" in default:
            completed[key] = _completed(validator, described, default["default"])
    # Names of instances, which the schema cannot list, and keys of a kind's branch.
    others = schema.get("additionalProperties") or {}
    for key in value:
        if key not in completed:
            completed[key] = _completed(validator, others, value[key])
    return completed


# --- checks across keys -------------------------------------------------------


def _undeclared(key: str, name: str, section: str, config: Mapping) -> Iterator[str]:
    """A line where ``key`` refers to a ``name`` that ``section`` does not declare."""
    known = config[section]
    if name not in known:
        hint = suggestion(name, known) if known else f" {section} is empty."
        yield f"{key}: '{name}' is not declared under {section}.{hint}"


def _inconsistencies(config: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a completed configuration that no single key shows."""
    yield from _grid_faults(config)
    for name, vectors in config["vectors"].items():
        if vectors["kind"] == "archive":
            key = f"vectors.{name}.archive"
            yield from _undeclared(key, vectors["archive"], "archives", config)
    for name, dataset in config["datasets"].items():
        yield from _dataset_faults(f"datasets.{name}", dataset, config)
    for name, encoder in config["encoders"].items():
        if encoder["kind"] == "transformer" and (
            encoder["hidden_size"] % encoder["heads"]
        ):
            yield (
                f"encoders.{name}.hidden_size must be a multiple of heads "
                f"({encoder['heads']}), got {encoder['hidden_size']}"
            )
    yield from _name_faults(config)
    yield from _explanation_faults(config)
    yield from _recorded_faults(config)
    yield from _optional_faults(config)
    influence = config["influence"]
    if influence["matrices"] > influence["instances"]:
        yield (
            f"influence.matrices must be at most influence.instances "
            f"({influence['instances']}), got {influence['matrices']}"
        )


def _name_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Names that could not be told apart from others, in tables or on a disk."""
    for name in config["methods"]:
        if any(fnmatchcase(name.lower(), pattern) for pattern in RESERVED_METHODS):
            yield (
                f"methods.{name}: the name is taken by what the pipeline itself "
                "measures. Choose another."
            )
    for section in IN_PATHS:
        folded: dict[str, str] = {}
        for name in config[section]:
            if name.lower() in folded:
                yield (
                    f"{section}: '{folded[name.lower()]}' and '{name}' differ by case "
                    "alone, and are one folder on some disks. Rename one of them."
                )
            folded[name.lower()] = name


def _explanation_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Settings of experiments that cannot be followed."""
    trained = config["explanations"]["adversarial_training"]["weights"]
    guiding = config["explanations"]["diagnostics"]["adversary_weight"]
    for key, weight in (
        *((f"adversarial_training.weights[{i}]", w) for i, w in enumerate(trained)),
        ("diagnostics.adversary_weight", guiding),
    ):
        if float(f"{weight:g}") != weight:
            yield (
                f"explanations.{key} is part of a path with 6 digits, got {weight!r}. "
                f"Write {weight:g}."
            )
    for experiment, field, section, kind in (
        ("uniform", "normalizer", "normalizers", "uniform"),
        ("diagnostics", "encoder", "encoders", "average"),
    ):
        settings = config["explanations"][experiment]
        if not settings["enabled"]:
            continue
        key, name = f"explanations.{experiment}.{field}", settings[field]
        yield from _undeclared(key, name, section, config)
        found = config[section].get(name, {"kind": kind})["kind"]
        if found != kind:
            yield (
                f"{key}: '{name}' is of kind '{found}', but must be of kind '{kind}'. "
                f"Declare one under {section}."
            )


def _recorded_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Recorded numbers of what is not declared, which would never stand beside any."""
    subjects = {"attention": None, "prediction": None, **config["methods"]}
    for index, entry in enumerate(config["recorded"]):
        key = f"recorded[{index}]"
        for axis, section in AXES.items():
            if axis in entry:
                yield from _undeclared(f"{key}.{axis}", entry[axis], section, config)
        for place, number in enumerate(entry["values"]):
            where = f"{key}.values[{place}]"
            yield from _no_measure(f"{where}.measure", number["measure"])
            for side in ("subject", "reference"):
                name = number[side]
                if name is not None and name not in subjects:
                    yield (
                        f"{where}.{side}: '{name}' is no method, attention or "
                        f"prediction.{suggestion(name, subjects)}"
                    )


def _no_measure(key: str, name: str) -> Iterator[str]:
    """A line where a name is that of no measure."""
    # Loads numpy, which whoever only reads a config does without.
    from attention_audit.measures import MEASURES

    if name not in MEASURES:
        yield f"{key}: '{name}' is no measure.{suggestion(name, MEASURES)}"


def _optional_faults(config: Mapping[str, Any]) -> Iterator[str]:
    for name, dataset in config["datasets"].items():
        kind = dataset["source"]["kind"]
        if dataset["optional"] and kind != "local":
            yield (
                f"datasets.{name}.optional: a source of kind '{kind}' is fetched, and "
                "never missing. Set it to false, or leave it out."
            )


def _grid_faults(config: Mapping[str, Any]) -> Iterator[str]:
    for section in AXES.values():
        for name in config["grid"][section]:
            yield from _undeclared(f"grid.{section}", name, section, config)
    for index, entry in enumerate(config["exclude"]):
        for axis, section in AXES.items():
            if axis in entry:
                key = f"exclude[{index}].{axis}"
                yield from _undeclared(key, entry[axis], section, config)
    reference = config["statistics"]["reference"]
    compared = config["grid"]["normalizers"]
    yield from _undeclared("statistics.reference", reference, "normalizers", config)
    if reference in config["normalizers"] and reference not in compared:
        yield (
            f"statistics.reference: '{reference}' is not in grid.normalizers "
            f"({', '.join(compared)}). Add it there, or name one of these."
        )
    for name in config["statistics"]["smallest_effect"]:
        if name != "default":
            yield from _no_measure("statistics.smallest_effect", name)
    if not grid(config):
        yield "exclude leaves no run of the grid. Remove an entry, or widen the grid."


def _dataset_faults(
    key: str, dataset: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    source = dataset["source"]
    if dataset["vectors"] is not None:
        yield from _undeclared(f"{key}.vectors", dataset["vectors"], "vectors", config)
    if source["kind"] == "archive":
        archive_key = f"{key}.source.archive"
        yield from _undeclared(archive_key, source["archive"], "archives", config)
    field = "splits" if source["kind"] == "hub" else "files"
    splits = set(source[field])
    if splits not in ({"all"}, {"train", "test"}, {"train", "dev", "test"}):
        yield (
            f"{key}.source.{field} must name either all alone, or train and test "
            f"(and dev, where there is one), got {', '.join(source[field]) or 'none'}"
        )
    if source["labels"] is not None and len(set(source["labels"].values())) < 2:
        yield (
            f"{key}.source.labels must lead to two classes or more, "
            f"got {_shown(source['labels'])}"
        )
