"""Lexicons: what people feel at a word by itself, its valence.

That is no rationale. Nobody marked what decides a text: a rated word may be beside its
point, and one that nobody rated may decide it.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attention_audit.data.archives import open_member
from attention_audit.data.formats import readable, text_lines
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

# What tokenizers of pieces put before a word that follows a space.
_MARKS = "Ġ▁"


def read_lexicon(path: str | Path, member: str | None = None) -> dict[str, float]:
    """The rating of each word, from lines of a word, a rating and whatever else, by tabs.

    ``member`` is the file in the archive ``path``; without it ``path`` is the file. Words
    are in lower case, and of a word that stands twice the first rating is taken.

    Raises `AuditError`, naming the line, where a word has no finite number.
    """
    where = str(path) if member is None else f"{path}, file '{member}'"
    found: dict[str, float] = {}
    with (
        readable(where, "Check the entry under lexicons."),
        Path(path).open("rb")
        if member is None
        else open_member(path, member) as stream,
    ):
        for number, line in enumerate(text_lines(stream, where, "\n"), 1):
            if not line.strip():
                continue
            word, rating, *_ = *line.rstrip("\r\n").split("\t"), ""
            try:
                value = float(rating)
            except ValueError:
                value = math.nan
            if not word or not math.isfinite(value):
                raise AuditError(
                    f"{where}, line {number}: expected a word and its rating with a tab "
                    f"between them, got {line[:60]!r}."
                )
            found.setdefault(word.lower(), value)
    if not found:
        raise AuditError(f"{where}: holds no word.")
    return found


def ratings_of(
    examples: str | Path, lexicon: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """The ratings (n,) of the words of each text of a split, by its id; 0 where none is."""
    table = tables.read_table(examples, "examples", columns=["instance_id", "tokens"])
    ids, texts = (table[name].to_pylist() for name in ("instance_id", "tokens"))
    return {
        name: np.array([lexicon.get(word.lstrip(_MARKS).lower(), 0.0) for word in text])
        for name, text in zip(ids, texts, strict=True)
    }
