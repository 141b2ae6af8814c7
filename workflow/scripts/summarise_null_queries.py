"""Queries that attend to nothing in every cell of the grid, by the class of their words."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.null_summary import null_table

with reported(snakemake.log[0]):
    params = snakemake.params
    null_table(
        params.runs,
        snakemake.input.queries,
        Settings(**params.statistics),
        record(snakemake.rule, dict(params.items()), snakemake.input),
        snakemake.output.table,
    )
