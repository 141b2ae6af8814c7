"""Where sentence pairs come from: a pinned package, the hub, one's own files.

A pair is a sentence in two languages, and which words of it people aligned, where they
did. Every source is read as a stream of `Pair`, in the order of its files.
"""

import gzip
import io
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attention_audit.data.archives import open_member
from attention_audit.data.formats import (
    cells_of,
    delimited_rows,
    readable,
    text_lines,
)
from attention_audit.data.sources import (
    hub_records,
    in_batches,
    local_records,
    some_rows,
)
from attention_audit.data.tokens import tokenize
from attention_audit.records import tables
from attention_audit.records.errors import AuditError, suggestion

_BATCH = 1000  # pairs held at once

Link = tuple[int, int]  # a source word and a target word, from 0


class Pair(NamedTuple):
    """One sentence pair of a source.

    ``split`` is "train", "dev" or "test" where the source has its own splits and "all"
    where it has none. A side without words is empty, and None where the source lacks it.
    ``group`` names what pairs share, such as a chapter, and ``classes`` the word class of
    every source word; both are None where the source tells of none.

    ``sure`` and ``possible`` are links between words, from 0, each in order and in one of
    the two; both are None where nobody aligned the pair.
    """

    split: str
    source: list[str] | None
    target: list[str] | None
    sure: list[Link] | None
    possible: list[Link] | None
    group: str | None
    classes: list[str] | None
    origin: str


# ---------------------------------------------------------------- alignments as text

_LINK = re.compile(r"(\d+)(?:-(\d+)([p?]?)|[p?](\d+))", re.ASCII)


def read_links(
    text: str, first: int, lengths: tuple[int, int], where: str
) -> tuple[list[Link], list[Link]] | tuple[None, None]:
    """Sure and possible links of a line such as "0-0 1-2 2-1p", in Pharaoh's format.

    ``i-j`` links the source word i with the target word j, counted from ``first``. What
    is possible and not sure is marked by p or ?, behind the link or in place of its
    hyphen; a link that stands there both ways is sure. Nothing stands where nobody
    aligned the pair. ``lengths`` are the words of both sides. Raises `AuditError` for
    anything else, and for a word that is not there.
    """
    found: dict[Link, bool] = {}
    for item in text.split():
        match = _LINK.fullmatch(item)
        if match is None:
            raise AuditError(
                f"{where}: {item[:40]!r} is no link. Expected links such as '0-0 1-2p', "
                "a source word, a hyphen, a target word, and p or ? where the link is "
                "possible and not sure, with white space between them."
            )
        source, hyphened, mark, marked = match.groups()
        link = int(source) - first, int(hyphened or marked) - first
        for side, place, length in zip(
            ("source", "target"), link, lengths, strict=True
        ):
            if not 0 <= place < length:
                raise AuditError(
                    f"{where}: the link '{item}' names the {side} word {place + first}, "
                    f"and this side has {length} words, counted from {first}. Correct the "
                    f"link, or set source.first_word to {1 - first} where that is the first "
                    "word's number; words are what white space separates."
                )
        found[link] = found.get(link, False) or not (mark or marked)
    if not found:
        return None, None
    links = sorted(found)
    return [k for k in links if found[k]], [k for k in links if not found[k]]


# ---------------------------------------------------------------- columns and lines

# What a row may hold; a source may name no column for the last two.
_OPTIONAL = ("alignment", "group")
_TEXTS = ("source", "target", "alignment", "group")


def _columns(source: Mapping[str, Any]) -> dict[str, str]:
    """The columns that a source names, by their keys."""
    optional = [key for key in _OPTIONAL if source[key] is not None]
    return {key: source[key] for key in ("source", "target", *optional)}


