"""Translators word by word against the pass of all words; the table of translations."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from attention_audit.data.batches import BOS, EOS, PAD
from attention_audit.data.pair_batches import PairBatch
from attention_audit.data.pairs import cutter, joined, train_pieces
from attention_audit.models.translating import encoded, translations, write_translations
from attention_audit.records import tables
from tests.unit.translators import WORDS, translator_settings

NORMALIZERS = (
    {"kind": "softmax"},
    {"kind": "sparsemax"},
    {"kind": "top_k", "k": 2},
    {"kind": "rela"},
    {"kind": "rela", "gated": True},
)
decoders = pytest.mark.parametrize(
    ("kind", "layers"),
    [("lstm", 1), ("lstm", 2), ("transformer", 1), ("transformer", 2)],
)
RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
SEARCH = {"length_penalty": 0.6, "max_ratio": 1.5, "max_more": 3}


def translator(kind, layers, normalizer=NORMALIZERS[0], tied=False):
    """A model with random weights and one normalizer in all of its attention."""
    torch.manual_seed(0)
    scorer = "additive" if layers == 1 else "scaled_dot_product"
    settings = translator_settings(kind, normalizer, scorer, layers, tied)
    within = [key for key in settings.decoder if key.endswith("_attention")]
    decoder = settings.decoder | dict.fromkeys(within, normalizer)
    model = replace(settings, decoder=decoder).new_model().double().eval()
    # Not all alike, as the gains of norms are at first.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def sentences(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(EOS + 1, WORDS, n) for n in lengths]


@decoders
@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@torch.no_grad()
def test_word_by_word_is_as_all_words_at_once(kind, layers, normalizer):
    model = translator(kind, layers, normalizer, tied=layers == 2)
    sources, targets = sentences(4, 1, 6), sentences(5, 3, 2, seed=1)
    cpu = torch.device("cpu")
    batch = PairBatch.of(list("abc"), sources, targets, cpu)
    expected = model.logits(batch)

    state = model.start(*encoded(model, sources))
    # from the second word on in another order, and one of them twice
    order = torch.arange(3)
    for step in range(batch.target_ids.shape[1]):
        if step == 1:
            order = torch.tensor([2, 0, 1, 0])
            state = model.select(state, order)
        logits, state = model.step(batch.target_ids[order, step], state)
        for row, pair in enumerate(order.tolist()):
            if step <= len(targets[pair]):
                (of_all,) = expected[(batch.pair == pair) & (batch.step == step)]
                torch.testing.assert_close(logits[row], of_all, rtol=1e-9, atol=1e-9)


@decoders
@pytest.mark.parametrize("beam", [1, 3])
def test_a_translation_is_as_probable_as_the_pass_over_it_says(kind, layers, beam):
    model, sources = translator(kind, layers), sentences(4, 1, 6, 9)
    found = translations(model, sources, beam=beam, **SEARCH)
    targets = [np.array(h.tokens, dtype=np.int64) for h in found]
    batch = PairBatch.of(list("abcd"), sources, targets, torch.device("cpu"))
    with torch.no_grad():
        logs = model.logits(batch).log_softmax(-1)
    of_words = logs[torch.arange(len(logs)), batch.labels]
    for pair, hypothesis in enumerate(found):
        total = of_words[batch.pair == pair].sum().item()
        assert math.isclose(total, hypothesis.log_probability, rel_tol=1e-9)
        assert not {PAD, BOS, EOS} & set(hypothesis.tokens)
        assert len(hypothesis.tokens) <= int(1.5 * len(sources[pair])) + 3
    if beam == 1:
        best = logs.clone()
        best[:, [PAD, BOS]] = -torch.inf
        for pair, hypothesis in enumerate(found):
            rows = batch.pair == pair
            chosen = batch.labels[rows] == best[rows].argmax(-1)
            assert chosen[: None if hypothesis.ended else -1].all()


def prepared(folder, pieces):
    """Tables "sentence_pairs" and "pair_vocabulary" of three pairs, in words or pieces."""
    said = [["in", "arche", "en"], ["ho", "logos"], ["kai", "ho", "logos", "en"]]
    models = [train_pieces(said, "bpe", 18, "here") if pieces else None] * 2
    cut = cutter(models[0])
    tokens = [[piece for word in words for piece in cut(word)] for words in said]
    specials = ["<pad>", "<unk>", "<s>", "</s>"]
    vocabulary = [*specials, *sorted({piece for of in tokens for piece in of})]
    ids = [[vocabulary.index(piece) for piece in of] for of in tokens]
    rows = [
        {
            "dataset": "d",
            "instance_id": f"pair{i}",
            "cluster_id": f"pair{i}",
            "source_tokens": tokens[i],
            "target_tokens": tokens[i][::-1] if not pieces else tokens[i],
            "source_ids": ids[i],
            "target_ids": ids[i],
            "source_length": len(ids[i]),
            "target_length": len(ids[i]),
            "sure": None,
            "possible": None,
            "source_classes": None,
            "group": None,
            "origin": f"line {i + 1}",
        }
        for i in range(3)
    ]
    tables.write_rows(folder / "test.parquet", "sentence_pairs", rows, {})
    sides = [
        {
            "dataset": "d",
            "side": side,
            "tokens": vocabulary,
            "counts": [1] * len(vocabulary),
            "pieces_model": model,
        }
        for side, model in zip(("source", "target"), models, strict=True)
    ]
    tables.write_rows(folder / "reading.parquet", "pair_vocabulary", sides, {})
    return said, vocabulary


@pytest.mark.parametrize("pieces", [False, True])
def test_the_table_holds_words_in_the_order_of_the_split(tmp_path, pieces):
    said, vocabulary = prepared(tmp_path, pieces)
    torch.manual_seed(0)
    size = len(vocabulary)
    model = replace(translator_settings(), source_vocabulary=size, n_classes=size)
    model = model.new_model().eval()
    path = tmp_path / "translations.parquet"
    with tables.open_table(path, "translations", {}) as table:
        write_translations(
            table,
            model,
            tmp_path / "test.parquet",
            tmp_path / "reading.parquet",
            {"beams": [1, 3], **SEARCH},
            RUN,
        )
    rows = tables.read_table(path, "translations").to_pylist()
    assert [row["beam"] for row in rows] == [1] * 3 + [3] * 3
    assert [row["instance_id"] for row in rows] == ["pair0", "pair1", "pair2"] * 2
    assert [row["source"] for row in rows] == [" ".join(words) for words in said] * 2
    first = said[0] if pieces else said[0][::-1]
    assert rows[0]["reference"] == " ".join(first) and rows[0]["origin"] == "line 1"
    pairs = tables.read_table(tmp_path / "test.parquet", "sentence_pairs")
    sources = list(map(np.array, pairs["source_ids"].to_pylist()))
    greedy = translations(model, sources, beam=1, **SEARCH)
    for row, hypothesis in zip(rows, greedy, strict=False):
        written = [vocabulary[i] for i in hypothesis.tokens]
        assert row["hypothesis"] == joined(written, pieces)
        assert row["length"] == len(written) and row["ended"] == hypothesis.ended
        assert row["score"] == hypothesis.score


def test_pieces_are_joined_to_the_words_that_they_were_cut_from():
    words = ["beginning", "begin", "god", "good"]
    cut = cutter(train_pieces([words] * 3, "unigram", 14, "here"))
    pieces = [piece for word in words for piece in cut(word)]
    assert len(pieces) > len(words)
    assert joined(pieces, pieces=True) == " ".join(words)
    assert joined(words, pieces=False) == " ".join(words)
    assert joined([], pieces=True) == joined([], pieces=False) == ""
