"""Every declared claim against the estimates that decide it."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.verdicts import Sources, claims_table

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    named = dict(snakemake.input.items())
    measures = {
        name.removeprefix("behind_"): paths
        for name, paths in named.items()
        if name.startswith("behind_")
    }
    claims_table(
        params.claims,
        Sources(
            finished={name: named[name] for name in params.tables},
            runs=params.runs,
            measures=measures,
            examples=dict(zip(params.datasets, named["examples"], strict=True)),
        ),
        Settings(**params.statistics),
        provenance,
        snakemake.output.table,
    )
