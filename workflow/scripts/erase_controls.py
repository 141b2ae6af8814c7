"""Erasing by the controls of a run: its reference's attention cut, its scores alone."""

from attention_audit.interventions.erasure import write_cut, write_softmax
from attention_audit.job import audited_model
from attention_audit.models.model import load_model, resolve_device
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table
from attention_audit.statistics.controls import cut_name, softmax_name

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    model, batches, provenance = audited_model(snakemake, name=snakemake.rule)
    device = resolve_device(params.device)
    reference = load_model(inputs.reference_model, inputs.reference_settings, device)
    texts = list(batches)
    normalizer = params.run["normalizer"]
    cut = params.run | {"normalizer": cut_name(params.reference, normalizer)}
    with open_table(snakemake.output.cut, "erasure", provenance) as table:
        write_cut(
            table,
            reference,
            texts,
            cut,
            inputs.attention,
            inputs.reference_attention,
            **params.settings,
        )
    softmax = params.run | {"normalizer": softmax_name(normalizer)}
    with open_table(snakemake.output.softmax, "erasure", provenance) as table:
        write_softmax(table, model, texts, softmax, inputs.attention, **params.settings)
