"""A few recordings, second by second, as they were and as every model has them."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.reaction_summary import episodes_table

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    episodes_table(
        params.runs,
        inputs.predictions,
        dict(zip(params.datasets, inputs.reading, strict=True)),
        record(snakemake.rule, dict(params.items()), inputs),
        snakemake.output.table,
    )
