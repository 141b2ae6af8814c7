"""The runs of the grid in one table, to join other tables with."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import write_rows

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    write_rows(snakemake.output.table, "runs", params.runs, provenance)
