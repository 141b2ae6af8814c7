"""Predictions and attention of one model on the audited instances."""

from attention_audit.attribution.weights import write_attention
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake)
    with open_table(snakemake.output.attention, "attention", provenance) as table:
        write_attention(table, model, batches, params.run)
