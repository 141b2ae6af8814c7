"""Encoders, scorers, pooling, and models that rebuild themselves."""

import json

import pytest
import safetensors.torch
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attention_audit.models.attention import ScaledDotProductScorer, SelfAttention
from attention_audit.models.encoders import BiLSTMEncoder
from attention_audit.models.modalities.text import Classifier, ModelSettings
from attention_audit.models.model import (
    learned_alphas,
    load_model,
    resolve_device,
    save_model,
    settings_json,
)
from attention_audit.records.errors import AuditError
from attention_audit.records.tables import write_json
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model

encoders = pytest.mark.parametrize("encoder", ENCODERS)
scorers = pytest.mark.parametrize("scorer", ["additive", "scaled_dot_product"])


def packed_lstm(encoder: BiLSTMEncoder, x: torch.Tensor, mask: torch.Tensor):
    """What torch's own bidirectional LSTM gives for packed sequences, same weights."""
    size = encoder.output_size // 2
    lstm = torch.nn.LSTM(
        x.shape[-1], size, len(encoder.forwards), batch_first=True, bidirectional=True
    ).to(x.dtype)
    names = lstm.state_dict()
    for directions, suffix in ((encoder.forwards, ""), (encoder.backwards, "_reverse")):
        for layer, one in enumerate(directions):
            for name, value in one.state_dict().items():
                names[name.replace("_l0", f"_l{layer}") + suffix] = value
    lstm.load_state_dict(names)
    packed = pack_padded_sequence(
        x, mask.sum(-1), batch_first=True, enforce_sorted=False
    )
    return pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]


@pytest.mark.parametrize("layers", [1, 2])
def test_bilstm_is_that_of_packed_sequences(layers):
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(3, 4, layers).double()
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(encoder(x, mask), packed_lstm(encoder, x, mask))


def test_markers_are_read_around_a_text_and_have_no_state_of_their_own():
    marked = tiny_model("marked").encoder
    plain = tiny_model("bilstm").encoder
    plain.load_state_dict(marked.state_dict(), strict=False)
    x = torch.randn(1, 5, 5, dtype=torch.float64)
    start, end = marked.markers.detach()
    mask = torch.ones(1, 7, dtype=torch.bool)
    around = torch.cat([start[None, None], x, end[None, None]], dim=1)
    torch.testing.assert_close(marked(x, mask[:, :5]), plain(around, mask)[:, 1:-1])


@encoders
@scorers
def test_padding_changes_nothing(encoder, scorer):
    model = tiny_model(encoder, scorer, kind="sparsemax")
    ids, mask = tiny_batch((7, 4, 1))
    together = model(text_batch(ids, mask))
    for b, n in enumerate((7, 4, 1)):
        alone = model(text_batch(ids[b : b + 1, :n]))
        torch.testing.assert_close(together.logits[b], alone.logits[0])
        torch.testing.assert_close(together.attention[b, :n], alone.attention[0])
        torch.testing.assert_close(together.hidden[b, :n], alone.hidden[0])
        assert (together.attention[b, n:] == 0).all()
        assert (together.hidden[b, n:] == 0).all()


@encoders
def test_padding_gets_no_gradient(encoder):
    model = tiny_model(encoder)
    ids, mask = tiny_batch((6, 3))
    x = model.embed(text_batch(ids, mask)).detach().requires_grad_()
    hidden, _ = model.encode(x, mask)
    model.decide(hidden, model.weights(hidden, mask)).sum().backward()
    assert (x.grad[~mask] == 0).all()
    assert (x.grad[mask] != 0).any()


def test_the_average_encoder_has_no_context():
    model = tiny_model("average")
    ids, mask = tiny_batch((6,))
    other = ids.clone()
    other[0, 2] = (ids[0, 2] % 20) + 3
    changed = (
        model(text_batch(ids, mask)).hidden != model(text_batch(other, mask)).hidden
    ).any(-1)
    assert changed[0].tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
def test_encoders_with_context_let_every_input_reach_every_state(encoder):
    model = tiny_model(encoder)
    ids, mask = tiny_batch((6,))
    for position in range(6):
        other = ids.clone()
        other[0, position] = (ids[0, position] % 20) + 3
        changed = (
            model(text_batch(ids, mask)).hidden != model(text_batch(other, mask)).hidden
        ).any(-1)
        assert changed.all()


