"""Download one data set from the hub at its pinned revision."""

from attention_audit.errors import reported
from attention_audit.provenance import record
from attention_audit.reuse import take_over
from attention_audit.sources import fetch_hub

with reported(snakemake.log[0]):
    provenance = record(snakemake.rule, dict(snakemake.params.items()), [])
    if not take_over(snakemake.output, provenance):
        fetch_hub(snakemake.params.source, snakemake.output.documents, provenance)
