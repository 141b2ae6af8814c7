"""Words as colours: whole, escaped and harmless, whatever the words are."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from attention_audit.figures.heatmap import Heatmap, as_html, as_rich, write_page

ODD = [
    "<script>alert('x')</script>",
    '"',
    "'",
    "&amp;",
    "{{",
    "[red]",
    "שָׁלוֹם",
    "👩\u200d👧",
]


def heatmap(words=ODD, note="a <b>note</b>") -> Heatmap:
    n = len(words)
    return Heatmap(
        title="imdb/<i>",
        prediction='positive "</section>"',
        words=words,
        rows={
            "attention": np.arange(n, dtype=np.float32),
            "input_gradient (0.20)": np.zeros(n, np.float32),
            "a<b": np.full(n, 0.25, np.float32),
        },
        notes=[note],
    )


class Page(HTMLParser):
    """The text of a page, its tags, and every word with its tooltip and its style."""

    def __init__(self, text: str):
        super().__init__()
        self.text, self.tags, self.words = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "span":
            self.words.append([dict(attributes), ""])

    def handle_data(self, data):
        self.text += data
        if self.tags[-1:] == ["span"] and data.strip():
            self.words[-1][1] += data.strip()


@pytest.mark.parametrize("whole", [True, False])
def test_everything_is_shown_and_nothing_is_obeyed(tmp_path, whole):
    if whole:
        write_page([heatmap(), heatmap()], tmp_path / "x.html")
        text = (tmp_path / "x.html").read_text(encoding="utf-8")
        assert "http" not in text and "src=" not in text  # needs no other file
    else:
        text = as_html([heatmap(), heatmap()])
    page = Page(text)
    assert not {"script", "b", "i"} & set(page.tags)
    assert page.tags.count("section") == 2
    assert [word for _, word in page.words] == ODD * 6
    for shown in ("imdb/<i>", 'positive "</section>"', "a <b>note</b>.", "a<b"):
        assert page.text.count(shown) == 2
    # a word of another direction does not turn those beside it
    assert all("unicode-bidi:isolate" in word["style"] for word, _ in page.words)
    assert text.count('<td dir="auto"') == 6


def test_a_colour_is_the_share_of_the_largest_of_its_row():
    attention, zero, same = heatmap(["a", "b", "c"]).shaded()
    assert attention.words == [
        ("a", "0", "#ffffff"),
        ("b", "1", "#f2cf80"),
        ("c", "2", "#e69f00"),
    ]
    assert {colour for *_, colour in zero.words} == {"#ffffff"}
    assert {colour for *_, colour in same.words} == {"#56b4e9"}


def printed(shown: Heatmap, colours: bool) -> str:
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=500
    )
    console.print(*as_rich(shown, colours), sep="\n")
    return console.file.getvalue()


def test_a_terminal_shows_colours_or_else_numbers():
    assert "\x1b[30;48;2;230;159;0m[red]" in printed(heatmap(["a", "[red]"]), True)
    plain = printed(heatmap(["a", "b", "c"]), False)
    assert "a b:50% c:100%" in plain
    assert "a b c" in plain and "a:100% b:100% c:100%" in plain
    assert all(word in printed(heatmap(), False) for word in ODD)


def test_a_terminal_is_told_nothing_but_text():
    rude = "\x1b[2J\x07\x9b1m"
    shown = heatmap(["a\x1b]0;title\x07"], note=rude)
    assert "\x1b[2J" not in printed(shown, True)
    assert "\x1b]" not in printed(shown, True) and "\x07" not in printed(shown, True)
