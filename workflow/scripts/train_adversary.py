"""Train a model with the outputs of a run, far from its attention, and compare both."""

from attention_audit.data.audit import audited
from attention_audit.interventions.adversaries import train_adversary, write_adversary
from attention_audit.job import split_of, undertaken
from attention_audit.models.model import (
    load_model,
    of_models,
    resolve_device,
    save_model,
    settings_json,
)
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table, write_json

with reported(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    provenance = undertaken(snakemake)
    device = resolve_device(params.training["device"])
    base = load_model(snakemake.input.model, snakemake.input.settings, device)
    # The words of a pretrained encoder are made of pieces.
    start = getattr(base.encoder, "pieces", None)
    if start is None:
        start = of_models(params.modality, "vectors_of")(snakemake.input.reading)
    adversary, best_epoch = train_adversary(
        base,
        split_of(snakemake, "train"),
        split_of(snakemake, "dev"),
        params.training,
        params.weight,
        params.divergence,
        params.run["seed"],
        device,
        start,
    )
    save_model(adversary, output.model, provenance)
    write_json(
        output.settings,
        settings_json(
            adversary.settings,
            run=params.run,
            weight=params.weight,
            divergence=params.divergence,
            best_epoch=best_epoch,
            provenance=provenance,
        ),
    )
    batches = audited(
        snakemake.input.test,
        snakemake.input.reading,
        params.modality,
        **params.audit,
        device=device,
    )
    with open_table(output.table, "adversaries", provenance) as table:
        write_adversary(
            table,
            base,
            adversary,
            batches,
            params.run,
            params.weight,
            params.divergence,
        )
