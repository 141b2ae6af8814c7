"""The texts in which attention agrees least and most with every importance."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.examples import (
    Files,
    example_table,
    importances_by_run,
)

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    importances = importances_by_run(inputs.importances, params.methods)
    files = zip(inputs.measures, inputs.attention, importances, strict=True)
    example_table(
        params.runs,
        [Files(*own) for own in files],
        dict(zip(params.datasets, inputs.examples, strict=True)),
        dict(zip(params.datasets, inputs.cards, strict=True)),
        provenance,
        snakemake.output.table,
    )
