"""The grid: its axes, and the runs that a configuration asks for."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
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


# What trains models of the runs anew, or compares those of several seeds, by its place in
# the config. Finished classifiers go without.
OF_TRAINED = (
    ("explanations", "adversarial_training"),
    ("explanations", "diagnostics"),
    ("explanations", "seed_variance"),
    ("explanations", "uniform"),
    ("learning_curve",),
)


def asked_of_trained(config: Mapping[str, Any]) -> list[str]:
    """The dotted keys of what is of trained models alone and switched on."""
    return [
        ".".join(keys)
        for keys in OF_TRAINED
        if reduce(getitem, keys, config)["enabled"]
    ]


def other_words(dataset: str, encoder: str, config: Mapping[str, Any]) -> str | None:
    """Why a finished classifier cannot read a data set of texts: words are not its own."""
    model = config["encoders"][encoder]["model"]
    if config["datasets"][dataset]["tokenizer"] == model:
        return None
    return (
        f"datasets.{dataset}.tokenizer must be '{model}', for encoders.{encoder} is a "
        "finished classifier and reads its own words"
    )


def unsuited(config: Mapping[str, Any]) -> dict[str, str]:
    """A notice for each encoder of the grid that goes without some of it, by name.

    A finished classifier goes without other ways to attend, other seeds, and what is of
    trained models alone; the others go without its scorer.
    """
    axes = config["grid"]
    notices = {}
    own = [s for s in axes["scorers"] if config["scorers"][s]["kind"] == "own"]
    for name in axes["encoders"]:
        left, without = [], []
        if is_finished(config["encoders"][name]):
            kinds = {n: config["normalizers"][n]["kind"] for n in axes["normalizers"]}
            left += [s for s in axes["scorers"] if s not in own]
            left += [n for n, kind in kinds.items() if kind != "softmax"]
            left += [f"seed {seed}" for seed in axes["seeds"][1:]]
            without = asked_of_trained(config)
            because = (
                "is a finished classifier, which attends by weights of its own and is not "
                "trained"
            )
        elif own:
            left, because = own, "is no finished classifier"
        told = [
            *([f"it has no runs with {', '.join(left)}"] if left else []),
            *([f"its runs go without {', '.join(without)}"] if without else []),
        ]
        if told:
            notices[name] = f"encoders.{name} {because}: {', and '.join(told)}"
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
