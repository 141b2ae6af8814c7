"""Classifiers that somebody has finished: audited as they are, by an attention of their own.

A sequence classifier of the library transformers decides by its class token, the special
token at the start of a text. In the last layer that token attends to all pieces of words,
and to special tokens, by several heads; behind it come only functions of the token alone.
So what it makes of the words is a weighted sum, and its weights are an attention as every
other model here has it.

With a_kj the weight of head k on piece j, and V_kj what that head takes from it, the
attention to word t and its value are

    p_t = s_t / sum_u s_u,     s_t = mean_k sum_{j in t} a_kj,
    v_t = [sum_{j in t} a_kj V_kj / s_t]_k  sum_u s_u,

so that sum_t p_t v_t is all that the heads, side by side, take from words. Other weights p'
therefore mean that every head weighs word t by p'_t / p_t of what it did, each piece alike.
Special tokens keep their weights, and words together the rest.

Shapes: B texts, n words, L pieces and special tokens of a text, nh heads of size hs, S = nh
hs, H hidden size, K classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from attention_audit.data.text_batches import TextBatch
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel, ModelSettings
from attention_audit.models.encoders import build_encoder
from attention_audit.models.pretrained import (
    PretrainedEncoder,
    between_words,
    load_transformer,
)
from attention_audit.records.errors import AuditError

# By how much logits of the parts may differ from those of the whole, of logits of size 1.
_ROUNDING = 1e-4


class OwnScorer(nn.Module):
    """The scores that a query brings along, behind ``query_size`` other numbers.

    It learns nothing: it is for a model whose weights are its own, see `FinishedClassifier`.
    """

    def __init__(self, input_size: int, query_size: int | None = None):
        super().__init__()
        if query_size is None:
            raise AuditError(
                "a scorer of kind 'own' is the attention of encoders of kind 'finished', "
                "and of no other. Name another scorer."
            )
        self.start = query_size

    def forward(self, hidden: Tensor, query: Tensor) -> Tensor:
        """(B, n, S), (B, Q) -> (B, n)"""
        return query[:, self.start : self.start + hidden.shape[-2]]


class _First(nn.Module):
    """The first ``size`` numbers of every state."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[..., : self.size]


class _Made(nn.Module):
    """What stands in for the layers within a classifier: states that they have made."""

    def __init__(self, pooler: nn.Module | None):
        super().__init__()
        self.pooler = pooler

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any):
        pooled = None if self.pooler is None else self.pooler(inputs_embeds)
        return BaseModelOutputWithPooling(inputs_embeds, pooled)


def _matched(labels: Sequence[str], own: Sequence[str], where: str) -> list[int]:
    """The place in a model's ``own`` classes of each label of a data set, case apart."""
    found = {name.casefold(): place for place, name in enumerate(own)}
    wanted = [label.casefold() for label in labels]
    if sorted(found) != sorted(wanted) or len(found) != len(own):
        raise AuditError(
            f"{where}: this model has the classes {', '.join(own)}, and the data set the "
            f"labels {', '.join(labels)}. Name them as the model does by labels of the "
            "data set's source, or in id2label of the model's config.json."
        )
    return [found[name] for name in wanted]


