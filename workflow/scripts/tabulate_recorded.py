"""Numbers that papers recorded, beside ours."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.recorded import recorded_table

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    recorded_table(
        snakemake.params.recorded,
        snakemake.input.summary,
        provenance,
        snakemake.output.table,
    )
