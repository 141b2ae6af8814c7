"""Encoders that somebody has pretrained: any of the library transformers, on words.

BERT (Devlin et al. 2019) and its like read pieces of words between special tokens. Here the
inputs are words, as for every other encoder: a word's embedding is those of its pieces in a
row, and its hidden state the mean of theirs. What is asked of inputs, their gradient or what
happens without them, is so asked of words, and the pieces of a word sum to it.

Shapes: B texts, n words, P pieces of a word at most, L pieces and special tokens of a text,
E size of a piece's embedding, H hidden size, nh heads of size hs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from attention_audit.data.word_pieces import WordPieces
from attention_audit.models.normalizers import build_normalizer
from attention_audit.records.errors import AuditError
from attention_audit.records.provenance import file_digest

# What the library calls an attention whose normalizer is ours.
AUDITED = "audited"
# Of an attention, what would change its weights and is not done here.
_UNREAD = ("position_bias", "softcap", "s_aux")


def audited_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention by ``module.normalizer``, as the library asks for it.

    Queries (B, nh, L, hs), keys and values of as many heads or of groups of them, mask
    (B, 1, L, L) bool -> contexts (B, L, nh, hs) and weights (B, nh, L, L).

    A caller may hand a list ``seen`` to a layer, which gets weights and values, or contexts
    that are ``given`` in the place of its own.
    """
    if (given := more.get("given")) is not None:
        return given, None
    if unread := [name for name in _UNREAD if more.get(name) is not None]:
        raise AuditError(
            f"{type(module).__name__} attends with {unread[0]}, which is not known here. "
            "Name another pretrained model."
        )
    if (shared := query.shape[1] // key.shape[1]) > 1:
        key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    scores = query @ key.mT * scale
    if attention_mask is None:
        attention_mask = torch.ones((), dtype=torch.bool, device=scores.device)
    weights = module.normalizer(scores, attention_mask)
    if (seen := more.get("seen")) is not None:
        seen.append((weights, value))
    dropped = nn.functional.dropout(weights, dropout, module.training)
    context = module.normalizer.context(dropped @ value)
    return context.transpose(1, 2).contiguous(), weights


transformers.AttentionInterface.register(AUDITED, audited_attention)
AttentionMaskInterface.register(AUDITED, sdpa_mask)


def load_transformer(
    folder: str | Path, library: type = transformers.AutoModel, drawn: bool = False
) -> nn.Module:
    """The encoder in a folder of ours, in single precision and without its pooler.

    Or what else ``library``, one of its classes, makes of the folder, as it is. Its
    parameters are those in the folder or, where they are to be ``drawn``, what the library
    begins a training with. Never a pickle, never code of the model's own, and nothing from a network. Raises `AuditError`
    where transformers does not know it, or weights do not fit it.
    """
    # It tells much that a job's log has no use for.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, found = library.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=AUDITED,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise AuditError(
            f"{folder}: transformers cannot load this model ({reason[:300]})."
        ) from error
    if model.config.is_encoder_decoder or getattr(model.config, "is_decoder", False):
        raise AuditError(f"{folder}: a '{model.config.model_type}' is no encoder.")
    lacking = [name for name in found["missing_keys"] if not name.startswith("pooler.")]
    if lacking or found["mismatched_keys"]:
        wrong = [*lacking, *map(str, found["mismatched_keys"])]
        hint = (
            ""
            if library is transformers.AutoModel
            else " A model that is no finished classifier is for encoders of kind pretrained."
        )
        raise AuditError(
            f"{folder}: its weights lack {wrong[0]}, of {len(wrong)} parts.{hint}"
        )
    if drawn:
        model = library.from_config(model.config, attn_implementation=AUDITED)
    if hasattr(model, "pooler"):
        model.pooler = None
    return model


def attentions_of(transformer: nn.Module, size: int) -> list[nn.Module]:
    """The modules that attend, once each, in the order in which they do.

    ``size`` is that of an embedding.
    """
    found: list[nn.Module] = []

    def listed(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any
    ):
        if module not in found:
            found.append(module)
        return query.transpose(1, 2).contiguous(), None

    transformers.AttentionInterface.register(f"{AUDITED}_listed", listed)
    transformer.set_attn_implementation(f"{AUDITED}_listed")
    with torch.no_grad():
        transformer.eval()(inputs_embeds=torch.zeros(1, 2, size))
    transformer.set_attn_implementation(AUDITED)
    kind = transformer.config.model_type
    if not found:
        raise AuditError(
            f"the attention of a '{kind}' cannot be taken from outside. Name a model such "
            "as BERT, RoBERTa, DistilBERT, ELECTRA or ModernBERT."
        )
    if any(getattr(module, "is_causal", False) for module in found):
        raise AuditError(f"a '{kind}' reads from left to right, and is no encoder.")
    return found


