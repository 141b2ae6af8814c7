"""Draw one figure and store the numbers in it."""

import importlib

import pyarrow as pa

from attention_audit.figures.counts import MATRICES, told
from attention_audit.figures.dense_to_sparse import dense_to_sparse
from attention_audit.figures.pages import save_pages
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import read_table, write_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    module = importlib.import_module(f"attention_audit.figures.{params.figure}")
    tables = {
        name: read_table(path, name).to_pandas()
        for name, path in snakemake.input.items()
    }
    pages, rows = module.draw(tables, dense_to_sparse(params.order, tables))
    numbers = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
    write_table(snakemake.output.numbers, numbers.schema, numbers, provenance)
    paths = {"png": snakemake.output.png, "pdf": snakemake.output.pdf}
    matrix = params.figure in MATRICES
    below = told(rows, params.order["confidence"], matrix)
    save_pages(pages, paths, params.notice, below)
