"""Batches of token ids: each index once, padded little, masked."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_audit.data.batches import (
    PAD,
    length_bucketed_batches,
    pad_batch,
)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=400),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 2**32),
)
def test_batches_hold_each_index_once(lengths, batch_size, bucket, seed):
    lengths = np.array(lengths)
    batches = length_bucketed_batches(
        lengths, batch_size, np.random.default_rng(seed), bucket
    )
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    again = length_bucketed_batches(
        lengths, batch_size, np.random.default_rng(seed), bucket
    )
    assert all(map(np.array_equal, batches, again))


def test_batches_pad_little_and_differ_between_epochs():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 400, 3200)
    batches = length_bucketed_batches(lengths, 32, rng)
    assert {len(b) for b in batches} == {32}

    def padding(groups):
        return sum(lengths[g].max() * len(g) - lengths[g].sum() for g in groups)

    assert padding(batches) < 0.1 * padding(np.split(rng.permutation(3200), 100))
    order = [lengths[b].mean() for b in batches]
    assert abs(np.corrcoef(order, range(100))[0, 1]) < 0.4
    other = length_bucketed_batches(lengths, 32, rng)
    assert {frozenset(b) for b in batches} != {frozenset(b) for b in other}


def test_padding_and_mask():
    ids, mask = pad_batch([np.array([5, 6, 7]), np.array([8]), np.array([9, 1])])
    assert ids.tolist() == [[5, 6, 7], [8, PAD, PAD], [9, 1, PAD]]
    assert ids.dtype == np.int64 and mask.dtype == bool
    assert mask.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
