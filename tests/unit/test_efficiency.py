"""What models cost: parameters, multiply-adds of a decision, decisions per second."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from attention_audit.data.pair_batches import PairBatch
from attention_audit.models.size import multiply_adds, n_parameters, sizes
from attention_audit.models.speed import seconds, speeds
from attention_audit.models.translation_speed import translation_speeds
from tests.unit.models import VOCABULARY, text_batch, tiny_batch, tiny_model
from tests.unit.translators import (
    pair_batch,
    tiny_translator,
    translator_settings,
)


def texts(*lengths):
    return text_batch(*tiny_batch(lengths))


def test_an_lstm_is_counted_by_its_gates():
    lstm = nn.LSTM(5, 7, batch_first=True)
    # 4 gates, each of input and state
    expected = 2 * 3 * 4 * 7 * (5 + 7)
    assert multiply_adds(lstm, torch.zeros(2, 3, 5)) == expected
    # where torch has no kernel of its own for it, it is products that torch counts
    meta = nn.LSTM(5, 7, batch_first=True, device="meta")
    assert multiply_adds(meta, torch.zeros(2, 3, 5, device="meta")) == expected


def bilstm(n, width=4, size=5, classes=2):
    states = 2 * width
    return (
        n * 2 * 4 * width * (size + width)  # two directions
        + n * (states * states // 2 + states // 2)  # scores
        + n * states  # the context
        + states * classes
    )


def transformer(n, width=8, inner=12, layers=2, size=5, classes=2):
    of_layer = n * (4 * width**2 + 2 * width * inner) + 2 * n * n * width
    return (
        n * size * width
        + layers * of_layer
        + n * (width * width // 2 + width // 2)
        + n * width
        + width * classes
    )


@pytest.mark.parametrize("expected", [bilstm, transformer])
def test_multiply_adds_are_the_mean_over_decisions_without_padding(expected):
    model = tiny_model(expected.__name__, dtype=torch.float32)
    lengths = (7, 4, 4, 2)
    found = sizes(model, [texts(*lengths[:2]), texts(*lengths[2:])])
    assert found["multiply_adds"] == np.mean([expected(n) for n in lengths])
    # longer texts take more
    assert expected(4) < sizes(model, [texts(5)])["multiply_adds"] < expected(7)


def test_next_words_of_a_sentence_pair_share_what_reading_it_takes():
    settings = translator_settings("lstm", scorer="scaled_dot_product")
    words = ([4, 5, 6], [7, 8]), ([9], [4, 4, 4, 4]), ([4, 5, 6], [9, 9])
    sources, targets = (list(map(np.array, side)) for side in zip(*words, strict=True))
    batch = PairBatch.of(list("abc"), sources, targets, torch.device("cpu"))
    found = sizes(settings.new_model().eval(), [batch])
    E = Q = H = 32
    V = settings.n_classes

    def of_pair(n, steps):
        encoder = n * 2 * 4 * (H // 2) * (E + H // 2)
        start, decoder = H * Q, steps * 4 * Q * (E + Q)
        attention = steps * (Q * H + 2 * n * H)
        return encoder + start + decoder + attention + steps * Q * (H + Q + V)

    steps = [len(target) + 1 for target in targets]
    expected = sum(map(of_pair, map(len, sources), steps)) / sum(steps)
    assert found["multiply_adds"] == expected
    assert found["n_instances"] == sum(steps)


def test_parameters_are_told_from_those_that_training_may_change():
    model = tiny_model("average", scorer="scaled_dot_product")
    rest = (5 * 6 + 6) + 6 + (6 * 2 + 2)
    words = VOCABULARY * 5
    assert n_parameters(model) == n_parameters(model, trainable=True) == words + rest
    model.embedding.weight.requires_grad_(False)
    found = sizes(model.float(), [texts(3, 2)])
    assert (found["parameters"], found["trainable_parameters"]) == (words + rest, rest)
    assert found["n_instances"] == 2


class Clock:
    """A clock that only what is called moves on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_all_take_turns_and_the_first_round_does_not_count():
    clock, calls = Clock(), []
    takes = {"a": iter([9, 1, 1, 4]), "b": iter([9, 2, 3, 2])}

    def reader(name):
        def read():
            calls.append(name)
            clock.now += next(takes[name])

        return read

    found = seconds([reader("a"), reader("b")], 3, clock)
    assert calls == ["a", "b"] * 4
    assert found.tolist() == [[1, 1, 4], [2, 3, 2]]


def test_speed_is_the_median_of_the_rounds():
    clock, model = Clock(), tiny_model()
    # of both passes of a round together
    takes = iter(np.repeat([9.0, 2.0, 5.0, 4.0], 2) / 2)

    def move_on(*_):
        clock.now += next(takes)

    model.register_forward_hook(move_on)
    (found,) = speeds([(model, [texts(3, 2), texts(4)])], 3, clock)
    assert found == {
        "decisions_per_second": 3 / 4,
        "slowest": 3 / 5,
        "fastest": 3 / 2,
        "n_rounds": 3,
        "n_instances": 3,
    }


def test_translators_are_timed_beside_the_reference_and_stay_as_they_are():
    runs = [{"encoder": e, "normalizer": n} for e in "ab" for n in ("sparse", "dense")]
    kinds = {"sparse": "sparsemax", "dense": "softmax"}
    models = [
        tiny_translator(normalizer={"kind": kinds[run["normalizer"]]}) for run in runs
    ]
    before = [deepcopy(model.state_dict()) for model in models]
    batches = [pair_batch(3, seed=1), pair_batch(2, seed=2)]
    ticks = itertools.count()
    rows = translation_speeds(
        runs[:3],
        [(model, batches) for model in models[:3]],
        "dense",
        2,
        gradient_clip=5.0,
        clock=lambda: next(ticks),
    )
    assert [(r["encoder"], r["normalizer"], r["of"]) for r in rows] == [
        (*run.values(), of) for run in runs[:3] for of in ("training", "decoding")
    ]
    words = sum(len(batch.labels) for batch in batches)
    assert [row["n_words"] for row in rows] == [words] * 6
    for row in rows:
        assert row["slowest"] <= row["words_per_second"] <= row["fastest"]
        assert row["n_rounds"] == 2
    assert rows[2]["ratio"] == rows[3]["ratio"] == 1.0
    # another encoder is no reference
    assert rows[4]["ratio"] is rows[5]["ratio"] is None
    for model, state in zip(models, before, strict=True):
        assert not model.training
        for name, values in model.state_dict().items():
            assert torch.equal(values, state[name])


def test_a_speed_is_a_ratio_to_that_of_the_same_round():
    runs = [{"normalizer": name} for name in ("dense", "sparse")]
    model, batches = tiny_translator(), [pair_batch(2)]
    # a round that does not count, and two: the machine is slower in the last
    taken = [1, 1, 2, 4, 10, 10, 20, 40]
    ticks = iter([0] * 4 + [tick for seconds in taken for tick in (0, seconds)])
    rows = translation_speeds(
        runs,
        [(model, batches)] * 2,
        "dense",
        2,
        gradient_clip=5.0,
        clock=lambda: next(ticks),
    )
    assert [row["ratio"] for row in rows] == [1, 1, 1 / 2, 1 / 4]
