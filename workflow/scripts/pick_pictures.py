"""Pictures of each data set, with what every model attends to and finds important."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.examples import importances_by_run
from attention_audit.statistics.picture_examples import Files, picture_example_table

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    importances = importances_by_run(inputs.importances, params.methods)
    picture_example_table(
        params.runs,
        [Files(*own) for own in zip(inputs.attention, importances, strict=True)],
        dict(zip(params.datasets, inputs.examples, strict=True)),
        dict(zip(params.datasets, inputs.cards, strict=True)),
        provenance,
        snakemake.output.table,
    )
