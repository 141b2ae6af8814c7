"""How far the attention of one run is from that of runs that differ in the seed alone."""

from attention_audit.errors import reported
from attention_audit.interventions.seeds import write_seed_variance
from attention_audit.provenance import record
from attention_audit.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    with open_table(snakemake.output.table, "seed_variance", provenance) as table:
        write_seed_variance(
            table,
            params.run,
            snakemake.input.attention,
            params.other_seeds,
            snakemake.input.others,
        )
