"""Weights over words as colours: for a notebook, a page and a terminal.

Each row is shown on a scale of its own, from nothing to its largest value, for an
importance has no unit that attention shares.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from attention_audit.records.tables import atomic_path

# The deepest colours (Okabe & Ito 2008): black letters can be read on both.
ATTENTION, IMPORTANCE = (230, 159, 0), (86, 180, 233)

# Elements carry their own style, as a notebook shares its page. A word is isolated by
# style and not by <bdi>, which would not count for the direction of its line.
_MAPS = """\
{% for map in maps %}
<section style="background:#fff;color:#222;padding:0.5em;margin:0.5em 0">
<p style="margin:0"><strong dir="auto">{{ map.prediction }}</strong></p>
<p style="margin:0;font-size:85%;color:#666" dir="auto">{{ map.title }}</p>
<table style="border-collapse:collapse;margin:0.5em 0">
{% for row in map.shaded() %}<tr>
<th style="text-align:left;vertical-align:top;white-space:nowrap;font-weight:normal;\
padding:0.3em 1em 0.3em 0">{{ row.name }}</th>
<td dir="auto" style="text-align:start;line-height:1.8;overflow-wrap:anywhere">
{% for word, value, colour in row.words %}<span title="{{ value }}" \
style="unicode-bidi:isolate;color:#000;background:{{ colour }};padding:0.1em 0.2em;\
border-radius:0.2em">{{ word }}</span>
{% endfor %}</td></tr>
{% endfor %}</table>
{% for note in map.notes %}<p style="margin:0;font-size:85%" dir="auto">{{ note }}.</p>
{% endfor %}</section>
{% endfor %}"""
_PAGE = (
    """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>attention-audit: explained</title>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;\
padding:0 1rem">
<p>Each row is shaded from nothing to its own largest value; a word's tooltip has its
value. In brackets: Kendall's tau-b of attention with the row.</p>
"""
    + _MAPS
    + "\n</html>\n"
)
_ENVIRONMENT = {"autoescape": True, "undefined": jinja2.StrictUndefined}


@dataclass(frozen=True)
class Row:
    """One row of words: each with its value and its colour, as text."""

    name: str
    words: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Heatmap:
    """n words and, by name, rows of n weights that are not negative, attention first."""

    title: str
    prediction: str
    words: Sequence[str]
    rows: Mapping[str, npt.NDArray]
    notes: Sequence[str]

    def shaded(self) -> Iterator[Row]:
        """The rows with a colour a word."""
        for i, (name, values) in enumerate(self.rows.items()):
            hue = IMPORTANCE if i else ATTENTION
            colours = [_colour(share, hue) for share in _shares(values)]
            shown = map("{:.4g}".format, values)
            yield Row(name, list(zip(self.words, shown, colours, strict=True)))


def _shares(values: npt.NDArray) -> npt.NDArray:
    """Values in [0, 1], as shares of the largest; 0 where all are."""
    largest = values.max()
    return values / largest if largest > 0 else np.zeros_like(values)


def _colour(share: float, hue: tuple[int, int, int]) -> str:
    """From white, where the share is 0, to the hue."""
    return "#" + "".join(f"{round(255 + share * (c - 255)):02x}" for c in hue)


def as_html(maps: Sequence[Heatmap]) -> str:
    """The maps one below the other, for a place inside a page."""
    return jinja2.Environment(**_ENVIRONMENT).from_string(_MAPS).render(maps=maps)


def write_page(maps: Sequence[Heatmap], path: str | Path) -> None:
    """Write a page that needs no other file."""
    page = jinja2.Environment(**_ENVIRONMENT).from_string(_PAGE).render(maps=maps)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _harmless(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", text)


def as_rich(heatmap: Heatmap, colours: bool) -> Iterator[RenderableType]:
    """The map for a terminal.

    Without colours a word is followed by its percentage of the row's largest value,
    where that is not 0.
    """
    yield Text(_harmless(heatmap.prediction), style="bold")
    yield Text(_harmless(heatmap.title), style="dim")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row, values in zip(heatmap.shaded(), heatmap.rows.values(), strict=True):
        line = Text()
        for (word, _, colour), share in zip(row.words, _shares(values), strict=True):
            percent = f":{share:.0%}" if share and not colours else ""
            style = f"black on {colour}" if colours else ""
            line.append(_harmless(word) + percent, style=style).append(" ")
        grid.add_row(Text(_harmless(row.name)), line)
    yield grid
    for note in heatmap.notes:
        yield Text(_harmless(f"{note}."))
