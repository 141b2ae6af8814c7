# Paths, wildcards and config slices that the rules share.
import contextlib
import locale
import logging
import math
import os
import re
import sys
from dataclasses import asdict, astuple, replace
from functools import cache
from itertools import groupby, islice
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

WORKFLOW_FILES = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW_FILES / "scripts"))

from attention_audit.claims import OF_MEANS, read_claims, resolved
from attention_audit.config import check_named, validate, without_missing
from attention_audit.statistics.controls import CUT, controls_of, has_controls
from attention_audit.cost import Announcer
from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import logs_of, results_of
from attention_audit.figures.catalogue import (
    OWN_SECTIONS,
    PAGE_SOURCES,
    category_of,
    figure_order,
    figures_of,
)
from attention_audit.grid import grid, is_finished, unsuited
from attention_audit.kinds import removal_kinds
from attention_audit.data.own_files import own_files, with_paths
from attention_audit.models.encoder_kinds import (
    DECODERS,
    ENCODERS,
    OWN_ATTENTION,
    SCORERS,
    has_heads,
    has_offsets,
    inner_normalizers,
    stores_states,
)
from attention_audit.methods import (
    WITHOUT_CONTEXT,
    applying,
    bound_to_weights,
    effects_of,
    inputs_first,
    method_function,
    not_applying,
)
from attention_audit.records.provenance import (
    code_digest,
    file_digest,
    library_versions,
)
from attention_audit.records.metadata import made_otherwise
from attention_audit.data.sizes import TYPICAL, UNKNOWN, size_of
from attention_audit.targets import (
    ARCHIVES,
    HAVING,
    MEASURED,
    check_target,
    runs_having,
)
from attention_audit.records.unique_keys import check_arguments, check_files

# Snakemake writes benchmarks, which hold a job's params, in the encoding of the locale,
# and fails on a label that it lacks. Python asks for the locale each time it opens a file.
with contextlib.suppress(locale.Error):
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")

# Relative, so that finished results stay finished when the folder is moved.
WORKFLOW = os.path.relpath(WORKFLOW_FILES)

try:
    # Of two equal keys Snakemake has kept the last, without a word.
    check_files(workflow.configfiles)
    check_arguments(sys.argv[1:])
    check_named(
        workflow.overwrite_configfiles, workflow.config_settings.overwrite_config
    )
    config = validate(config, WORKFLOW_FILES / "schemas/config.schema.yaml")
    config, LEFT_OUT = without_missing(config)
    # Snakemake tells the targets only after it has read the rules, and would then say
    # no more than that no rule makes an undeclared one.
    for argument in sys.argv[1:]:
        check_target(argument, config)
    # Sorted, as the methods and whatever else a table has rows of: in which order the
    # config lists them is for the figures alone.
    RUNS = sorted(grid(config), key=astuple)
    CLAIMS = resolved(
        read_claims(
            f"{WORKFLOW}/claims.yaml", f"{WORKFLOW}/schemas/claims.schema.yaml"
        ),
        config,
        RUNS,
    )
except AuditError as error:
    raise WorkflowError(str(error)) from None

NOT_APPLYING = not_applying(
    config["methods"], {run.encoder: config["encoders"][run.encoder] for run in RUNS}
)
for notice in (
    *LEFT_OUT.values(),
    *NOT_APPLYING.values(),
    *unsuited(config).values(),
):
    logging.getLogger("snakemake.logging").warning(notice)


onstart:
    # Snakemake limits how many jobs start in a second. While jobs wait it therefore looks
    # at them a second after each look, and after each job that ends, so that with a
    # thousand of them it comes to look hundreds of times a second, a thread each, and takes
    # from the jobs what it should give them. Here the cores are the limit; profiles/slurm
    # has one of its own.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


