"""The training loop: of any loss, with seeds, early stopping, checkpoints, progress."""

import io
import logging
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from attention_audit.data.batches import in_order_of_length, length_bucketed_batches
from attention_audit.models.decisions import DecisionModel, Examples, ModelSettings
from attention_audit.models.laws import lawful
from attention_audit.models.losses import loss_of
from attention_audit.models.model import learned_alphas
from attention_audit.models.optimizer import AMSGrad, learning_rate_factors
from attention_audit.models.outputs import exact_outputs
from attention_audit.models.scores import agreement_scores, class_scores
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import atomic_path

logger = logging.getLogger(__name__)


# The mean loss of some rows of the training data.
Loss = Callable[[np.ndarray], Tensor]
# What is told of the dev data beside its loss, of classes and of scores; None of the other.
SCORES = ("accuracy", "macro_f1", "pearson", "concordance")

# What the history is to tell of the dev data after an epoch; "dev_loss" decides.
Score = Callable[[], Mapping[str, Any]]


@dataclass
class Trained:
    """The best model by dev loss, and how it came about."""

    model: DecisionModel
    history: list[dict[str, Any]]
    best_epoch: int


@torch.no_grad()
def evaluate(
    model: DecisionModel, examples: Examples, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Mean cross-entropy (nats), scores and n of the decisions of a split.

    They are `class_scores` or, of scores, the loss that they are learned by and
    `agreement_scores`. Raises `AuditError` where a normalizer breaks a law.
    """
    model.eval()
    if model.link != "softmax":
        return _evaluate_scores(model, examples, batch_size, device)
    loss, read = 0.0, []
    with lawful(model):
        for rows in in_order_of_length(examples.lengths, batch_size):
            batch = examples.batch(rows, device)
            logits = model.logits(batch)
            loss += loss_of(model, logits, batch.labels, reduction="sum").item()
            read.append(torch.stack([batch.labels, logits.argmax(-1)]).cpu())
    labels, predicted = torch.cat(read, dim=1).numpy()
    return {
        "loss": loss / len(labels),
        **class_scores(labels, predicted, model.output.out_features),
        "n": len(labels),
    }


def _evaluate_scores(
    model: DecisionModel, examples: Examples, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """The same of scores, whose loss is that of the whole split: concordance is no mean."""
    logits, labels = [], []
    recordings: list[str] | None = []
    with lawful(model):
        for rows in in_order_of_length(examples.lengths, batch_size):
            batch = examples.batch(rows, device)
            logits.append(model.logits(batch))
            labels.append(batch.labels)
            if batch.cluster_ids is None:
                recordings = None
            elif recordings is not None:
                recordings += batch.cluster_ids
    made, wanted = torch.cat(logits), torch.cat(labels)
    outputs = exact_outputs(made, model.link).numpy()
    return {
        "loss": loss_of(model, made, wanted).item(),
        **agreement_scores(outputs, wanted.cpu().numpy(), recordings),
        "n": len(wanted),
    }


def build_optimizer(model: DecisionModel, settings: Mapping[str, Any]) -> AMSGrad:
    """Adam with AMSGrad; weight decay on all but attention, as Jain & Wallace 2019.

    Modules with a ``learning_rate_factor`` learn at that share of the rate, and those with
    an ``own_learning_rate`` at that.
    """
    attention = {id(p) for p in model.pooling.parameters()}
    factors = learning_rate_factors(model, settings["learning_rate"])
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
        settings["warmup_steps"],
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
) -> DecisionModel:
    """An untrained model, its embeddings the pretrained ``vectors`` where there are some."""
    torch.manual_seed(seed)
    model = settings.new_model()
    if vectors is not None:
        model.set_vectors(vectors)
    return model.to(device)


def descend(
    model: DecisionModel,
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
    model: DecisionModel,
    best: dict[str, Tensor],
    settings: Mapping[str, Any],
    name: str,
) -> None:
    """Give a model the weights of its best epoch, if there was one; for inference."""
    if not best:
        raise AuditError(
            f"{name}: the dev loss was never finite. Lower training.learning_rate "
            f"(now {settings['learning_rate']})."
        )
    model.load_state_dict(best)
    model.eval()


def _epoch(
    model: DecisionModel,
    optimizer: AMSGrad,
    batches: Iterable[np.ndarray],
    loss: Loss,
    settings: Mapping[str, Any],
    name: str,
) -> float:
    """One pass over the training data; the mean loss of an example."""
    model.train()
    total, n = 0.0, 0
    # A fault shows before an epoch has passed; a score looks at more than a batch.
    with lawful(model, once=True):
        for rows in batches:
            value = descend(model, optimizer, partial(loss, rows), settings, name)
            total, n = total + value * len(rows), n + len(rows)
    return total / n


def fit(
    model: DecisionModel,
    loss: Loss,
    score: Score,
    lengths: np.ndarray,
    settings: Mapping[str, Any],
    seed: int,
    name: str,
    checkpoint: Path | None = None,
    identity: str = "",
) -> Trained:
    """Train in place until the dev loss has not fallen for ``patience`` epochs.

    What is learned is up to ``loss`` and ``score``; the training examples have ``lengths``
    (N,), and ``settings`` the keys of the section ``training``. The weights of the best
    epoch are kept. Every epoch draws from its own seeded generators, so that a job resumed
    from ``checkpoint`` ends like an undisturbed one; ``identity`` says whose it is.

    Raises `AuditError` where a loss is not finite or a normalizer breaks a law.
    """
    be_repeatable(next(model.parameters()).device)
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

    per_epoch = -(-len(lengths) // settings["batch_size"])
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
            batches = length_bucketed_batches(lengths, settings["batch_size"], rng)

            def counted(batches: list[np.ndarray] = batches) -> Iterator[np.ndarray]:
                for rows in batches:
                    yield rows
                    bar.update()

            train_loss = _epoch(model, optimizer, counted(), loss, settings, name)
            model.eval()
            with torch.no_grad():
                scored = score()
            dev_loss = scored["dev_loss"]
            if dev_loss < best_loss:
                best_loss, best_epoch = dev_loss, epoch
                best = deepcopy(model.state_dict())
            history.append(
                {"epoch": epoch, "train_loss": train_loss, **scored, "best": False}
            )
            bar.set_postfix(loss=f"{train_loss:.3f}", dev=f"{dev_loss:.3f}")
            logger.info(
                "epoch %d: loss %.4f, dev loss %.4f", epoch, train_loss, dev_loss
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
    learner_of: Callable[[DecisionModel], DecisionModel] = lambda model: model,
) -> Trained:
    """A new model, trained on the labels by its loss; see `losses.loss_of` and `fit`.

    ``learner_of`` gives the part of a model that learns, and reads the examples: all of it,
    or, where these are hidden states, what comes behind the encoder (`encodings.Head`).
    A model of which nothing learns is returned as it is, after no epoch.

    The same settings, data, seed, machine and number of threads give the same bytes.
    """
    model = new_model(model_settings, seed, device, vectors)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return Trained(model.eval(), [], 0)
    learner = learner_of(model)

    smoothing = settings["label_smoothing"]

    def loss(rows: np.ndarray) -> Tensor:
        batch = examples.batch(rows, device)
        return loss_of(learner, learner.logits(batch), batch.labels, smoothing)

    def score() -> dict[str, Any]:
        found = evaluate(learner, dev, settings["batch_size"], device)
        return {
            "dev_loss": found["loss"],
            **{f"dev_{name}": found.get(name) for name in SCORES},
            "alpha": list(learned_alphas(model).values()) or None,
        }

    trained = fit(
        learner,
        loss,
        score,
        examples.lengths,
        settings,
        seed,
        name,
        checkpoint,
        identity,
    )
    return replace(trained, model=model.eval())
