"""All measures of one run, a row an (instance, measure)."""

from attention_audit.data.lexicons import ratings_of, read_lexicon
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.run_measures import measure_run

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    importances = dict(zip(params.methods, snakemake.input.importances, strict=True))
    ratings = None
    if params.lexicon is not None:
        # an input is a local copy where results are in a store, and not each file can be one
        path = snakemake.input.lexicon or params.lexicon["path"]
        lexicon = read_lexicon(path, params.lexicon.get("file"))
        ratings = ratings_of(snakemake.input.examples, lexicon)
    with open_table(snakemake.output.measures, "measures", provenance) as table:
        for rows in measure_run(
            params.run,
            snakemake.input.attention,
            importances,
            snakemake.input.influence,
            params.effects,
            ratings,
        ):
            table.write(rows)
