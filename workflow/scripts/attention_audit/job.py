"""What every job does first that runs a trained model on the audited instances."""

from collections.abc import Iterator
from typing import Any

import torch

from attention_audit.data.audit import audited
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.model import load_model, resolve_device
from attention_audit.records.provenance import record


def audited_model(
    snakemake: Any, **more: Any
) -> tuple[DecisionModel, Iterator[Batch], dict[str, Any]]:
    """The model, the batches and the record of a rule whose inputs name them.

    ``snakemake`` is what Snakemake gives the rule's script: inputs ``model``,
    ``settings`` and ``examples``, params ``audit`` and ``device``. ``more`` goes to
    `audited`.
    """
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    device = resolve_device(params.device)
    model = load_model(inputs.model, inputs.settings, device)
    batches = audited(inputs.examples, **params.audit, device=device, **more)
    return model, batches, provenance
