"""Influence in a Transformer of one and two layers against what one would use instead.

That is torch.autograd.functional.jacobian, all rows at once by vectorize=True, whose norms
are taken afterwards, and the same backward passes in batches that fit the cache. Of 200 tokens
torch's passes hold 8 GB for the weights of a layer alone, so that it has 60, and of the
batches a tenth is timed, evenly spread. Times are those of the processor.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from attention_audit.attribution.backward_passes import row_squares
from attention_audit.attribution.influence import jacobian_norms
from attention_audit.attribution.probes import probed_norms
from attention_audit.models.encoders import build_encoder
from attention_audit.records.randomness import generator


def whole_jacobian_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    mask = torch.ones(1, len(x), dtype=torch.bool)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: encoder(x.unsqueeze(0), mask)[0], x, vectorize=True
    )  # (n, H, n, E)
    return jacobian.square().sum((1, 3)).sqrt()


def tenth_of_norms(encoder: nn.Module, x: Tensor) -> Tensor:
    """Norms (m / 10, n) of every tenth hidden state, by batches of backward passes."""
    x = x.detach().requires_grad_()
    (hidden,) = encoder(x.unsqueeze(0), torch.ones(1, len(x), dtype=torch.bool))
    size = hidden.shape[1]
    states = torch.arange(0, len(x), 10)
    units = torch.eye(size).repeat(len(states), 1)
    rows = row_squares(hidden, x, states.repeat_interleave(size), units)
    squares = torch.cat([found for _, found in rows])
    return squares.view(len(states), size, len(x)).sum(1).sqrt()


def timed(way: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    start = time.process_time()
    found = way(*given)
    return found, time.process_time() - start


def transformer(layers: int) -> nn.Module:
    torch.manual_seed(0)
    settings = {
        "kind": "transformer",
        "hidden_size": 64,
        "layers": layers,
        "self_attention": {"kind": "softmax"},
    }
    return build_encoder(settings, 50).eval().requires_grad_(False)


def main() -> None:
    torch.set_num_threads(1)
    console = Console()
    for layers in (1, 2):
        encoder = transformer(layers)
        for n in (60, 200):
            x = torch.randn(n, 50)
            for way in (jacobian_norms, tenth_of_norms):
                way(encoder, x[:20])  # what is imported and chosen at first
            norms, ours = timed(jacobian_norms, encoder, x)
            some, tenth = timed(tenth_of_norms, encoder, x)
            np.testing.assert_allclose(norms[::10], some, rtol=1e-4)
            line = f"batches {10 * tenth:.2f} s, {10 * tenth / ours:.1f}x"
            if n == 60:
                whole, torchs = timed(whole_jacobian_norms, encoder, x)
                np.testing.assert_allclose(norms, whole, rtol=1e-4)
                line += f"; torch {torchs:.2f} s, {torchs / ours:.1f}x"
            console.print(f"{layers} layers, {n} tokens: ours {ours:.2f} s; {line}")

    encoder = transformer(2)
    for n in (200, 400):
        x = torch.randn(n, 50)
        rng = generator(["benchmark"], 0)
        probed, sampled = timed(probed_norms, encoder, x, rng, 0.05, 64)
        console.print(
            f"2 layers, {n} tokens: {len(probed.squares)} probes {sampled:.2f} s, "
            f"standard error {probed.relative_error():.3f}"
        )
        norms, whole = timed(jacobian_norms, encoder, x)
        off = np.abs(probed.norms() - norms.numpy()).sum() / norms.numpy().sum()
        console.print(
            f"  exact {whole:.2f} s, {whole / sampled:.1f}x; probes are {off:.3f} off"
        )


if __name__ == "__main__":
    main()
