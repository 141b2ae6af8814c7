"""What a model attends to and finds important in sentence pairs, step by step."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from attention_audit.attribution.importance import Method, attributed
from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.alignment_counts import (
    ATTENTION,
    HEAD,
    OfPairs,
    Subject,
    add_steps,
    read_gold,
    stacked,
    weights_of_tables,
    write_alignment,
)


def weights_of_pairs(
    model: DecisionModel,
    batches: Iterable[Batch],
    methods: Mapping[str, tuple[Method, Mapping[str, Any]]],
) -> dict[Subject, OfPairs]:
    """The cross-attention of a model that translates, and importance by ``methods``.

    By subject and sentence pair, (T + 1, S) each. ``batches`` are of whole pairs;
    ``methods`` holds the function and the parameters of each. Beside the attention of the
    audits stand the heads of the other layers.
    """
    found: dict[Subject, dict[str, list]] = {}
    for batch in batches:
        with torch.no_grad():
            reading = model.read_pairs(batch)
        values = {ATTENTION: reading.attention[batch.pair, batch.step]}
        for layer, heads in enumerate(reading.cross_heads):
            of_steps = heads.transpose(1, 2)[batch.pair, batch.step]  # (B, nh, m)
            for head, weights in enumerate(of_steps.unbind(1)):
                values[Subject(HEAD, layer, head)] = weights
        for name, (function, parameters) in methods.items():
            values[Subject(name)], _ = attributed(function, model, batch, parameters)
        for subject, weights in values.items():
            add_steps(
                found.setdefault(subject, {}),
                batch.instance_ids,
                weights.detach().cpu().numpy(),
                batch.lengths,
                "the batches of sentence pairs",
            )
    return {subject: stacked(pairs) for subject, pairs in found.items()}


def write_links(
    table: TableWriter,
    run: Mapping[str, Any],
    model: DecisionModel,
    methods: Mapping[str, tuple[Method, Mapping[str, Any]]],
    test: tuple[Iterable[Batch], str | Path],
    dev: tuple[Iterable[Batch], str | Path],
    attention: str | Path,
    importances: Mapping[str, str | Path],
) -> None:
    """Hold attention, its heads and every importance of a run against gold.

    ``test`` and ``dev`` are batches of whole sentence pairs and the split that they are
    from. Attention and importance of the test pairs stand in tables already; on dev they
    are computed, to choose thresholds. Nothing is written where nobody aligned the pairs.
    """
    batches, split = test
    found = weights_of_tables(run, attention, importances)
    aligned = read_gold(split, [*found[ATTENTION]])
    if aligned is None:
        return
    of_model = weights_of_pairs(model, batches, {})
    found |= {
        subject: of_model[subject] for subject in of_model if subject.name == HEAD
    }
    batches, split = dev
    on_dev = weights_of_pairs(model, batches, methods)
    gold = read_gold(split, [*on_dev[ATTENTION]])
    write_alignment(
        table,
        run,
        (found, aligned, attention),
        None if gold is None else (on_dev, gold, split),
    )
