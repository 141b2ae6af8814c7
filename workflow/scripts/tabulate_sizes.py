"""Parameters of all models, and the multiply-adds of their decisions."""

from attention_audit.job import audited_models
from attention_audit.models.size import sizes
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_rows

with reported(snakemake.log[0]):
    models, provenance = audited_models(snakemake)
    rows = [run | sizes(model, batches) for run, model, batches in models]
    write_rows(snakemake.output.table, "sizes", rows, provenance)
