"""Queries of one model's heads that attend to nothing, by the class of their words."""

from attention_audit.attribution.heads import write_null
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table
from attention_audit.statistics.null_queries import word_classes

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake)
    classes = word_classes(snakemake.input.examples)
    with open_table(snakemake.output.table, "null_queries", provenance) as table:
        write_null(table, model, batches, params.run, classes)
