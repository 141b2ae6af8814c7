"""Influence of every input embedding on every hidden state of one model."""

from attention_audit.attribution.influence import Estimation, write_influence
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake)
    with open_table(snakemake.output.influence, "influence", provenance) as table:
        estimation = Estimation(**params.estimation)
        write_influence(table, model, batches, params.run, params.matrices, estimation)
