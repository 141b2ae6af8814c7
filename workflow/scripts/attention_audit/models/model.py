"""Settings -> a classifier of texts, and its files.

Shapes: B texts, n words, E embedding size.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from attention_audit.data.text_batches import TextBatch
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel
from attention_audit.models.encoders import build_encoder
from attention_audit.models.normalizers import Normalizer
from attention_audit.records.errors import AuditError
from attention_audit.records.metadata import TENSORS, tensors_digest
from attention_audit.records.tables import (
    METADATA_KEY,
    atomic_path,
    mismatch,
    read_json,
    set_aside,
)


@dataclass(frozen=True)
class ModelSettings:
    """Everything that is needed to rebuild a model, apart from its weights."""

    vocabulary_size: int
    n_classes: int
    embedding_size: int
    freeze_vectors: bool
    encoder: dict[str, Any]
    scorer: dict[str, Any]
    normalizer: dict[str, Any]
    single_logit: bool = False

    @classmethod
    def from_config(
        cls,
        encoder: Mapping[str, Any],
        scorer: Mapping[str, Any],
        normalizer: Mapping[str, Any],
        vocabulary_size: int,
        n_classes: int,
        vectors: Tensor | None = None,
    ) -> "ModelSettings":
        """Settings from declared instances; pretrained vectors decide their own size."""
        encoder = dict(encoder)
        embedding_size = encoder.pop("embedding_size")
        freeze_vectors = encoder.pop("freeze_vectors")
        single_logit = encoder.pop("single_logit", False)
        if encoder.get("self_attention") == "run":
            encoder["self_attention"] = dict(normalizer)
        return cls(
            vocabulary_size=vocabulary_size,
            n_classes=n_classes,
            embedding_size=embedding_size if vectors is None else vectors.shape[1],
            freeze_vectors=freeze_vectors,
            encoder=encoder,
            scorer=dict(scorer),
            normalizer=dict(normalizer),
            single_logit=single_logit,
        )


class Classifier(DecisionModel):
    """Texts: embedding, encoder, attention pooling, linear output."""

    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(
            settings.vocabulary_size, settings.embedding_size, padding_idx=0
        )
        self.embedding.weight.requires_grad_(not settings.freeze_vectors)
        self.encoder = build_encoder(settings.encoder, settings.embedding_size)
        self.pooling = AttentionPooling(
            self.encoder.output_size, settings.scorer, settings.normalizer
        )
        self.output = nn.Linear(self.encoder.output_size, settings.n_classes)
        if settings.single_logit:
            self._fix_first_logit()

    def _fix_first_logit(self) -> None:
        """The first of two logits stays 0: the other is that of one sigmoid."""
        if self.settings.n_classes != 2:
            raise AuditError(
                f"single_logit is for two classes, and this data set has "
                f"{self.settings.n_classes}. Take it from the encoder, or exclude the cell."
            )
        for parameter in self.output.parameters():
            with torch.no_grad():
                parameter[0] = 0.0
            # Without a gradient no step moves it, nor does decay move a zero.
            parameter.register_hook(_without_first)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor) -> None:
        """Start from pretrained vectors (V, E); rows of NaN have none.

        Words without a vector are drawn from a normal distribution of the spread of
        those that have one, so that neither kind stands out by its length alone.
        """
        known = ~vectors.isnan().any(-1)
        drawn = torch.randn_like(vectors) * vectors[known].std()
        drawn[self.embedding.padding_idx] = 0.0
        self.embedding.weight.copy_(torch.where(known.unsqueeze(-1), vectors, drawn))

    def embed(self, batch: TextBatch) -> Tensor:
        """The embeddings of the words, (B, n, E)."""
        return self.embedding(batch.token_ids)


def _without_first(gradient: Tensor) -> Tensor:
    rest = gradient.clone()
    rest[0] = 0.0
    return rest


def learned_alphas(model: Classifier) -> dict[str, float]:
    """Every alpha that the model learns, by name, in the order of its parts.

    The encoder's come first, layer by layer and head by head, as
    ``encoder.layers.0.head_1``; that of the pooling is called ``pooling``.
    """
    found = {}
    for path, module in model.named_modules():
        if isinstance(module, Normalizer) and isinstance(module.alpha, Tensor):
            name = path.removesuffix(".normalizer").removesuffix(".attention")
            values = module.alpha.detach().flatten().tolist()
            if name == "pooling":
                found[name] = values[0]
            else:
                found |= {f"{name}.head_{h}": a for h, a in enumerate(values)}
    return found


def save_model(
    model: Classifier, path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Write a model's weights as safetensors, atomically, with their provenance."""
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # One metadata key only: the format does not keep the order of several, and the
    # same model must give the same bytes. The format has no checksum of its own.
    made = {**provenance, TENSORS: _digest(state)}
    metadata = {METADATA_KEY.decode(): json.dumps(made, sort_keys=True)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(state, metadata))


def _digest(state: Mapping[str, Tensor]) -> str:
    """`tensors_digest` of tensors on the CPU."""
    return tensors_digest({name: values.numpy() for name, values in state.items()})


def read_model_metadata(path: str | Path) -> dict[str, Any]:
    """The provenance that a model's file carries, with the digest of its tensors."""
    with safetensors.safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {})[METADATA_KEY.decode()])


def settings_json(settings: ModelSettings, **more: Any) -> dict[str, Any]:
    """What ``settings.json`` holds: the model's settings and whatever goes with them."""
    return {"model": asdict(settings), **more}


def load_model(
    weights: str | Path, settings: str | Path, device: str | torch.device = "cpu"
) -> Classifier:
    """Rebuild a trained model, in evaluation mode, from its two files.

    Raises `AuditError` where the weights are damaged, which sets them aside, and where
    the two files do not belong together, which touches neither.
    """
    described = read_json(settings)
    try:
        model = Classifier(ModelSettings(**described["model"]))
    except (KeyError, TypeError) as error:
        raise mismatch(settings, f"not the settings of a model ({error})") from error
    try:
        state = safetensors.torch.load_file(weights)
        made = read_model_metadata(weights)
        expected = made.pop(TENSORS)
    except FileNotFoundError as error:
        raise AuditError(
            f"{weights}: no such file. Run snakemake to build it."
        ) from error
    except KeyError as error:
        raise mismatch(weights, "carries no checksum of this pipeline") from error
    except (safetensors.SafetensorError, ValueError) as error:
        fault = f"not a whole checkpoint ({error})"
        raise set_aside(weights, fault, ".safetensors") from error
    if _digest(state) != expected:
        fault = "not a whole checkpoint (its checksum differs)"
        raise set_aside(weights, fault, ".safetensors")
    # Weights of one shape fit the settings of many runs: one job made both files.
    if described.get("provenance", made) != made:
        raise mismatch(weights, f"was not made with {settings}: their records differ")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise mismatch(weights, f"does not fit {settings}: {reason}") from error
    return model.to(device).eval()


def resolve_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one; a device that is not there is an error.

    A GPU computes in single precision, as a CPU does: cuDNN's LSTMs would round their
    products to ten bits.
    """
    torch.backends.cudnn.allow_tf32 = False
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise AuditError(
            f"training.device is '{name}', which this machine does not have. "
            "Use 'auto' or 'cpu'."
        )
    return torch.device(name)
