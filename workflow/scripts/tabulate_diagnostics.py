"""Scores of the guided models of all runs."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table, read_json

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    with open_table(snakemake.output.table, "diagnostics", provenance) as table:
        for model, path in zip(params.models, snakemake.input.metrics, strict=True):
            metrics = read_json(path)
            for split in ("dev", "test"):
                table.write(
                    {
                        **model,
                        "split": split,
                        "metric": list(metrics[split]),
                        "value": list(metrics[split].values()),
                    }
                )
