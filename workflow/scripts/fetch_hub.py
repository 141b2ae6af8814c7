"""Download one data set from the hub at its pinned revision."""

from attention_audit.data.sources import fetch_hub
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), [])
    if not take_over(snakemake.output, provenance):
        fetch_hub(snakemake.params.source, snakemake.output.documents, provenance)
