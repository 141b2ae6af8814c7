"""Every normalizer less the reference one, paired by instance, over seeds."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.inference import Subjects, comparison_table

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    comparison_table(
        snakemake.params.runs,
        snakemake.input.measures,
        Settings(**snakemake.params.statistics),
        provenance,
        snakemake.output.table,
        Subjects(**snakemake.params.subjects),
        dict(zip(snakemake.params.datasets, snakemake.input.examples, strict=True)),
    )
