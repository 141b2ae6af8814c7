"""Alignment of every cell of the grid, over sentence pairs and seeds, and of its floors."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.alignment_summary import alignment_tables
from attention_audit.statistics.estimates import Settings

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    alignment_tables(
        params.runs,
        inputs.alignment,
        dict(zip(params.datasets, inputs.floors, strict=True)),
        params.methods,
        Settings(**params.statistics),
        record(snakemake.rule, dict(params.items()), inputs),
        snakemake.output.summary,
        snakemake.output.comparison,
    )
