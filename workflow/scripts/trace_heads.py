"""What every head of one model does on the audited instances."""

from attention_audit.attribution.heads import write_heads
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake)
    with open_table(snakemake.output.heads, "heads", provenance) as table:
        write_heads(table, model, batches, params.run)
