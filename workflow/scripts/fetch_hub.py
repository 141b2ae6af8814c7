"""Download one data set from the hub at its pinned revision."""

from attention_audit.data.modality import of_data
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), [])
    if not take_over(snakemake.output, provenance):
        fetch = of_data(params.modality, "fetch")
        fetch(params.source, snakemake.output.documents, provenance)
