"""Decisions per second of all models, measured in turn."""

from attention_audit.job import audited_models
from attention_audit.models.speed import speeds
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_rows

with reported(snakemake.log[0]):
    models, provenance = audited_models(snakemake)
    runs, *read = zip(*models, strict=True)
    measured = speeds(list(zip(*read, strict=True)), snakemake.params.rounds)
    rows = [run | own for run, own in zip(runs, measured, strict=True)]
    write_rows(snakemake.output.table, "speed", rows, provenance)
