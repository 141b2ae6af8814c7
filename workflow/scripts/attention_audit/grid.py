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

    And less those whose encoder does not read what the data set is of, or does not attend
    in that way.
    """
    axes = [config["grid"][section] for section in (*AXES.values(), "seeds")]
    runs = (Run(*cell) for cell in itertools.product(*axes))
    return [
        run
        for run in runs
        if fits(run.dataset, run.encoder, config)
        and suits(run, config)
        and not any(_matches(run, entry) for entry in config["exclude"])
    ]


def fits(dataset: str, encoder: str, config: Mapping[str, Any]) -> bool:
    """Whether a declared encoder reads what a declared data set is of."""
    modality = config["datasets"][dataset]["modality"]
    settings = config["encoders"][encoder]
    known = settings["kind"] in encoders_of(modality)
    return known and has_decoder(settings) == (modality == DECODED)


def is_finished(encoder: Mapping[str, Any]) -> bool:
    """Whether a declared encoder is a classifier that somebody has finished.

    It has an attention of its own, and nothing of it is trained.
    """
    return encoder["kind"] == "finished"


def suits(run: Run, config: Mapping[str, Any]) -> bool:
    """Whether the encoder of a run attends in its way.

    A finished classifier by its own weights, once, for no seed changes it, and no other
    encoder by these.
    """
    own = config["scorers"][run.scorer]["kind"] == "own"
    if not is_finished(config["encoders"][run.encoder]):
        return not own
    kind = config["normalizers"][run.normalizer]["kind"]
    return own and kind == "softmax" and run.seed == config["grid"]["seeds"][0]


def unsuited(config: Mapping[str, Any]) -> dict[str, str]:
    """A notice for each encoder of the grid that goes without some of it, by name.

    Where none is finished, for every scorer that is of finished ones.
    """
    axes = config["grid"]
    notices = {}
    own = [s for s in axes["scorers"] if config["scorers"][s]["kind"] == "own"]
    for name in axes["encoders"]:
        left = []
        if is_finished(config["encoders"][name]):
            kinds = {n: config["normalizers"][n]["kind"] for n in axes["normalizers"]}
            left += [s for s in axes["scorers"] if s not in own]
            left += [n for n, kind in kinds.items() if kind != "softmax"]
            left += [f"seed {seed}" for seed in axes["seeds"][1:]]
            because = (
                "is a finished classifier, which attends by weights of its own and is not "
                "trained"
            )
        elif own:
            left, because = own, "is no finished classifier"
        if left:
            notices[name] = (
                f"encoders.{name} {because}: it has no runs with {', '.join(left)}"
            )
    return notices


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
