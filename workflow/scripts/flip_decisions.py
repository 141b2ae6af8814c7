"""How many weights of one model must go before its decision flips."""

from attention_audit.interventions.flips import write_flips
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    with open_table(snakemake.output.table, "flips", provenance) as table:
        write_flips(table, model, batches, params.run, **params.settings)
