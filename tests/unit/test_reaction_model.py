"""Models of recordings: the same from their files, blind to times, and without attention."""

import json

import numpy as np
import pytest
import torch

from attention_audit.data.moments import Sampling
from attention_audit.data.recording_batches import RecordingBatch
from attention_audit.models.modalities.reactions import ReactionModelSettings
from attention_audit.models.model import load_model, save_model, settings_json
from attention_audit.models.training import new_model

CPU = torch.device("cpu")
# in no alphabetical order, which is that of a file of settings
STREAMS = {"sound": 2, "image": 3, "faces": 1}
TIMES = torch.tensor(Sampling.of(2, 3, "past", where="x").times).float()


def settings(kind="gated", scorer="additive", losses=None):
    encoder = {"kind": kind, "hidden_size": 3}
    if kind == "gated":
        encoder |= {"streams": [size + 1 for size in STREAMS.values()], "timed": True}
    return ReactionModelSettings(
        streams=list(STREAMS),
        sizes=list(STREAMS.values()),
        horizon=2.5,
        n_classes=2,
        encoder=encoder,
        scorer={"kind": scorer},
        normalizer={"kind": "softmax"},
        losses=losses or {"l1": 1.0},
    )


def batch(*lengths):
    torch.manual_seed(1)
    n = max(lengths)
    mask = torch.arange(n) < torch.tensor(lengths).unsqueeze(1)
    return RecordingBatch(
        [f"a.{i:05d}" for i in range(len(lengths))],
        ["a"] * len(lengths),
        torch.rand(len(lengths), 2),
        np.array(lengths),
        mask,
        TIMES[:n].expand(len(lengths), -1) * mask,
        {
            name: torch.randn(len(lengths), n, size) * mask.unsqueeze(-1)
            for name, size in STREAMS.items()
        },
    )


@pytest.mark.parametrize("kind", ["gated", "average"])
def test_a_model_is_the_same_from_its_files(kind, tmp_path):
    declared = settings(kind)
    model = new_model(declared, 0, CPU, None).eval()
    weights, described = tmp_path / "model.safetensors", tmp_path / "settings.json"
    save_model(model, weights, {})
    text = json.dumps(settings_json(declared), sort_keys=True)
    described.write_text(text, encoding="utf-8")
    again = load_model(weights, described)
    read = batch(6, 4)
    assert torch.equal(again(read).logits, model(read).logits)


@pytest.mark.parametrize("kind", ["gated", "average"])
def test_nothing_has_a_slope_by_a_time_and_outputs_depend_on_it(kind):
    model = new_model(settings(kind), 0, CPU, None).eval()
    read = batch(6)
    x = model.embed(read).detach().requires_grad_()
    hidden, _ = model.encode(x, read.mask)
    (slopes,) = torch.autograd.grad(hidden.square().sum(), x)
    assert (slopes != 0).any(1).squeeze().tolist() == (~model.is_time).tolist()
    later = model.encode(x + model.is_time, read.mask)[0]
    assert (later - hidden).abs().max() > 1e-3


def test_without_attention_the_last_state_decides():
    model = new_model(settings(scorer="last"), 0, CPU, None).eval()
    read = batch(6, 4)
    output = model(read)
    assert output.attention.tolist() == [[0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0]]
    last = output.hidden[[0, 1], [5, 3]]
    assert torch.equal(output.logits, model.output(last))
