"""Prepare one data set: tokens, splits, vocabulary, and a card that says how."""

import sys
from functools import partial
from pathlib import Path

from attention_audit.data.archives import check_archive
from attention_audit.data.sources import read_documents
from attention_audit.data.text import prepare_dataset
from attention_audit.data.vectors import read_vectors
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over

with reported(snakemake.log[0]):
    params = snakemake.params
    source = params.dataset["source"]
    # The user's own files by the names that they have in the config, for not each of
    # these can be an input (see prepare.smk); then inputs, since where results are in a
    # store they are local copies.
    files = dict(source["files"]) if source["kind"] == "local" else {}
    files |= zip(params.files, snakemake.input.documents, strict=True)
    read = dict.fromkeys([*snakemake.input, *files.values()])
    vectors = None
    if params.vectors is not None:
        path = snakemake.input.vectors or params.vectors["path"]
        vectors = partial(read_vectors, params.vectors, path)
        read[path] = None
    provenance = record(snakemake.rule, dict(params.items()), read)
    if take_over(snakemake.output, provenance):
        sys.exit()
    for path in snakemake.input:
        if sha256 := params.archives.get(Path(path).name):
            check_archive(path, sha256)
    prepare_dataset(
        params.name,
        params.dataset,
        read_documents(source, files),
        vectors,
        dict(snakemake.output.items()),
        provenance,
    )
