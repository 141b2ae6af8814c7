"""Training of a translator against the same model built of `torch.nn.Transformer`.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/translation.py``, on one thread.
Both have as many layers, heads and numbers a layer, norms before the parts of a layer, GELU,
the same position codes, softmax, and an output layer at the steps that there are; both read
the same batches, and have the same loss, clipping and optimizer. Ours returns the weights of
every attention, has one head in the last cross-attention, and a linear map behind the
embeddings, which torch's lacks.

A step is a forward and a backward pass and one of the optimizer. All take turns in rounds,
and have their medians compared, in seconds of the processor. A ratio above one means that
ours is faster.
"""

from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from attention_audit.data.batches import length_bucketed_batches
from attention_audit.data.pair_batches import PairBatch, PairExamples
from attention_audit.models.optimizer import AMSGrad
from attention_audit.models.positions import sinusoidal_positions
from attention_audit.models.speed import seconds
from attention_audit.models.translation import TranslatorSettings

ROUNDS = 5
BATCH = 32
PAIRS = 256
VOCABULARY = 3000
# name: hidden size, inner size of feed-forward parts, heads, layers of encoder and decoder
MODELS = {
    "64, 1 layer": (64, 128, 4, 1),
    "64, 2 layers": (64, 128, 4, 2),
    "128, 2 layers": (128, 512, 4, 2),
    "256, 3 layers": (256, 1024, 4, 3),
}
NORMALIZERS = {
    "softmax": {"kind": "softmax"},
    "sparsemax": {"kind": "sparsemax"},
    "entmax 1.5": {"kind": "entmax", "alpha": 1.5},
    "top-k 8": {"kind": "top_k", "k": 8},
    "ReLA": {"kind": "rela"},
    "ReLA, gated": {"kind": "rela", "gated": True},
}


def pairs(seed: int = 0) -> PairExamples:
    """Sentence pairs with lengths like verses: 17 source words and 22 target words or so."""
    rng = np.random.default_rng(seed)
    source = np.clip(rng.normal(17, 6, PAIRS), 4, 40).astype(np.int64)
    target = np.clip(source * 1.3 + rng.normal(0, 3, PAIRS), 4, 50).astype(np.int64)
    sides = [
        [rng.integers(4, VOCABULARY, length) for length in lengths]
        for lengths in (source, target)
    ]
    return PairExamples([str(i) for i in range(PAIRS)], *sides, source + target)


class Reference(nn.Module):
    """The same of torch's own modules."""

    def __init__(self, size: int, inner: int, heads: int, layers: int):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, size, padding_idx=0)
        self.target = nn.Embedding(VOCABULARY, size, padding_idx=0)
        self.transformer = nn.Transformer(
            size,
            heads,
            layers,
            layers,
            inner,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.output = nn.Linear(size, VOCABULARY)

    def logits(self, batch: PairBatch) -> Tensor:
        x, y = self.source(batch.source_ids), self.target(batch.target_ids)
        x, y = (z + sinusoidal_positions(*z.shape[1:]) for z in (x, y))
        states = self.transformer(
            x,
            y,
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(y.shape[1]).bool(),
            tgt_is_causal=True,
            src_key_padding_mask=~batch.source_mask,
            memory_key_padding_mask=~batch.source_mask,
            tgt_key_padding_mask=~batch.target_mask,
        )
        return self.output(states[batch.pair, batch.step])


def translator(
    size: int, inner: int, heads: int, layers: int, normalizer: dict
) -> nn.Module:
    """Ours, of the same shapes."""
    shape = {
        "kind": "transformer",
        "hidden_size": size,
        "feedforward_size": inner,
        "heads": heads,
        "layers": layers,
        "self_attention": normalizer,
    }
    return TranslatorSettings(
        source_vocabulary=VOCABULARY,
        n_classes=VOCABULARY,
        embedding_size=size,
        encoder=shape,
        decoder={**shape, "cross_attention": normalizer},
        scorer={"kind": "scaled_dot_product"},
        normalizer=normalizer,
    ).new_model()


def epoch_of(model: nn.Module, examples: PairExamples) -> Callable[[], None]:
    """What trains a model for an epoch."""
    groups = [{"params": model.parameters(), "weight_decay": 0.0}]
    optimizer = AMSGrad(groups, 1e-3)
    rng = np.random.default_rng(0)
    batches = length_bucketed_batches(examples.lengths, BATCH, rng)

    def epoch() -> None:
        model.train()
        for rows in batches:
            batch = examples.batch(rows, torch.device("cpu"))
            loss = nn.functional.cross_entropy(model.logits(batch), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()

    return epoch


def medians(epochs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Processor seconds of each, the median over rounds in which all take turns."""
    taken = np.median(seconds(list(epochs.values()), ROUNDS), axis=1)
    return dict(zip(epochs, taken, strict=True))


def main() -> None:
    """Time all, print a table of sizes and one of normalizers."""
    torch.set_num_threads(1)
    examples = pairs()
    words = int(examples.lengths.sum())
    epochs = {}
    for name, shape in MODELS.items():
        torch.manual_seed(0)
        epochs[name, "ours"] = epoch_of(
            translator(*shape, NORMALIZERS["softmax"]), examples
        )
        epochs[name, "torch"] = epoch_of(Reference(*shape), examples)
    taken = medians(epochs)
    table = Table(title=f"training, batches of {BATCH} pairs, words of both sides/s")
    table.add_column("hidden size, layers")
    for heading in ("torch.nn.Transformer", "ours, softmax", "ratio"):
        table.add_column(heading, justify="right")
    for name in MODELS:
        ours, theirs = taken[name, "ours"], taken[name, "torch"]
        table.add_row(
            name,
            f"{words / theirs:,.0f}",
            f"{words / ours:,.0f}",
            f"{theirs / ours:.2f}x",
        )
    Console().print(table)

    name = "64, 2 layers"
    taken = medians(
        {
            kind: epoch_of(translator(*MODELS[name], settings), examples)
            for kind, settings in NORMALIZERS.items()
        }
    )
    table = Table(title=f"training, {name}, by normalizer of all attention")
    table.add_column("normalizer")
    for heading in ("words/s", "of softmax"):
        table.add_column(heading, justify="right")
    for kind, epoch in taken.items():
        ratio = taken["softmax"] / epoch
        table.add_row(kind, f"{words / epoch:,.0f}", f"{ratio:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
