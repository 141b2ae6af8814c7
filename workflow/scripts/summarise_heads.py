"""Every head of the grid, over instances and seeds."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.head_summary import head_table

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    head_table(
        snakemake.params.runs,
        snakemake.input.heads,
        Settings(**snakemake.params.statistics),
        provenance,
        snakemake.output.table,
        dict(zip(snakemake.params.datasets, snakemake.input.examples, strict=True)),
    )
