"""Task scores of all runs in one table."""

from attention_audit.errors import reported
from attention_audit.inference import task_table
from attention_audit.provenance import record

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    task_table(
        snakemake.params.runs,
        snakemake.input.metrics,
        provenance,
        snakemake.output.table,
    )
