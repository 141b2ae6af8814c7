"""What a user may ask the workflow for, and why not where it may not.

Snakemake says of a path that no rule makes that no rule makes it. Most such paths are
near something: a name misspelt, an experiment that is switched off.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from attention_audit.figures.catalogue import (
    EXPERIMENT_FIGURES,
    FIGURES,
    OF_SOME,
    OWN_SECTIONS,
)
from attention_audit.grid import (
    AXES,
    OF_TRAINED,
    Run,
    about_decoders,
    fits,
    grid,
    has_decoder,
    is_finished,
    other_words,
    suits,
)
from attention_audit.kinds import encoders_of
from attention_audit.methods import not_applying
from attention_audit.models.encoder_kinds import (
    OWN_ATTENTION,
    has_heads,
    has_offsets,
    stores_states,
)
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.experiments import results_of, split
from attention_audit.statistics.controls import CONTROLS, has_controls

# Experiments that measure no instances of one run, with the tables that they make.
OF_MODELS = {
    "diagnostics": ("diagnostics",),
    "learning_curve": ("learning_curve",),
    "efficiency": ("sizes", "speed", "translation_speed"),
}
MEASURED = tuple(name for name in EXPERIMENT_FIGURES if name not in OF_MODELS)

# Tables over the whole grid; those of experiments want one of them switched on.
STATISTICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "runs",
            "task",
            "summary",
            "comparison",
            "claims",
            "recorded",
            "examples",
            "head_summary",
            "offset_summary",
            "picture_examples",
            "translation_scores",
            "alignment_summary",
            "alignment_comparison",
            "alignment_examples",
            "null_summary",
            "reaction_scores",
            "reaction_summary",
            "reaction_comparison",
            "reaction_episodes",
        ),
        (),
    ),
    **dict.fromkeys(
        ("explanation_summary", "explanation_comparison", "explanation_points"),
        MEASURED,
    ),
    **{table: (name,) for name, tables in OF_MODELS.items() for table in tables},
}

# What not every run has: whether its data set and its encoder make it so, what it is, and
# what to name for it.
HAVING: dict[str, tuple[Callable[[Mapping, Mapping], bool], str, str]] = {
    "heads": (
        lambda dataset, encoder: has_heads(encoder),
        "heads of self-attention",
        "an encoder of kind transformer, vit, pretrained or finished, one of kind lit with a "
        "stage of kind attention, or one with a decoder of kind transformer",
    ),
    "offsets": (
        lambda dataset, encoder: has_offsets(encoder),
        "sampling offsets",
        "an encoder of kind lit with merging deformable and two stages or more",
    ),
    "pictures": (
        lambda dataset, encoder: dataset["modality"] == "images",
        "pictures",
        "a data set of modality images",
    ),
    "marks": (
        lambda dataset, encoder: dataset["modality"] in ("images", "translation"),
        "inputs that somebody marks",
        "a data set of modality images or translation",
    ),
    "alignments": (
        lambda dataset, encoder: dataset["modality"] == "translation",
        "sentence pairs",
        "a data set of modality translation",
    ),
    "recordings": (
        lambda dataset, encoder: dataset["modality"] == "reactions",
        "recordings",
        "a data set of modality reactions",
    ),
}

# Tables of a run that not every run has: what it must have, and which section says so.
OF_ATTRIBUTIONS = {
    "heads": ("heads", "encoders"),
    "offsets": ("offsets", "encoders"),
    "alignment": ("alignments", "datasets"),
    "null_queries": ("alignments", "datasets"),
}

FIGURE_FORMATS = (".png", ".pdf", ".parquet")

# What the name of a fetched archive ends in, by which of a package's files it is.
ARCHIVES = {"wheel": ".whl", "source": ".tar.gz"}


def runs_having(what: str, config: Mapping[str, Any]) -> list[Run]:
    """The runs of a validated config's grid that have something of `HAVING`."""
    has, *_ = HAVING[what]
    return [
        run
        for run in grid(config)
        if has(config["datasets"][run.dataset], config["encoders"][run.encoder])
    ]


def check_target(
    target: str, config: Mapping[str, Any], folder: str | Path = "."
) -> None:
    """Raise an `AuditError` where a requested path cannot be made with this config.

    Knows the paths of all results; ``config`` is a validated one and ``folder`` the
    working folder. A declared run need not be in the grid. Other arguments, and paths
    below ``results`` whose last part is misspelt, pass: Snakemake reports them.
    """
    path = PurePosixPath(target)
    if path.is_absolute():
        try:
            path = path.relative_to(Path(folder).resolve().as_posix())
        except ValueError:
            return
    fault = next(_faults_anywhere(path, config), None)
    if fault is not None:
        raise AuditError(f"{target}: {fault}")
    if PurePosixPath(target).is_absolute() and _is_result(path):
        raise AuditError(
            f"{target}: a target is named from the working folder. Ask for {path}."
        )


