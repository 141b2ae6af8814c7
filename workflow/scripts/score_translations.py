"""BLEU and chrF of the translations of all runs in one table."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.translation_scores import score_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    score_table(
        params.runs,
        params.lowercase,
        snakemake.input.translations,
        params.confidence,
        provenance,
        snakemake.output.table,
    )
