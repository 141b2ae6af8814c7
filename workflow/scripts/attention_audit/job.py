"""What every job does first that trains a model, or runs one on audited instances."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attention_audit.data.audit import audited
from attention_audit.data.batches import read_vocabulary
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.model import ModelSettings, load_model, resolve_device
from attention_audit.records.provenance import record
from attention_audit.records.tables import read_json


def declared_model(snakemake: Any) -> tuple[ModelSettings, Tensor | None, list[str]]:
    """What a rule's model is: its settings, pretrained vectors and names of classes.

    ``snakemake`` is what Snakemake gives the rule's script: inputs ``vocabulary`` and
    ``card``, params ``encoder``, ``scorer`` and ``normalizer``.
    """
    params, inputs = snakemake.params, snakemake.input
    tokens, vectors = read_vocabulary(inputs.vocabulary)
    vectors = None if vectors is None else torch.from_numpy(vectors)
    label_names = read_json(inputs.card)["label_names"]
    settings = ModelSettings.from_config(
        params.encoder,
        params.scorer,
        params.normalizer,
        len(tokens),
        len(label_names),
        vectors,
    )
    return settings, vectors, label_names


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
