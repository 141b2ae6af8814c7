"""The measures of both controls of one run, a row an (instance, measure)."""

from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table
from attention_audit.statistics.control_measures import Attributed, measure_controls
from attention_audit.statistics.controls import CUT, SOFTMAX

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    run = Attributed(
        params.run,
        inputs.attention,
        dict(zip(params.methods, inputs.importances, strict=True)),
    )
    reference = Attributed(
        {**params.run, "normalizer": params.reference},
        inputs.reference_attention,
        dict(zip(params.methods, inputs.reference_importances, strict=True)),
    )
    with (
        open_table(snakemake.output.cut, "measures", provenance) as of_cut,
        open_table(snakemake.output.softmax, "measures", provenance) as of_softmax,
    ):
        for measured in measure_controls(run, reference):
            of_cut.write(measured[CUT])
            of_softmax.write(measured[SOFTMAX])