def _is_result(path: PurePosixPath) -> bool:
    return path.parts[:1] == ("results",) and path.suffix in (
        *FIGURE_FORMATS,
        ".json",
        ".safetensors",
        ".whl",
        ".gz",
    )


def _faults_anywhere(path: PurePosixPath, config: Mapping[str, Any]) -> Iterator[str]:
    """Reasons why a path of any experiment cannot be made, the first one first."""
    found = split(path)
    if found is None:
        return
    name, inner = found
    own = config["experiment"]
    if name != own:
        yield (
            f"it belongs to the experiment '{name}', and this config is that of '{own}'. "
            f"Use the other's config, or ask for "
            f"{PurePosixPath(results_of(own), inner)}."
        )
    yield from _faults(inner, config)


def _faults(path: PurePosixPath, config: Mapping[str, Any]) -> Iterator[str]:
    """The same of a path within the experiment's folder."""
    match path.parts:
        case ("raw", "hub", file) if file.endswith(".parquet"):
            yield from _hub_faults(file.removesuffix(".parquet"), config)
        case ("raw", "pretrained", name, _):
            yield from _undeclared("pretrained model", "pretrained", name, config)
        case ("raw", file) if file.endswith(tuple(ARCHIVES.values())):
            yield from _archive_faults(file, config)
        case ("data", dataset, _, *_):
            yield from _undeclared("dataset", "datasets", dataset, config)
        case ("encoded", dataset, encoder, attention, _):
            yield from _undeclared("dataset", "datasets", dataset, config)
            yield from _undeclared("encoder", "encoders", encoder, config)
            yield from _encoded_faults(encoder, attention, config)
        case ("models", *names, seed, _) if len(names) == len(AXES):
            yield from _run_faults([*names, seed], config)
        case ("attributions", d, e, s, n, seed, *file) if file:
            yield from _run_faults([d, e, s, n, seed], config)
            yield from _attribution_faults(d, e, file, config)
        case ("measures", d, e, s, n, file) if file.endswith(".parquet"):
            yield from _run_faults([d, e, s, n, path.stem], config)
        case ("translations", d, e, s, n, file) if file.endswith(".parquet"):
            yield from _run_faults([d, e, s, n, path.stem], config)
            yield from _dataset_faults(d, "alignments", config)
        case ("reactions", d, e, s, n, file) if file.endswith(".parquet"):
            yield from _run_faults([d, e, s, n, path.stem], config)
            yield from _dataset_faults(d, "recordings", config)
        case ("controls", d, e, s, n, seed, file) if file.endswith(".parquet"):
            yield from _run_faults([d, e, s, n, seed], config)
            yield from _control_faults(n, path.stem, config)
        case ("explanations", d, e, s, n, seed, file):
            yield from _run_faults([d, e, s, n, seed], config)
            experiment = path.stem
            if file == "measures.parquet":
                yield from _switched_off(MEASURED, config)
            elif experiment in MEASURED:
                if ("explanations", experiment) in OF_TRAINED:
                    yield from _finished_faults(e, config)
                yield from _switched_off([experiment], config)
            elif path.suffix == ".parquet":
                known = ["measures", *MEASURED]
                yield f"no experiment '{experiment}'.{suggestion(experiment, known)}"
        case ("adversaries", d, e, s, n, seed, _, *_):
            yield from _run_faults([d, e, s, n, seed], config)
            yield from _finished_faults(e, config)
            yield from _switched_off(["adversarial_training", "diagnostics"], config)
        case ("diagnostics", d, e, s, n, seed, _, _):
            yield from _run_faults([d, e, s, n, seed], config)
            yield from _finished_faults(e, config)
            yield from _switched_off(["diagnostics"], config)
        case ("diagnostics", _, scorer, *_, "learned" | "uniform", _):
            yield from _undeclared("scorer", "scorers", scorer, config)
            if config["scorers"][scorer]["kind"] == "own":
                yield (
                    f"scorers.{scorer} is the attention of finished classifiers, of which "
                    "nothing is trained. Name another scorer."
                )
            yield from _switched_off(["diagnostics"], config)
        case ("diagnostics", _, *_):
            yield from _switched_off(["diagnostics"], config)
        case ("learning_curve", *names, seed, file) if len(names) == len(AXES):
            yield from _run_faults([*names, seed], config)
            yield from _finished_faults(names[1], config)
            yield from _switched_off(["learning_curve"], config)
            yield from _share_faults(file, config)
        case ("statistics", file) if file.endswith(".parquet"):
            yield from _table_faults(path.stem, config)
        case ("figures", file) if path.suffix in FIGURE_FORMATS:
            yield from _figure_faults(path.stem, config)
        case ("figures", _) if path.suffix not in (".html", ".zip"):
            yield (
                f"a figure is made as {', '.join(FIGURE_FORMATS)}. Ask for "
                f"{results_of(config['experiment'])}/{path.with_suffix('.pdf')}."
            )


