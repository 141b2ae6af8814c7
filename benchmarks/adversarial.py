"""The adversarial search in batches against one instance at a time.

Runs the search of the default configuration (five candidates, 500 steps) for the
default model, a BiLSTM of 64 units a direction with additive attention, on texts of
about 80 tokens, and prints how long 200 instances take and the ratio to a search that
goes one instance at a time, which is timed on fewer. Jobs of the workflow run on one
thread each, and so does this; processor time is what other programs do not disturb.

Run with ``PYTHONPATH=workflow/scripts python benchmarks/adversarial.py``.
"""

import time

import torch

from attention_audit.data.text_batches import TextBatch
from attention_audit.interventions.adversarial import SearchSettings, search
from attention_audit.models.modalities.text import Classifier, ModelSettings

INSTANCES, ALONE, BATCH, LENGTH = 200, 5, 32, 80


def default_model() -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        ModelSettings(
            vocabulary_size=1000,
            n_classes=2,
            embedding_size=50,
            freeze_vectors=False,
            encoder={"kind": "bilstm", "hidden_size": 64},
            scorer={"kind": "additive"},
            normalizer={"kind": "softmax"},
        )
    ).eval()


def seconds(model: Classifier, instances: int, batch: int) -> float:
    """Processor time of the search for ``instances`` random texts, the encoder included."""
    generator = torch.Generator().manual_seed(1)
    settings = SearchSettings()
    start = time.process_time()
    for first in range(0, instances, batch):
        size = min(batch, instances - first)
        lengths = torch.randint(LENGTH - 10, LENGTH + 1, (size, 1), generator=generator)
        mask = torch.arange(int(lengths.max())) < lengths
        ids = torch.randint(2, 1000, mask.shape, generator=generator) * mask
        noise = torch.randn(
            size, settings.candidates, mask.shape[1], generator=generator
        )
        with torch.no_grad():
            output = model(
                TextBatch([""] * size, None, lengths.squeeze(1).numpy(), ids, mask)
            )
        search(model, output.hidden, mask, output.attention, noise, settings)
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    model = default_model()
    together = seconds(model, INSTANCES, BATCH)
    alone = seconds(model, ALONE, 1)
    ratio = (alone / ALONE) / (together / INSTANCES)
    print(
        f"{INSTANCES} instances of about {LENGTH} tokens in batches of {BATCH}: "
        f"{together:.1f} s of processor time on one thread"
    )
    print(
        f"one at a time: {alone / ALONE:.2f} s an instance, {ratio:.1f} times as long"
    )


if __name__ == "__main__":
    main()
