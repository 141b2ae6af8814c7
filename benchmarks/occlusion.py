"""Occlusion of patches against captum's Occlusion, at equal results.

Both put the mean picture in the place of one patch at a time. captum takes one picture at
a time and, by default, one occluded copy of it a forward pass; ``perturbations_per_eval``
lets it take more, and both ways are shown. All take turns in rounds and have their medians
compared, in seconds of the processor.
"""

import statistics
import time

import captum.attr
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.data.image_batches import PatchBatch, cut_patches, join_patches
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel
from attention_audit.models.encoders import TransformerEncoder
from attention_audit.models.lit import LitEncoder

ROUNDS = 5
PICTURES = 8
SHAPE = (28, 28, 1)
SIDE = 4
GRID = (7, 7)
CLASSES = 10
SELF_ATTENTION = {"kind": "softmax"}

ENCODERS = {
    "lit": lambda: LitEncoder(
        SIDE**2,
        GRID,
        [
            {"kind": "mlp", "depth": 1, "width": 32},
            {"kind": "attention", "depth": 1, "width": 64, "heads": 2},
        ],
        SELF_ATTENTION,
    ),
    "transformer": lambda: TransformerEncoder(SIDE**2, 64, SELF_ATTENTION),
}
# name: occluded copies in a forward pass
CAPTUM = {"captum, default": 1, "captum, batched": 64}


class Model(DecisionModel):
    """Patches as they are, an encoder, and attention over its hidden states."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        size = encoder.output_size
        self.pooling = AttentionPooling(size, {"kind": "additive"}, {"kind": "softmax"})
        self.output = nn.Linear(size, CLASSES)

    def embed(self, batch: PatchBatch) -> Tensor:
        return batch.patches

    def encode(self, embeddings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, E) -> hidden states (B, m, H), fewer than patches, none of them padding."""
        hidden = self.encoder(embeddings, mask)
        return hidden, hidden.new_ones(hidden.shape[:2], dtype=torch.bool)


def batch_of(patches: Tensor, mean: Tensor) -> PatchBatch:
    count, n, _ = patches.shape
    return PatchBatch(
        [""] * count,
        None,
        np.full(count, n),
        patches,
        torch.ones(count, n, dtype=torch.bool),
        mean,
        SHAPE,
        SIDE,
    )


def by_captum(model: Model, batch: PatchBatch, each: int) -> Tensor:
    """Importance (B, n) of every patch, ``each`` occluded copies a forward pass."""

    def outputs(pictures: Tensor) -> Tensor:
        patches = cut_patches(pictures, SIDE)
        return model(batch_of(patches, batch.mean)).logits.softmax(-1)

    pictures = join_patches(batch.patches, SHAPE, SIDE)
    mean = join_patches(batch.mean[None], SHAPE, SIDE)
    window = (SIDE, SIDE, 1)
    found = []
    for picture in pictures.split(1):
        # what each class loses by it, at every pixel of a patch alike: (K, h, w, c)
        losses = captum.attr.Occlusion(outputs).attribute(
            picture, window, window, mean, perturbations_per_eval=each
        )
        found.append(cut_patches(losses, SIDE)[..., 0].abs().mean(0))
    return torch.stack(found)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mean = cut_patches(torch.randn(1, *SHAPE), SIDE)[0]
    batch = batch_of(cut_patches(torch.randn(PICTURES, *SHAPE), SIDE), mean)
    table = Table("encoder", "ours", *CAPTUM, "ratios")
    for name, build in ENCODERS.items():
        model = Model(build()).eval()
        ways = {"ours": lambda m=model: leave_one_out(m, batch, "inputs", "mean")} | {
            way: lambda m=model, each=each: by_captum(m, batch, each)
            for way, each in CAPTUM.items()
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        with torch.no_grad():
            results = {way: run() for way, run in ways.items()}
            for _ in range(ROUNDS):
                for way, run in ways.items():
                    start = time.process_time()
                    run()
                    times[way].append(time.process_time() - start)
        for way in CAPTUM:
            # ours are rounded to what single precision can tell apart
            np.testing.assert_allclose(results[way], results["ours"], atol=5e-6)
        ours, *others = (statistics.median(taken) for taken in times.values())
        table.add_row(
            name,
            *(f"{seconds * 1e3:.0f} ms" for seconds in (ours, *others)),
            ", ".join(f"{seconds / ours:.1f}x" for seconds in others),
        )
    Console().print("occlusion of patches: ours against captum's Occlusion")
    Console().print(table)


if __name__ == "__main__":
    main()
