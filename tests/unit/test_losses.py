"""Losses and scores of scores in [0, 1], against scipy and formulas written out."""

import numpy as np
import pytest
import torch
from scipy.special import expit, rel_entr
from scipy.stats import pearsonr

from attention_audit.models import losses
from attention_audit.models.losses import loss_of
from attention_audit.models.scores import agreement_scores
from attention_audit.models.training import evaluate, train
from tests.unit.models import tiny_model
from tests.unit.test_training import CPU, SETTINGS
from tests.unit.viewers import seconds, viewer, viewer_settings


def drawn(n=50, outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.standard_normal((n, outputs)), rng.random((n, outputs))


def lin(y, t):
    """The coefficient of Lin 1989 as his formula (2) has it, of one output."""
    n = len(y)
    covariance = sum((a - y.mean()) * (b - t.mean()) for a, b in zip(y, t, strict=True))
    spread = sum((a - y.mean()) ** 2 for a in y) + sum((b - t.mean()) ** 2 for b in t)
    return 2 * covariance / n / (spread / n + (y.mean() - t.mean()) ** 2)


def of(name, logits, targets):
    return losses.LOSSES[name](torch.tensor(logits), torch.tensor(targets)).item()


def test_losses_of_scores_against_scipy():
    logits, targets = drawn()
    y = expit(logits)
    assert of("l1", logits, targets) == pytest.approx(np.abs(y - targets).mean())
    both = rel_entr(targets, y) + rel_entr(1 - targets, 1 - y)
    assert of("kl", logits, targets) == pytest.approx(both.mean())
    expected = 1 - np.mean([lin(a, b) for a, b in zip(y.T, targets.T, strict=True)])
    assert of("concordance", logits, targets) == pytest.approx(expected)


def test_losses_are_zero_where_scores_are_what_they_are_to_be():
    logits, _ = drawn()
    for name in losses.LOSSES:
        assert of(name, logits, expit(logits)) == pytest.approx(0, abs=1e-12)


def test_losses_and_their_slopes_are_finite_at_the_ends():
    logits = torch.tensor([[200.0, -200.0], [-200.0, 0.0]], requires_grad=True)
    for name in losses.LOSSES:
        for targets in (torch.zeros(2, 2), torch.ones(2, 2), torch.eye(2)):
            value = losses.LOSSES[name](logits, targets)
            (slope,) = torch.autograd.grad(value, logits)
            assert value.isfinite() and slope.isfinite().all()
    same = torch.zeros(4, 1, requires_grad=True)
    value = losses.concordance(same, torch.full((4, 1), 0.5))
    (slope,) = torch.autograd.grad(value, same)
    assert value == 1 and (slope == 0).all()


def test_a_model_weighs_its_losses():
    logits, targets = map(torch.tensor, drawn())
    model = viewer()
    model.losses = {"l1": 0.5, "concordance": 2.0}
    expected = 0.5 * losses.l1(logits, targets)
    expected += 2 * losses.concordance(logits, targets)
    assert loss_of(model, logits, targets) == pytest.approx(expected.item())
    summed = loss_of(model, logits, targets, reduction="sum")
    assert summed == pytest.approx(50 * expected.item())


def test_classes_are_learned_by_cross_entropy():
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    for options in ({}, {"smoothing": 0.1}, {"reduction": "sum"}):
        got = loss_of(tiny_model(n_classes=3), logits, labels, **options)
        theirs = {"label_smoothing": options.pop("smoothing", 0.0), **options}
        assert got == torch.nn.functional.cross_entropy(logits, labels, **theirs)


# --- scores -----------------------------------------------------------------------


def test_agreement_is_averaged_over_outputs_and_then_over_recordings():
    logits, targets = drawn(30)
    y = expit(logits)
    films = ["b"] * 12 + ["a"] * 18
    # of the first film one output has nothing to follow
    targets[:12, 1] = 0.25
    # and of the second one is not followed at all
    y[12:, 0] = 0.5
    got = agreement_scores(y, targets, films)
    r = {}
    for film, rows in (("b", range(12)), ("a", range(12, 30))):
        for k in range(3):
            if (film, k) != ("b", 1):
                one, other = y[list(rows), k], targets[list(rows), k]
                varies = (film, k) != ("a", 0)
                value = pearsonr(one, other).statistic if varies else 0.0
                r[film, k] = value, lin(one, other)
    for place, name in enumerate(("pearson", "concordance")):
        of_film = [
            np.mean([v[place] for (film, _), v in r.items() if film == wanted])
            for wanted in "ab"
        ]
        assert got[name] == pytest.approx(np.mean(of_film))
    assert got["constant"] == 1
    assert got["absolute_error"] == pytest.approx(np.abs(y - targets).mean())


def test_scores_of_nothing_to_follow_are_none():
    got = agreement_scores(drawn(4)[1], np.full((4, 3), 0.5), None)
    assert got["pearson"] is got["concordance"] is None and got["constant"] == 3
    # the mean of tenths differs from them in its last digit
    got = agreement_scores(drawn(7)[1], np.full((7, 3), 0.1), None)
    assert got["constant"] == 3


@pytest.mark.parametrize("name", losses.LOSSES)
def test_training_learns_scores_by_any_loss(name):
    settings = viewer_settings("softmax", **{name: 1.0})
    before = evaluate(viewer("softmax"), seconds(40, 1), 16, CPU)
    trained = train(
        settings, {**SETTINGS, "max_epochs": 4}, seconds(120, 0), seconds(40, 1), 0, CPU
    )
    found = evaluate(trained.model, seconds(40, 1), 16, CPU)
    assert found["pearson"] > max(0.7, before["pearson"])
    last = trained.history[trained.best_epoch - 1]
    assert last["dev_pearson"] == found["pearson"]
    assert last["dev_loss"] == found["loss"] and last["dev_accuracy"] is None


def test_the_loss_of_a_split_does_not_depend_on_how_it_is_read():
    model, split = viewer("softmax"), seconds(40, 1)
    model.losses = {"concordance": 1.0}
    found = [evaluate(model, split, size, CPU)["loss"] for size in (7, 40)]
    y = model(split.whole).logits.sigmoid()
    expected = 1 - losses.concordance_correlation(y, split.whole.labels).mean()
    assert found == pytest.approx([expected.item()] * 2, rel=1e-5)
