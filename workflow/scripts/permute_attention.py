"""How far the output of one model moves when its attention is shuffled."""

from attention_audit.interventions.permutation import write_permutation
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    with open_table(snakemake.output.table, "permutation", provenance) as table:
        write_permutation(table, model, batches, params.run, **params.settings)