# What an experiment makes stands in folders of its own.
RESULTS, LOGS = results_of(config["experiment"]), logs_of(config["experiment"])
# Whether checkouts share what is dear to make (see shared.smk).
SHARED = "SNAKEMAKE_OUTPUT_CACHE" in os.environ
RUN = "{dataset}/{encoder}/{scorer}/{normalizer}/seed{seed}"
# The same in a rule's message, where wildcards have to be named as such.
THIS_RUN = RUN.replace("{", "{wildcards.")
REFERENCE = config["statistics"]["reference"]
KINDS = {name: settings["kind"] for name, settings in config["normalizers"].items()}
# Each with the run that it is a control of; in tables they stand among the runs.
CONTROLS = controls_of(RUNS, KINDS, REFERENCE)
DATASETS = sorted({run.dataset for run in RUNS})
# Those of a run, by its encoder: not each has what every method is about.
METHODS_OF = {
    name: inputs_first(applying(dict(sorted(config["methods"].items())), encoder))
    for name, encoder in config["encoders"].items()
}
METHODS = inputs_first(
    {
        name: config["methods"][name]
        for name in sorted({m for run in RUNS for m in METHODS_OF[run.encoder]})
    }
)
EXPERIMENTS_ON = [
    name for name, section in config["explanations"].items() if section["enabled"]
]
WITH_HEADS = [
    name for name, encoder in config["encoders"].items() if has_heads(encoder)
]
WITH_OFFSETS = [
    name for name, encoder in config["encoders"].items() if has_offsets(encoder)
]
PICTURES = [
    name
    for name, dataset in config["datasets"].items()
    if dataset["modality"] == "images"
]
# The runs of the grid that have what not every run has.
RUNS_HAVING = {what: sorted(runs_having(what, config), key=astuple) for what in HAVING}
PICTURE_RUNS = RUNS_HAVING["pictures"]
# Those on sentence pairs, and their data sets.
PAIR_RUNS = RUNS_HAVING["alignments"]
PAIRED = sorted({run.dataset for run in PAIR_RUNS})
# Those on recordings, and theirs.
REACTION_RUNS = RUNS_HAVING["recordings"]
REACTED = sorted({run.dataset for run in REACTION_RUNS})
HEAD_RUNS = RUNS_HAVING["heads"]
OFFSET_RUNS = RUNS_HAVING["offsets"]
FIGURES = figures_of(
    [
        *EXPERIMENTS_ON,
        *(name for name in OWN_SECTIONS if config[name]["enabled"]),
    ],
    having=[what for what, runs in RUNS_HAVING.items() if runs],
)
HUB_DATASETS = [
    name
    for name, dataset in config["datasets"].items()
    if dataset["source"]["kind"] == "hub"
]
# What can be shown as words, with their weights.
TEXT_RUNS = [
    run for run in RUNS if config["datasets"][run.dataset]["modality"] == "text"
]
TEXTS = sorted({run.dataset for run in TEXT_RUNS})


def one_of(names):
    """A wildcard's pattern: any of the declared names and nothing else."""
    # A pattern that matches nothing stands for an axis without any instance.
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    archive=one_of(config["archives"]),
    pretrained=one_of(config["pretrained"]),
    dataset=one_of(config["datasets"]),
    encoder=one_of(config["encoders"]),
    scorer=one_of(config["scorers"]),
    normalizer=one_of(config["normalizers"]),
    method=one_of(config["methods"]),
    seed=r"\d+",
    divergence="kl_adversary_run|kl_run_adversary|jsd",
    weight=r"[\d.e+-]+",
    guide="attention|adversary",


# Resources. Each formula stands with its rule: memory (MB) of the script at about twice
# what was measured, processor time (seconds) as it was measured on one core, and, where
# it is not next to nothing, the size of the outputs (MB). Of these, jobs ask a cluster for
# memory and minutes, and cost.smk tells what a plan costs; local runs use neither.
# workflow/scripts/compare_resources.py compares what was asked for with what was used.
#
# The number of threads does not grow: the sums of a job depend on it.

# What Snakemake takes on a node, beside the script: it runs there twice, once to start
# the job step and once within it.
SNAKEMAKE_MB = 600
# Seconds until a script has imported what it needs: with torch, and without.
TORCH, LIGHT = 2, 0.5
# Jobs that load a model run where the config says, and `auto` takes what there is.
GPUS = 1 if config["training"]["device"] == "cuda" else 0
# Seconds a word takes in a pretrained encoder of 6 layers of width 384; no config says how
# large one is.
PRETRAINED_WORD = 5e-4
# By rule: seconds and MB of outputs, as functions of the wildcards.
EXPECTED = {}


def prepared_from(name):
    """What is declared of a data set, but for its lexicon: that is for `measure`."""
    declared = config["datasets"][name]
    return {key: value for key, value in declared.items() if key != "lexicon"}


def size(wildcards):
    """How large a job's data set is; before it is prepared, how large it can be.

    For what a plan may cost, its ``wildcards`` ask for the ``typical`` size.
    """
    card = f"{RESULTS}/data/{wildcards.dataset}/card.json"
    unknown = TYPICAL if wildcards.get("typical") else UNKNOWN
    return size_of(card, prepared_from(wildcards.dataset), unknown)


def rows(wildcards, *splits):
    """The examples of the named splits of a job's data set."""
    return size(wildcards).of(*splits)


def length(wildcards):
    """The most tokens that a text of a job's data set has."""
    return size(wildcards).longest


def audited_tokens(wildcards, instances=config["audit"]["instances"], power=1):
    """The sum over a job's audited decisions of the tokens of each, to some power."""
    found = size(wildcards)
    return min(instances, found.of("test")) * found.decisions * found.tokens**power


def is_pretrained(wildcards):
    """Whether the encoder of a job's run is a pretrained one; some guides have no run."""
    encoder = config["encoders"].get(getattr(wildcards, "encoder", None), {})
    return encoder.get("kind") in ("finished", "pretrained")