class FinishedEncoder(PretrainedEncoder):
    """A sequence classifier, whole, and cut where its class token attends in the last layer.

    ``labels`` are those of the data set in its order. Nothing learns.
    """

    def __init__(self, input_size: int | None, labels: Sequence[str], **declared: Any):
        softmax = {"kind": "softmax"}
        super().__init__(input_size, self_attention=softmax, **declared)
        (whole,) = self._whole
        del self._whole
        self._split(whole.eval(), labels)
        self._kept = []
        self._kept = [name for name in self.state_dict() if name != "pieces"]

    @staticmethod
    def model(settings: ModelSettings) -> "FinishedClassifier":
        """The model of a run, for it is one and the same with its encoder."""
        return FinishedClassifier(settings)

    def _load(self, folder: str, drawn: bool) -> nn.Module:
        library = transformers.AutoModelForSequenceClassification
        whole = load_transformer(folder, library, drawn)
        if whole.config.problem_type not in (None, "single_label_classification"):
            raise AuditError(
                f"{folder}: a model of '{whole.config.problem_type}' does not choose one "
                "of several classes, as is audited here."
            )
        # In a list, for its parts are to be registered and not itself.
        self._whole = [whole.requires_grad_(False)]
        return whole.base_model

    def _split(self, whole: nn.Module, labels: Sequence[str]) -> None:
        """Take the parts of a classifier, and see that they make what it makes."""
        config, base = whole.config, self.transformer
        own = [config.id2label[k] for k in range(config.num_labels)]
        order = _matched(labels, own, f"pretrained.{self.name}")
        some = [*self.before, *range(6), *self.after]
        read = self.transformer.get_input_embeddings()(torch.tensor([some]))
        with torch.no_grad():
            expected = whole(inputs_embeds=read).logits[:, order]

        attentions = [m for m in base.modules() if hasattr(m, "normalizer")]
        layers = self._layers(attentions)
        pooler = getattr(base, "pooler", None)
        pools = set() if pooler is None else set(pooler.modules())
        one_each = len(attentions) == len(layers) == config.num_hidden_layers
        if not self.before or not one_each or {*self._behind(layers)} - pools:
            raise self._unlike(config.model_type)
        # In a list, for it is part of a layer that is registered.
        self._attention = attentions[-1:]
        self.last = layers.pop(-1)
        if pooler is not None:
            base.pooler = None
        setattr(whole, whole.base_model_prefix, _Made(pooler))
        *_, (name, linear) = (
            (name, module)
            for name, module in whole.named_modules()
            if isinstance(module, nn.Linear) and module.out_features == len(own)
        )
        whole.set_submodule(name, nn.Identity())
        self.head = whole
        self.output = nn.Linear(linear.in_features, len(own)).requires_grad_(False)
        self.output.weight.copy_(linear.weight[order])
        self.output.bias.copy_(0 if linear.bias is None else linear.bias[order])

        with torch.no_grad():
            every = torch.ones(read.shape[:2], dtype=torch.bool)
            states = self._states(read, every)
            weights, values = self._attend(states, every)
            context = (weights.unsqueeze(-1) * values).sum(2)
            self.value_size = context[0].numel()
            found = self.output(self.behind(context.flatten(1), states[:, 0]))
        if not torch.allclose(found, expected, _ROUNDING, _ROUNDING):
            raise self._unlike(config.model_type)

    def _unlike(self, kind: str) -> AuditError:
        return AuditError(
            f"pretrained.{self.name}: this '{kind}' does not decide by a class token at the "
            "start of a text, which attends in its last layer. Name a classifier such as "
            "those of BERT, DistilBERT, RoBERTa or ELECTRA, with its own tokenizer."
        )

    def train(self, mode: bool = True) -> "FinishedEncoder":
        """Evaluation mode: nothing learns, and nothing drops out."""
        nn.Module.train(self, False)
        return self

    def _attend(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the class token attends to among states (B, L, H) in the last layer.

        Weights (B, nh, L), and the values that they are of, (B, nh, L, hs).
        """
        seen: list[tuple[Tensor, Tensor]] = []
        (attention,) = self._attention
        attention(states, attention_mask=mask[:, None, None], seen=seen)
        ((weights, values),) = seen
        return weights[:, :, 0], values

    def behind(self, context: Tensor, state: Tensor) -> Tensor:
        """What the output layer reads where the class token has a context (R, S).

        ``state`` (R, H) is what it was before the last layer.
        """
        if not len(context):  # of which the library's shapes are ambiguous
            return context.new_zeros(0, self.output.in_features)
        heads = self.transformer.config.num_attention_heads
        given = context.view(len(context), 1, heads, -1)
        made = self.last(state.unsqueeze(1), attention_mask=None, given=given)
        # Whichever token a classifier looks for, there is but one.
        return self.head(inputs_embeds=made).logits

    def with_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The same, with the weights of the last layer behind those of the others."""
        packed = self._pack(x, mask)
        seen: list[Tensor] = []  # (B, nh, L, L)
        with self._hooked(lambda normalizer, given, weights: seen.append(weights)):
            states = self._states(packed.sequence, packed.mask)
            self._attend(states, packed.mask)
        return self._of_words(packed, states), between_words(packed, seen)

    def taken(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the class token takes of words, embeddings (B, n, P * E).

        Values (B, n, S) of words and their logarithmic share (B, n) of its weights; its
        context of special tokens alone (B, S), and its state before it attends, (B, H).
        """
        packed = self._pack(x, mask)
        states = self._states(packed.sequence, packed.mask)
        weights, values = self._attend(states, packed.mask)
        weights = weights.transpose(1, 2).unsqueeze(-1)  # (B, L, nh, 1)
        values = values.transpose(1, 2)  # (B, L, nh, hs)
        contexts = (weights * values).flatten(2)  # (B, L, S)
        place = torch.arange(contexts.shape[1], device=x.device)
        end = packed.mask.sum(-1, keepdim=True)
        special = (place < len(self.before)) | (place >= end - len(self.after))
        rest = (contexts * (special & packed.mask).unsqueeze(-1)).sum(1)

        share = self._summed(packed, weights.mean(2))  # (B, n, 1)
        # Where the weights of a word vanish in rounding, every head and piece has a like part.
        least = torch.finfo(share.dtype).tiny
        known = share >= least
        share = share.clamp(min=least)
        value = torch.where(
            known,
            self._summed(packed, contexts) / share,
            self._of_words(packed, values.flatten(2)),
        )
        of_words = (share * mask.unsqueeze(-1)).sum(1, keepdim=True)
        return value * of_words, share.squeeze(-1).log(), rest, states[:, 0]


class FinishedClassifier(DecisionModel):
    """A finished classifier as every other model: its encoder, its attention, its output.

    Hidden states hold what the class token takes of a word, S numbers, and behind these what
    is its own and the same at every word: the context of special tokens, S, its state, H, and
    the logarithm of the word's share of its weights, 1. These make the query, and are given
    where hidden states are asked about.
    """

    encoder: FinishedEncoder

    def __init__(self, settings: ModelSettings):
        super().__init__()
        kinds = settings.scorer["kind"], settings.normalizer["kind"]
        if kinds != ("own", "softmax"):
            raise AuditError(
                "a finished classifier attends by scorers of kind 'own' and normalizers of "
                f"kind 'softmax', and not by {' and '.join(map(repr, kinds))}. Name these."
            )
        self.settings = settings
        self.encoder = build_encoder(settings.encoder, None)
        self.output = self.encoder.output
        S = self.encoder.value_size
        self.asking = S + self.encoder.output_size
        self.pooling = AttentionPooling(
            S,
            settings.scorer,
            settings.normalizer,
            query_size=self.asking,
            values=_First(S),
        )

    @property
    def is_carried(self) -> Tensor:
        """Which numbers of a hidden state are no value of a word."""
        S = self.encoder.value_size
        return torch.arange(S + self.asking + 1, device=self.output.weight.device) >= S

    def set_vectors(self, vectors: Tensor) -> None:
        """Take the pieces (V, P) of words."""
        self.encoder.set_pieces(vectors)

    def embed(self, batch: TextBatch) -> Tensor:
        """The embeddings of the pieces of words, (B, n, P * E)."""
        return self.encoder.embed(batch.token_ids)

    def encode(self, embeddings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, P * E), (B, n) -> hidden states (B, n, 2 S + H + 1) and their mask (B, n)."""
        values, shares, *own = self.encoder.taken(embeddings, mask)
        own = torch.cat(own, -1).unsqueeze(1).expand(-1, values.shape[1], -1)
        return torch.cat([values, own, shares.unsqueeze(-1)], -1), mask

    def query(self, hidden: Tensor, mask: Tensor, batch: TextBatch | None) -> Tensor:
        """The class token (B, S + H), and behind it the shares (B, n) of its weights."""
        own = hidden[:, 0, self.encoder.value_size : -1]
        return torch.cat([own, hidden[..., -1]], -1)

    def finish(self, context: Tensor, query: Tensor) -> Tensor:
        """What the output layer reads of a context (..., S) of words."""
        S = self.encoder.value_size
        rest, state = query[..., :S], query[..., S : self.asking]
        read = self.encoder.behind(
            (context + rest).view(-1, S), state.reshape(-1, state.shape[-1])
        )
        return read.view(*context.shape[:-1], read.shape[-1])

    def decide_without(self, batch: TextBatch) -> Tensor:
        """Logits (B, K) of texts without words, of which special tokens remain."""
        nothing = self.output.weight.new_zeros(1, 1, self.encoder.size)
        none = torch.zeros(1, 1, dtype=torch.bool, device=nothing.device)
        hidden, mask = self.encode(nothing, none)
        query = self.query(hidden, mask, None)
        weights = self.weights(hidden, mask, query)
        return self.decide(hidden, weights, query).repeat(len(batch.lengths), 1)
