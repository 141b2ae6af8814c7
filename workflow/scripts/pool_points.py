"""The instances of all runs in one table, for figures that show instances."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.explanations import point_rows

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    files = zip(
        params.runs, snakemake.input.measures, snakemake.input.attention, strict=True
    )
    with open_table(snakemake.output.table, "explanation_points", provenance) as table:
        for run, measures, attention in files:
            table.write(point_rows(run, measures, attention, params.keys_wanted))
