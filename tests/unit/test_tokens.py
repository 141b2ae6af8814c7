"""Texts cut into tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_audit.data.tokens import tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's GREAT, isn't it?", "it 's great , is n't it ?"),
        ("I can't; they won't; n't 's", "i ca n't ; they wo n't ; n't 's"),
        ("we've you'll I'd I'm they're", "we 've you 'll i 'd i 'm they 're"),
        ("O’Brien’s rock'n'roll", "o'brien 's rock'n'roll"),
        ("the 'quoted' word", "the ' quoted ' word"),
        ("a well-known sci-fi film", "a well-known sci-fi film"),
        ("wait... what--no -", "wait ... what -- no -"),
        ("in 1999 1,000.5 and 7/10", "in <num> <num> and <num> / <num>"),
        ("20-year-old 7th 1990s k-19", "20-year-old 7th 1990s k-19"),
        ("scores 10-15.", "scores <num> - <num> ."),
        ("so<br /><br />bad &amp; <i>dull</i>", "so bad & dull"),
        ("1 < 2 > 0 &lt;b&gt;", "<num> < <num> > <num> < b >"),
        ("cafe\u0301 caf\u00e9", "café café"),
        ("a\x96b\u00a0c\x00", "a b c"),
        ("", ""),
    ],
)
def test_tokens(text, expected):
    assert tokenize(text, True, True, True) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # spelt out where an editor would join or hide what counts
        ("\u0928\u092e\u0938\u094d\u0924\u0947 दुनिया।", "नमस्ते दुनिया ।"),
        ("ที่นี่ สวัสดี", "ที่นี่ สวัสดี"),
        ("مُحَمَّدٌ رَسُولٌ", "مُحَمَّدٌ رَسُولٌ"),
        ("שָׁלוֹם, צה״ל", "שָׁלוֹם , צה״ל"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 می", "می\u200cخواهم می"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("İstanbul q\u0323\u0307x", "i\u0307stanbul q\u0323\u0307x"),
        ("co\u00adoperate \ufeffhi\u200f &shy;", "cooperate hi"),
        ("a\u200bb \u200d", "a b"),
        ("well\u2011known col·lecció", "well-known col·lecció"),
        ("so \U0001f469\u200d\U0001f467\U0001f44d\U0001f3fd", "so 👩\u200d👧 👍🏽"),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7!", "🇩🇪 🇫🇷 !"),
        ("\u0967\u0968 ۱۲٫۵ 5\u200c\u0645", "<num> <num> 5\u200c\u0645"),
        # a sign that goes before its letter, here before a space
        ("\u0600 a", "\u0600 a"),
        ("don't\u0301 isn't", "don't\u0301 is n't"),
    ],
)
def test_marks_and_joiners_stay_in_their_word(text, expected):
    assert tokenize(text, True, True, True) == expected.split(" ")


def test_settings_switch_each_step_off():
    text = "Film No 7 is<br>Good"
    for switches, expected in [
        ((False, True, True), "Film No <num> is Good"),
        ((True, False, True), "film no 7 is good"),
        ((True, True, False), "film no <num> is < br > good"),
    ]:
        assert tokenize(text, *switches) == expected.split()


printable = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))


@given(printable)
def test_tokens_lose_nothing_but_white_space(text):
    assert "".join(tokenize(text, False, False, False)) == "".join(text.split())


# Signs that join what is beside them, and what they must not join.
joining = st.text("a7 '-.\t\u0301\u0600\u200b\u200c\u200d\u093e\ufe0f\u2028\U0001f469")


@given(st.text() | joining, st.booleans(), st.booleans(), st.booleans())
def test_tokens_hold_no_white_space(text, lowercase, replace_digits, strip_markup):
    tokens = tokenize(text, lowercase, replace_digits, strip_markup)
    assert " ".join(tokens).split() == tokens
