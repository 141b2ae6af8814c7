"""Prepare one data set: tokens, splits, vocabulary, and a card that says how."""

from functools import partial
from pathlib import Path

from attention_audit.errors import reported
from attention_audit.provenance import record
from attention_audit.sources import check_archive, read_documents, read_vectors
from attention_audit.text import prepare_dataset

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    # by name: where results are in a store, inputs are local copies of it
    for path in snakemake.input:
        if sha256 := params.archives.get(Path(path).name):
            check_archive(path, sha256)
    vectors = None
    if params.vectors is not None:
        vectors = partial(read_vectors, params.vectors, snakemake.input.vectors)
    paths = map(Path, snakemake.input.documents)
    prepare_dataset(
        params.name,
        params.dataset,
        read_documents(
            params.dataset["source"], dict(zip(params.files, paths, strict=True))
        ),
        vectors,
        dict(snakemake.output.items()),
        provenance,
    )
