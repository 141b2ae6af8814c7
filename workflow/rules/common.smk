# Paths, wildcards and config slices that the rules share.
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from attention_audit.config import check_target, grid, validate
from attention_audit.errors import AuditError
from attention_audit.explanations import EXPERIMENTS
from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, FIGURES
from attention_audit.interventions.guided import GUIDES
from attention_audit.methods import method_function
from attention_audit.provenance import code_digest, library_versions

try:
    config = validate(config, Path(workflow.basedir) / "schemas/config.schema.yaml")
    # Snakemake tells the targets only after it has read the rules, and would then say
    # no more than that no rule makes an undeclared one.
    for argument in sys.argv[1:]:
        check_target(argument, config)
    RUNS = grid(config)
except AuditError as error:
    raise WorkflowError(str(error)) from None

# Relative, so that finished results stay finished when the folder is moved.
WORKFLOW = os.path.relpath(workflow.basedir)
RUN = "{dataset}/{encoder}/{scorer}/{normalizer}/seed{seed}"
# The same in a rule's message, where wildcards have to be named as such.
THIS_RUN = RUN.replace("{", "{wildcards.")
DATASETS = sorted({run.dataset for run in RUNS})
METHODS = list(config["methods"])
EXPERIMENTS_ON = [
    name for name, section in config["explanations"].items() if section["enabled"]
]
FIGURES = FIGURES | {
    figure: tables
    for experiment in EXPERIMENTS_ON
    for figure, tables in EXPERIMENT_FIGURES[experiment].items()
}
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
    guide=one_of(GUIDES),


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


def made_by(script, *modules):
    """The params that tie a job to the code and the libraries it depends on."""
    return {
        "code": code_digest(script, *modules),
        "libraries": library_versions(script, *modules),
    }


def statistics_slice(*keys):
    """The named keys of the config's statistics, for rules that use only these."""
    return {key: config["statistics"][key] for key in keys}
