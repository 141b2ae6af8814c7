"""Train one model of the grid on a share of its training texts, and score it."""

import json
import sys
from pathlib import Path

import torch

from attention_audit.job import declared_model, learned_from, split_of
from attention_audit.models.learning_curve import on_share
from attention_audit.models.model import resolve_device
from attention_audit.models.training import evaluate, train
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over
from attention_audit.records.tables import write_json

with reported(snakemake.log[0]):
    params = snakemake.params
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    if take_over(snakemake.output, provenance):
        sys.exit()
    device = resolve_device(params.training["device"])
    settings, vectors, _ = declared_model(snakemake)
    (examples, dev), learner_of = learned_from(snakemake)
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
        split: evaluate(trained.model, split_of(snakemake, split), batch_size, device)
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
