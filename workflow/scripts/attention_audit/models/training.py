"""The training loop: seeds, early stopping, checkpoints, progress."""

import io
import logging
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from attention_audit.data.batches import Examples, length_bucketed_batches, pad_batch
from attention_audit.models.laws import lawful
from attention_audit.models.model import Classifier, ModelSettings, learned_alphas
from attention_audit.models.optimizer import AMSGrad, learning_rate_factors
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import atomic_path

logger = logging.getLogger(__name__)


@dataclass
class Trained:
    """The best model by dev loss, and how it came about."""

    model: Classifier
    history: list[dict[str, Any]]
    best_epoch: int


def tensors(
    examples: Examples, rows: np.ndarray, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids (B, n), mask (B, n) and labels (B,) of some rows, padded to the longest."""
    ids, mask = pad_batch([examples.token_ids[i] for i in rows])
    return (
        torch.from_numpy(ids).to(device),
        torch.from_numpy(mask).to(device),
        torch.from_numpy(examples.labels[rows].astype(np.int64)).to(device),
    )


def macro_f1(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """F1 averaged over the classes that are present or predicted, as scikit-learn has it."""
    confusion = np.bincount(
        labels * n_classes + predicted, minlength=n_classes**2
    ).reshape(n_classes, n_classes)
    hits = np.diag(confusion)
    # 2 TP / (2 TP + FP + FN): the denominator is row sum plus column sum
    total = confusion.sum(0) + confusion.sum(1)
    met = total > 0
    return float(np.mean(2 * hits[met] / total[met]))


def classes_absent(labels: np.ndarray, n_classes: int) -> int:
    """How many classes no text has."""
    return n_classes - len(np.unique(labels))


@torch.no_grad()
def evaluate(
    model: Classifier, examples: Examples, batch_size: int, device: torch.device
) -> dict[str, float]:
    """Mean cross-entropy (nats), accuracy, macro F1 and n of a split.

    ``classes_absent`` counts the classes without any text in it. Raises `AuditError`
    where a normalizer breaks a law.
    """
    model.eval()
    order = np.argsort(examples.lengths, kind="stable")
    loss, predicted = 0.0, np.empty(len(order), dtype=np.int64)
    with lawful(model):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids, mask, labels = tensors(examples, rows, device)
            logits = model(ids, mask).logits
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            predicted[rows] = logits.argmax(-1).cpu().numpy()
    labels = examples.labels.astype(np.int64)
    n_classes = model.settings.n_classes
    return {
        "loss": loss / len(order),
        "accuracy": float(np.mean(predicted == labels)),
        "macro_f1": macro_f1(labels, predicted, n_classes),
        "classes_absent": classes_absent(labels, n_classes),
        "n": len(order),
    }


def build_optimizer(model: Classifier, settings: Mapping[str, Any]) -> AMSGrad:
    """Adam with AMSGrad; weight decay on all but attention, as Jain & Wallace 2019.

    Modules with a ``learning_rate_factor`` learn at that share of the rate.
    """
    attention = {id(p) for p in model.pooling.parameters()}
    factors = learning_rate_factors(model)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = id(parameter) in attention, factors.get(id(parameter), 1.0)
            groups.setdefault(key, []).append(parameter)
    return AMSGrad(
        [
            {
                "params": parameters,
                "weight_decay": 0.0 if pools else settings["weight_decay"],
                "learning_rate_factor": factor,
            }
            for (pools, factor), parameters in groups.items()
        ],
        settings["learning_rate"],
    )


class _Checkpoint:
    """The state after an epoch, so that an interrupted job goes on from there.

    ``identity`` says what is being trained. A checkpoint of anything else, or a
    damaged one, is ignored: training then starts over, which costs time and nothing
    else.
    """

    def __init__(self, path: Path | None, identity: str):
        self.path, self.identity = path, identity

    def load(self) -> dict[str, Any] | None:
        if self.path is None or not self.path.exists():
            return None
        try:
            # torch reads the archive without a look at its checksums
            with zipfile.ZipFile(self.path) as archive:
                if (member := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"{member} fails its checksum")
        except (EOFError, zipfile.BadZipFile, zlib.error) as error:
            logger.warning("%s: damaged, starting over (%s)", self.path, error)
            return None
        # On the CPU: the next machine may lack the GPU of the last. What fails from here
        # on, for want of memory say, is no damage, and the checkpoint stays.
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("identity") != self.identity:
            logger.warning("%s: of other settings, starting over", self.path)
            return None
        return state

    def save(self, **state: Any) -> None:
        if self.path is not None:
            # Not written by torch, whose error hides why: a full disk, for example.
            buffer = io.BytesIO()
            torch.save({"identity": self.identity, **state}, buffer)
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(buffer.getbuffer())

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def be_repeatable(device: torch.device) -> None:
    """Have torch use deterministic algorithms where it has them all, which is on CPUs."""
    # `use_deterministic_algorithms`, which does the same, imports torch's compiler too.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")
    # Filling new memory would only hide reads of what nobody wrote, and takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False


def new_model(
    settings: ModelSettings, seed: int, device: torch.device, vectors: Tensor | None
) -> Classifier:
    """An untrained model, its embeddings the pretrained ``vectors`` where there are some."""
    torch.manual_seed(seed)
    model = Classifier(settings)
    if vectors is not None:
        model.set_vectors(vectors)
    return model.to(device)


def descend(
    model: Classifier,
    optimizer: AMSGrad,
    loss: Callable[[], Tensor],
    settings: Mapping[str, Any],
    name: str,
) -> float:
    """One step of the optimizer; the loss before it.

    Raises `AuditError` where the loss is not finite, and names the normalizer where that
    is its fault.
    """
    value = loss()
    if not value.isfinite():
        with lawful(model):
            loss()
        raise AuditError(
            f"{name}: the training loss became {value.item()}. Lower "
            f"training.learning_rate (now {settings['learning_rate']}) or "
            f"training.gradient_clip (now {settings['gradient_clip']})."
        )
    optimizer.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings["gradient_clip"])
    optimizer.step()
    return value.item()


def restore(
    model: Classifier, best: dict[str, Tensor], settings: Mapping[str, Any], name: str
) -> None:
    """Give a model the weights of its best epoch, if there was one; for inference."""
    if not best:
        raise AuditError(
            f"{name}: the dev loss was never finite. Lower training.learning_rate "
            f"(now {settings['learning_rate']})."
        )
    model.load_state_dict(best)
    model.eval()


def _cross_entropy(
    model: Classifier, token_ids: Tensor, mask: Tensor, labels: Tensor
) -> Tensor:
    return nn.functional.cross_entropy(model(token_ids, mask).logits, labels)


def _epoch(
    model: Classifier,
    optimizer: AMSGrad,
    batches: Iterator[np.ndarray],
    examples: Examples,
    settings: Mapping[str, Any],
    device: torch.device,
    name: str,
) -> float:
    """One pass over the training data; the mean loss in nats an example."""
    model.train()
    total = 0.0
    # A fault shows before an epoch has passed; `evaluate` looks at more than a batch.
    with lawful(model, once=True):
        for rows in batches:
            loss = partial(_cross_entropy, model, *tensors(examples, rows, device))
            total += descend(model, optimizer, loss, settings, name) * len(rows)
    return total / len(examples.labels)


def train(
    model_settings: ModelSettings,
    settings: Mapping[str, Any],
    examples: Examples,
    dev: Examples,
    seed: int,
    device: torch.device,
    vectors: Tensor | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
    name: str = "train",
) -> Trained:
    """Train until the dev loss has not improved for ``patience`` epochs.

    The same settings, data, seed, machine and number of threads give the same bytes.
    Every epoch draws from its own seeded generators, so that a job resumed from
    ``checkpoint`` ends like an undisturbed one.
    """
    be_repeatable(device)
    model = new_model(model_settings, seed, device, vectors)
    optimizer = build_optimizer(model, settings)

    saved = _Checkpoint(checkpoint, identity)
    history: list[dict[str, Any]] = []
    best: dict[str, Tensor] = {}
    best_loss, best_epoch = float("inf"), 0
    if (state := saved.load()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history, best, best_epoch = state["history"], state["best"], state["best_epoch"]
        best_loss = history[best_epoch - 1]["dev_loss"]
        logger.info("resumed after epoch %d from %s", len(history), checkpoint)

    per_epoch = -(-len(examples.labels) // settings["batch_size"])
    with tqdm(
        total=settings["max_epochs"] * per_epoch,
        initial=len(history) * per_epoch,
        desc=name,
        unit="batch",
        disable=None,
    ) as bar:
        for epoch in range(len(history) + 1, settings["max_epochs"] + 1):
            if epoch - 1 - best_epoch >= settings["patience"] and history:
                break
            rng = np.random.default_rng([seed, epoch])
            torch.manual_seed(int(rng.integers(2**31)))
            batches = length_bucketed_batches(
                examples.lengths, settings["batch_size"], rng
            )

            def counted(batches: list[np.ndarray] = batches) -> Iterator[np.ndarray]:
                for rows in batches:
                    yield rows
                    bar.update()

            loss = _epoch(model, optimizer, counted(), examples, settings, device, name)
            score = evaluate(model, dev, settings["batch_size"], device)
            if score["loss"] < best_loss:
                best_loss, best_epoch = score["loss"], epoch
                best = deepcopy(model.state_dict())
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": loss,
                    "dev_loss": score["loss"],
                    "dev_accuracy": score["accuracy"],
                    "dev_macro_f1": score["macro_f1"],
                    "alpha": list(learned_alphas(model).values()) or None,
                    "best": False,
                }
            )
            bar.set_postfix(loss=f"{loss:.3f}", dev=f"{score['macro_f1']:.3f}")
            logger.info(
                "epoch %d: loss %.4f, dev loss %.4f, dev macro F1 %.4f",
                epoch,
                loss,
                score["loss"],
                score["macro_f1"],
            )
            saved.save(
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
                history=history,
                best=best,
                best_epoch=best_epoch,
            )
    restore(model, best, settings, name)
    # `best` marks the epoch whose weights were kept, not every improvement.
    history = [{**row, "best": row["epoch"] == best_epoch} for row in history]
    saved.remove()
    return Trained(model, history, best_epoch)
