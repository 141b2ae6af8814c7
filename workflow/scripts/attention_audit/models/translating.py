"""The test split as a model translates it: words, and how sure the model was of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from attention_audit.data.batches import BOS, EOS, PAD, in_order_of_length
from attention_audit.data.pairs import joined
from attention_audit.data.text_batches import pad_batch
from attention_audit.models.decoding import Hypothesis, search
from attention_audit.models.translation import Translator
from attention_audit.records import tables

# Hypotheses that are continued at once. Fixed, because results depend in their last digits
# on what shares a pass.
AT_ONCE = 128

# What `decoding.search` has to know of tokens. Those that are barred are never predicted in
# training.
TOKENS: dict[str, Any] = {"start": BOS, "end": EOS, "barred": (PAD, BOS)}

_COLUMNS = (
    "instance_id",
    "origin",
    "source_tokens",
    "target_tokens",
    "source_ids",
)


@torch.no_grad()
def encoded(model: Translator, sources: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Hidden states (N, m, H) and mask (N, m) of N sentences, given as ids."""
    device = model.output.weight.device
    ids, mask = (torch.from_numpy(part).to(device) for part in pad_batch(list(sources)))
    return model.encode(model.embedding(ids), mask)


def translations(
    model: Translator,
    sources: Sequence[np.ndarray],
    *,
    beam: int,
    length_penalty: float,
    max_ratio: float,
    max_more: int,
) -> list[Hypothesis]:
    """The model's translation of each of N sentences, given as ids.

    ``beam`` and ``length_penalty`` are those of `decoding.search`. A sentence of n tokens has
    a translation of at most ``max_ratio`` n + ``max_more``.
    """
    lengths = np.array([len(source) for source in sources])
    limits = (max_ratio * lengths).astype(int) + max_more
    found: dict[int, Hypothesis] = {}
    sentences = max(1, AT_ONCE // beam)
    with tqdm(
        total=len(sources), desc=f"beam {beam}", unit=" sentences", disable=None
    ) as bar:
        for rows in in_order_of_length(lengths, sentences):
            hypotheses = search(
                model,
                *encoded(model, [sources[row] for row in rows]),
                limits[rows],
                beam=beam,
                alpha=length_penalty,
                **TOKENS,
            )
            found |= zip(rows.tolist(), hypotheses, strict=True)
            bar.update(len(rows))
    return [found[row] for row in range(len(sources))]


def write_translations(
    table: tables.TableWriter,
    model: Translator,
    examples: str | Path,
    reading: str | Path,
    settings: Mapping[str, Any],
    run: Mapping[str, Any],
) -> None:
    """Fill a table "translations": a row a sentence pair of a split and beam.

    ``examples`` and ``reading`` are its tables "sentence_pairs" and "pair_vocabulary", and
    ``settings`` the section ``translation`` of the config. The pairs are in the order of the
    split, once for each of the beams.
    """
    pairs = tables.read_table(examples, "sentence_pairs", _COLUMNS).to_pylist()
    read = tables.read_table(reading, "pair_vocabulary").to_pylist()
    sides = {row["side"]: row for row in read}
    tokens = sides["target"]["tokens"]

    def words(side: str, of: Sequence[str]) -> str:
        return joined(of, pieces=sides[side]["pieces_model"] is not None)

    sources = [np.array(pair["source_ids"]) for pair in pairs]
    limits = {key: settings[key] for key in ("length_penalty", "max_ratio", "max_more")}
    of_pairs = {
        "instance_id": [pair["instance_id"] for pair in pairs],
        "origin": [pair["origin"] for pair in pairs],
        "source": [words("source", pair["source_tokens"]) for pair in pairs],
        "reference": [words("target", pair["target_tokens"]) for pair in pairs],
    }
    for beam in settings["beams"]:
        found = translations(model, sources, beam=beam, **limits)
        table.write(
            {
                **run,
                **of_pairs,
                "beam": beam,
                "hypothesis": [
                    words("target", [tokens[i] for i in one.tokens]) for one in found
                ],
                "length": [len(one.tokens) for one in found],
                "log_probability": [one.log_probability for one in found],
                "score": [one.score for one in found],
                "ended": [one.ended for one in found],
            }
        )
