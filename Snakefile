# Which inputs did the model use, and does its attention show them?
# README.md explains the flow; config.yaml, beside it, holds every setting.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.11")


# A working folder (snakemake -d) may hold a config of its own.
OWN_CONFIG = Path("config.yaml")


configfile: OWN_CONFIG if OWN_CONFIG.exists() else Path(workflow.basedir) / OWN_CONFIG


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/attribute.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/translate.smk"
include: "workflow/rules/react.smk"
include: "workflow/rules/retrain.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/shared.smk"
include: "workflow/rules/cost.smk"


rule all:
    default_target: True
    input:
        rules.report_page.output.page,
        rules.runs.output.table,
        rules.examples.output.table,
        rules.experiment.output.config,
        expand(
            rules.picture_sheet.output.sheet, dataset=sorted({*PICTURES} & {*DATASETS})
        ),
        expand(
            f"{RESULTS}/figures/{{figure}}.{{format}}",
            figure=FIGURES,
            format=["pdf", "png"],
        ),
