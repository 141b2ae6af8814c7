"""A tiny modality whose outputs are scores: readings of instruments, and reactions to them."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from attention_audit.models.decisions import DecisionModel

SIZE = 3
MOMENTS = 5


@dataclass(frozen=True)
class Moments:
    """Readings of SIZE instruments at MOMENTS times before a second; a dropped one reads 0."""

    instance_ids: list[str]
    cluster_ids: list[str]
    labels: torch.Tensor  # (B, K) in [0, 1]
    values: torch.Tensor  # (B, MOMENTS, SIZE)

    removal = "drop"
    gold = None
    guess = None
    places = None
    times = None
    groups = None

    @property
    def lengths(self):
        return np.full(len(self.values), MOMENTS)

    @property
    def mask(self):
        return torch.ones(self.values.shape[:2], dtype=torch.bool)

    def take(self, rows):
        return Moments(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            self.labels[rows],
            self.values[rows],
        )

    def without(self, removed, removal="drop"):
        assert removal == "drop"
        copies = self.take(np.zeros(len(removed), dtype=int))
        return replace(copies, values=copies.values.masked_fill(removed[..., None], 0))


@dataclass(frozen=True)
class Seconds:
    """A split of them."""

    whole: Moments

    @property
    def instance_ids(self):
        return self.whole.instance_ids

    @property
    def labels(self):
        return self.whole.labels.numpy()

    @property
    def lengths(self):
        return self.whole.lengths

    def __len__(self):
        return len(self.whole.instance_ids)

    def take(self, rows):
        return Seconds(self.whole.take(np.asarray(rows)))

    def batch(self, rows, device):
        return self.whole.take(rows)


def seconds(n: int, seed: int, outputs: int = 3) -> Seconds:
    """Seconds of recordings of 10 each, whose reactions follow the instruments' means."""
    random = np.random.default_rng(seed)
    values = torch.from_numpy(random.standard_normal((n, MOMENTS, SIZE))).float()
    labels = (2 * values.mean(1)[:, :outputs]).sigmoid()
    names = [f"{seed}-{i}" for i in range(n)]
    films = [f"film{i // 10}" for i in range(n)]
    return Seconds(Moments(names, films, labels, values))


@dataclass(frozen=True)
class ViewerSettings:
    modality: ClassVar[str] = "moments"

    n_classes: int
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    losses: dict[str, float]
    single_logit: bool = False

    def new_model(self):
        return Viewer(self)


class Viewer(DecisionModel):
    """Scores by sigmoid of what the instruments read."""

    link = "sigmoid"

    def __init__(self, settings):
        super().__init__()
        self.losses = settings.losses
        self.build(settings, SIZE)

    def embed(self, batch):
        return batch.values


def viewer_settings(kind="sparsemax", outputs=3, encoder="bilstm", **losses):
    return ViewerSettings(
        outputs,
        {"kind": encoder, "hidden_size": 4},
        {"kind": "additive"},
        {"kind": kind},
        losses or {"l1": 1.0},
    )


def viewer(kind="sparsemax", outputs=3, seed=0, encoder="bilstm") -> Viewer:
    torch.manual_seed(seed)
    return viewer_settings(kind, outputs, encoder).new_model().eval()