def _text_of(value: Any, place: str, key: str) -> str:
    """A text as it stands; null is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    raise AuditError(
        f"{place}: source.{key} should name a column of text, found "
        f"{type(value).__name__} {str(value)[:40]!r}. Name another column, or store text."
    )


def _words(text: str, source: Mapping[str, Any]) -> list[str]:
    if source["words"] == "tokenized":
        return tokenize(text, lowercase=False, replace_digits=False, strip_markup=False)
    return unicodedata.normalize("NFC", text).split()


def _as_pair(
    split: str,
    texts: Mapping[str, Any],
    source: Mapping[str, Any],
    places: Mapping[str, str],
) -> Pair:
    """A pair of the texts under ``source``, ``target`` and, where given, the others.

    ``places`` says where each of them stands, for messages.
    """
    sides = [
        _words(_text_of(texts[key], places[key], key), source)
        for key in ("source", "target")
    ]
    sure = possible = None
    if "alignment" in texts:
        place = places["alignment"]
        line = _text_of(texts["alignment"], place, "alignment")
        lengths = len(sides[0]), len(sides[1])
        sure, possible = read_links(line, source["first_word"], lengths, place)
    group = texts.get("group")
    # where the pair is empty, if a side of it is
    origin = places["target" if sides[0] and not sides[1] else "source"]
    group = None if group is None else str(group)
    return Pair(split, *sides, sure, possible, group, None, origin)


def _local(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Pair]:
    columns = _columns(source)
    for split, place, values in local_records(source, files, list(columns)):
        texts = dict(zip(columns, values, strict=True))
        yield _as_pair(split, texts, source, dict.fromkeys(columns, place))


def _lines(path: Path, key: str) -> Iterator[tuple[str, str]]:
    """Yield (place, line) of a text file, packed where its name ends in .gz."""
    if not path.is_file():
        raise AuditError(
            f"{path}: no such file. Correct source.files.{key}; a relative path starts at "
            "the working directory."
        )
    with (
        readable(str(path), "Check the file."),
        (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream,
    ):
        # A line end of Unicode is part of a line, as for the aligners that wrote these.
        lines = text_lines(stream, str(path), newline="\n")
        numbered = ((f"{path}, line {n}", line) for n, line in enumerate(lines, 1))
        yield from some_rows(numbered, str(path))


def _aligned_files(
    source: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str | Path]],
    notes: Counter,
) -> Iterator[Pair]:
    for split, named in files.items():
        keys = ("source", "target", *(k for k in ("alignment",) if k in named))
        paths = {key: Path(named[key]) for key in keys}
        streams = [_lines(paths[key], f"{split}.{key}") for key in keys]
        for number, rows in enumerate(itertools.zip_longest(*streams)):
            if None in rows:
                ended = keys[rows.index(None)]
                longer = keys[next(i for i, row in enumerate(rows) if row is not None)]
                raise AuditError(
                    f"{paths[ended]}: ends after line {number}, and {paths[longer]} goes "
                    f"on. Line n of source.files.{split}.{ended} belongs to line n of "
                    f"{longer}: fetch the file again if it is cut short, or name the files "
                    "that belong together."
                )
            texts = {key: row[1] for key, row in zip(keys, rows, strict=True)}
            places = {key: row[0] for key, row in zip(keys, rows, strict=True)}
            yield _as_pair(split, texts, source, places)


# ---------------------------------------------------------------- the hub


def _translation_of(
    value: Any, where: str, source: Mapping[str, Any]
) -> list[str | None]:
    """Both languages of a value of a column of translations."""
    languages = [source["source"], source["target"]]
    if not isinstance(value, Mapping):
        raise AuditError(
            f"{where}: column '{source['translation']}' should hold translations, found "
            f"{type(value).__name__} {str(value)[:40]!r}. Name another in "
            "source.translation, or null where each language has its own column."
        )
    for key, language in zip(("source", "target"), languages, strict=True):
        if language not in value:
            raise AuditError(
                f"{where}: column '{source['translation']}' has no language '{language}' "
                f"(source.{key}).{suggestion(language, value)}"
            )
    return [value[language] for language in languages]


def fetch_pairs(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy the sentence pairs of a hub data set to a "parallel_texts" table.

    ``source`` is a data set's ``source`` of kind hub: ``path``, ``name`` or None,
    ``revision``, ``splits`` (ours to the hub's), ``rows`` ({split: how many to take, from
    the first} or None), ``source`` and ``target``, columns of text, or languages of the
    column ``translation`` where that is named, and ``alignment`` and ``group``, columns or
    None. Raises `AuditError` without network, and where a split, a column, a language or
    all rows of a split are missing.
    """
    columns = _columns(source)
    if source["translation"] is not None:
        for key in ("source", "target"):
            del columns[key]
        columns = {"translation": source["translation"], **columns}

    def texts(split: str) -> Iterator[tuple]:
        for where, values in hub_records(source, split, columns):
            found = dict(zip(columns, values, strict=True))
            if "translation" in found:
                both = _translation_of(found["translation"], where, source)
                found |= zip(("source", "target"), both, strict=True)
            # what names a group may be a number
            group = found.get("group")
            found["group"] = None if group is None else str(group)
            for key in ("source", "target"):
                found[key] = _text_of(found[key], where, key)
            if found.get("alignment") is not None:
                _text_of(found["alignment"], where, "alignment")
            yield tuple(found.get(key) for key in _TEXTS)

    with tables.open_table(path, "parallel_texts", provenance) as table:
        for split, theirs in source["splits"].items():
            rows = some_rows(texts(theirs), f"{source['path']}, split '{theirs}'")
            limit = (source["rows"] or {}).get(split)
            for batch in in_batches(itertools.islice(rows, limit), _BATCH):
                found = dict(zip(_TEXTS, zip(*batch, strict=True), strict=True))
                table.write({"split": split, **found})


