"""Whether importance in one model survives when its parameters are drawn anew."""

from attention_audit.attribution.importance import importance_alone, load_function
from attention_audit.interventions.randomized import write_randomized
from attention_audit.job import audited_model
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    methods = {
        name: (importance_alone(load_function(*its["function"])), its["settings"])
        for name, its in params.methods.items()
    }
    with open_table(snakemake.output.table, "randomized", provenance) as table:
        write_randomized(table, model, batches, params.run, methods)
