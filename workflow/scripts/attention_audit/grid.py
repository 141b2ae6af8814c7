"""The grid: its axes, and the runs that a configuration asks for."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from attention_audit.kinds import encoders_of

# Of this modality a decision is a word among those of a vocabulary and depends on the ones
# before it: encoders that read it have a decoder, and others have none.
DECODED = "translation"

# The axes of the grid, in the order of a run's path, with the section that declares
# their instances. The fifth axis, the seed, is a number and not declared.
AXES = {
    "dataset": "datasets",
    "encoder": "encoders",
    "scorer": "scorers",
    "normalizer": "normalizers",
}


@dataclass(frozen=True)
class Run:
    """One cell of the grid: the names of its instances and its seed."""

    dataset: str
    encoder: str
    scorer: str
    normalizer: str
    seed: int

    @property
    def path(self) -> str:
        """The run's folder below ``results/{stage}``."""
        return (
            f"{self.dataset}/{self.encoder}/{self.scorer}/{self.normalizer}"
            f"/seed{self.seed}"
        )


def grid(config: Mapping[str, Any]) -> list[Run]:
    """The runs of a validated configuration, in declared order, less the excluded.

    And less those whose encoder does not read what the data set is of.
    """
    axes = [config["grid"][section] for section in (*AXES.values(), "seeds")]
    runs = (Run(*cell) for cell in itertools.product(*axes))
    return [
        run
        for run in runs
        if fits(run.dataset, run.encoder, config)
        and not any(_matches(run, entry) for entry in config["exclude"])
    ]


def fits(dataset: str, encoder: str, config: Mapping[str, Any]) -> bool:
    """Whether a declared encoder reads what a declared data set is of."""
    modality = config["datasets"][dataset]["modality"]
    settings = config["encoders"][encoder]
    known = settings["kind"] in encoders_of(modality)
    return known and has_decoder(settings) == (modality == DECODED)


def has_decoder(encoder: Mapping[str, Any]) -> bool:
    """Whether an encoder's settings name a decoder."""
    return encoder.get("decoder") is not None


def about_decoders(modality: str, encoders: Iterable[Mapping[str, Any]]) -> str:
    """What a message says of decoders, where none of these encoders reads a modality."""
    if modality == DECODED:
        return " with a decoder"
    return " without a decoder" if any(map(has_decoder, encoders)) else ""


def _matches(run: Run, entry: Mapping[str, Any]) -> bool:
    return all(getattr(run, axis) == value for axis, value in entry.items())
