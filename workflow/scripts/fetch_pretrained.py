"""Copy the files of one pretrained model, checked."""

from pathlib import Path

from attention_audit.data.archives import check_archive
from attention_audit.data.pretrained import fetch_pretrained
from attention_audit.records.errors import reported

with reported(snakemake.log[0]):
    params = snakemake.params
    for path in snakemake.input:
        if sha256 := params.sha256.get(Path(path).name):
            check_archive(path, sha256)
    fetch_pretrained(
        params.name,
        params.model,
        snakemake.input.origin,
        dict(snakemake.output.items()),
    )
