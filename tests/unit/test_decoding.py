"""Greedy and beam search, against all sentences that a toy decoder can write."""

import itertools
import math

import numpy as np
import pytest
import torch

from attention_audit.models.decoding import largest, length_penalty, search
from attention_audit.records.errors import AuditError

START, END = 0, 1
VOCABULARY = 4


class Toy:
    """Logits that depend on the sentence and on all tokens before; it counts its steps."""

    def __init__(self, vocabulary=VOCABULARY, scale=1.5):
        self.vocabulary, self.scale = vocabulary, scale
        self.rows = []

    def start(self, hidden, mask):
        return [(number,) for number in hidden[:, 0, 0].tolist()]

    def step(self, tokens, state):
        self.rows.append(len(tokens))
        state = [
            (*past, token) for past, token in zip(state, tokens.tolist(), strict=True)
        ]
        return torch.stack([self.logits(past) for past in state]), state

    def select(self, state, rows):
        return [state[row] for row in rows.tolist()]

    def logits(self, past):
        seed = hash(tuple(map(int, past))) % 2**31
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(self.vocabulary, generator=generator, dtype=torch.float64)
        return self.scale * values

    def log_probability(self, sentence, words):
        total, past = 0.0, (float(sentence), START)
        for word in (*words, END):
            total += self.logits(past).log_softmax(-1)[word].item()
            past = (*past, word)
        return total


def sentences(*numbers):
    hidden = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1)
    return hidden, torch.ones(len(numbers), 1, dtype=torch.bool)


def found(decoder, numbers, limits, beam, alpha=0.6, **more):
    return search(
        decoder,
        *sentences(*numbers),
        limits,
        beam=beam,
        alpha=alpha,
        start=START,
        end=END,
        **more,
    )


def greedy(decoder, sentence, limit):
    """The most probable token, again and again; the oracle of a beam of one."""
    words, past = [], (float(sentence), START)
    while len(words) < limit:
        word = int(decoder.logits(past).argmax())
        if word == END:
            break
        words.append(word)
        past = (*past, word)
    return words


NUMBERS = range(12)
LIMITS = [n % 4 for n in NUMBERS]


def test_a_beam_of_one_takes_the_most_probable_token_until_that_is_the_end():
    toy = Toy()
    hypotheses = found(toy, NUMBERS, [12] * len(NUMBERS), beam=1)
    for number, hypothesis in zip(NUMBERS, hypotheses, strict=True):
        assert hypothesis.tokens == greedy(toy, number, 12)
        assert hypothesis.ended
        assert math.isclose(
            hypothesis.log_probability, toy.log_probability(number, hypothesis.tokens)
        )
    assert len({len(h.tokens) for h in hypotheses}) > 2


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_beam_that_holds_everything_finds_the_best_sentence_of_all(alpha):
    toy = Toy(vocabulary=3)
    limit, words = 3, [START, 2]
    hypotheses = found(toy, NUMBERS, [limit] * len(NUMBERS), 3**limit, alpha)
    for number, hypothesis in zip(NUMBERS, hypotheses, strict=True):
        scores = {
            sentence: toy.log_probability(number, sentence)
            / length_penalty(length + 1, alpha)
            for length in range(limit + 1)
            for sentence in itertools.product(words, repeat=length)
        }
        best = max(scores, key=scores.get)
        assert tuple(hypothesis.tokens) == best
        assert math.isclose(hypothesis.score, scores[best])
        assert hypothesis.ended == (len(best) < limit)


def test_a_wider_beam_finds_what_greedy_search_overlooks():
    class Trap(Toy):
        """The likelier first word is followed by nothing that is likely."""

        def logits(self, past):
            match past[2:]:
                case ():
                    p = [0.0, 0.0, 0.6, 0.4]
                case (2,):
                    p = [0.3, 0.3, 0.2, 0.2]
                case _:
                    p = [0.0, 1.0, 0.0, 0.0]
            return torch.tensor(p, dtype=torch.float64).log()

    (narrow,) = found(Trap(), [0], [2], beam=1, alpha=0.0)
    (wide,) = found(Trap(), [0], [2], beam=2, alpha=0.0)
    assert narrow.tokens == [2, 0]
    assert wide.tokens == [3] and math.isclose(wide.log_probability, math.log(0.4))


