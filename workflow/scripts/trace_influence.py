"""Influence of every input embedding on every hidden state of one model."""

import torch

from attention_audit.attribution.influence import write_influence
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
    batches = audited(snakemake.input.examples, params.instances, 1, device)
    with open_table(snakemake.output.influence, "influence", provenance) as table:
        write_influence(table, model, batches, params.run, params.matrices)
