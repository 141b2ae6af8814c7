"""Attention far from that of one model, at the same output."""

from attention_audit.interventions.adversarial import SearchSettings, write_adversarial
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    with open_table(snakemake.output.table, "adversarial", provenance) as table:
        settings = SearchSettings(**params.settings)
        write_adversarial(table, model, batches, params.run, settings)