@pytest.mark.parametrize("beam", [1, 3])
def test_sentences_together_are_as_each_by_itself(beam):
    together = found(Toy(), NUMBERS, LIMITS, beam)
    alone = [found(Toy(), [n], [LIMITS[n]], beam)[0] for n in NUMBERS]
    assert together == alone


def test_no_sentence_is_longer_than_its_limit_and_one_that_is_cut_says_so():
    hypotheses = found(Toy(), NUMBERS, LIMITS, beam=2)
    lengths = np.array([len(h.tokens) for h in hypotheses])
    ended = np.array([h.ended for h in hypotheses])
    assert (lengths <= LIMITS).all()
    assert (ended == (lengths < LIMITS)).all() and ended.any() and not ended.all()


def test_no_sentence_is_shorter_than_its_floor():
    floors = [2 * n for n in LIMITS]
    free, held = (
        found(Toy(), NUMBERS, [9] * len(NUMBERS), beam=2, floors=given)
        for given in (None, floors)
    )
    lengths = np.array([len(h.tokens) for h in held])
    assert (lengths >= floors).all() and (lengths == floors).any()
    unchanged = np.array([len(h.tokens) for h in free]) >= floors
    assert unchanged.any() and not unchanged.all()
    exact = found(Toy(), NUMBERS, LIMITS, beam=1, floors=LIMITS)
    assert [len(h.tokens) for h in exact] == LIMITS


def test_no_two_hypotheses_of_a_sentence_are_the_same():
    class Watched(Toy):
        def step(self, tokens, state):
            logits, state = super().step(tokens, state)
            # at first one is real, and the others have no probability
            assert len(state[0]) == 2 or len(set(state)) == len(state)
            return logits, state

    found(Watched(), NUMBERS, [6] * len(NUMBERS), beam=3)


def test_what_is_done_takes_no_more_steps():
    toy = Toy()
    hypotheses = found(toy, NUMBERS, [9] * len(NUMBERS), beam=1)
    steps = [min(len(h.tokens) + 1, 10) for h in hypotheses]
    assert toy.rows == [sum(s > t for s in steps) for t in range(max(steps))]


def test_of_equals_the_first_is_taken():
    class Level(Toy):
        def logits(self, past):
            # the end is as likely as any other
            return torch.zeros(self.vocabulary, dtype=torch.float64)

    (hypothesis,) = found(Level(), [0], [3], beam=1)
    assert hypothesis.tokens == [0, 0, 0] and not hypothesis.ended
    (hypothesis,) = found(Level(), [0], [3], beam=1, barred=[0])
    assert hypothesis.tokens == [] and hypothesis.ended
    (hypothesis,) = found(Level(), [0], [3], beam=2)
    assert hypothesis.tokens == [] and hypothesis.ended
    # equal over the penalty too, so that the shorter one is only earlier
    (hypothesis,) = found(Level(), [0], [3], beam=64, alpha=1e-12)
    assert hypothesis.tokens == []


def test_a_token_that_is_barred_is_never_written():
    hypotheses = found(Toy(), NUMBERS, [6] * len(NUMBERS), beam=3, barred=[START, 3])
    assert {word for h in hypotheses for word in h.tokens} == {2}


def test_the_largest_are_in_order_and_of_equals_the_first_first():
    values = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    for count in (1, 2, 4):
        top, places = largest(values, count)
        assert top.tolist() == [[3, 3, 3, 2][:count], [0, 0, 0, 0][:count]]
        assert places.tolist() == [[1, 2, 4, 3][:count], [0, 1, 2, 3][:count]]
    # without equals
    values = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    top, places = largest(values, 7)
    order = values.argsort(descending=True, stable=True)[:, :7]
    assert places.tolist() == order.tolist()
    assert top.tolist() == values.gather(1, order).tolist()


def test_the_penalty_is_that_of_the_paper():
    assert length_penalty(1, 0.6) == 1.0
    assert math.isclose(length_penalty(13, 1.0), 3.0)
    assert length_penalty(40, 0.0) == 1.0


def test_a_model_that_is_broken_is_named():
    class Broken(Toy):
        def logits(self, past):
            return torch.full((self.vocabulary,), math.nan, dtype=torch.float64)

    with pytest.raises(AuditError, match="no token a finite probability"):
        found(Broken(), [0], [3], beam=2)
