"""What every job does first that trains a model, or runs one on audited instances."""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_audit.data.audit import audited
from attention_audit.data.modality import of_data
from attention_audit.models.decisions import (
    Batch,
    DecisionModel,
    Examples,
    ModelSettings,
)
from attention_audit.models.model import load_model, of_models, resolve_device
from attention_audit.records.provenance import record
from attention_audit.records.reuse import take_over
from attention_audit.records.tables import read_json


def declared_model(
    snakemake: Any,
) -> tuple[ModelSettings, Tensor | None, list[str]]:
    """What a rule's model is: its settings, pretrained vectors and names of classes.

    There are none where a decision is a word, of which the table ``reading`` has the names.
    ``snakemake`` is what Snakemake gives the rule's script: inputs ``reading``, ``card``
    and ``pretrained``, the files of a pretrained encoder, where it has one; params
    ``modality``, ``encoder``, ``scorer`` and ``normalizer``.
    """
    params, inputs = snakemake.params, snakemake.input
    label_names = read_json(inputs.card).get("label_names", [])
    # A guided model reads the words of its guide, and has an encoder of its own.
    encoder = params.encoder
    more = [Path(inputs.pretrained[0]).parent] if "model" in encoder else []
    if encoder["kind"] == "finished":
        # whose classes have an order of their own
        encoder = {**encoder, "labels": label_names}
    settings, vectors = of_models(params.modality, "declare")(
        encoder,
        params.scorer,
        params.normalizer,
        inputs.reading,
        len(label_names),
        *more,
    )
    return settings, vectors, label_names


def split_of(snakemake: Any, split: str) -> Examples:
    """A split of a rule's data set.

    ``snakemake`` is what Snakemake gives the rule's script: inputs ``reading`` and that
    of the split, and the param ``modality``.
    """
    read = of_data(snakemake.params.modality, "read_examples")
    return read(snakemake.input[split], snakemake.input.reading)


def learned_from(
    snakemake: Any, *splits: Examples
) -> tuple[Sequence[Examples], Callable[[DecisionModel], DecisionModel]]:
    """The ``splits`` train and dev as a rule's model learns from them, and what of it learns.

    These are hidden states where the rule has stored ones: ``snakemake`` is what Snakemake
    gives the rule's script, with inputs ``encoded``, a file of either split or none.
    """
    if not (files := snakemake.input.get("encoded")):
        return splits, lambda model: model
    # By name: jobs of encoders that learn do not depend on it.
    encodings = importlib.import_module("attention_audit.models.encodings")
    found = [encodings.stored(*of) for of in zip(splits, files, strict=True)]
    return found, encodings.Head


def undertaken(snakemake: Any) -> dict[str, Any]:
    """The record of a rule whose results another experiment may have, and its threads set.

    The script ends here where it has: the results are taken over. ``snakemake`` is what
    Snakemake gives the rule's script.
    """
    torch.set_num_threads(snakemake.threads)
    params = dict(snakemake.params.items())
    provenance = record(snakemake.rule, params, snakemake.input)
    if take_over(snakemake.output, provenance):
        sys.exit()
    return provenance


def audited_models(
    snakemake: Any,
) -> tuple[Iterator[tuple[dict[str, Any], DecisionModel, list[Batch]]], dict[str, Any]]:
    """The runs of a rule, each with its model and the batches of its data set; the record.

    They are on the CPU, whatever the config says, so that what they cost does not hang on
    which device there is. ``snakemake`` is what Snakemake gives the rule's script:
    inputs ``models`` and ``settings``, a file a run, ``examples`` and ``reading``, a file a
    data set; params ``runs``, ``modalities``, by data set in the order of these files, and
    ``audit``.
    """
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    device = torch.device("cpu")
    files = zip(params.modalities.items(), inputs.examples, inputs.reading, strict=True)
    batches = {
        dataset: list(
            audited(examples, reading, modality, **params.audit, device=device)
        )
        for (dataset, modality), examples, reading in files
    }
    of_runs = zip(params.runs, inputs.models, inputs.settings, strict=True)
    return (
        (run, load_model(model, settings, device), batches[run["dataset"]])
        for run, model, settings in of_runs
    ), provenance


def audited_model(
    snakemake: Any, **more: Any
) -> tuple[DecisionModel, Iterator[Batch], dict[str, Any]]:
    """The model, the batches and the record of a rule whose inputs name them.

    ``snakemake`` is what Snakemake gives the rule's script: inputs ``model``,
    ``settings``, ``examples`` and ``reading``, params ``modality``, ``audit`` and
    ``device``. ``more`` goes to `audited`.
    """
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(snakemake.threads)
    provenance = record(snakemake.rule, dict(params.items()), inputs)
    device = resolve_device(params.device)
    model = load_model(inputs.model, inputs.settings, device)
    batches = audited(
        inputs.examples,
        inputs.reading,
        params.modality,
        **params.audit,
        device=device,
        **more,
    )
    return model, batches, provenance
