"""Task scores of all runs in one table."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.task import task_table

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    task_table(
        snakemake.params.runs,
        snakemake.input.metrics,
        provenance,
        snakemake.output.table,
    )