class _Packed(NamedTuple):
    """Texts as the transformer reads them, and where in that the pieces of words are."""

    sequence: Tensor  # (B, L, E)
    mask: Tensor  # (B, L) bool
    place: Tensor  # (B, n, P) int64, 0 where there is no piece
    present: Tensor  # (B, n, P) bool


class PretrainedEncoder(nn.Module):
    """A pretrained transformer, whole, in part or not at all trained further.

    ``folder`` holds its files, the weights with digest ``sha256``. ``vocabulary`` words have
    ``pieces`` pieces at most, which `set_pieces` is told; ``before`` and ``after`` are the
    ids of the special tokens around a text. ``trained`` is "none", "all", or how many of the
    last layers learn, at ``learning_rate``. The layers in ``swapped``, "all" or numbers from
    0, attend by the normalizer ``self_attention``, and the others by softmax, their own.

    What is not trained is no part of the state of the model: it is in the folder. Where
    parameters are to be ``drawn``, none is taken from there; see `load_transformer`.
    """

    # An input is several pieces, and one whose numbers are all 0 is not there.
    in_pieces = True
    # Of its state, what `set_pieces` is told of a vocabulary, and nothing that is learned.
    told = ("pieces",)

    def __init__(
        self,
        input_size: int | None,
        model: str,
        folder: str,
        sha256: str,
        vocabulary: int,
        pieces: int,
        before: Sequence[int],
        after: Sequence[int],
        self_attention: Mapping[str, Any],
        trained: str | int = "none",
        swapped: str | Sequence[int] = "all",
        learning_rate: float = 3e-5,
        drawn: bool = False,
    ):
        super().__init__()
        weights = Path(folder, "model.safetensors")
        if file_digest(weights) != sha256:
            raise AuditError(
                f"{weights}: is not what this model was trained from (its sha256 is not "
                f"{sha256}). Put that back, or train the model again."
            )
        self.name = model
        self.transformer = self._load(folder, drawn)
        self.transformer.requires_grad_(False)
        self.before, self.after = list(before), list(after)
        empty = torch.full((vocabulary, pieces), -1, dtype=torch.int32)
        self.register_buffer("pieces", empty)
        self.output_size = self.transformer.config.hidden_size
        embedding = self.transformer.get_input_embeddings()
        self.size = embedding.embedding_dim

        attentions = attentions_of(self.transformer, self.size)
        above = self._choose(trained, attentions)
        for part in above:
            part.requires_grad_(True)
            for module in part.modules():
                module.own_learning_rate = learning_rate
        self._above = above
        self._kept = [
            f"transformer.{name}"
            for name, values in self.transformer.state_dict(keep_vars=True).items()
            if not values.requires_grad
        ]
        self._swap(attentions, self_attention, swapped)
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_pre_hook(_fill_in)
        self.limit = self._longest()

    def _load(self, folder: str, drawn: bool) -> nn.Module:
        return load_transformer(folder, drawn=drawn)

    @staticmethod
    def declared(
        settings: Mapping[str, Any], folder: str | Path, tokens: Sequence[str]
    ) -> tuple[dict[str, Any], Tensor]:
        """What a declared instance is built from, and the pieces (V, P) of a vocabulary.

        ``folder`` holds the files of the pretrained model.
        """
        tokenizer = WordPieces(Path(folder, "tokenizer.json"))
        table = torch.from_numpy(tokenizer.table(tokens))
        # whether its hidden states are stored is nothing that the model knows
        made = {
            **{key: value for key, value in settings.items() if key != "stored"},
            "folder": str(folder),
            "sha256": file_digest(Path(folder, "model.safetensors")),
            "vocabulary": len(table),
            "pieces": table.shape[1],
            "before": tokenizer.before,
            "after": tokenizer.after,
            "drawn": False,
        }
        return made, table

    def _choose(
        self, trained: str | int, attentions: Sequence[nn.Module]
    ) -> list[nn.Module]:
        """The parts that are trained: all, or layers and what comes behind them."""
        if trained == "none":
            return []
        if trained == "all":
            return [self.transformer]
        layers = self._layers(attentions)
        if not 1 <= trained <= len(layers):
            raise AuditError(
                f"an encoder of '{self.name}' trains its last {trained} layers, of which it "
                f"has {len(layers)}. Lower trained, or set it to all or none."
            )
        return [*layers[-trained:], *self._behind(layers)]

    def _behind(self, layers: nn.ModuleList) -> list[nn.Module]:
        """The modules with parameters of their own that come behind the layers."""
        modules = list(self.transformer.modules())
        within = set(layers.modules())
        return [
            module
            for module in modules[modules.index(layers) :]
            if module not in within
            and next(module.parameters(recurse=False), None) is not None
        ]

    def _layers(self, attentions: Sequence[nn.Module]) -> nn.ModuleList:
        wanted = set(attentions)
        for module in self.transformer.modules():
            if isinstance(module, nn.ModuleList) and wanted <= set(module.modules()):
                return module
        raise AuditError(
            f"the layers of '{self.name}' are in no list, and cannot be told apart. Set "
            "trained to all or none, and leave value_zeroing out."
        )

    def _swap(
        self,
        attentions: Sequence[nn.Module],
        normalizer: Mapping[str, Any],
        swapped: str | Sequence[int],
    ) -> None:
        numbers = range(len(attentions)) if swapped == "all" else swapped
        if wrong := [number for number in numbers if number >= len(attentions)]:
            raise AuditError(
                f"an encoder of '{self.name}' swaps layer {wrong[0]}; its layers are 0 to "
                f"{len(attentions) - 1}. Correct swapped."
            )
        heads = self.transformer.config.num_attention_heads
        for number, module in enumerate(attentions):
            settings = normalizer if number in numbers else {"kind": "softmax"}
            module.normalizer = build_normalizer(
                settings, self.output_size // heads, heads
            )

    def _longest(self) -> int | None:
        """How many pieces and special tokens a text may have."""
        for name, module in self.transformer.named_modules():
            if name.endswith("position_embeddings") and hasattr(
                module, "num_embeddings"
            ):
                # RoBERTa counts its positions from behind that of padding.
                start = 0 if module.padding_idx is None else module.padding_idx + 1
                return module.num_embeddings - start
        return getattr(self.transformer.config, "max_position_embeddings", None)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Training mode for what is trained: the rest drops nothing out."""
        super().train(mode)
        self.transformer.eval()
        for part in self._above:
            part.train(mode)
        return self

    def set_pieces(self, pieces: Tensor) -> None:
        """Take the pieces (V, P) of every word, -1 where there is none."""
        self.pieces.copy_(pieces)

    def embed(self, token_ids: Tensor) -> Tensor:
        """Words (B, n) -> embeddings (B, n, P * E), 0 where a word has fewer pieces."""
        pieces = self.pieces[token_ids]
        present = pieces >= 0
        most = max(1, int(present.sum(-1).max()))
        pieces, present = pieces[..., :most], present[..., :most]
        # as int64: the embedding takes no other on every device
        embedded = self.transformer.get_input_embeddings()(pieces.clamp(min=0).long())
        return (embedded * present.unsqueeze(-1)).flatten(2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        packed = self._pack(x, mask)
        return self._of_words(packed, self._states(packed.sequence, packed.mask))

    def with_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Hidden states and each layer's weights (B, nh, n, n), words by words.

        What a word gets is the sum over its pieces, and what it gives the mean over them.
        Special tokens are no words: what goes to them is missing from the sum of a row.
        """
        packed = self._pack(x, mask)
        seen: list[Tensor] = []  # (B, nh, L, L)
        with self._hooked(lambda normalizer, given, weights: seen.append(weights)):
            states = self._states(packed.sequence, packed.mask)
        return self._of_words(packed, states), between_words(packed, seen)

    @torch.no_grad()
    def without_values(
        self, x: Tensor, numbers: int
    ) -> Iterator[tuple[Tensor, Iterator[Tensor]]]:
        """What each layer makes of a text x (n, P * E), and what without a word's values.

        Both of words, the means of their pieces: (n, H), and in parts (J, n, H), of each of J
        words the states where the values of all of its pieces are zero, in all heads. The
        layer reads what it reads of the whole text. ``numbers`` of these are held at once.
        """
        packed = self._pack(x.unsqueeze(0), x.new_ones(1, len(x)).bool())
        among, mean = (of[0] for of in _pieces_of_words(packed))  # (n, L)
        attentions = [m for m in self.transformer.modules() if hasattr(m, "normalizer")]
        calls: list[tuple[nn.Module, tuple[Tensor, ...], dict[str, Any]]] = []
        hooks = [
            layer.register_forward_pre_hook(
                lambda layer, given, named: calls.append((layer, given, named)),
                with_kwargs=True,
            )
            for layer in self._layers(attentions)
        ]
        try:
            self._states(packed.sequence, packed.mask)
        finally:
            for hook in hooks:
                hook.remove()

        def made(call: int, kept: Tensor) -> Tensor:
            """States (J, n, H) of a layer where pieces with 0 in kept (J, L) are unread."""
            layer, (states, *given), named = calls[call]
            states = states.expand(len(kept), -1, -1)
            # A value that gets no weight is as good as zero.
            with self._hooked(lambda _, __, weights: weights * kept[:, None, None]):
                found = layer(states, *given, **named)
            return mean @ (found[0] if isinstance(found, tuple) else found)

        per_pass = max(1, numbers // (among.shape[1] * self.output_size))
        for call in range(len(calls)):
            parts = (made(call, 1 - some) for some in among.split(per_pass))
            yield made(call, torch.ones_like(among[:1]))[0], parts

    @contextmanager
    def _hooked(self, hook: Callable[..., Tensor | None]) -> Iterator[None]:
        """A forward hook of the normalizer of every attention, while it lasts."""
        hooks = [
            module.normalizer.register_forward_hook(hook)
            for module in self.modules()
            if hasattr(module, "normalizer")
        ]
        try:
            yield
        finally:
            for handle in hooks:
                handle.remove()

    def _pack(self, x: Tensor, mask: Tensor) -> _Packed:
        """Words (B, n, P * E) as sequences of pieces between the special tokens."""
        B, n, width = x.shape
        P = width // self.size
        x = x.unflatten(-1, (P, self.size))
        # A word has one piece at least, and a further one is 0 in every number if it is not.
        present = (x.detach() != 0).any(-1)
        present[..., 0] = True
        present &= mask.unsqueeze(-1)
        before, after = len(self.before), len(self.after)
        flat = present.flatten(1)  # (B, n * P)
        counts = flat.sum(-1, keepdim=True)
        length = before + int(counts.max()) + after if B else before + after
        if self.limit is not None and length > self.limit:
            raise AuditError(
                f"a text has {length} pieces and special tokens, and '{self.name}' reads "
                f"{self.limit} at most. Lower max_length of its data set."
            )
        place = torch.where(flat, flat.cumsum(-1) - 1 + before, 0)
        # Of every place in a sequence, the row of all that may stand there: pieces, special
        # tokens, and zeros.
        special = self.transformer.get_input_embeddings().weight
        special = special[self.before + self.after]
        rows = torch.cat([x.flatten(0, 2), special, torch.zeros_like(special[:1])])
        source = torch.full((B, length), len(rows) - 1, device=x.device)
        at = torch.arange(B * n * P, device=x.device).view(B, n * P)
        row = torch.arange(B, device=x.device).unsqueeze(1)
        source[row.expand_as(place)[flat], place[flat]] = at[flat]
        first = B * n * P
        source[:, :before] = torch.arange(first, first + before, device=x.device)
        behind = torch.arange(after, device=x.device)
        source[row, before + counts + behind] = first + before + behind
        sequence = rows.index_select(0, source.flatten()).view(B, length, self.size)
        ends = before + counts + after
        return _Packed(
            sequence,
            torch.arange(length, device=x.device) < ends,
            place.view(B, n, P),
            present,
        )

    def _states(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (B, L, H) of sequences (B, L, E)."""
        return self.transformer(
            inputs_embeds=sequence, attention_mask=mask.long()
        ).last_hidden_state

    def _of_words(self, packed: _Packed, states: Tensor) -> Tensor:
        """Hidden states (B, n, H) of words: the mean over those of their pieces."""
        summed = self._summed(packed, states)
        return summed / packed.present.sum(-1, keepdim=True).clamp(min=1)

    def _summed(self, packed: _Packed, values: Tensor) -> Tensor:
        """Values (B, L, D) of sequences -> sums over the pieces of words (B, n, D)."""
        B, n, P = packed.place.shape
        start = packed.mask.shape[1] * torch.arange(B, device=values.device)
        at = (packed.place + start.view(B, 1, 1)).flatten()
        of_pieces = values.flatten(0, 1).index_select(0, at).view(B, n, P, -1)
        return (of_pieces * packed.present.unsqueeze(-1)).sum(2)


def _pieces_of_words(packed: _Packed) -> tuple[Tensor, Tensor]:
    """Which pieces are of a word, 1 or 0, and the same of rows that sum to one: (B, n, L)."""
    B, n, _ = packed.place.shape
    among = packed.sequence.new_zeros(B, n, packed.mask.shape[1])
    among.scatter_add_(2, packed.place, packed.present.to(among))
    return among, among / among.sum(-1, keepdim=True).clamp(min=1)


def between_words(packed: _Packed, seen: Sequence[Tensor]) -> list[Tensor]:
    """Weights (B, nh, n, n) between words, of those (B, nh, L, L) of a sequence."""
    among, mean = (of.unsqueeze(1) for of in _pieces_of_words(packed))
    return [mean @ (weights @ among.mT) for weights in seen]


def _leave_out(
    encoder: PretrainedEncoder, state: dict[str, Tensor], prefix: str, _: Any
) -> None:
    """Take from a state what is in the folder."""
    for name in encoder._kept:
        del state[prefix + name]


def _fill_in(
    encoder: PretrainedEncoder, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    """Add to a state that is to be loaded what the folder has."""
    own = dict(encoder.named_parameters()) | dict(encoder.named_buffers())
    for name in encoder._kept:
        state[prefix + name] = own[name]
