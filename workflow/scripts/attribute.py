"""Importance of every input or hidden state of one model, by one method."""

import torch

from attention_audit.attribution.importance import load_function, write_importance
from attention_audit.audit import audited
from attention_audit.errors import reported
from attention_audit.model import load_model, resolve_device
from attention_audit.provenance import record
from attention_audit.tables import open_table

with reported(snakemake.log[0]):
    params = snakemake.params
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    device = resolve_device(params.device)
    model = load_model(snakemake.input.model, snakemake.input.settings, device)
    batches = audited(
        snakemake.input.examples, **params.audit, device=device, name=params.method
    )
    function = load_function(*params.function)
    with open_table(snakemake.output.importance, "importance", provenance) as table:
        write_importance(
            table, model, batches, params.run, params.method, function, params.settings
        )
