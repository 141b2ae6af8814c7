"""Texts cut into tokens: words, numbers and single marks."""

import hashlib
import html
import importlib
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