def _undeclared(
    axis: str, section: str, name: str, config: Mapping[str, Any]
) -> Iterator[str]:
    known = config[section]
    if name not in known:
        hint = suggestion(name, known) if known else f" {section} is empty."
        yield f"{axis} '{name}' is not declared under {section} in the config.{hint}"


def _encoded_faults(
    encoder: str, attention: str, config: Mapping[str, Any]
) -> Iterator[str]:
    """Faults of hidden states with self-attention by a normalizer, or the encoder's own."""
    settings = config["encoders"].get(encoder, {"kind": None})
    of_run = settings.get("self_attention") == "run"
    if of_run:
        yield from _undeclared("normalizer", "normalizers", attention, config)
    elif attention != OWN_ATTENTION:
        yield (
            f"the self-attention of '{encoder}' is its own, and not that of a run. Ask for "
            f"{OWN_ATTENTION} in the place of '{attention}'."
        )
    if not stores_states(settings, config["normalizers"].get(attention, {})):
        yield (
            "hidden states are stored of pretrained encoders of which nothing learns. "
            f"Set encoders.{encoder}.trained to none, and stored to true."
        )


def _run_faults(names: list[str], config: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a run's four names and of the word that holds its seed."""
    for (axis, section), name in zip(AXES.items(), names, strict=False):
        yield from _undeclared(axis, section, name, config)
    dataset, encoder = names[:2]
    declared = dataset in config["datasets"] and encoder in config["encoders"]
    if declared and not fits(dataset, encoder, config):
        modality = config["datasets"][dataset]["modality"]
        settings = config["encoders"][encoder]
        wanted = about_decoders(modality, [settings])
        own = wanted and f" with{'' if has_decoder(settings) else 'out'} a decoder"
        yield (
            f"encoders.{encoder} is of kind '{settings['kind']}'{own}, and "
            f"datasets.{dataset} is of {modality}, which encoders of the kinds "
            f"{', '.join(encoders_of(modality))}{wanted} read. Name another."
        )
    axes = dict(zip(AXES.values(), names, strict=False))
    if all(name in config[section] for section, name in axes.items()):
        run = Run(*names[: len(AXES)], config["grid"]["seeds"][0])
        if not suits(run, config):
            yield (
                "a scorer of kind own, with a normalizer of kind softmax, is for encoders "
                "of kind finished, which attend in no other way. Name others."
            )
    # A leading zero would make one run reachable under two paths.
    if not re.fullmatch(r"seed(0|[1-9][0-9]*)", names[-1]):
        yield (
            f"seed '{names[-1]}' should be the word seed and a whole number, "
            "such as seed0"
        )
    if encoder in config["encoders"] and is_finished(config["encoders"][encoder]):
        yield from _own_faults(dataset, encoder, names[-1], config)


def _own_faults(
    dataset: str, encoder: str, seed: str, config: Mapping[str, Any]
) -> Iterator[str]:
    """A line where a run of a finished classifier reads others' words, or has a seed."""
    if (fault := other_words(dataset, encoder, config)) is not None:
        yield f"{fault}. Name another data set."
    first = f"seed{config['grid']['seeds'][0]}"
    if seed != first:
        yield (
            f"encoders.{encoder} is a finished classifier, which no seed changes. Ask for "
            f"{first}."
        )


def _archive_faults(file: str, config: Mapping[str, Any]) -> Iterator[str]:
    suffix = next(s for s in ARCHIVES.values() if file.endswith(s))
    name = file.removesuffix(suffix)
    yield from _undeclared("archive", "archives", name, config)
    own = ARCHIVES[config["archives"][name]["file"]]
    if suffix != own:
        yield (
            f"archives.{name}.file is {config['archives'][name]['file']}. Ask for "
            f"{results_of(config['experiment'])}/raw/{name}{own}."
        )


def _hub_faults(dataset: str, config: Mapping[str, Any]) -> Iterator[str]:
    yield from _undeclared("dataset", "datasets", dataset, config)
    kind = config["datasets"].get(dataset, {}).get("source", {}).get("kind", "hub")
    if kind != "hub":
        yield f"datasets.{dataset} does not come from the hub: source.kind is {kind}"


def _attribution_faults(
    dataset: str, encoder: str, file: list[str], config: Mapping[str, Any]
) -> Iterator[str]:
    for table, (needed, owner) in OF_ATTRIBUTIONS.items():
        has, what, named = HAVING[needed]
        if file == [f"{table}.parquet"] and not has(
            config["datasets"][dataset], config["encoders"][encoder]
        ):
            name = dataset if owner == "datasets" else encoder
            yield f"{owner}.{name} has no {what}. Name {named}."
    if file[0] == "importance" and len(file) == 2 and file[1].endswith(".parquet"):
        method = file[1].removesuffix(".parquet")
        yield from _undeclared("method", "methods", method, config)
        owner = {encoder: config["encoders"][encoder]}
        asked = {method: config["methods"][method]}
        for notice in not_applying(asked, owner).values():
            yield f"{notice}. Name another encoder, or another method."


def _finished_faults(encoder: str, config: Mapping[str, Any]) -> Iterator[str]:
    """A line where models are asked for that are trained anew, and nothing learns."""
    if is_finished(config["encoders"][encoder]):
        yield (
            f"encoders.{encoder} is a finished classifier, of which nothing is trained. "
            "Name another encoder."
        )


def _dataset_faults(
    dataset: str, needed: str, config: Mapping[str, Any]
) -> Iterator[str]:
    """A line where a data set does not make what its runs have; see `HAVING`."""
    has, what, named = HAVING[needed]
    if not has(config["datasets"][dataset], {}):
        yield f"datasets.{dataset} has no {what}. Name {named}."


def _control_faults(
    normalizer: str, file: str, config: Mapping[str, Any]
) -> Iterator[str]:
    kind = config["normalizers"].get(normalizer, {}).get("kind", "")
    reference = config["statistics"]["reference"]
    if not has_controls(normalizer, kind, reference):
        yield (
            f"controls tell what is due to the zeros of a normalizer, and '{normalizer}' "
            f"is {'the reference' if normalizer == reference else 'uniform'}. Name another."
        )
    erased = [f"{of}_{name}" for of in ("erasure", "explanation") for name in CONTROLS]
    if file in erased:
        yield from _switched_off(["erasure"], config)
    elif file not in CONTROLS:
        yield f"no control '{file}'.{suggestion(file, [*CONTROLS, *erased])}"


def _share_faults(file: str, config: Mapping[str, Any]) -> Iterator[str]:
    known = [f"share{share}.json" for share in config["learning_curve"]["shares"]]
    if file not in known:
        yield f"no share '{file}' in learning_curve.shares.{suggestion(file, known)}"


def _switched_off(
    experiments: Iterable[str], config: Mapping[str, Any]
) -> Iterator[str]:
    """A line where none of the experiments is part of the workflow."""
    own = {name: config[name] for name in OWN_SECTIONS}
    sections = {**config["explanations"], **own}
    switches = [
        f"{name}.enabled" if name in config else f"explanations.{name}.enabled"
        for name in experiments
    ]
    if not any(sections[name]["enabled"] for name in experiments):
        one = "" if len(switches) == 1 else "one of "
        yield (
            "the experiment that makes it is switched off. Set "
            f"{one}{', '.join(switches)} to true."
        )


def _without_runs(name: str, config: Mapping[str, Any]) -> Iterator[str]:
    """A line where no run of the grid has what a table or figure is about."""
    if name in OF_SOME and not runs_having(OF_SOME[name], config):
        _, what, named = HAVING[OF_SOME[name]]
        yield (
            f"it is about {what}, and no run of the grid has any. Name {named} in the "
            "grid."
        )


def _table_faults(table: str, config: Mapping[str, Any]) -> Iterator[str]:
    if table not in STATISTICS:
        yield f"no table '{table}'.{suggestion(table, STATISTICS)}"
        return
    if STATISTICS[table]:
        yield from _switched_off(STATISTICS[table], config)
    yield from _without_runs(table, config)


def _figure_faults(figure: str, config: Mapping[str, Any]) -> Iterator[str]:
    every = dict(FIGURES)
    for figures in EXPERIMENT_FIGURES.values():
        every |= figures
    if figure not in every:
        yield f"no figure '{figure}'.{suggestion(figure, every)}"
        return
    makers = [name for name, made in EXPERIMENT_FIGURES.items() if figure in made]
    if makers:
        yield from _switched_off(makers, config)
    for name in (figure, *every[figure]):
        yield from _without_runs(name, config)
