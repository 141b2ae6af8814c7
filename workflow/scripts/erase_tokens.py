"""What one model makes of texts without, or with only, their most important tokens."""

from attention_audit.interventions.erasure import write_erasure
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    importances = dict(zip(params.methods, snakemake.input.importances, strict=True))
    with open_table(snakemake.output.table, "erasure", provenance) as table:
        write_erasure(
            table,
            model,
            batches,
            params.run,
            snakemake.input.attention,
            importances,
            **params.settings,
        )
