"""The measures of every experiment on the attention of one run."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.explanations import measure_explanations

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    experiments = {name: list(files) for name, files in snakemake.input.items()}
    with open_table(snakemake.output.measures, "measures", provenance) as table:
        for rows in measure_explanations(params.run, experiments):
            table.write(rows)
