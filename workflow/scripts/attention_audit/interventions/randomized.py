"""Importance under randomized parameters (Adebayo et al. 2018, Sanity Checks for Saliency Maps).

What explains a model has to depend on what the model learnt. Their model parameter
randomization test draws parameters anew, from the output down (cascading), and holds what
a method then finds against what it found of the trained model. Where the two still agree,
the method shows what any model of this architecture makes of the input, and not what this
one learnt. Attention is put to the same test.

Shapes: B decisions, n positions (inputs or hidden states), S stages.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, ModelSettings
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter
from attention_audit.statistics.ranks import kendall_tau_b

# From the output down: at each stage these parts of a model are drawn anew as well, and at
# the last whatever else it has. That is the embeddings, pretrained or not; a model without
# any is wholly random one stage earlier.
STAGES: dict[str, tuple[str, ...]] = {
    "output": ("output",),
    "pooling": ("pooling",),
    "encoder": ("encoder", "decoder"),
    "whole": (),
}
_STAGE_OF = {part: stage for stage, parts in STAGES.items() for part in parts}

# What finds importance alone, and the parameters of that; see `methods`.
Method = tuple[Callable[..., Tensor], Mapping[str, Any]]


def stage_of(name: str) -> str:
    """The stage at which an entry of a model's state is drawn anew, by its name."""
    return _STAGE_OF.get(name.partition(".")[0], "whole")


def new_model(settings: ModelSettings, seed: int) -> DecisionModel:
    """A model of these settings before training, drawn by ``seed`` and nothing else.

    No run starts from these parameters, whatever its seed: runs draw by the seed itself.
    torch's own generator is left as it was.
    """
    if "drawn" in settings.encoder:
        # A pretrained model is in its folder, and drawn only where that is asked for.
        settings = replace(settings, encoder=settings.encoder | {"drawn": True})
    drawn = int(generator(("randomized",), seed).integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn)
        return settings.new_model()


def randomized(model: DecisionModel, fresh: DecisionModel, stage: str) -> DecisionModel:
    """A copy of a model with the parameters of ``fresh`` down to a stage.

    Buffers that are saved with parameters, such as running means, go with them, but for what
    an encoder was ``told``. What two parts share, as tied embeddings and outputs, is random
    as soon as one of them is.
    """
    names = list(STAGES)
    random = names[: names.index(stage) + 1]
    found = copy.deepcopy(model)
    # Of a pretrained model what is in its folder is no part of its state.
    drawn = {**dict(fresh.named_parameters()), **fresh.state_dict()}
    own = {**dict(found.named_parameters()), **found.state_dict()}
    told = {f"encoder.{name}" for name in getattr(model.encoder, "told", ())}
    for name, values in own.items():
        if stage_of(name) in random and name not in told:
            values.copy_(drawn[name])
    return found


@torch.no_grad()
def attention(model: DecisionModel, batch: Batch) -> Tensor:
    """Attention (B, m) as a method has it: of hidden states, without parameters."""
    return model(batch).attention


def agreements(
    model: DecisionModel,
    others: Iterable[DecisionModel],
    batch: Batch,
    function: Callable[..., Tensor],
    parameters: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (B,) ranked, and tau-b (S, B) of one importance in a model and in others.

    NaN where the importance of either model is constant, or of one position.
    """
    of_inputs = parameters.get("of") == "inputs"
    lengths = batch.lengths if of_inputs else model.states(batch.lengths)
    own = function(model, batch, **parameters).cpu().numpy()
    mask = np.arange(own.shape[1]) < lengths[:, np.newaxis]
    taus = []
    for other in others:
        found = function(other, batch, **parameters).cpu().numpy()
        taus.append(kendall_tau_b(own, found, mask)[0])
    return lengths, np.stack(taus)


def write_randomized(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    methods: Mapping[str, Method],
) -> None:
    """How far attention and importances agree with the trained model's.

    A row an (instance, subject, stage). The parameters are drawn by the run's seed, so that
    seeds differ in what was drawn as well.
    """
    device = model.output.weight.device
    fresh = new_model(model.settings, run["seed"]).to(device)
    others = {stage: randomized(model, fresh, stage) for stage in STAGES}
    subjects: dict[str, Method] = {"attention": (attention, {}), **methods}
    for batch in batches:
        for subject, (function, parameters) in subjects.items():
            lengths, taus = agreements(
                model, others.values(), batch, function, parameters
            )
            for stage, tau in zip(others, taus, strict=True):
                table.write(
                    {
                        **run,
                        "instance_id": batch.instance_ids,
                        "length": lengths,
                        "subject": subject,
                        "stage": stage,
                        "tau_b": [None if np.isnan(t) else t for t in tau],
                    }
                )
