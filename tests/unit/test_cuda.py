"""A GPU gives what the CPU gives, to 1e-4; skipped where there is none.

What can be tested without one is: that an LSTM is kept from cuDNN where its backward
pass would be refused.
"""

import numpy as np
import pytest
import torch

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.heads import describe_heads
from attention_audit.attribution.influence import (
    batched_jacobian_norms,
    jacobian_norms,
)
from attention_audit.interventions.adversarial import SearchSettings, search
from attention_audit.models.model import resolve_device
from attention_audit.models.training import be_repeatable, descend, evaluate, train
from attention_audit.models.translating import translations
from tests.unit.instances import instances
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model
from tests.unit.test_training import SETTINGS, build_optimizer, keyword_task
from tests.unit.test_training import model_settings as trained_settings
from tests.unit.translators import tiny_translator

on_a_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU that torch can use is here"
)
encoders = pytest.mark.parametrize("encoder", ENCODERS)
normalizers = pytest.mark.parametrize("settings", instances().values(), ids=instances())


def on_both(function, encoder="bilstm", **settings):
    """What ``function(model, batch)`` gives on the CPU and on a GPU."""
    results = []
    for device in map(resolve_device, ("cpu", "cuda")):
        model = tiny_model(encoder, dtype=torch.float32, **settings).to(device)
        ids, mask = (part.to(device) for part in tiny_batch((7, 4, 1)))
        results.append(function(model, text_batch(ids, mask)))
    return results


def same(cpu, gpu):
    torch.testing.assert_close(gpu.cpu(), cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layers", ["bilstm", "bilstm2"])
def test_an_lstm_is_kept_from_cudnn_where_its_gradient_is_wanted(monkeypatch, layers):
    model = tiny_model(layers)
    used = []
    forward = torch.nn.LSTM.forward

    def noted(self, *arguments):
        used.append(torch.backends.cudnn.enabled)
        return forward(self, *arguments)

    monkeypatch.setattr(torch.nn.LSTM, "forward", noted)

    def cudnn_in(run):
        used.clear()
        run()
        assert torch.backends.cudnn.enabled
        return set(used)

    batch = text_batch(*tiny_batch())
    assert torch.backends.cudnn.enabled
    assert cudnn_in(lambda: model(batch)) == {False}
    importance = (model, batch, "inputs", "detached")
    assert cudnn_in(lambda: gradient_importance(*importance)) == {False}
    x = model.embed(batch)[0].detach()
    assert cudnn_in(lambda: batched_jacobian_norms(model.encoder, x)) == {False}
    with torch.no_grad():
        assert cudnn_in(lambda: model(batch)) == {True}
    model.train()
    assert cudnn_in(lambda: model(batch)) == {True}
    with torch.backends.cudnn.flags(enabled=False):
        model(batch)
        assert not torch.backends.cudnn.enabled


def test_products_are_not_rounded_to_ten_bits():
    torch.backends.cudnn.allow_tf32 = True
    resolve_device("cpu")
    assert not torch.backends.cudnn.allow_tf32


@on_a_gpu
@encoders
@normalizers
def test_weights_and_outputs_agree(encoder, settings):
    for part in ("attention", "logits"):
        same(*on_both(lambda m, b, p=part: getattr(m(b), p), encoder, **settings))


@on_a_gpu
@encoders
@pytest.mark.parametrize("of", ["inputs", "hidden_states"])
@pytest.mark.parametrize("attention", ["detached", "attached"])
def test_gradients_agree(encoder, of, attention):
    same(*on_both(lambda *args: gradient_importance(*args, of, attention), encoder))


@on_a_gpu
@encoders
@pytest.mark.parametrize("of", ["inputs", "hidden_states"])
def test_leave_one_out_agrees(encoder, of):
    same(*on_both(lambda *args: leave_one_out(*args, of), encoder))


@on_a_gpu
@encoders
@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "rela"])
@pytest.mark.parametrize("norms", [jacobian_norms, batched_jacobian_norms])
def test_influence_agrees(encoder, kind, norms):
    def influence(model, batch):
        return norms(model.encoder, model.embed(batch)[0].detach())

    attention = {"kind": kind} if encoder.startswith("transformer") else None
    same(*on_both(influence, encoder, self_attention=attention))


@on_a_gpu
def test_heads_agree():
    def heads(model, batch):
        _, layers = model.encoder.with_attention(model.embed(batch), batch.mask)
        return torch.stack(
            list(describe_heads(layers[0], batch.mask).values())
        ).detach()

    same(*on_both(heads, "transformer"))


@on_a_gpu
@pytest.mark.parametrize("constrained", [False, True])
def test_adversarial_weights_agree(constrained):
    def found(model, batch):
        with torch.no_grad():
            output = model(batch)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(
            len(batch.mask), 3, batch.mask.shape[1], generator=generator
        )
        support = (output.attention > 0).sum(-1) if constrained else None
        return search(
            model,
            output.hidden,
            batch.mask,
            output.attention,
            noise.to(output.hidden),
            SearchSettings(candidates=3, steps=5),
            support,
        ).divergence

    same(*on_both(found, kind="sparsemax"))


@on_a_gpu
@encoders
def test_a_training_step_agrees(encoder):
    def stepped(model, batch):
        be_repeatable(batch.mask.device)
        model.train()
        labels = torch.arange(len(batch.mask), device=batch.mask.device) % 2

        def loss():
            return torch.nn.functional.cross_entropy(model(batch).logits, labels)

        descend(model, build_optimizer(model, SETTINGS), loss, SETTINGS, "step")
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    same(*on_both(stepped, encoder))


@on_a_gpu
def test_training_on_a_gpu_learns(tmp_path):
    device = resolve_device("cuda")
    trained = train(
        trained_settings(),
        {**SETTINGS, "max_epochs": 15},
        keyword_task(),
        keyword_task(60, seed=1),
        0,
        device,
        checkpoint=tmp_path / "checkpoint.pt",
    )
    score = evaluate(trained.model, keyword_task(100, seed=2), 16, device)
    assert score["accuracy"] > 0.9
    assert np.isfinite(score["loss"])


@on_a_gpu
@pytest.mark.parametrize("beam", [1, 3])
def test_translations(beam):
    sources, found = [np.arange(4, 4 + n) for n in (5, 2, 7)], []
    limits = {"length_penalty": 0.6, "max_ratio": 1, "max_more": 2}
    for device in map(resolve_device, ("cpu", "cuda")):
        model = tiny_translator("transformer", layers=2).to(device)
        found.append(translations(model, sources, beam=beam, **limits))
    for cpu, gpu in zip(*found, strict=True):
        assert cpu.tokens == gpu.tokens and cpu.ended == gpu.ended
        assert abs(cpu.log_probability - gpu.log_probability) < 1e-3
