"""What one model makes of texts without, or with only, their most important tokens."""

import torch

from attention_audit.audit import audited
from attention_audit.errors import reported
from attention_audit.interventions.erasure import write_erasure
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
    importances = dict(zip(params.methods, snakemake.input.importances, strict=True))
    with open_table(snakemake.output.table, "erasure", provenance) as table:
        write_erasure(
            table,
            model,
            batches,
            params.run,
            snakemake.input.attention,
            importances,
            **params.settings,
        )
