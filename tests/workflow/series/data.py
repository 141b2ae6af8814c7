"""Series of readings of two instruments, as the stages know them: inputs are moments."""

import csv
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from attention_audit.data.modality import Audited
from attention_audit.records import tables

ENCODERS = ("average", "bilstm")
MOMENTS = 5
SPLITS = ("train", "dev", "test")
ROWS = pa.schema(
    [
        pa.field("instance_id", pa.string(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("readings", pa.list_(pa.float32()), nullable=False),
    ]
)
MEANS = pa.schema([pa.field("mean", pa.float32(), nullable=False)])


@dataclass(frozen=True)
class Batch:
    instance_ids: list
    cluster_ids: list
    labels: torch.Tensor
    values: torch.Tensor  # (B, n, 2)

    removal = "mean"
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
        return Batch(
            [self.instance_ids[row] for row in rows],
            [self.cluster_ids[row] for row in rows],
            self.labels[rows],
            self.values[rows],
        )

    def without(self, removed, removal="mean"):
        copies = self.take(np.zeros(len(removed), dtype=int))
        return replace(copies, values=copies.values.masked_fill(removed[..., None], 0))


@dataclass(frozen=True)
class Examples:
    whole: Batch

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
        return Examples(self.whole.take(np.asarray(rows)))

    def batch(self, rows, device):
        return self.whole.take(rows)


def prepare(name, settings, files, outputs, provenance, vectors=None):
    with Path(files["all"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    parts = dict(zip(SPLITS, np.array_split(np.arange(len(rows)), 3), strict=True))
    readings = np.array([row[1:] for row in rows], dtype=np.float32)
    mean = readings[parts["train"]].mean()
    for split, chosen in parts.items():
        with tables.open_table(outputs[split], ROWS, provenance) as table:
            ids = [f"{row:04}" for row in chosen]
            table.write(
                {
                    "instance_id": ids,
                    "cluster_id": ids,
                    "label": [int(rows[row][0]) for row in chosen],
                    "readings": list(readings[chosen]),
                }
            )
    with tables.open_table(outputs["reading"], MEANS, provenance) as table:
        table.write({"mean": float(mean)})
    card = {
        "name": name,
        "note": None,
        "label_names": ["calm", "loud"],
        "counts": {
            split: dict(Counter("loud" if rows[row][0] == "1" else "calm" for row in c))
            for split, c in parts.items()
        },
        "dropped": {},
        "length": {split: {"mean": MOMENTS, "max": MOMENTS} for split in SPLITS},
        "provenance": provenance,
    }
    Path(outputs["card"]).write_text(json.dumps(card), encoding="utf-8")


def audited(reading):
    (mean,) = tables.read_table(reading, MEANS)["mean"].to_pylist()

    def batch(rows, path, device):
        readings = np.array(rows["readings"].to_pylist()).reshape(-1, MOMENTS, 2)
        return Batch(
            rows["instance_id"].to_pylist(),
            rows["cluster_id"].to_pylist(),
            torch.tensor(rows["label"].to_pylist()),
            torch.tensor(readings - mean, dtype=torch.float32),
        )

    return Audited(ROWS, ROWS.names, batch)


def read_examples(path, reading):
    return Examples(audited(reading).batch(tables.read_table(path, ROWS), path, None))
