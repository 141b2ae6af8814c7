"""Words per second of training and of greedy search of all translators, in turn."""

from attention_audit.job import audited_models
from attention_audit.models.translation_speed import translation_speeds
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_rows

with reported(snakemake.log[0]):
    params = snakemake.params
    models, provenance = audited_models(snakemake)
    runs, *read = zip(*models, strict=True)
    rows = translation_speeds(
        runs,
        list(zip(*read, strict=True)),
        params.reference,
        params.rounds,
        gradient_clip=params.gradient_clip,
    )
    write_rows(snakemake.output.table, "translation_speed", rows, provenance)
