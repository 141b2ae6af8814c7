"""Prepare one data set: inputs, splits, how they are read, and a card that says how."""

import sys
from pathlib import Path

from attention_audit.data.archives import check_archive
from attention_audit.data.modality import of_data
from attention_audit.data.own_files import own_files, with_paths
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over

with reported(snakemake.log[0]):
    params = snakemake.params
    source = params.dataset["source"]
    # The user's own files by the names that they have in the config, for not each of
    # these can be an input (see prepare.smk); then inputs, since where results are in a
    # store they are local copies.
    files = own_files(source)
    files |= zip(params.files, snakemake.input.documents, strict=True)
    read = dict.fromkeys([*snakemake.input, *files.values()])
    vectors = None
    if params.vectors is not None:
        path = snakemake.input.vectors or params.vectors["path"]
        vectors = params.vectors, path
        read[path] = None
    provenance = record(snakemake.rule, dict(params.items()), read)
    if take_over(snakemake.output, provenance):
        sys.exit()
    for path in snakemake.input:
        if sha256 := params.archives.get(Path(path).name):
            check_archive(path, sha256)
    tokenizer = snakemake.input.tokenizer
    of_data(params.dataset["modality"], "prepare")(
        params.name,
        params.dataset,
        with_paths(source, files),
        dict(snakemake.output.items()),
        provenance,
        vectors,
        **({"tokenizer": tokenizer} if tokenizer else {}),
    )
