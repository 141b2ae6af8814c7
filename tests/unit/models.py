"""Tiny models of every encoder, for tests."""

import torch

from attention_audit.data.text_batches import TextBatch
from attention_audit.models.modalities.text import Classifier, ModelSettings

ENCODERS = {
    "average": {"kind": "average", "hidden_size": 6},
    "bilstm": {"kind": "bilstm", "hidden_size": 4},
    "bilstm2": {"kind": "bilstm", "hidden_size": 3, "layers": 2},
    "marked": {"kind": "bilstm", "hidden_size": 4, "markers": True},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 8,
        "heads": 2,
        "layers": 2,
        "feedforward_size": 12,
        "self_attention": {"kind": "softmax"},
    },
}
ENCODERS["transformer1"] = {**ENCODERS["transformer"], "layers": 1}
VOCABULARY = 30


def tiny_model(
    encoder: str = "bilstm",
    scorer: str = "additive",
    n_classes: int = 2,
    dtype: torch.dtype = torch.float64,
    self_attention: dict | None = None,
    **normalizer,
) -> Classifier:
    """A classifier with random weights, in evaluation mode."""
    torch.manual_seed(0)
    architecture = dict(ENCODERS[encoder])
    if self_attention is not None:
        architecture["self_attention"] = self_attention
    settings = ModelSettings(
        vocabulary_size=VOCABULARY,
        n_classes=n_classes,
        embedding_size=5,
        freeze_vectors=False,
        encoder=architecture,
        scorer={"kind": scorer},
        normalizer=normalizer or {"kind": "softmax"},
    )
    return Classifier(settings).to(dtype).eval()


def tiny_batch(lengths=(7, 4, 1), seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (B, n) and mask (B, n), padded to the longest."""
    generator = torch.Generator().manual_seed(seed)
    n = max(lengths)
    mask = torch.arange(n) < torch.tensor(lengths).unsqueeze(1)
    ids = torch.randint(2, VOCABULARY, (len(lengths), n), generator=generator)
    return ids * mask, mask


def text_batch(token_ids: torch.Tensor, mask: torch.Tensor | None = None) -> TextBatch:
    """Texts of class 0 as a model reads them; without a mask, whole ones."""
    mask = torch.ones_like(token_ids, dtype=torch.bool) if mask is None else mask
    return TextBatch(
        [f"text{row}" for row in range(len(mask))],
        torch.zeros(len(mask), dtype=torch.int64, device=mask.device),
        mask.sum(-1).cpu().numpy(),
        token_ids,
        mask,
    )
