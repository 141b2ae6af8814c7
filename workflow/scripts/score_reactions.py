"""Scores of the reactions that all runs predict, and of what needs no model."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.reaction_scores import scores_table

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    parts = ("train", "test", "reading")
    scores_table(
        params.runs,
        inputs.predictions,
        {
            name: dict(zip(parts, paths, strict=True))
            for name, *paths in zip(
                params.datasets, inputs.train, inputs.test, inputs.reading, strict=True
            )
        },
        params.floors,
        record(snakemake.rule, dict(params.items()), inputs),
        snakemake.output.table,
    )
