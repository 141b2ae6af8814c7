"""Training of LIT on pictures of 28 x 28 grey pixels, against one core's matrix products.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/lit.py``, on one thread. A step is
a forward and a backward pass and one of the optimizer; it counts three times the
multiply-adds of the forward pass. The peak is that of products of large square matrices.
All take turns in rounds and have their medians compared, in seconds of the processor, so
that a busy machine slows all alike. The other columns are the share of a step that each kind of operation takes by
itself.
"""

from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.profiler import ProfilerActivity, profile

from attention_audit.models.lit import LitEncoder
from attention_audit.models.merging import build_merging
from attention_audit.models.optimizer import AMSGrad
from attention_audit.models.size import multiply_adds
from attention_audit.models.speed import seconds

ROUNDS = 7
BATCH = 64
CLASSES = 10
SIDE = 1024
DEPTH = 2

# name: side of a patch in pixels, widths of the stages
MODELS = {
    "patch 4, widths 32-64": (4, (32, 64)),
    "patch 4, widths 64-128": (4, (64, 128)),
    "patch 2, widths 32-64-128": (2, (32, 64, 128)),
    "patch 2, widths 64-128-256": (2, (64, 128, 256)),
}
MERGINGS = ("strided", "deformable")
# kind: names of torch's operations, whose backward passes count as well
SHARES = {
    "products": ("mm", "addmm", "bmm"),
    "GELU": ("gelu",),
    "norms": ("native_layer_norm", "native_batch_norm"),
    "sampling": ("grid_sampler_2d",),
    "optimizer": ("_fused_adam_",),
    "sums": ("sum", "add", "add_"),
    "copies": ("copy_", "cat", "constant_pad_nd", "zero_", "fill_"),
}


class Model(nn.Module):
    """LIT with an attention stage at the end, and a linear output of the mean state."""

    def __init__(self, patch: int, widths: tuple[int, ...], merging: str):
        super().__init__()
        side = 28 // patch
        kinds = ["mlp"] * (len(widths) - 1) + ["attention"]
        stages = [
            {"kind": kind, "depth": DEPTH, "width": width, "heads": width // 32}
            for kind, width in zip(kinds, widths, strict=True)
        ]
        self.encoder = LitEncoder(
            patch**2, (side, side), stages, {"kind": "softmax"}, merging
        )
        self.output = nn.Linear(self.encoder.output_size, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.encoder.read(x).hidden.mean(1))


def training_step(patch: int, widths: tuple[int, ...], merging: str):
    """A step of training, and its multiply-adds."""
    torch.manual_seed(0)
    model = Model(patch, widths, merging).train()
    optimizer = AMSGrad([{"params": model.parameters(), "weight_decay": 0.0}], 1e-3)
    x = torch.randn(BATCH, (28 // patch) ** 2, patch**2)
    labels = torch.randint(CLASSES, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step, 3 * multiply_adds(model, x)


def merging_step(kind: str, side: int, width: int) -> Callable[[], None]:
    """A forward and a backward pass of a merging alone."""
    torch.manual_seed(0)
    merging = build_merging(kind, (side, side), width, 2 * width)
    x = torch.randn(BATCH, side * side, width, requires_grad=True)
    return lambda: merging(x)[0].sum().backward()


def medians(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Processor seconds of each, the median over rounds in which all take turns."""
    taken = np.median(seconds(list(steps.values()), ROUNDS), axis=1)
    return dict(zip(steps, taken, strict=True))


def shares(step: Callable[[], None]) -> dict[str, float]:
    """Share of a step's time that each kind of operation takes by itself."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(3):
            step()
    own: dict[str, float] = {}
    for event in profiler.key_averages():
        name = event.key.removeprefix("aten::").removesuffix("_backward")
        own[name] = own.get(name, 0.0) + event.self_cpu_time_total
    total = sum(own.values())
    return {
        kind: sum(own.get(name, 0.0) for name in names) / total
        for kind, names in SHARES.items()
    }


def main() -> None:
    """Time all, print a table of models and one of mergings."""
    torch.set_num_threads(1)
    a, b = torch.randn(2, SIDE, SIDE)
    made = {
        f"{name}, {merging}": training_step(*settings, merging)
        for name, settings in MODELS.items()
        for merging in MERGINGS
    }
    steps: dict[str, Callable[[], object]] = {k: step for k, (step, _) in made.items()}
    taken = medians({"peak": lambda: a @ b, **steps})
    peak = SIDE**3 / taken["peak"]
    table = Table(
        title=f"training, batches of {BATCH}; peak {peak / 1e9:.0f} G multiply-adds/s"
    )
    table.add_column("model")
    for heading in ("images/s", "G/s", "of peak", *SHARES):
        table.add_column(heading, justify="right")
    for name, (step, counted) in made.items():
        rate = counted / taken[name]
        table.add_row(
            name,
            f"{BATCH / taken[name]:,.0f}",
            f"{rate / 1e9:.1f}",
            f"{rate / peak:.0%}",
            *(f"{share:.0%}" for share in shares(step).values()),
        )
    Console(width=160).print(table)

    table = Table(title="merging alone, forward and backward")
    for heading in ("grid, width", "strided", "deformable", "ratio"):
        table.add_column(heading, justify="right")
    for side, width in ((7, 64), (14, 64), (28, 64)):
        taken = medians({kind: merging_step(kind, side, width) for kind in MERGINGS})
        strided, deformable = (taken[kind] for kind in MERGINGS)
        table.add_row(
            f"{side} x {side}, {width}",
            f"{strided * 1e3:.1f} ms",
            f"{deformable * 1e3:.1f} ms",
            f"{deformable / strided:.1f}x",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
