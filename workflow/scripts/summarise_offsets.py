"""Sampling points of every deformable merging of the grid, over pictures."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.offset_summary import offset_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    offset_table(
        params.runs, snakemake.input.offsets, provenance, snakemake.output.table
    )