def _hub(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Pair]:
    numbers: Counter = Counter()
    keys = list(_columns(source))
    for table in tables.iterate_table(files["documents"], "parallel_texts", _BATCH):
        for row in table.to_pylist():
            split = row["split"]
            place = f"{source['path']}, split '{source['splits'][split]}', row "
            place += str(numbers[split])
            numbers[split] += 1
            texts = {key: row[key] for key in keys}
            yield _as_pair(split, texts, source, dict.fromkeys(texts, place))


# ---------------------------------------------------------------- the New Testament

# Files of the package bible-alignments. Ids are BBCCCVVVWWW: book, chapter, verse, word;
# those of the Greek have an n before them.
_GREEK = "data/sources/SBLGNT.tsv"
_ENGLISH = "data/eng/targets/BSB/nt_BSB.tsv"
_ALIGNED = "data/eng/alignments/BSB/SBLGNT-BSB-manual.json"
_GREEK_ID, _ENGLISH_ID = re.compile(r"n\d{11}"), re.compile(r"\d{11}")
# The books of the New Testament in the order of their numbers, 40 to 66 (USFM).
BOOKS = dict(
    zip(
        [
            "MAT",
            "MRK",
            "LUK",
            "JHN",
            "ACT",
            "ROM",
            "1CO",
            "2CO",
            "GAL",
            "EPH",
            "PHP",
            "COL",
            "1TH",
            "2TH",
            "1TI",
            "2TI",
            "TIT",
            "PHM",
            "HEB",
            "JAS",
            "1PE",
            "2PE",
            "1JN",
            "2JN",
            "3JN",
            "JUD",
            "REV",
        ],
        map(str, range(40, 67)),
        strict=True,
    )
)
_NAMES = {number: name for name, number in BOOKS.items()}
# What of a verse's number, BBCCCVVV, names the group that it is in.
_GROUPS = {"book": 2, "chapter": 5, "verse": 8}


class _Words(NamedTuple):
    """The words of one side."""

    verses: dict[str, list[str]]  # by number, in order
    places: dict[str, tuple[str, int]]  # verse and position of a word, by its id
    classes: dict[str, list[str]]  # as verses, where the file tells them


def _bible_words(
    path: Path, member: str, columns: Mapping[str, str], shape: re.Pattern
) -> _Words:
    """Read the words of one side; ``columns`` are those of id, word and what else."""
    where = f"{path}, file '{member}'"
    found = _Words({}, {}, {})
    with open_member(path, member) as stream:
        rows = cells_of(delimited_rows(stream, where, "\t", 0), where, columns)
        for place, cells in some_rows(rows, where):
            row = dict(zip(columns, cells, strict=True))
            if not shape.fullmatch(row["id"]):
                raise AuditError(
                    f"{place}: the id {row['id']!r} is not of the form {shape.pattern}. "
                    "Fetch the archive again, or pin the version that this reads."
                )
            if row["id"] in found.places:
                raise AuditError(
                    f"{place}: the id '{row['id']}' stands there twice. Fetch the archive "
                    "again, or pin the version that this reads."
                )
            if row.get("exclude"):
                continue
            verse = row.get("verse") or row["id"][-11:-3]
            words = found.verses.setdefault(verse, [])
            found.places[row["id"]] = verse, len(words)
            words.append(unicodedata.normalize("NFC", row["word"]))
            if "class" in row:
                found.classes.setdefault(verse, []).append(row["class"])
    return found


