"""Every head of every Transformer of the grid, over instances and seeds."""

from attention_audit.errors import reported
from attention_audit.estimates import Settings
from attention_audit.head_summary import head_table
from attention_audit.provenance import record

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
