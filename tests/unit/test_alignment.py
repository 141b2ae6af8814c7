"""Alignment measures: by hand, by slow loops, and their floors."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics.alignment import (
    Counts,
    alignment_average_precision,
    alignment_error_rate,
    alignment_f1,
    alignment_precision,
    alignment_recall,
    best_threshold,
    diagonal_model_2,
    diagonal_weights,
    ibm_model_1,
    links_by_argmax,
    links_by_support,
    links_by_threshold,
    padded_gold,
    steps,
    uniform_weights,
)
from attention_audit.statistics.ranks import average_precision

NAN = float("nan")

# Three verses, a line a target word, a column a source word: John 11:35, 1 Thessalonians
# 5:16 and 5:17, "edakrysen ho Iesous" and so on; of the last, "without" is possible only.
VERSES = (
    # Jesus, wept
    ([[0.2, 0.1, 0.7], [0.6, 0.0, 0.4]], {(0, 2), (1, 0)}, {(0, 1)}),
    # rejoice, at, all, times
    (
        [[0.3, 0.7], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]],
        {(0, 1), (1, 0), (2, 0), (3, 0)},
        set(),
    ),
    # pray, without, ceasing
    ([[0.1, 0.9], [0.0, 0.0], [0.4, 0.6]], {(0, 1), (2, 0)}, {(1, 0)}),
)


def padded():
    """The verses as a batch: weights, sure, possible, mask."""
    shape = (len(VERSES), 4, 3)
    weights = np.zeros(shape, np.float32)
    sure, possible, mask = (np.zeros(shape, bool) for _ in range(3))
    for verse, (rows, certain, doubtful) in enumerate(VERSES):
        mask[verse, : len(rows), : len(rows[0])] = True
        weights[verse, : len(rows), : len(rows[0])] = rows
        for links, into in ((certain, sure), (doubtful, possible)):
            for cell in links:
                into[verse][cell] = True
    # what stands at padding is no link, whatever it is
    weights[1, :, 2] = 9.0
    return weights, sure, possible, mask


def test_three_verses_by_hand():
    weights, sure, possible, mask = padded()
    counts = Counts.of(links_by_argmax(weights, mask), sure, possible, mask)
    # John: both words rightly. Rejoice: four rightly, and "times" is tied with a wrong
    # one. Pray: "pray" rightly, "without" nothing, "ceasing" wrongly.
    np.testing.assert_array_equal(counts.found, [2, 5, 2])
    np.testing.assert_array_equal(counts.sure, [2, 4, 2])
    np.testing.assert_array_equal(counts.found_sure, [2, 4, 1])
    np.testing.assert_array_equal(counts.found_possible, [2, 4, 1])
    np.testing.assert_allclose(alignment_error_rate(counts), [0, 1 / 9, 0.5])
    whole = counts.pooled()
    assert alignment_error_rate(whole) == pytest.approx(1 - (7 + 7) / (9 + 8))
    assert alignment_precision(whole) == pytest.approx(7 / 9)
    assert alignment_recall(whole) == pytest.approx(7 / 8)
    assert alignment_f1(whole) == pytest.approx(2 * 7 / (9 + 8))

    support = Counts.of(links_by_support(weights, mask), sure, possible, mask)
    # John: of five links "Jesus" to the article is possible, two are sure.
    np.testing.assert_array_equal(support.found, [5, 6, 4])
    np.testing.assert_array_equal(support.found_sure, [2, 4, 2])
    np.testing.assert_array_equal(support.found_possible, [3, 4, 2])
    expected = [1 - (2 + 3) / (5 + 2), 1 - 8 / 10, 1 - 4 / 6]
    np.testing.assert_allclose(alignment_error_rate(support), expected)

    # From the top: John .7 right, .6 right. Pray .9 right, .6 wrong, .4 right.
    found = alignment_average_precision(weights, sure, possible, mask)
    rejoice = (2 * 1 + 1 * 3 / 3 + 1 * 4 / 5) / 4
    np.testing.assert_allclose(found, [1, rejoice, (1 + 2 / 3) / 2])


def test_average_precision_is_that_of_all_comparisons():
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 6, (40, 4, 5)) / 5
    sure, possible = rng.random((2, *weights.shape)) < 0.2
    mask = rng.random(weights.shape) < 0.8
    sure &= mask
    judged = mask & (sure | ~possible)
    flat = (values.reshape(40, -1) for values in (sure, weights, judged))
    found = alignment_average_precision(weights, sure, possible, mask)
    np.testing.assert_allclose(found, average_precision(*flat), rtol=1e-12)


def test_gold_of_a_table_is_that_of_its_links():
    _, sure, possible, mask = padded()
    lengths = [(2, 3), (4, 2), (3, 2)]

    def links(cells):
        return [{"source": s, "target": t} for t, s in sorted(cells)]

    schema = SCHEMAS["sentence_pairs"]
    columns = {
        "target_length": [t for t, _ in lengths],
        "source_length": [s for _, s in lengths],
        "sure": [links(certain) for _, certain, _ in VERSES],
        "possible": [links(doubtful) for _, _, doubtful in VERSES],
    }
    fields = [schema.field(name) for name in columns]
    gold = padded_gold(pa.table(columns, schema=pa.schema(fields)))
    np.testing.assert_array_equal(gold.sure, sure)
    np.testing.assert_array_equal(gold.possible, possible)
    np.testing.assert_array_equal(gold.mask, mask)


def test_what_is_sure_is_possible_though_not_said_so():
    _, sure, possible, mask = padded()
    apart = Counts.of(mask, sure, possible, mask)
    together = Counts.of(mask, sure, possible | sure, mask)
    np.testing.assert_array_equal(np.stack(apart), np.stack(together))
    perfect = Counts.of(sure, sure, possible, mask)
    np.testing.assert_array_equal(alignment_error_rate(perfect), 0)
    generous = Counts.of(sure | possible, sure, possible, mask)
    np.testing.assert_array_equal(alignment_error_rate(generous), 0)
    np.testing.assert_array_equal(alignment_precision(generous), 1)


def test_where_there_is_nothing_to_count():
    nothing = np.zeros((1, 2, 2), bool)
    mask, gold = ~nothing, np.eye(2, dtype=bool)[None]
    none = Counts.of(nothing, gold, nothing, mask)
    np.testing.assert_array_equal(alignment_error_rate(none), [1])
    np.testing.assert_array_equal(alignment_precision(none), [NAN])
    np.testing.assert_array_equal(alignment_recall(none), [0])
    unmarked = Counts.of(nothing, nothing, nothing, mask)
    np.testing.assert_array_equal(alignment_error_rate(unmarked), [NAN])
    np.testing.assert_array_equal(alignment_recall(unmarked), [NAN])
    wrong = Counts.of(~gold, gold, nothing, mask)
    np.testing.assert_array_equal(alignment_f1(wrong), [0])
    assert np.isnan(best_threshold(np.zeros((1, 2, 2)), gold, nothing, mask))


def test_the_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(30):
        # few different values, so that they tie
        weights = rng.integers(0, 6, (3, 4, 5)) / 5
        sure, possible, mask = rng.random((3, *weights.shape)) < [[[[0.3]]]] * 2 + [
            [[[0.8]]]
        ]

        def error(threshold, weights=weights, gold=(sure, possible, mask)):
            links = links_by_threshold(weights, gold[2], threshold)
            return float(alignment_error_rate(Counts.of(links, *gold).pooled()))

        found = best_threshold(weights, sure, possible, mask)
        tried = {value: error(value) for value in np.unique(weights[weights > 0])}
        least = min(tried.values())
        assert tried[found] == pytest.approx(least)
        assert found == max(v for v, e in tried.items() if e == pytest.approx(least))


def test_a_word_is_predicted_by_one_step_and_read_by_the_next():
    weights = np.arange(6.0).reshape(1, 3, 2)
    np.testing.assert_array_equal(steps(weights)["predicts"], [[[0, 1], [2, 3]]])
    np.testing.assert_array_equal(steps(weights)["reads"], [[[2, 3], [4, 5]]])


def test_floors_of_place_and_chance():
    mask = np.zeros((2, 4, 4), bool)
    mask[0, :2, :4] = mask[1, :4, :2] = True
    diagonal = diagonal_weights(mask)
    np.testing.assert_allclose(diagonal[0, 0], [7 / 8, 7 / 8, 5 / 8, 3 / 8])
    links = links_by_argmax(diagonal, mask)
    np.testing.assert_array_equal(
        np.argwhere(links[1]), [[0, 0], [1, 0], [2, 1], [3, 1]]
    )
    assert not diagonal[~mask].any()
    even = uniform_weights(mask)
    np.testing.assert_array_equal(even[0, 0], [0.25] * 4)
    np.testing.assert_array_equal(even[1, 3], [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(links_by_argmax(even, mask), mask)


def even(place, words, length):
    return [1.0] * (len(words) + 1)


def near_the_diagonal(place, words, length):
    """Dyer et al. 2013, equation 1, of places in the middle of words; .08 of the empty one."""
    n = len(words)
    gaps = [abs((place + 0.5) / length - (s + 0.5) / n) for s in range(n)]
    total = sum(math.exp(-4 * gap) for gap in gaps)
    return [*(0.92 * math.exp(-4 * gap) / total for gap in gaps), 0.08]


def slow_model(source, target, iterations, prior):
    """IBM model 1 as Koehn 2010 writes it, figure 4.3, with an empty source word, and a prior."""
    t = {}

    def posterior(words, place, sentence):
        own = prior(place, words, len(sentence))
        pairs = zip(own, [*words, None], strict=True)
        given = [p * t.get((sentence[place], f), 1.0) for p, f in pairs]
        return [p / sum(given) for p in given]

    for _ in range(iterations):
        count, total = {}, {}
        for s, words in zip(source, target, strict=True):
            for place, e in enumerate(words):
                for f, p in zip([*s, None], posterior(s, place, words), strict=True):
                    count[e, f] = count.get((e, f), 0) + p
                    total[f] = total.get(f, 0) + p
        t = {(e, f): c / total[f] for (e, f), c in count.items()}
    return [
        np.array([posterior(s, place, words)[:-1] for place in range(len(words))])
        for s, words in zip(source, target, strict=True)
    ]


def sentences(repeat=True, count=25):
    """Ids of both sides; without ``repeat`` no sentence has a word twice."""
    rng = np.random.default_rng(1)

    def sentence(types):
        return rng.choice(types, rng.integers(1, 7), replace=repeat)

    return [sentence(9) for _ in range(count)], [sentence(11) for _ in range(count)]


@pytest.mark.parametrize("iterations", [0, 1, 4])
@pytest.mark.parametrize(
    ("model", "prior"), [(ibm_model_1, even), (diagonal_model_2, near_the_diagonal)]
)
def test_models_by_a_slow_loop(model, prior, iterations):
    source, target = sentences()
    found = model(source, target, iterations)
    sides = [s.tolist() for s in source], [t.tolist() for t in target]
    expected = slow_model(*sides, iterations, prior)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_model_1_as_nltk_has_it():
    translate = pytest.importorskip("nltk.translate", reason="nltk is not installed")
    # It adds up what the copies of a target word are given, so that there are none here.
    source, target = sentences(repeat=False)
    # There, words of the first sentence are drawn from those of the second.
    corpus = [
        translate.AlignedSent([f"e{e}" for e in t], [f"f{f}" for f in s])
        for s, t in zip(source, target, strict=True)
    ]
    table = translate.IBMModel1(corpus, 4).translation_table
    for s, t, found in zip(source, target, ibm_model_1(source, target, 4), strict=True):
        for row, e in zip(found, t, strict=True):
            given = [table[f"e{e}"][f] for f in [*(f"f{f}" for f in s), None]]
            np.testing.assert_allclose(
                row, np.array(given[:-1]) / sum(given), rtol=1e-6
            )


def test_model_1_finds_which_words_go_together():
    # das Haus, das Buch, ein Buch: the house, the book, a book (Koehn 2010)
    source = [np.array([0, 1]), np.array([0, 2]), np.array([3, 2])]
    target = [np.array([0, 1]), np.array([0, 2]), np.array([3, 2])]
    by_step = [ibm_model_1(source, target, n) for n in (0, 1, 4, 20)]
    for before, after in pairwise(by_step):
        assert all(
            (np.diag(a) > np.diag(b)).all() for a, b in zip(after, before, strict=True)
        )
