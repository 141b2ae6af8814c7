"""The weights of controls: cut afterwards, and scores under softmax."""

import numpy as np
import pytest
import torch

from attention_audit.models.normalizers.softmax import softmax as softmax_of_models
from attention_audit.models.normalizers.top_k import top_k
from attention_audit.statistics.controls import cut, cut_name, softmax, softmax_name


def scored(n_rows=50, n=9, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, n + 1, n_rows)
    mask = np.arange(n) < lengths[:, None]
    return np.where(mask, rng.normal(size=mask.shape), 99.0), mask


@pytest.mark.parametrize("k", [1, 3, 20])
def test_softmax_cut_to_k_positions_is_top_k_but_for_its_scale(k):
    scores, mask = scored()
    theirs = top_k(torch.tensor(scores), torch.tensor(mask), k).numpy()
    ours = cut(softmax(scores, mask), np.full(len(mask), k), mask)
    assert ((ours > 0) == (theirs > 0)).all()
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs, atol=1e-12)


def test_every_row_is_cut_to_a_support_of_its_own():
    scores, mask = scored()
    support = np.minimum(np.arange(len(mask)) % 5, mask.sum(1))
    left = cut(softmax(scores, mask), support, mask)
    assert ((left > 0).sum(1) == support).all()


def test_ties_with_the_last_weight_stay_so_that_order_does_not_matter():
    weights = np.array([[0.2, 0.4, 0.2, 0.2]])
    mask = np.ones_like(weights, dtype=bool)
    assert (cut(weights, [2], mask) == weights).all()
    assert (cut(weights, [1], mask) == [[0, 0.4, 0, 0]]).all()


def test_softmax_is_that_of_the_models():
    scores, mask = scored()
    theirs = softmax_of_models(torch.tensor(scores), torch.tensor(mask))
    np.testing.assert_allclose(softmax(scores, mask), theirs, atol=1e-15)


def test_names_cannot_be_declared():
    assert " " in cut_name("softmax", "sparsemax")
    assert " " in softmax_name("sparsemax")
