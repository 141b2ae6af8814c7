"""Train one model of the grid and score it."""

import json
from pathlib import Path

from attention_audit.job import declared_model, learned_from, split_of, undertaken
from attention_audit.models.model import (
    learned_alphas,
    resolve_device,
    save_model,
    settings_json,
)
from attention_audit.models.training import evaluate, train
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_json, write_rows

with reported(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    provenance = undertaken(snakemake)
    device = resolve_device(params.training["device"])
    settings, vectors, label_names = declared_model(snakemake)
    splits = {split: split_of(snakemake, split) for split in ("train", "dev", "test")}
    (examples, dev), learner_of = learned_from(
        snakemake, splits["train"], splits["dev"]
    )
    trained = train(
        settings,
        params.training,
        examples,
        dev,
        params.run["seed"],
        device,
        vectors,
        checkpoint=Path(params.checkpoint),
        identity=json.dumps(provenance, sort_keys=True),
        name="/".join(map(str, params.run.values())),
        learner_of=learner_of,
    )
    batch_size = params.training["batch_size"]
    metrics = {
        split: evaluate(trained.model, splits[split], batch_size, device)
        for split in ("dev", "test")
    }
    save_model(trained.model, output.model, provenance)
    write_json(
        output.settings,
        settings_json(
            settings,
            label_names=label_names,
            run=params.run,
            training=params.training,
            provenance=provenance,
        ),
    )
    history = [{**params.run, **row} for row in trained.history]
    write_rows(output.history, "history", history, provenance)
    write_json(
        output.metrics,
        {
            **metrics,
            **{f"alpha.{k}": v for k, v in learned_alphas(trained.model).items()},
            "best_epoch": trained.best_epoch,
            "epochs": len(trained.history),
            "parameters": sum(p.numel() for p in trained.model.parameters()),
            "provenance": provenance,
        },
    )