def _bible_links(
    path: Path, greek: _Words, english: _Words, notes: Counter
) -> dict[str, set[Link]]:
    """Links by verse; those of records that cross verses are counted."""
    where = f"{path}, file '{_ALIGNED}'"
    with open_member(path, _ALIGNED) as stream:
        try:
            records = json.load(io.TextIOWrapper(stream, encoding="utf-8"))["records"]
            ids = [
                [list(record[side]) for side in ("source", "target")]
                for record in records
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(
                f"{where}: is no alignment in Scripture Burrito's format "
                f"({type(error).__name__}: {error}). Fetch the archive again, or pin the "
                "version that this reads."
            ) from error
    links: dict[str, set[Link]] = {}
    for number, sides in enumerate(ids, 1):
        for side, words, known in zip(
            ("source", "target"), sides, (greek, english), strict=True
        ):
            for word in words:
                if word not in known.places:
                    raise AuditError(
                        f"{where}, record {number}: the {side} word '{word}' is none that "
                        "is read. Fetch the archive again, or pin the version that this "
                        "reads."
                    )
        places = itertools.product(
            [greek.places[word] for word in sides[0]],
            [english.places[word] for word in sides[1]],
        )
        crossed = False
        for (verse, i), (other, j) in places:
            if verse == other:
                links.setdefault(verse, set()).add((i, j))
            else:
                crossed = True
                notes["links_across_verses"] += 1
        notes["records_across_verses"] += crossed
    return links


def _bible(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Pair]:
    path = Path(files["archive"])
    columns = {"id": "id", "word": source["greek"], "class": "pos"}
    greek = _bible_words(path, _GREEK, columns, _GREEK_ID)
    columns = {"id": "id", "word": "text", "verse": "source_verse"}
    if not source["punctuation"]:
        columns["exclude"] = "exclude"
    english = _bible_words(path, _ENGLISH, columns, _ENGLISH_ID)
    links = _bible_links(path, greek, english, notes)
    held_out = {
        book: split
        for split, books in (source["held_out"] or {}).items()
        for book in books
    }
    size = _GROUPS[source["group"]]
    for verse in sorted(greek.verses.keys() | english.verses.keys()):
        book = _NAMES.get(verse[:2])
        sure = sorted(links[verse]) if verse in links else None
        split = held_out.get(book, "train") if held_out else "all"
        yield Pair(
            split,
            greek.verses.get(verse),
            english.verses.get(verse),
            sure,
            None if sure is None else [],
            verse[:size],
            greek.classes.get(verse),
            f"{book} {int(verse[2:5])}:{int(verse[5:])}",
        )


# ---------------------------------------------------------------- all of them

READERS: dict[
    str, Callable[[Mapping[str, Any], Mapping[str, Any], Counter], Iterator[Pair]]
] = {
    "aligned_files": _aligned_files,
    "bible": _bible,
    "hub": _hub,
    "local": _local,
}


def read_pairs(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Pair]:
    """Stream the sentence pairs of a data set, in the order of its files.

    ``source`` has a ``kind``. Of all but bible it has ``words``, "spaces" where white
    space alone separates words, as alignments need it, or "tokenized" (`tokenize`), and
    ``first_word``, the number that alignments give a sentence's first word, 0 or 1. By
    kind, with what ``files`` holds:

    - local: ``source`` and ``target``, ``alignment`` and ``group`` (columns, the last two
      or None), ``format``, ``delimiter``; {split: path}, see `local_records`.
    - aligned_files: {split: {"source": path, "target": path, "alignment": path}}, of which
      the last may lack; line n of each belongs to line n of the others.
    - hub: see `fetch_pairs`; {"documents": what it wrote}.
    - bible: ``greek`` ("text", the forms, or "lemma"), ``punctuation`` (whether English
      has it), ``group`` ("book", "chapter" or "verse"), ``held_out`` ({split: names of
      `BOOKS`} or None); {"archive": the wheel of bible-alignments}. A link is left out
      where its words stand in two verses.

    What a source leaves out is counted in ``notes``. Pairs without words on a side are
    passed on. Raises `AuditError` for a missing, empty or damaged file, files of unequal
    length, what is no link (`read_links`), and alignments of words that are tokenized.
    """
    aligned = source.get("alignment") is not None or any(
        isinstance(named, Mapping) and "alignment" in named for named in files.values()
    )
    if aligned and source["words"] != "spaces":
        raise AuditError(
            "source.words: alignments name words by their numbers, which 'tokenized' "
            "changes. Set it to spaces, or leave the alignments out."
        )
    yield from READERS[source["kind"]](source, files, notes)
