"""How far the output of one model moves when its attention is shuffled."""

import torch

from attention_audit.audit import audited
from attention_audit.errors import reported
from attention_audit.interventions.permutation import write_permutation
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
        snakemake.input.examples, **params.audit, device=device, name=snakemake.rule
    )
    with open_table(snakemake.output.table, "permutation", provenance) as table:
        write_permutation(table, model, batches, params.run, **params.settings)