def can_be_trained(wildcards):
    """Whether something of a run's model is learned, and can be learned anew."""
    return not is_finished(config["encoders"][wildcards.encoder])


def growing(amount):
    """A resource that doubles whenever the job has failed; ``amount(wildcards)``."""
    return lambda wildcards, attempt: math.ceil(amount(wildcards)) * 2 ** (attempt - 1)


def needs(rule, mb, seconds, disk_mb=lambda wildcards: 0.02):
    """Memory, and minutes: five, for slow disks and nodes, and four times the expected.

    All are functions of the wildcards: memory ``mb`` and processor ``seconds`` of the
    rule's script, ``disk_mb`` of its outputs.
    """
    EXPECTED[rule] = seconds, disk_mb
    return {
        "mem_mb": growing(lambda wildcards: SNAKEMAKE_MB + mb(wildcards)),
        "runtime": growing(lambda wildcards: 5 + 4 * seconds(wildcards) / 60),
    }


def of_runs(pattern):
    """The paths of a pattern for every run of the grid."""
    return [pattern.format(run=run.path) for run in RUNS]


def of_controls(pattern):
    """The paths of a pattern for every control of the grid."""
    return [
        pattern.format(run=run.path, control=control["control"])
        for run, control in CONTROLS
    ]


def identity(wildcards):
    """What a run is called, for the tables' identity columns."""
    return {
        "dataset": wildcards.dataset,
        "encoder": wildcards.encoder,
        "scorer": wildcards.scorer,
        "normalizer": wildcards.normalizer,
        "seed": int(wildcards.seed),
    }


def made_by(script, *chosen):
    """The params that tie a job to the code and the libraries it depends on.

    ``chosen``: what the script picks at run time, as ``module:definition``, or a
    function of the wildcards that returns a list of such.
    """

    def param(of):
        def of_job(wildcards):
            choices = [c(wildcards) if callable(c) else [c] for c in chosen]
            return of(script, *sum(choices, []))

        return of_job

    params = {"code": param(code_digest), "libraries": param(library_versions)}
    if chosen:
        params["chosen"] = param(lambda script, *choices: list(choices))
    return params


def normalizer_kinds(*kinds):
    """What `made_by` is told of the normalizers of a model."""
    return [f"models.normalizers.{kind}:NORMALIZER" for kind in sorted({*kinds})]


def normalizers_of(wildcards):
    """The kinds in a run's model: of its pooling, and of attention within encoders."""
    pooling = config["normalizers"][wildcards.normalizer]["kind"]
    inner = inner_normalizers(config["encoders"][wildcards.encoder])
    kinds = [pooling if of == "run" else of["kind"] for of in inner]
    return normalizer_kinds(pooling, *kinds)


def parts_of(wildcards):
    """What `made_by` is told of a run's model: its encoder, its decoder and its scorer."""
    encoder = config["encoders"][wildcards.encoder]
    decoders = [encoder["decoder"]] if "decoder" in encoder else []
    return [
        ":".join(ENCODERS[encoder["kind"]]),
        *(":".join(DECODERS[decoder["kind"]]) for decoder in decoders),
        *scorer_of(wildcards),
    ]


def scorer_of(wildcards):
    """What `made_by` is told of the scorer of a run's model."""
    return [":".join(SCORERS[config["scorers"][wildcards.scorer]["kind"]])]


def methods_of(wildcards):
    """The methods that apply to a run's encoder, in their order."""
    return METHODS_OF[wildcards.encoder]


def modality_of(wildcards):
    """What a job's data set is of."""
    return config["datasets"][wildcards.dataset]["modality"]


def of_modality(data=(), models=()):
    """What `made_by` is told of a modality: the names that a script takes of its modules.

    See `data.modality`, which says what they are.
    """

    def chosen(wildcards):
        modality = modality_of(wildcards)
        return [
            *(f"data.modalities.{modality}:{name}" for name in data),
            *(f"models.modalities.{modality}:{name}" for name in models),
        ]

    return chosen


# What a script takes that trains a model, and one that runs it on audited instances.
TO_TRAIN = of_modality(data=["read_examples"], models=["declare"])
TO_AUDIT = of_modality(data=["audited"], models=["SETTINGS"])
TO_RETRAIN = of_modality(
    data=["audited", "read_examples"], models=["SETTINGS", "declare", "vectors_of"]
)


def over_runs(*chosen, runs=RUNS):
    """What `made_by` is told where a script reads many runs: the choices of each of them."""
    names = {name for run in runs for of_run in chosen for name in of_run(run)}
    return lambda wildcards: sorted(names)


def statistics_slice(*keys):
    """The named keys of the config's statistics, for rules that use only these."""
    return {key: config["statistics"][key] for key in keys}
