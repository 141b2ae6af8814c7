"""Leave-one-out importance against captum's FeatureAblation, at equal results.

Both replace one token at a time by the unknown one. captum takes one instance at a
time and, by default, one perturbation a forward pass; ``perturbations_per_eval`` lets
it take more, and both ways are shown. Times are those of the processor.
"""

import time

import captum.attr
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.data.batches import UNK
from attention_audit.data.text_batches import TextBatch
from attention_audit.models.modalities.text import Classifier, ModelSettings

ENCODERS = {
    "bilstm": {"kind": "bilstm", "hidden_size": 64},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 64,
        "self_attention": {"kind": "softmax"},
    },
}


def batch_of(texts: list[np.ndarray]) -> TextBatch:
    return TextBatch.of([""] * len(texts), texts, torch.device("cpu"))


def by_captum(model: Classifier, texts: list[np.ndarray], each: int) -> list:
    """Importance of every text, ``each`` perturbations a forward pass."""
    found = []
    for text in texts:
        ids = torch.from_numpy(text).unsqueeze(0)

        def outputs(rows: torch.Tensor) -> torch.Tensor:
            return model(batch_of(list(rows.numpy()))).logits.softmax(-1)

        full = outputs(ids)

        def difference(
            rows: torch.Tensor, full: torch.Tensor = full, outputs=outputs
        ) -> torch.Tensor:
            return (outputs(rows) - full).abs().mean(-1)

        found.append(
            -captum.attr.FeatureAblation(difference)
            .attribute(ids, baselines=UNK, perturbations_per_eval=each)[0]
            .numpy()
        )
    return found


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, 5000, n) for n in rng.integers(10, 60, 32)]
    batch = batch_of(texts)
    table = Table("encoder", "ours", "captum, default", "captum, batched", "ratios")
    for name, encoder in ENCODERS.items():
        torch.manual_seed(0)
        model = Classifier(
            ModelSettings(
                5000, 2, 50, False, encoder, {"kind": "additive"}, {"kind": "softmax"}
            )
        ).eval()
        with torch.no_grad():
            seconds, results = [], []
            for way in (
                lambda m=model: leave_one_out(m, batch, "inputs", "replace"),
                lambda m=model: by_captum(m, texts, 1),
                lambda m=model: by_captum(m, texts, 64),
            ):
                way()
                start = time.process_time()
                results.append(way())
                seconds.append(time.process_time() - start)
        ours = [row[: len(t)].numpy() for row, t in zip(results[0], texts, strict=True)]
        for a, b in zip(ours, results[1], strict=True):
            # ours are rounded to what single precision can tell apart
            np.testing.assert_allclose(a, b, atol=5e-6)
        table.add_row(
            name,
            *(f"{s:.2f} s" for s in seconds),
            f"{seconds[1] / seconds[0]:.1f}x, {seconds[2] / seconds[0]:.1f}x",
        )
    Console().print("leave-one-out: ours against captum's FeatureAblation")
    Console().print(table)


if __name__ == "__main__":
    main()
