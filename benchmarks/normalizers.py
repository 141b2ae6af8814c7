"""Sparse normalizers against the entmax package and torch's softmax, on one thread.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/normalizers.py``. A call is a
forward and a backward pass in float32. The shapes are a batch of texts under attention
pooling, and the four heads of self-attention over it. Ours is given a mask, as in the
pipeline; the package and softmax know none and are given all positions.

"largest error" compares weights with the package's bisection in float64. Times are
medians over rounds in which all take turns, so that a busy machine slows all alike; a
ratio above one means that ours is faster, "of softmax" is our time over softmax's.
"""

import statistics
import time
from collections.abc import Callable

import entmax
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from attention_audit.models.normalizers.entmax import alpha_entmax
from attention_audit.models.normalizers.softmax import softmax
from attention_audit.models.normalizers.sparsemax import sparsemax

# name: shape of the scores, shape of the mask, rounds
SHAPES = {
    "(64, 256)": ((64, 256), (64, 256), 101),
    "(64*4*256, 256)": ((64, 4, 256, 256), (64, 1, 1, 256), 7),
}

# Timed in every round; bisection is slow enough to need few.
FAST = ("softmax", "sparsemax", "entmax 1.5")

Mapping = Callable[[Tensor], Tensor]


def bisection(alpha: float) -> Mapping:
    return lambda z: entmax.entmax_bisect(z, alpha=alpha)


def candidates(mask: Tensor) -> dict[str, tuple[float, Mapping, Mapping]]:
    """name: alpha, the package's mapping, ours."""
    learned = torch.tensor(1.3, requires_grad=True)
    return {
        "softmax": (1.0, lambda z: z.softmax(-1), lambda z: softmax(z, mask)),
        "sparsemax": (2.0, entmax.sparsemax, lambda z: sparsemax(z, mask)),
        "entmax 1.5": (1.5, entmax.entmax15, lambda z: alpha_entmax(z, mask, 1.5)),
        **{
            f"entmax {alpha}": (
                alpha,
                bisection(alpha),
                lambda z, alpha=alpha: alpha_entmax(z, mask, alpha),
            )
            for alpha in (1.25, 1.75, 3.0, 4.0)
        },
        "entmax learned": (
            1.3,
            bisection(learned),
            lambda z: alpha_entmax(z, mask, learned),
        ),
    }


def seconds(mapping: Mapping, scores: Tensor, gradient: Tensor) -> float:
    """Wall time of a forward and a backward pass."""
    scores.grad = None
    start = time.perf_counter()
    mapping(scores).backward(gradient)
    return time.perf_counter() - start


def largest_error(mapping: Mapping, scores: Tensor, alpha: float) -> float:
    """Distance of some rows' weights from those found in float64."""
    with torch.no_grad():
        weights = mapping(scores).flatten(0, -2)[:2048]
        some = scores.flatten(0, -2)[:2048].double()
        exact = (
            some.softmax(-1)
            if alpha == 1
            else entmax.entmax_bisect(some, alpha=alpha, n_iter=80)
        )
        return (weights - exact).abs().max().item()


def main() -> None:
    """Time all, print a table a shape."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (shape, mask_shape, rounds) in SHAPES.items():
        scores = torch.randn(shape, requires_grad=True)
        gradient = torch.randn(shape)
        mappings = candidates(torch.ones(mask_shape, dtype=torch.bool))
        times: dict[tuple[str, int], list[float]] = {}
        for round_ in range(rounds + 1):
            for candidate, (_, *pair) in mappings.items():
                if round_ > 3 and len(shape) > 2 and candidate not in FAST:
                    continue
                for side, mapping in enumerate(pair):
                    taken = seconds(mapping, scores, gradient)
                    if round_:  # the first is a warm-up
                        times.setdefault((candidate, side), []).append(taken)
        median = {key: statistics.median(taken) for key, taken in times.items()}

        table = Table(title=f"Forward and backward, {name}, float32, one thread")
        for heading in ("", "package", "ours", "ratio", "of softmax"):
            table.add_column(heading, justify="left" if not heading else "right")
        table.add_column("largest error, package", justify="right")
        table.add_column("ours", justify="right")
        for candidate, (alpha, theirs, ours) in mappings.items():
            package, own = median[candidate, 0], median[candidate, 1]
            table.add_row(
                candidate,
                f"{package * 1e3:.2f} ms",
                f"{own * 1e3:.2f} ms",
                f"{package / own:.1f}x",
                f"{own / median['softmax', 0]:.1f}x",
                f"{largest_error(theirs, scores, alpha):.0e}",
                f"{largest_error(ours, scores, alpha):.0e}",
            )
        Console().print(table)


if __name__ == "__main__":
    main()
