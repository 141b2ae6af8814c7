"""Sentence pairs: what their models are, from settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention_audit.models.translation import TranslatorSettings
from attention_audit.records import tables

SETTINGS = TranslatorSettings


def vectors_of(reading: str | Path) -> None:
    """No pretrained vectors: words of both sides have learned ones."""


def declare(
    encoder: Mapping[str, Any],
    scorer: Mapping[str, Any],
    normalizer: Mapping[str, Any],
    reading: str | Path,
    n_classes: int,
) -> tuple[TranslatorSettings, None]:
    """The settings of a run's model, which starts from no vectors.

    ``reading`` is the table "pair_vocabulary" of its data set. The words of its target side
    are what there is to choose from; ``n_classes`` is of data sets with classes.
    """
    table = tables.read_table(reading, "pair_vocabulary", ["side", "tokens"])
    sizes = {
        side: len(tokens)
        for side, tokens in zip(*table.to_pydict().values(), strict=True)
    }
    encoder = dict(encoder)
    decoder = dict(encoder.pop("decoder"))
    # what only classes and pretrained vectors have
    encoder.pop("single_logit", None)
    encoder.pop("freeze_vectors", None)
    for part, key in (
        (encoder, "self_attention"),
        (decoder, "self_attention"),
        (decoder, "cross_attention"),
    ):
        if part.get(key) == "run":
            part[key] = dict(normalizer)
    settings = TranslatorSettings(
        source_vocabulary=sizes["source"],
        n_classes=sizes["target"],
        embedding_size=encoder.pop("embedding_size"),
        tied=decoder.pop("tied"),
        encoder=encoder,
        decoder=decoder,
        scorer=dict(scorer),
        normalizer=dict(normalizer),
    )
    return settings, None
