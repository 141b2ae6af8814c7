"""Links of one data set that no model has made: the diagonal, uniform, IBM model 1."""

from attention_audit.data.audit import selected
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.alignment_counts import read_gold
from attention_audit.statistics.alignment_floors import Sentences, write_floors

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    test, dev = (
        read_gold(split, [*selected(split, "sentence_pairs", instances)])
        for split, instances in (
            (inputs.test, params.audit["instances"]),
            (inputs.dev, params.dev_pairs),
        )
    )
    sentences = Sentences([inputs.train, inputs.dev, inputs.test])
    with open_table(snakemake.output.table, "alignment_floors", provenance) as table:
        write_floors(table, params.dataset, sentences, test, dev)
