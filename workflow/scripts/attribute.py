"""Importance of every input or hidden state of one model, by one method."""

from attention_audit.attribution.importance import load_function, write_importance
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=params.method)
    function = load_function(*params.function)
    with open_table(snakemake.output.importance, "importance", provenance) as table:
        write_importance(
            table, model, batches, params.run, params.method, function, params.settings
        )
