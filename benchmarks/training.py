"""Training throughput: length-bucketed batches against padding to the longest text.

The same model, optimizer and texts; the other way shuffles the texts and pads every
batch to the longest text of the data set. Both count real tokens only.
"""

import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from attention_audit.data.batches import PAD, length_bucketed_batches
from attention_audit.data.text_batches import TextExamples
from attention_audit.models.modalities.text import Classifier, ModelSettings
from attention_audit.models.training import build_optimizer

TRAINING = {"learning_rate": 1e-3, "weight_decay": 1e-5}
BATCH = 32
ENCODERS = {
    "bilstm": {"kind": "bilstm", "hidden_size": 64},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 64,
        "self_attention": {"kind": "softmax"},
    },
}


def texts(n: int = 960, seed: int = 0) -> TextExamples:
    """Token ids with lengths like film reviews: log-normal, 20 to 400 tokens."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.4, 0.6, n), 20, 400).astype(np.int64)
    ids = [rng.integers(2, 5000, length) for length in lengths]
    return TextExamples([str(i) for i in range(n)], ids, rng.integers(0, 2, n), lengths)


def tokens_per_second(encoder: dict, examples: TextExamples, bucketed: bool) -> float:
    """One epoch after a warm-up of a few batches."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Classifier(
        ModelSettings(
            5000, 2, 50, False, encoder, {"kind": "additive"}, {"kind": "softmax"}
        )
    ).train()
    optimizer = build_optimizer(model, TRAINING)
    if bucketed:
        batches = length_bucketed_batches(examples.lengths, BATCH, rng)
    else:
        order = rng.permutation(len(examples))
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    longest = int(examples.lengths.max())

    def step(rows: np.ndarray) -> None:
        batch = examples.batch(rows, torch.device("cpu"))
        if not bucketed:
            missing = longest - batch.mask.shape[1]
            pad = partial(torch.nn.functional.pad, pad=(0, missing))
            batch = replace(
                batch, token_ids=pad(batch.token_ids, value=PAD), mask=pad(batch.mask)
            )
        logits = model(batch).logits
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, batch.labels).backward()
        optimizer.step()

    for rows in batches[:3]:
        step(rows)
    start = time.perf_counter()
    for rows in batches:
        step(rows)
    return examples.lengths.sum() / (time.perf_counter() - start)


def main() -> None:
    torch.set_num_threads(1)
    examples = texts()
    table = Table("encoder", "bucketed tokens/s", "padded tokens/s", "ratio")
    for name, encoder in ENCODERS.items():
        ours = tokens_per_second(encoder, examples, bucketed=True)
        theirs = tokens_per_second(encoder, examples, bucketed=False)
        table.add_row(name, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.1f}x")
    Console().print("training: length-bucketed against padded to the longest text")
    Console().print(table)


if __name__ == "__main__":
    main()
