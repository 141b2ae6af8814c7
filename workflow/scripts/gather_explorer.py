"""Instances as the runs read them, for the pages of the report that show them."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.examples import importances_by_run
from attention_audit.statistics.explorer import Dataset, Files, explorer_tables

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    n, cuts = len(params.runs), iter(inputs.cuts)
    files = zip(
        inputs.attention,
        importances_by_run(inputs.importances, params.methods),
        inputs.influence,
        inputs.measures,
        inputs.get("adversarial") or [None] * n,
        inputs.get("flips") or [None] * n,
        (next(cuts) if reference else None for reference in params.references),
        strict=True,
    )
    datasets = zip(
        params.modalities.values(),
        inputs.splits,
        inputs.cards,
        inputs.reading,
        strict=True,
    )
    explorer_tables(
        params.runs,
        [Files(*own) for own in files],
        {
            name: Dataset(*own)
            for name, own in zip(params.modalities, datasets, strict=True)
        },
        params.references,
        params.instances,
        record(snakemake.rule, dict(params.items()), inputs),
        snakemake.output.table,
        snakemake.output.browsed,
    )
