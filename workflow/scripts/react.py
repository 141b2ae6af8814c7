"""Reactions that one model predicts, of every second of the test recordings."""

import torch

from attention_audit.models.model import load_model, resolve_device
from attention_audit.models.reacting import write_reactions
from attention_audit.records.errors import reported
from attention_audit.records.provenance import record
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    device = resolve_device(params.device)
    model = load_model(inputs.model, inputs.settings, device)
    with open_table(
        snakemake.output.predictions, "reaction_predictions", provenance
    ) as table:
        write_reactions(
            table,
            model,
            inputs.examples,
            inputs.reading,
            params.shown,
            params.run,
        )
