"""Every mapping of scores to weights against softmax, forward and backward."""

import time

import torch
from rich.console import Console
from rich.table import Table

from attention_audit.normalizers import build_normalizer

INSTANCES = {
    "softmax": {"kind": "softmax"},
    "sparsemax": {"kind": "sparsemax"},
    "entmax 1.5": {"kind": "entmax", "alpha": 1.5},
    "entmax 1.3": {"kind": "entmax", "alpha": 1.3},
    "sparsegen 0.75": {"kind": "sparsegen", "lam": 0.75},
}
SHAPES = [(64, 256), (4096, 256)]


def seconds(settings: dict, shape: tuple[int, int], repeats: int = 9) -> float:
    """Median time of a forward and a backward pass."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(shape, generator=generator, requires_grad=True)
    slope = torch.randn(shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.bool)
    normalizer = build_normalizer(settings)
    times = []
    for _ in range(repeats + 1):
        scores.grad = None
        start = time.perf_counter()
        (normalizer(scores, mask) * slope).sum().backward()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def main() -> None:
    torch.set_num_threads(1)
    table = Table("normalizer", *(f"{shape}" for shape in SHAPES))
    base = [seconds(INSTANCES["softmax"], shape) for shape in SHAPES]
    for name, settings in INSTANCES.items():
        ratios = [
            seconds(settings, shape) / b for shape, b in zip(SHAPES, base, strict=True)
        ]
        table.add_row(name, *(f"{r:.1f}x" for r in ratios))
    Console().print("normalizers: time of forward and backward, softmax = 1")
    Console().print(table)


if __name__ == "__main__":
    main()
