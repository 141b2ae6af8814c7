"""Train a model without context on given attention, and score it."""

from attention_audit.interventions.guided import train_guided
from attention_audit.job import declared_model, split_of, undertaken
from attention_audit.models.model import load_model, resolve_device
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_json

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = undertaken(snakemake)
    device = resolve_device(params.training["device"])
    settings, vectors, _ = declared_model(snakemake)
    paths = snakemake.input.get("guide")
    guide = load_model(*paths, device) if paths else None
    scores = train_guided(
        settings,
        guide,
        {split: split_of(snakemake, split) for split in ("train", "dev", "test")},
        params.training,
        params.seed,
        device,
        vectors,
    )
    write_json(snakemake.output.metrics, {**scores, "provenance": provenance})
