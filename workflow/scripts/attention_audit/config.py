"""The configuration: checked, and completed with defaults.

The keys, their types and their defaults are described once, in
``workflow/schemas/config.schema.yaml``. `faults` turns violations into messages that
name the key and the fix, and adds the checks that span several keys; `grid` expands the
result into runs.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from attention_audit.data.own_files import own_files
from attention_audit.faults import (
    Validator,
    dereferenced,
    inconsistencies,
    raise_any,
    shown,
    violations,
    wrong_keys,
)
from attention_audit.grid import AXES, grid
from attention_audit.kinds import check_kinds
from attention_audit.models.lit_sizes import SIZES
from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import DEFAULT, results_of
from attention_audit.records.unique_keys import read_yaml


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
    stands for an entry each. The ``size`` of a LIT stands for its settings.

    Raises `AuditError` with a line for each of the first few faults, the most
    telling first, and before that where schema and code know different kinds.
    """
    schema = read_yaml(schema_path)
    check_kinds(schema)
    validator = Validator(schema)
    raise_any(wrong_keys(config))
    config = _with_stages(_unrolled(config))
    raise_any(violations(validator, config))
    completed = _completed(validator, schema, config)
    for section in AXES.values():
        if completed["grid"][section] is None:
            completed["grid"][section] = list(completed[section])
    raise_any(inconsistencies(completed))
    return completed


def checked(value: Any, schema_path: str | Path, name: str) -> Any:
    """A completed copy of what a file of another schema holds, as `validate` makes it.

    Raises `AuditError` with a line for each of the first few faults, behind ``name``.
    """
    schema = read_yaml(schema_path)
    validator = Validator(schema)
    raise_any(wrong_keys(value), name)
    raise_any(violations(validator, value), name)
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


def without_missing(
    config: dict[str, Any], folder: str | Path = "."
) -> tuple[dict[str, Any], dict[str, str]]:
    """A validated configuration whose grid lacks the optional data sets that are missing.

    And a notice for each of these by name, which names the file in ``folder``. Which of them are optional
    is settled with that, and no part of what a data set is made of. Raises `AuditError`
    where no data set is left.
    """
    notices: dict[str, str] = {}
    present = []
    for name in config["grid"]["datasets"]:
        dataset = config["datasets"][name]
        optional = dataset["optional"]
        files = own_files(dataset["source"]).values() if optional else ()
        there = Path.is_dir if dataset["source"]["kind"] == "folder" else Path.is_file
        lacks = [file for file in files if not there(Path(folder, file))]
        if lacks:
            hint = f" {optional}" if isinstance(optional, str) else ""
            notices[name] = (
                f"{lacks[0]} is not there: the grid goes without '{name}'.{hint}"
            )
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
        raise AuditError(
            f"{next(iter(notices.values()))} It has no other. Put the file there."
        )
    return config, notices


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
                        f"{shown(values)}"
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


# --- sizes --------------------------------------------------------------------


def _with_stages(config: Any) -> Any:
    """A copy with the settings of every named size of LIT in the place of its name.

    Those that are given beside it stay. Anything that is not of the expected shape is left
    for the schema to report.
    """
    declared = config.get("encoders") if isinstance(config, Mapping) else None
    if not isinstance(declared, Mapping):
        return config
    encoders: dict[str, Any] = {}
    faults: list[str] = []
    for name, settings in declared.items():
        encoders[name] = settings
        if not isinstance(settings, Mapping) or settings.get("kind") != "lit":
            continue
        # null is no setting: it takes back what a file says that this one is laid over
        given = {
            key: value
            for key, value in settings.items()
            if value is not None or key not in ("size", "stages")
        }
        size = given.pop("size", None)
        encoders[name] = given
        if size is None:
            continue
        if not isinstance(size, str) or size not in SIZES:
            faults.append(
                f"encoders.{name}.size must be one of {', '.join(SIZES)}, got "
                f"{shown(size)}"
            )
        elif "stages" in given:
            faults.append(
                f"encoders.{name}: the size '{size}' has stages of its own, and stages "
                "are given too. Leave out one of them, or set it to null where another "
                "file gives it."
            )
        else:
            encoders[name] = {**SIZES[size], **given}
    raise_any(faults)
    return {**config, "encoders": encoders}


# --- defaults -----------------------------------------------------------------


def _completed(
    validator: Draft202012Validator, schema: Mapping[str, Any], value: Any
) -> Any:
    """A copy of a valid value with the schema's defaults, in the schema's order."""
    schema = dereferenced(validator, schema)
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
    if "number" in schema.get("type", "") and isinstance(value, int):
        return float(value)
    return value


def _completed_object(
    validator: Draft202012Validator, schema: Mapping[str, Any], value: Mapping
) -> dict[str, Any]:
    completed = {}
    for key, described in schema.get("properties", {}).items():
        default = dereferenced(validator, described)
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
