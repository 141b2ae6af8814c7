"""Train one model of the grid on a share of its training texts, and score it."""

import json
from pathlib import Path

from attention_audit.job import declared_model, learned_from, split_of, undertaken
from attention_audit.models.learning_curve import on_share
from attention_audit.models.model import resolve_device
from attention_audit.models.training import evaluate, train
from attention_audit.records.errors import reported
from attention_audit.records.tables import write_json

with reported(snakemake.log[0]):
    params = snakemake.params
    provenance = undertaken(snakemake)
    device = resolve_device(params.training["device"])
    settings, vectors, _ = declared_model(snakemake)
    splits = {split: split_of(snakemake, split) for split in ("train", "dev", "test")}
    (examples, dev), learner_of = learned_from(
        snakemake, splits["train"], splits["dev"]
    )
    share, n_train = on_share(examples, params.share, params.run["seed"])
    trained = train(
        settings,
        params.training,
        share,
        dev,
        params.run["seed"],
        device,
        vectors,
        checkpoint=Path(params.checkpoint),
        identity=json.dumps(provenance, sort_keys=True),
        name="/".join(map(str, (*params.run.values(), params.share))),
        learner_of=learner_of,
    )
    batch_size = params.training["batch_size"]
    scores = {
        split: evaluate(trained.model, splits[split], batch_size, device)
        for split in ("dev", "test")
    }
    write_json(
        snakemake.output.metrics,
        {
            **scores,
            "n_train": n_train,
            "best_epoch": trained.best_epoch,
            "epochs": len(trained.history),
            "provenance": provenance,
        },
    )
