"""Sentence pairs of each data set, with gold, and what every model attends to and uses."""

from attention_audit.data.audit import selected
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.alignment_examples import alignment_example_table
from attention_audit.statistics.examples import importances_by_run
from attention_audit.statistics.picture_examples import Files

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    importances = importances_by_run(inputs.importances, params.methods)
    alignment_example_table(
        params.runs,
        [Files(*own) for own in zip(inputs.attention, importances, strict=True)],
        {
            dataset: (split, selected(split, "sentence_pairs", **params.audit))
            for dataset, split in zip(params.datasets, inputs.examples, strict=True)
        },
        provenance,
        snakemake.output.table,
    )
