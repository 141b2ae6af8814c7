"""Texts cut into tokens: words, numbers and single marks."""

import hashlib
import html
import importlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import regex

NUMBER = "<num>"
_TAG = regex.compile(r"<(?:/?[a-zA-Z]|!)[^<>]*>")

_CHARACTERS = {
    **dict.fromkeys(map(ord, "‘’\x91\x92"), "'"),
    **dict.fromkeys((0x2010, 0x2011), "-"),  # hyphens that typesetters use
    # Invisible: soft hyphen, marks of writing direction, byte order mark and the like
    # (default-ignorable format characters, less those that a word is spelt with).
    **dict.fromkeys((0xAD, 0x61C, 0x180E, 0x200E, 0x200F, 0xFEFF)),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2060, 0x2070))),
}

_LETTER = r"[\p{L}\p{N}]"

# Marks and the two joiners belong to the character before them (UAX 29, rule WB4).
_INNER = r"[\p{L}\p{N}\p{M}\u200c\u200d]"
_RUN = rf"{_LETTER}{_INNER}*+"
_CLITIC = rf"'(?i:s|re|ve|ll|d|m)(?!{_INNER})"
_NOT = rf"(?i:n't)(?!{_INNER})"

# Between two runs of a word: besides ' and - the dot of Catalan, two marks of Hebrew.
_TOKEN = regex.compile(
    rf"""
      (?P<number> \p{{Nd}}++ (?:[.,\u066b\u066c]\p{{Nd}}++)*+  # 7, 1,000.5; not 7th
          (?! ['-]? [\p{{L}}\p{{M}}\p{{Nl}}\p{{No}}\u200c\u200d] ) )
    | (?= {_INNER}++'(?i:t) ) {_LETTER}{_INNER}*? (?= {_NOT} )  # does|n't
    | {_NOT}
    | {_CLITIC}                                                # it|'s
    | {_RUN} (?: (?!{_CLITIC}) ['\-\u00b7\u05f3\u05f4] {_RUN} )*+  # o'brien, well-known
    | \.\.\. | --
    | (?= [^\s\p{{Cc}}\u200b-\u200d] )                         # no control, no joiner
      (?: \p{{Grapheme_Cluster_Break=Prepend}} | \X )          # one mark, one emoji
    """,
    regex.VERBOSE,
)


def without_markup(text: str) -> str:
    """A text without HTML tags, its entities replaced by their characters."""
    return html.unescape(_TAG.sub(" ", text))


def tokenize(
    text: str, lowercase: bool, replace_digits: bool, strip_markup: bool
) -> list[str]:
    """Cut a text into words, numbers and single marks; no token holds white space.

    Contractions are cut as in the Penn Treebank ("does n't", "it 's"), because the
    words of pretrained vectors are. Inner hyphens and other apostrophes stay. With
    ``strip_markup`` HTML tags are removed and entities replaced by their characters;
    with ``replace_digits`` each number that stands alone becomes "<num>", as in Jain
    & Wallace (2019). Tokens are in Unicode normal form C. Combining marks and joiners
    stay in their word, a sequence of emoji that is drawn as one picture is one token,
    and soft hyphens and other invisible characters are removed. A script that is
    written without spaces comes out as one token a run of characters.
    """
    if strip_markup:
        text = without_markup(text)
    if lowercase:
        text = text.lower()
    text = unicodedata.normalize("NFC", text.translate(_CHARACTERS))
    return [
        NUMBER if replace_digits and match.lastgroup == "number" else match.group()
        for match in _TOKEN.finditer(text)
    ]


# As `html.unescape` finds what may be an entity.
_ENTITY = regex.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")

_CLUSTER = regex.compile(r"\X")

# A text of which it is told where its characters came from, [start, end).
_Traced = list[tuple[str, int, int]]


def _whole(traced: _Traced) -> str:
    return "".join(character for character, _, _ in traced)


def _replaced(
    traced: _Traced, pattern: regex.Pattern, new: Callable[[str], str]
) -> _Traced:
    """What a pattern matches replaced; the new characters come from all of the match."""
    found, at = [], 0
    for match in pattern.finditer(_whole(traced)):
        first, last = match.span()
        found += traced[at:first]
        start, end = traced[first][1], traced[last - 1][2]
        found += [(character, start, end) for character in new(match.group())]
        at = last
    return found + traced[at:]


def token_spans(
    text: str, lowercase: bool, replace_digits: bool, strip_markup: bool
) -> list[tuple[int, int]]:
    """Where the tokens of `tokenize` stand in a text: first character, and behind the last.

    Raises ValueError where that cannot be told.
    """
    traced = [(character, i, i + 1) for i, character in enumerate(text)]
    if strip_markup:
        traced = _replaced(traced, _TAG, lambda tag: " ")
        traced = _replaced(traced, _ENTITY, html.unescape)
    if lowercase:
        traced = [(new, *at) for old, *at in traced for new in old.lower()]
    traced = [(new, *at) for old, *at in traced for new in old.translate(_CHARACTERS)]
    # A letter and the marks upon it are one cluster.
    traced = _replaced(traced, _CLUSTER, lambda c: unicodedata.normalize("NFC", c))
    spans = [
        (traced[match.start()][1], traced[match.end() - 1][2])
        for match in _TOKEN.finditer(_whole(traced))
    ]
    if len(spans) != len(tokenize(text, lowercase, replace_digits, strip_markup)):
        raise ValueError("its tokens cannot be told apart in it")
    return spans


def marked_tokens(
    text: str, settings: Mapping[str, Any], rationale: Iterable[tuple[int, int]]
) -> list[bool]:
    """Whether each token that a model reads has a character within ``rationale``.

    That are spans [start, end) of the text's characters; ``settings`` are those of
    `cut_tokens`. Raises ValueError as `token_spans` does.
    """
    within = np.zeros(len(text) + 1, dtype=np.int64)
    for start, end in rationale:
        within[start:end] = 1
    before = np.concatenate([[0], within.cumsum()])
    spans = token_spans(text, **{key: settings[key] for key in TOKENIZATION})
    return [
        bool(before[end] > before[start])
        for start, end in spans[: settings["max_length"]]
    ]


# What of a data set's settings decides which tokens its texts have.
TOKENIZATION = ("lowercase", "replace_digits", "strip_markup")


# What cuts a text into words, in the place of `tokenize`.
Words = Callable[[str], list[str]]


def cut_tokens(
    text: str, settings: Mapping[str, Any], words: Words | None = None
) -> tuple[list[str], list[str]]:
    """All tokens of a text, and those that a model reads: the first ``max_length``.

    ``settings`` has the keys of `TOKENIZATION` (see `tokenize`) and ``max_length``, a
    number or None. Where ``words`` of a pretrained model's tokenizer are given, they are
    the tokens, of the text without markup.
    """
    if words is not None:
        tokens = words(without_markup(text) if settings["strip_markup"] else text)
    else:
        tokens = tokenize(text, **{key: settings[key] for key in TOKENIZATION})
    return tokens, tokens[: settings["max_length"]]


def words_of(path: str | Path) -> Words:
    """What cuts a text into the words of a pretrained model's tokenizer, by its file.

    Found by its name, so that a job depends on it where it is told of it, and not where a
    data set is cut into words of ours.
    """
    pieces = importlib.import_module("attention_audit.data.word_pieces")
    return pieces.splitter(path)


def text_hash(tokens: list[str]) -> bytes:
    """32 bytes that identify a text; see `Texts` for their use.

    Tokens hold no white space, so that different sequences are different strings.
    """
    return hashlib.blake2b(" ".join(tokens).encode(), digest_size=32).digest()
