"""Numbers that papers recorded, beside ours."""

from attention_audit.errors import reported
from attention_audit.provenance import record
from attention_audit.recorded import recorded_table

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), snakemake.input)
    recorded_table(
        snakemake.params.recorded,
        snakemake.input.summary,
        provenance,
        snakemake.output.table,
    )
