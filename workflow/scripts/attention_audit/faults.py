"""What is wrong with a configuration, in messages that name the key and the fix."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

import yaml
from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend

from attention_audit.data.own_files import OWN_KINDS
from attention_audit.data.sampling import rate_and_count
from attention_audit.grid import (
    AXES,
    about_decoders,
    asked_of_trained,
    fits,
    grid,
    is_finished,
    other_words,
)
from attention_audit.kinds import branches, encoders_of
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.statistics.measures import MEASURES

MAX_REPORTED = 5


def raise_any(faults: Iterable[str], name: str = "config") -> None:
    """Raise an `AuditError` with a line for each of the first faults, if any."""
    faults = list(dict.fromkeys(faults))
    if not faults:
        return
    lines = [f"{name}: {fault}" for fault in faults[:MAX_REPORTED]]
    if len(faults) > MAX_REPORTED:
        lines.append(f"{name}: and {len(faults) - MAX_REPORTED} more")
    raise AuditError("\n".join(lines))


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


Validator = extend(
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


def dereferenced(
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


def _dotted(path: Iterable[str | int]) -> str:
    """A path through dictionaries and lists as ``exclude[0].encoder``."""
    key = ""
    for part in path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    return key.removeprefix(".")


def shown(value: Any) -> str:
    """A value as its writer knows it, shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def wrong_keys(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Keys that YAML does not read as text, which a JSON schema cannot describe."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if isinstance(key, str):
                yield from wrong_keys(child, (*path, key))
            else:
                where = _dotted(path) or "the top level"
                yield (
                    f"the key {shown(key)} in {where} is read as {type(key).__name__}, "
                    "not as text. Put it in quotes."
                )
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from wrong_keys(child, (*path, index))


def violations(validator: Draft202012Validator, config: Any) -> list[str]:
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
        yield name, f"the name {shown(value)} in {key} is not allowed{because}"
    elif rule == "additionalProperties":
        known = error.schema["properties"]
        of_kind = f" for kind '{value['kind']}'" if "kind" in value else ""
        for extra in value:
            if extra not in known:
                name = _dotted([*path, extra])
                hint = _of_modalities(validator, path, value, extra)
                hint = hint or suggestion(extra, known)
                yield name, f"unknown key '{name}'{of_kind}.{hint}"
    elif rule == "required":
        for missing in error.validator_value:
            if missing not in value:
                name = _dotted([*path, missing])
                described = dereferenced(validator, error.schema["properties"][missing])
                yield name, f"{name} is missing{_expected(described)}"
    elif rule == "enum" and path[-1] == "kind":
        hint = _of_modalities(validator, path[:-1], {"kind": value}, "kind")
        hint = hint or suggestion(value, error.validator_value)
        yield key, f"{key} {shown(value)} is unknown.{hint}"
    else:
        yield key, f"{key or 'the file'} {_expectation(error)}{because}"


def _of_modalities(
    validator: Draft202012Validator,
    path: list[str | int],
    value: Mapping[str, Any],
    key: str,
) -> str:
    """A hint where data sets of other modalities know a key, or a kind of source.

    ``path`` leads to the ``value``, a data set or its source, that has the key and should
    not. Empty elsewhere, and where no modality knows it.
    """
    if path[:1] != ["datasets"] or path[2:] not in ([], ["source"]):
        return ""
    definitions = validator.schema["$defs"]
    knowing = []
    for modality, branch in branches(definitions["dataset"], "modality").items():
        found = [branch]
        if path[2:]:
            source = definitions[branch]["properties"].get("source", {})
            kinds = branches(dereferenced(validator, source), "kind").items()
            found = [branch for kind, branch in kinds if kind == value.get("kind")]
        if any(key in definitions[branch]["properties"] for branch in found):
            knowing.append(modality)
    if not knowing:
        return ""
    place = _dotted([*path[:2], "modality"])
    return (
        f" Data sets of modality {' or '.join(knowing)} have it: set {place}, or leave it "
        "out."
    )


def _expected(described: Mapping[str, Any]) -> str:
    """What a missing key should hold, in the words of the schema."""
    text = f" ({described['description'].rstrip('.')})"
    if "enum" in described:
        text += f": one of {', '.join(described['enum'])}"
    return text


def _expectation(error: ValidationError) -> str:
    """What a value must be and what was found."""
    rule, wanted, value = error.validator, error.validator_value, error.instance
    got = f"got {shown(value)}"
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
        return f"must be {shown(wanted)}, {got}"
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
        return f"{shown(value)}. Put it in quotes."
    return shown(value)


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


# --- across keys --------------------------------------------------------------

# What a method may not be called, as shell patterns: a method's name is a subject and a
# reference of measures, and these are others. Two of one name could not be told apart.
RESERVED_METHODS = (
    # subjects: the weights, what they lead to, and the rankings of erasure and flips, and
    # of a guess
    "attention",
    "attention_gradient",
    "guess",
    "hidden_states",
    "prediction",
    "random",
    # what people feel at words
    "valence",
    # of alignment: heads, and floors
    "head",
    "mean_head",
    "best_head",
    "diagonal",
    "ibm_model_1",
    "diagonal_model_2",
    # references: what influences, what is marked, other weights, fewer of them or of the
    # tokens, and other models
    "inputs",
    "gold",
    "adversarial*",
    "at_support",
    "other_seeds",
    "randomized_*",
    "share_*",
    "shuffled_*",
    "trained_*",
    "uniform",
    "without_*",
    # tables about attention, which are no importance
    "alignment",
    "heads",
    "influence",
    "null_queries",
    "offsets",
    # what a word is, where a text of one's own is explained
    "position",
    "token",
)

# Sections whose names are parts of paths, which some disks fold to one case.
IN_PATHS = (*AXES.values(), "archives", "methods", "pretrained")


def _undeclared(key: str, name: str, section: str, config: Mapping) -> Iterator[str]:
    """A line where ``key`` refers to a ``name`` that ``section`` does not declare."""
    known = config[section]
    if name not in known:
        hint = suggestion(name, known) if known else f" {section} is empty."
        yield f"{key}: '{name}' is not declared under {section}.{hint}"


def _archive_faults(key: str, name: str, file: str, config: Mapping) -> Iterator[str]:
    """The same of an archive, or a line where it is another ``file`` of its package."""
    yield from _undeclared(key, name, "archives", config)
    found = config["archives"].get(name, {"file": file})["file"]
    if found != file:
        yield (
            f"{key}: archives.{name}.file is {found}, and a {file} archive is read here. "
            "Name another."
        )


def inconsistencies(config: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a completed configuration that no single key shows."""
    yield from _grid_faults(config)
    for name, vectors in config["vectors"].items():
        if vectors["kind"] == "archive":
            key = f"vectors.{name}.archive"
            yield from _archive_faults(key, vectors["archive"], "wheel", config)
    for name, lexicon in config["lexicons"].items():
        if lexicon["kind"] == "archive":
            key = f"lexicons.{name}.archive"
            yield from _archive_faults(key, lexicon["archive"], "wheel", config)
    for name, model in config["pretrained"].items():
        if model["kind"] == "archive":
            key = f"pretrained.{name}.archive"
            yield from _archive_faults(key, model["archive"], "wheel", config)
    for name, dataset in config["datasets"].items():
        yield from _dataset_faults(f"datasets.{name}", dataset, config)
    for name, encoder in config["encoders"].items():
        yield from _encoder_faults(f"encoders.{name}", encoder)
        if "model" in encoder:
            key = f"encoders.{name}.model"
            yield from _undeclared(key, encoder["model"], "pretrained", config)
    yield from _name_faults(config)
    yield from _removal_faults(config)
    yield from _score_faults(config)
    yield from _explanation_faults(config)
    yield from _recorded_faults(config)
    yield from _optional_faults(config)
    influence = config["influence"]
    if influence["matrices"] > influence["instances"]:
        yield (
            f"influence.matrices must be at most influence.instances "
            f"({influence['instances']}), got {influence['matrices']}"
        )


def _encoder_faults(key: str, encoder: Mapping[str, Any]) -> Iterator[str]:
    """Sizes that heads do not divide, those of shared weights that differ, no loss."""
    stages = encoder.get("stages", ())
    sizes = [
        (key, "hidden_size", encoder),
        *((f"{key}.stages[{i}]", "width", stage) for i, stage in enumerate(stages)),
    ]
    losses = encoder.get("losses")
    if losses is not None and not any(losses.values()):
        yield (
            f"{key}.losses: every weight is 0, so that nothing would be learned. Set one "
            f"of {', '.join(losses)} above it."
        )
    decoder = encoder.get("decoder")
    if decoder is not None:
        sizes.append((f"{key}.decoder", "hidden_size", decoder))
        if decoder["tied"] and decoder["hidden_size"] != encoder["embedding_size"]:
            yield (
                f"{key}.decoder.tied needs embedding_size ({encoder['embedding_size']}) "
                f"to be the decoder's hidden_size ({decoder['hidden_size']}). Set one to "
                "the other, or tied to false"
            )
    for place, size, own in sizes:
        if "heads" in own and own[size] % own["heads"]:
            yield (
                f"{place}.{size} must be a multiple of heads ({own['heads']}), "
                f"got {own[size]}"
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


# Experiments that translators are not asked: what they train on, the outputs of all
# decisions or a model without context, is of classes.
OF_CLASSES = ("adversarial_training", "diagnostics")


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
    datasets = config["grid"]["datasets"]
    known = [config["datasets"][d] for d in datasets if d in config["datasets"]]
    if known and all(of["modality"] == "translation" for of in known):
        for experiment in OF_CLASSES:
            if config["explanations"][experiment]["enabled"]:
                yield (
                    f"explanations.{experiment} trains models of classes anew, and all "
                    "data sets of the grid are of translation. Set its enabled to false, "
                    "or name a data set of another modality in the grid."
                )


def _score_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """What the recordings of the grid, whose outputs are scores, do not have."""
    for name in config["grid"]["datasets"]:
        dataset = config["datasets"].get(name, {"modality": None})
        if dataset["modality"] != "reactions":
            continue
        for method, settings in config["methods"].items():
            if settings.get("output") not in (None, "all"):
                yield (
                    f"methods.{method}.output: '{settings['output']}' is one class, and the "
                    f"outputs of datasets.{name} are scores. Set it to all, or leave it out."
                )
        for scorer in config["grid"]["scorers"]:
            kind = config["scorers"].get(scorer, {}).get("kind")
            if kind == "last" and dataset["sampling"]["side"] != "past":
                yield (
                    f"scorers.{scorer} attends to the last moment, and those of "
                    f"datasets.{name} go on after the second that is decided. Set its "
                    "sampling.side to past, or leave one of both out of the grid."
                )


# The modalities that have a way to remove an input.
REMOVALS = {
    **dict.fromkeys(("delete", "replace"), ("text", "translation", "reactions")),
    "zero": ("text",),
    **dict.fromkeys(("mean", "blur"), ("images",)),
}


def _removal_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Ways to remove an input that a data set of the grid does not have."""
    for name, method in config["methods"].items():
        removal = method.get("removal")
        for dataset in config["grid"]["datasets"]:
            modality = config["datasets"].get(dataset, {}).get("modality")
            if removal and modality and modality not in REMOVALS[removal]:
                has = " and ".join(REMOVALS[removal])
                yield (
                    f"methods.{name}.removal: '{removal}' is for {has}, and "
                    f"datasets.{dataset} is of {modality}. Leave it out for the usual one "
                    "of each."
                )


def _recorded_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Recorded numbers of what is not declared, which would never stand beside any."""
    subjects = ["attention", "prediction", *config["methods"]]
    for index, entry in enumerate(config["recorded"]):
        key = f"recorded[{index}]"
        for axis, section in AXES.items():
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
    if name not in MEASURES:
        yield f"{key}: '{name}' is no measure.{suggestion(name, MEASURES)}"


def _optional_faults(config: Mapping[str, Any]) -> Iterator[str]:
    for name, dataset in config["datasets"].items():
        kind = dataset["source"]["kind"]
        if dataset["optional"] and kind not in OWN_KINDS:
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
    if any(
        name not in config[section]
        for section in AXES.values()
        for name in config["grid"][section]
    ):
        return
    datasets, encoders = config["grid"]["datasets"], config["grid"]["encoders"]
    unread = [
        name
        for name in datasets
        if not any(fits(name, encoder, config) for encoder in encoders)
    ]
    named = [config["encoders"][encoder] for encoder in encoders]
    for name in unread:
        modality = config["datasets"][name]["modality"]
        yield (
            f"grid.encoders: none reads datasets.{name}, which is of {modality}. Add one "
            f"of kind {' or '.join(encoders_of(modality))}"
            f"{about_decoders(modality, named)}, or leave out the data set."
        )
    unfinished = [*_finished_faults(config)]
    yield from unfinished
    if not unread and not unfinished and not grid(config):
        yield "exclude leaves no run of the grid. Remove an entry, or widen the grid."


def _finished_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Grids in which a finished classifier has no run, or none that can be compared."""
    encoders = {name: config["encoders"][name] for name in config["grid"]["encoders"]}
    finished = [name for name, of in encoders.items() if is_finished(of)]
    if not finished:
        return
    runs = grid(config)
    for name in finished:
        own = [run for run in runs if run.encoder == name]
        if not own:
            yield (
                f"grid: encoders.{name} is a finished classifier, and attends by a scorer "
                "of kind own and a normalizer of kind softmax. Add both to grid.scorers "
                "and grid.normalizers, and a data set of modality text, or leave it out."
            )
        for dataset in dict.fromkeys(run.dataset for run in own):
            if (fault := other_words(dataset, name, config)) is not None:
                yield f"{fault}. Exclude its runs where it is not to be."
    reference = config["statistics"]["reference"]
    if config["normalizers"].get(reference, {}).get("kind") != "softmax":
        yield (
            f"statistics.reference: '{reference}' is not of kind softmax, by which "
            f"encoders.{finished[0]}, a finished classifier, attends. Name one that is."
        )
    if {run.encoder for run in runs} - {*finished}:
        return
    for key in asked_of_trained(config):
        yield (
            f"{key} is of models that are trained, and all runs of the grid are of "
            "finished classifiers. Set its enabled to false, or name another encoder in "
            "the grid."
        )


def _dataset_faults(
    key: str, dataset: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    source = dataset["source"]
    if dataset.get("lexicon") is not None:
        yield from _undeclared(f"{key}.lexicon", dataset["lexicon"], "lexicons", config)
    if dataset.get("vectors") is not None:
        yield from _undeclared(f"{key}.vectors", dataset["vectors"], "vectors", config)
    if dataset.get("tokenizer") is not None:
        named = dataset["tokenizer"]
        yield from _undeclared(f"{key}.tokenizer", named, "pretrained", config)
        if source.get("rationale") is not None:
            yield (
                f"{key}.source.rationale: what is marked is placed in words of the "
                f"pipeline's own, not of '{named}'. Leave out the data set's tokenizer."
            )
    if "archive" in source:
        file = "source" if source["kind"] == "sitcom_laughs" else "wheel"
        archive_key = f"{key}.source.archive"
        yield from _archive_faults(archive_key, source["archive"], file, config)
    if dataset.get("size") and any(side % dataset["patch"] for side in dataset["size"]):
        yield (
            f"{key}.patch must divide size ({' x '.join(map(str, dataset['size']))}), "
            f"got {dataset['patch']}"
        )
    field = "splits" if source["kind"] == "hub" else "files"
    splits = set(source.get(field, {"all"}))
    if splits not in ({"all"}, {"train", "test"}, {"train", "dev", "test"}):
        yield (
            f"{key}.source.{field} must name either all alone, or train and test "
            f"(and dev, where there is one), got {', '.join(source[field]) or 'none'}"
        )
    labels = source.get("labels")
    if labels is not None and len(set(labels.values())) < 2:
        yield (
            f"{key}.source.labels must lead to two classes or more, got {shown(labels)}"
        )
    for split, rows in source.get("rows", {}).items():
        if rows is not None and split not in splits:
            yield (
                f"{key}.source.rows.{split}: source.splits names no {split}, but "
                f"{', '.join(source['splits'])}. Leave it out, or name it in both."
            )
    held_out = source.get("held_out") or {}
    if twice := [name for name in held_out.get("dev", []) if name in held_out["test"]]:
        yield (
            f"{key}.source.held_out: {', '.join(twice)} in dev and in test. Each is in one "
            "split: take it out of the other."
        )
    if dataset["modality"] == "reactions":
        yield from _recording_faults(key, dataset)


def _recording_faults(key: str, dataset: Mapping[str, Any]) -> Iterator[str]:
    """Moments that lie on no grid, and filters that have no middle."""
    sampling = dataset["sampling"]
    try:
        rate_and_count(sampling["rate"], sampling["span"], f"{key}.sampling")
    except AuditError as error:
        yield str(error)
    width = dataset["smoothing"].get("width", 1)
    if width % 2 == 0:
        yield (
            f"{key}.smoothing.width must be odd, so that a second is in the middle of its "
            f"window, got {width}. Set {width - 1} or {width + 1}."
        )
    if (
        dataset["source"]["kind"] == "reaction_tables"
        and dataset["vectors"] is not None
    ):
        yield (
            f"{key}.vectors: a source of kind 'reaction_tables' has no words on screen. Set it to "
            "null, or leave it out."
        )
