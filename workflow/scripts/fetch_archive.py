"""Download one data package and check it against its checksum."""

from attention_audit.errors import reported
from attention_audit.sources import fetch_archive

with reported(snakemake.log[0]):
    fetch_archive(**dict(snakemake.params.items()), path=snakemake.output.archive)
