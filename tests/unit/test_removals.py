"""Removals that share their reading against reading what is left of every one."""

from copy import deepcopy

import pytest
import torch

from attention_audit.attribution import ablation
from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.removals import bilstm, logits_left, transformer
from attention_audit.kinds import encoders_of, removal_kinds
from attention_audit.models.outputs import RESOLUTION, LogitSize, read_anew
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model

each_encoder = pytest.mark.parametrize("encoder", ENCODERS)
each_removal = pytest.mark.parametrize("removal", ["delete", "replace", "zero"])


@pytest.fixture
def short_texts(monkeypatch):
    """Short texts are read in the ways of long ones."""
    monkeypatch.setattr(bilstm, "FROM", 2)
    monkeypatch.setattr(transformer, "FROM", 2)


def read_one_by_one(model, batch, removal):
    each = torch.eye(int(batch.lengths[0]), dtype=torch.bool)
    return read_anew(model, batch.without(each, removal))


def spread(model, by=2.0):
    """The model with larger weights, so that words matter and attention differs."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(by)
    return model


@each_encoder
@each_removal
@pytest.mark.parametrize("n", [2, 3, 21])
@torch.no_grad()
def test_what_is_left_is_read_as_if_alone(
    short_texts, monkeypatch, encoder, removal, n
):
    monkeypatch.setattr(bilstm, "STEPS", 4)
    monkeypatch.setattr(transformer, "INPUTS_PER_PASS", 5 * n)
    model = spread(tiny_model(encoder, n_classes=3, kind="entmax", alpha=1.5))
    batch = text_batch(tiny_batch((n,))[0])
    found = logits_left(model, batch, removal)
    if encoder == "average" and removal == "delete":
        assert found is None
        return
    expected = read_one_by_one(model, batch, removal)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@each_encoder
@each_removal
@torch.no_grad()
def test_rounding_is_below_the_resolution(short_texts, encoder, removal):
    """Of single precision, where states of LSTMs meet long before the text ends."""
    model = spread(tiny_model(encoder, dtype=torch.float32))
    batch = text_batch(tiny_batch((100,))[0])
    found = logits_left(model, batch, removal)
    if found is None:
        return
    exact = read_one_by_one(deepcopy(model).double(), batch, removal)
    output = model(batch)
    features = model.pooling.context(output.hidden, output.attention)[0]
    unit = torch.finfo(torch.float32).eps * LogitSize(model.output)(features)
    assert (found - exact).abs().max() < RESOLUTION / 2 * unit


@pytest.mark.parametrize("encoder", ["bilstm", "marked", "transformer1"])
@torch.no_grad()
def test_importance_is_that_of_reading_everything(short_texts, monkeypatch, encoder):
    model = spread(tiny_model(encoder, dtype=torch.float32))
    ids = tiny_batch((60,))[0]
    # Words that replacement leaves as they are.
    ids[0, [3, 20, 59]] = 1
    batch = text_batch(ids)
    for removal in ("delete", "replace"):
        quick = leave_one_out(model, batch, "inputs", removal)
        with monkeypatch.context() as context:
            context.setattr(ablation, "logits_left", lambda *_: None)
            slow = leave_one_out(model, batch, "inputs", removal)
        torch.testing.assert_close(quick, slow, rtol=0, atol=4e-6)
        assert ((quick == 0) == (slow == 0)).all()
    assert (quick[0, [3, 20, 59]] == 0).all() and (quick > 0).sum() > 50


@torch.no_grad()
def test_a_bilstm_reads_no_more_of_a_removal_in_a_longer_text():
    model = tiny_model("bilstm", dtype=torch.float32)
    states = []
    for n in (100, 200):
        x = model.embed(text_batch(tiny_batch((n,))[0]))[0]
        states.append(len(bilstm.bilstm_left(model.encoder, x, None).states))
    assert states[0] < 0.6 * 100**2 and states[1] < 2.3 * states[0]


@torch.no_grad()
def test_what_has_no_way_of_its_own_is_read_anew(short_texts):
    batch = text_batch(tiny_batch((5,))[0])
    known = tiny_model("bilstm")
    assert logits_left(known, batch, "delete") is not None
    assert logits_left(known, batch.take([0]).without(*ONE_WORD), "delete") is None
    for other in (
        tiny_model("bilstm", scorer="last"),
        tiny_model("transformer1", self_attention={"kind": "sparsemax"}),
    ):
        assert logits_left(other, batch, "delete") is None


def test_the_ways_are_those_of_kinds_of_encoders():
    assert {"average", "bilstm", "transformer"} == {*removal_kinds()}
    assert {*removal_kinds()} < {*encoders_of("text")}


@torch.no_grad()
def test_short_texts_are_read_anew():
    batch = text_batch(tiny_batch((30,))[0])
    for encoder in ("bilstm", "transformer1"):
        assert logits_left(tiny_model(encoder), batch, "replace") is None


# All of five words but one are deleted.
ONE_WORD = (torch.tensor([[True, True, False, True, True]]), "delete")


def test_zero_is_no_embedding_of_any_word():
    model = tiny_model("average")
    batch = text_batch(tiny_batch((4,))[0])
    removed = torch.tensor([[False, True, False, False]])
    left = batch.without(removed, "zero")
    assert left.mask.all() and (left.lengths == 4).all()
    x, kept = model.embed(left)[0], model.embed(batch)[0]
    assert (x[1] == 0).all() and torch.equal(x[[0, 2, 3]], kept[[0, 2, 3]])
