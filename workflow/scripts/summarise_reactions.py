"""Scores of reactions in every cell of the grid, over recordings and seeds, and of floors."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.reaction_summary import reaction_tables

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    reaction_tables(
        inputs.scores,
        dict(zip(params.datasets, inputs.reading, strict=True)),
        Settings(**params.statistics),
        record(snakemake.rule, dict(params.items()), inputs),
        snakemake.output.summary,
        snakemake.output.comparison,
    )