def test_self_attention_is_the_scaled_dot_product_of_torch():
    torch.manual_seed(0)
    ours = SelfAttention(8, 2, {"kind": "softmax"}).double()
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    theirs.in_proj_weight.data = ours.project.weight.data
    theirs.in_proj_bias.data = ours.project.bias.data
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    _, mask = tiny_batch((5, 3, 2))
    expected, weights = theirs(
        x, x, x, key_padding_mask=~mask, average_attn_weights=False
    )
    got = ours(x, mask)
    torch.testing.assert_close(got[0], expected)
    torch.testing.assert_close(got[1], weights)


def test_self_attention_takes_the_runs_normalizer():
    settings = ModelSettings.from_config(
        {
            **ENCODERS["transformer"],
            "self_attention": "run",
            "embedding_size": 5,
            "freeze_vectors": False,
        },
        {"kind": "additive"},
        {"kind": "sparsemax"},
        vocabulary_size=30,
        n_classes=2,
    )
    model = Classifier(settings).eval()
    ids, mask = tiny_batch((7,))
    # Scores of a fresh model are close together; spread them until zeros must appear.
    model.encoder.layers[0].attention.scale = 50.0
    _, weights = model.encoder.with_attention(model.embed(text_batch(ids, mask)), mask)
    assert (weights[0] == 0).any()
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(1, 2, 7))


def test_a_models_context_goes_through_its_normalizer():
    model = tiny_model("average", kind="rela")
    ids, mask = tiny_batch((5,))
    weights = torch.rand(1, 5, dtype=torch.float64)
    hidden, _ = model.encode(model.embed(text_batch(ids, mask)), mask)
    # RMSNorm takes the scale of the weights away, a plain sum would not.
    torch.testing.assert_close(
        model.decide(hidden, weights),
        model.decide(hidden, 1e3 * weights),
        atol=1e-3,
        rtol=0,
    )


@pytest.mark.parametrize("norm", ["joined", "per_head"])
def test_rela_in_self_attention_normalizes_the_heads_together_or_each(norm):
    torch.manual_seed(0)
    settings = {"kind": "rela", "norm": norm}
    attention = SelfAttention(8, 2, {**settings, "gated": True}).double()
    assert attention.normalizer.gain.shape == attention.normalizer.gate.shape
    assert attention.normalizer.gain.shape == (2, 1, 4)
    attention = SelfAttention(8, 2, settings).double()
    attention.output = torch.nn.Identity()
    # few positions, so that some queries attend to none of them
    x = 30 * torch.randn(20, 2, 8, dtype=torch.float64)
    mixed, weights = attention(x, torch.ones(20, 2, dtype=torch.bool))
    empty = (weights == 0).all(-1).transpose(1, 2)  # (B, n, nh)
    assert empty.any() and not empty.all()
    squares = mixed.view(20, 2, 2, 4).square()
    if norm == "joined":
        mean_square, empty = squares.mean((-2, -1)), empty.all(-1)
    else:
        mean_square = squares.mean(-1)
    torch.testing.assert_close(mean_square, (~empty).double(), atol=1e-3, rtol=0)


def test_learned_alphas_are_named_layer_by_layer_and_head_by_head():
    learned = {"kind": "entmax", "alpha": "learned"}
    model = tiny_model("transformer", self_attention=learned, **learned)
    model.encoder.layers[1].attention.normalizer.raw_alpha.data[1] = 20.0
    assert learned_alphas(model) == {
        "encoder.layers.0.head_0": 1.5,
        "encoder.layers.0.head_1": 1.5,
        "encoder.layers.1.head_0": 1.5,
        "encoder.layers.1.head_1": pytest.approx(2.0),
        "pooling": 1.5,
    }
    assert learned_alphas(tiny_model("transformer", kind="entmax", alpha=1.5)) == {}


def test_scaled_dot_product_divides_by_the_root_of_the_size():
    scorer = ScaledDotProductScorer(4)
    scorer.score.weight.data = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert scorer(torch.ones(1, 1, 4)).item() == pytest.approx(10 / 2)


