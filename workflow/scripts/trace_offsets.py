"""Where the merging of one model samples the audited instances."""

from attention_audit.attribution.offsets import write_offsets
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake)
    with open_table(snakemake.output.offsets, "offsets", provenance) as table:
        write_offsets(table, model, batches, params.run)
