"""Scores of runs on shares of their training texts, and on all of them."""

from attention_audit.models.learning_curve import curve_table
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import read_json

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    cards = map(read_json, snakemake.input.cards)
    curve_table(
        params.points,
        snakemake.input.metrics,
        {
            dataset: sum(card["counts"]["train"].values())
            for dataset, card in zip(params.datasets, cards, strict=True)
        },
        provenance,
        snakemake.output.table,
    )
