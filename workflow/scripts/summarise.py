"""Every measure of every cell of the grid, over instances and seeds."""

from attention_audit.errors import reported
from attention_audit.estimates import Settings
from attention_audit.inference import Subjects, summary_table
from attention_audit.provenance import record

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    summary_table(
        snakemake.params.runs,
        snakemake.input.measures,
        Settings(**snakemake.params.statistics),
        provenance,
        snakemake.output.table,
        Subjects(**snakemake.params.subjects),
        dict(zip(snakemake.params.datasets, snakemake.input.examples, strict=True)),
    )
