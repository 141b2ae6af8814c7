"""Normalizers that break a law are caught where models run, and named."""

import numpy as np
import pytest
import torch

from attention_audit.attribution.weights import write_attention
from attention_audit.interventions.fitting import fit
from attention_audit.models import normalizers
from attention_audit.models.laws import broken_law, lawful
from attention_audit.models.training import build_optimizer, descend
from attention_audit.records.errors import AuditError
from tests.unit.instances import instances
from tests.unit.models import text_batch, tiny_batch, tiny_model
from tests.unit.test_training import CPU, SETTINGS, keyword_task, run

HEAD = "import torch\n\n\n"
# kind: what its module defines, and what is said of its weights
UNLAWFUL = {
    "forgetful": (
        "def NORMALIZER(scores, mask):\n    return scores.softmax(-1)\n",
        "must be exactly 0 where masked, got 0.",
    ),
    "negative": (
        "def NORMALIZER(scores, mask):\n"
        "    count = mask.sum(-1, keepdim=True)\n"
        "    centred = (scores - (scores * mask).sum(-1, keepdim=True) / count) * mask\n"
        "    return 50 * centred + mask / count\n",
        "must not be negative, got -",
    ),
    "undefined": (
        "def NORMALIZER(scores, mask):\n"
        "    return scores.masked_fill(~mask, -torch.inf).softmax(-1) * torch.nan\n",
        "must be finite, got nan",
    ),
    "short": (
        "def NORMALIZER(scores, mask):\n"
        "    return scores.masked_fill(~mask, -torch.inf).softmax(-1)[..., 1:]\n",
        "must have the shape of the scores, (",
    ),
    "unscaled": (
        "def NORMALIZER(scores, mask):\n    return scores.sigmoid() * mask\n",
        "must sum to 1 in a row, got ",
    ),
}


every_fault = pytest.mark.parametrize("kind", UNLAWFUL)


@pytest.fixture(autouse=True)
def own_kinds(tmp_path, monkeypatch):
    """The unlawful kinds, as modules of the package."""
    for kind, (source, _) in UNLAWFUL.items():
        (tmp_path / f"{kind}.py").write_text(HEAD + source, encoding="utf-8")
    monkeypatch.setattr(normalizers, "__path__", [*normalizers.__path__, str(tmp_path)])


def names(kind, error):
    """Whether an error says which kind breaks which law, and what to do."""
    words = str(error)
    return (
        words.startswith(f"normalizer kind '{kind}': its weights {UNLAWFUL[kind][1]}")
        and f"normalizers/{kind}.py" in words
        and f"make check-normalizer KIND={kind}" in words
    )


@every_fault
@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
def test_training_ends_at_the_broken_law(kind, encoder):
    where = {"normalizer": {"kind": kind}}
    with pytest.raises(AuditError) as raised:
        run({**SETTINGS, "max_epochs": 1}, encoder=encoder, **where)
    assert names(kind, raised.value), raised.value


@every_fault
def test_a_law_that_self_attention_breaks_is_told_too(kind):
    model = tiny_model("transformer", self_attention={"kind": kind})
    with pytest.raises(AuditError) as raised, lawful(model):
        model(text_batch(*tiny_batch()))
    assert names(kind, raised.value), raised.value


@every_fault
def test_the_audit_ends_at_the_broken_law(kind):
    model = tiny_model("bilstm", kind=kind)
    with pytest.raises(AuditError) as raised:
        write_attention(None, model, iter([text_batch(*tiny_batch())]), {})
    assert names(kind, raised.value), raised.value


@every_fault
def test_models_that_learn_from_models_end_at_the_broken_law(kind):
    model = tiny_model("bilstm", dtype=torch.float32, kind=kind)
    texts = keyword_task(32)

    def loss(examples, rows):
        return model(examples.batch(rows, CPU)).logits.square().sum()

    with pytest.raises(AuditError) as raised:
        fit(model, loss, texts, texts, {**SETTINGS, "max_epochs": 1}, 0, "fit")
    assert names(kind, raised.value), raised.value


@pytest.mark.parametrize("settings", instances().values(), ids=instances())
def test_a_diverged_model_breaks_no_law(settings):
    model = tiny_model("transformer", self_attention=settings, **settings)
    ids, mask = tiny_batch()
    for value in (torch.nan, torch.inf):
        for parameters in (model.pooling.scorer, model.encoder.layers[0].attention):
            for parameter in parameters.parameters():
                parameter.data[:] = value
        with lawful(model):
            model(text_batch(ids, mask))


def test_a_diverged_model_is_told_by_its_loss():
    with pytest.raises(AuditError, match=r"the training loss became nan\. Lower"):
        run({**SETTINGS, "learning_rate": 1e30}, normalizer={"kind": "softmax"})


def test_a_loss_that_a_normalizer_broke_is_told_by_its_law():
    model = tiny_model("bilstm", kind="undefined")
    optimizer = build_optimizer(model, SETTINGS)
    ids, mask = tiny_batch()
    with pytest.raises(AuditError) as raised:
        descend(
            model,
            optimizer,
            lambda: model(text_batch(ids, mask)).logits.sum(),
            SETTINGS,
            "",
        )
    assert names("undefined", raised.value), raised.value


def test_laws_hold_within_their_context_alone():
    model = tiny_model("bilstm", kind="forgetful")
    ids, mask = tiny_batch()
    with pytest.raises(AuditError), lawful(model):
        model(text_batch(ids, mask))
    model(text_batch(ids, mask))


def laws(scores, mask, weights, on_simplex=True):
    return broken_law(*map(torch.tensor, (scores, mask, weights)), on_simplex)


def test_the_laws_by_hand():
    scores, mask = [[0.0, 1.0, 2.0]], [[True, True, False]]
    assert laws(scores, mask, [[0.25, 0.75, 0.0]]) is None
    assert laws(scores, mask, [[0.25, 0.5, 0.25]]) == (
        "must be exactly 0 where masked, got 0.25"
    )
    assert laws(scores, mask, [[0.25, 0.5, 0.0]]) == (
        "must sum to 1 in a row, got 0.75"
    )
    assert laws(scores, mask, [[0.25, 0.5, 0.0]], on_simplex=False) is None
    assert laws(scores, mask, [[1.5, -0.5, 0.0]], False) == (
        "must not be negative, got -0.5"
    )
    assert laws(scores, mask, [[np.nan, 0.0, 0.0]]) == "must be finite, got nan"
    assert laws(scores, mask, [[0.5, 0.5]]) == (
        "must have the shape of the scores, (1, 3), got (1, 2)"
    )
    # what rounding leaves
    assert laws(scores, mask, [[0.25, 0.75001, 0.0]]) is None
    # nothing to attend to: all masked, or no score above -inf
    assert laws(scores, [[False] * 3], [[0.0] * 3]) is None
    assert laws([[-np.inf] * 3], mask, [[0.0] * 3]) is None
    assert laws(scores, [[False] * 3], [[0.5, 0.5, 0.0]]) == (
        "must be exactly 0 where masked, got 0.5"
    )
    # a row of a model that diverged hides no other
    pair = [[np.nan, 0.0, 0.0], [0.0, 0.0, 0.0]]
    both = [mask[0], mask[0]]
    assert laws(pair, both, [[np.nan, np.nan, 0.0], [0.5, 0.5, 0.0]]) is None
    assert laws(pair, both, [[np.nan, np.nan, 0.0], [0.5, 0.6, 0.0]]) == (
        "must sum to 1 in a row, got 1.1"
    )