def test_pretrained_vectors_are_kept_and_missing_ones_drawn():
    vectors = torch.randn(30, 5) * 0.1
    vectors[[0, 1, 7]] = torch.nan
    model = tiny_model(dtype=torch.float32)
    model.set_vectors(vectors)
    weight = model.embedding.weight
    known = [i for i in range(30) if i not in (0, 1, 7)]
    torch.testing.assert_close(weight[known].detach(), vectors[known])
    assert (weight[0] == 0).all()
    assert weight.isfinite().all()
    assert 0 < weight[7].abs().max() < 1


def saved(tmp_path, model):
    weights, settings = tmp_path / "model.safetensors", tmp_path / "settings.json"
    save_model(model, weights, {"made": "here"})
    write_json(settings, settings_json(model.settings, provenance={"made": "here"}))
    return weights, settings


@encoders
@pytest.mark.parametrize(
    "normalizer",
    [
        {"kind": "softmax"},
        {"kind": "rela", "gated": True},
        {"kind": "entmax", "alpha": "learned"},
    ],
    ids=lambda n: n["kind"],
)
def test_a_saved_model_rebuilds_itself(tmp_path, encoder, normalizer):
    model = tiny_model(encoder, dtype=torch.float32, **normalizer)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    again = load_model(*saved(tmp_path, model))
    ids, mask = tiny_batch()
    torch.testing.assert_close(
        again(text_batch(ids, mask)), model(text_batch(ids, mask)), rtol=0, atol=0
    )


def test_the_same_model_gives_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = saved(tmp_path / "a", tiny_model(dtype=torch.float32))
    second = saved(tmp_path / "b", tiny_model(dtype=torch.float32))
    assert first[0].read_bytes() == second[0].read_bytes()


def test_damage_is_named(tmp_path):
    weights, settings = saved(tmp_path, tiny_model(dtype=torch.float32))
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AuditError, match=r"model\.safetensors: not a whole checkpoint"):
        load_model(weights, settings)
    with pytest.raises(AuditError, match="no such file"):
        load_model(weights, settings)


def other_settings(settings, **changes):
    """The settings of another run, beside those of this one."""
    described = json.loads(settings.read_text(encoding="utf-8"))
    described["model"] |= changes.pop("model", {})
    path = settings.with_name("other.json")
    path.write_text(json.dumps(described | changes), encoding="utf-8")
    return path


def without_checksum(weights, settings):
    safetensors.torch.save_file({"w": torch.zeros(1)}, weights)
    return weights, settings


MISMATCHES = {
    "another shape": (
        lambda w, s: (w, other_settings(s, model={"n_classes": 3})),
        "does not fit",
    ),
    # softmax and sparsemax have no parameters: weights of one fit the other
    "another run of the same shape": (
        lambda w, s: (w, other_settings(s, provenance={"made": "elsewhere"})),
        "was not made with",
    ),
    "the two files in the wrong order": (lambda w, s: (s, w), "not valid JSON"),
    "settings twice": (lambda w, s: (s, s), "not a whole checkpoint"),
    "settings of something else": (
        lambda w, s: (w, other_settings(s, model={"layers": 3})),
        "not the settings of a model",
    ),
    "weights from elsewhere": (without_checksum, "carries no checksum"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_files_that_do_not_belong_together_stay_where_they_are(tmp_path, case):
    choose, words = MISMATCHES[case]
    chosen = choose(*saved(tmp_path, tiny_model(dtype=torch.float32)))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AuditError, match=f"{words}.*stays as it is"):
        load_model(*chosen)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("place", [0.5, 0.7, 0.9])
def test_a_flipped_bit_in_the_weights_is_noticed(tmp_path, place):
    weights, settings = saved(tmp_path, tiny_model(dtype=torch.float32))
    flipped = bytearray(weights.read_bytes())
    flipped[int(len(flipped) * place)] ^= 1
    weights.write_bytes(flipped)
    with pytest.raises(AuditError, match="not a whole checkpoint"):
        load_model(weights, settings)
    # out of the way, so that the next run trains the model anew
    assert weights.with_name("model.safetensors.damaged").read_bytes() == flipped
    assert not weights.exists()


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(AuditError, match=r"training\.device is 'cuda'"):
        resolve_device("cuda")
