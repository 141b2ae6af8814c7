"""The measures of erasing by each control of a run."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.controls import cut_name, softmax_name
from attention_audit.statistics.explanations import measure_explanations

with reported(snakemake.log[0]):
    params, inputs, outputs = snakemake.params, snakemake.input, snakemake.output
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    normalizer = params.run["normalizer"]
    for name, erased, measures in (
        (cut_name(params.reference, normalizer), inputs.cut, outputs.cut),
        (softmax_name(normalizer), inputs.softmax, outputs.softmax),
    ):
        run = params.run | {"normalizer": name}
        with open_table(measures, "measures", provenance) as table:
            for rows in measure_explanations(run, {"erasure": [erased]}):
                table.write(rows)
