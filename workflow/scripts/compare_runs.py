"""Attention and outputs of one run beside those of others."""

from attention_audit.interventions.pairs import write_pairs
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    with open_table(snakemake.output.table, "pairs", provenance) as table:
        write_pairs(
            table,
            params.run,
            snakemake.input.attention,
            params.others,
            snakemake.input.others,
        )
