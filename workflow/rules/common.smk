# Paths, wildcards and config slices that the rules share.
import contextlib
import locale
import math
import os
import re
import sys
from dataclasses import asdict, astuple
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW_FILES = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW_FILES / "scripts"))

from attention_audit.config import grid, validate
from attention_audit.errors import AuditError
from attention_audit.explanations import EXPERIMENTS
from attention_audit.figures.catalogue import figure_order, figures_of
from attention_audit.methods import (
    EFFECTS,
    WITHOUT_CONTEXT,
    bound_to_weights,
    inputs_first,
    method_function,
)
from attention_audit.provenance import code_digest, file_digest, library_versions
from attention_audit.targets import check_target
from attention_audit.unique_keys import check_arguments, check_files

# Snakemake writes benchmarks, which hold a job's params, in the encoding of the locale,
# and fails on a label that it lacks. Python asks for the locale each time it opens a file.
with contextlib.suppress(locale.Error):
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")

try:
    # Of two equal keys Snakemake has kept the last, without a word.
    check_files(workflow.configfiles)
    check_arguments(sys.argv[1:])
    config = validate(config, WORKFLOW_FILES / "schemas/config.schema.yaml")
    # Snakemake tells the targets only after it has read the rules, and would then say
    # no more than that no rule makes an undeclared one.
    for argument in sys.argv[1:]:
        check_target(argument, config)
    # Sorted, as the methods and whatever else a table has rows of: in which order the
    # config lists them is for the figures alone.
    RUNS = sorted(grid(config), key=astuple)
except AuditError as error:
    raise WorkflowError(str(error)) from None

# Whether checkouts share what is dear to make (see shared.smk).
SHARED = "SNAKEMAKE_OUTPUT_CACHE" in os.environ
# Relative, so that finished results stay finished when the folder is moved.
WORKFLOW = os.path.relpath(WORKFLOW_FILES)
RUN = "{dataset}/{encoder}/{scorer}/{normalizer}/seed{seed}"
# The same in a rule's message, where wildcards have to be named as such.
THIS_RUN = RUN.replace("{", "{wildcards.")
DATASETS = sorted({run.dataset for run in RUNS})
METHODS = inputs_first(dict(sorted(config["methods"].items())))
EXPERIMENTS_ON = [
    name for name, section in config["explanations"].items() if section["enabled"]
]
TRANSFORMERS = [
    name
    for name, encoder in config["encoders"].items()
    if encoder["kind"] == "transformer"
]
TRANSFORMER_RUNS = [run for run in RUNS if run.encoder in TRANSFORMERS]
FIGURES = figures_of(EXPERIMENTS_ON, transformers=bool(TRANSFORMER_RUNS))
HUB_DATASETS = [
    name
    for name, dataset in config["datasets"].items()
    if dataset["source"]["kind"] == "hub"
]


def one_of(names):
    """A wildcard's pattern: any of the declared names and nothing else."""
    # A pattern that matches nothing stands for an axis without any instance.
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    archive=one_of(config["archives"]),
    dataset=one_of(config["datasets"]),
    encoder=one_of(config["encoders"]),
    scorer=one_of(config["scorers"]),
    normalizer=one_of(config["normalizers"]),
    method=one_of(config["methods"]),
    seed=r"\d+",
    divergence="kl|jsd",
    weight=r"[\d.e+-]+",
    guide="attention|adversary",


# Resources. Of memory (MB) and time (minutes) a job asks for a fixed part, imports and
# the like, and a part that grows with its data. Each formula stands beside its rule,
# at about twice what was measured on one core; workflow/scripts/compare_resources.py
# compares the two. Local runs do not use them.
#
# The number of threads does not grow: the sums of a job depend on it.

# What Snakemake takes on a node, beside the script: it runs there twice, once to start
# the job step and once within it.
SNAKEMAKE_MB = 600
# The splits of the largest declared set, for those whose size nobody limits.
ALL_ROWS = 25_000
# Jobs that load a model run where the config says, and `auto` takes what there is.
GPUS = 1 if config["training"]["device"] == "cuda" else 0


def rows(wildcards, *splits):
    """The most examples that the named splits of a job's data set can have."""
    limits = config["datasets"][wildcards.dataset]["max_examples"]
    return sum(limits[split] or ALL_ROWS for split in splits)


def length(wildcards):
    """The most tokens that a text of a job's data set can have."""
    return config["datasets"][wildcards.dataset]["max_length"]


def growing(amount):
    """A resource that doubles whenever the job has failed; ``amount(wildcards)``."""
    return lambda wildcards, attempt: math.ceil(amount(wildcards)) * 2 ** (attempt - 1)


def memory(amount):
    """`growing` memory in MB, for a script that takes ``amount(wildcards)``."""
    return growing(lambda wildcards: SNAKEMAKE_MB + amount(wildcards))


def of_runs(pattern):
    """The paths of a pattern for every run of the grid."""
    return [pattern.format(run=run.path) for run in RUNS]


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

    ``chosen``: what the script picks at run time, as ``module:function``.
    """
    return {
        "code": code_digest(script, *chosen),
        "libraries": library_versions(script, *chosen),
    }


def statistics_slice(*keys):
    """The named keys of the config's statistics, for rules that use only these."""
    return {key: config["statistics"][key] for key in keys}
