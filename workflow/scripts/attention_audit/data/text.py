"""From documents to token ids: tokens, splits, vocabulary.

`prepare_dataset` writes what training reads. It goes over the source once, keeps the
texts and their tokens in a temporary Parquet file and holds in memory only a hash and a
few integers a text, so that the size of a data set is bounded by the disk. `TextReader`
reads any other text in the same way.
"""

import contextlib
import hashlib
import html
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import regex
from tqdm import tqdm

from attention_audit.data.batches import UNK
from attention_audit.data.columns import clean_label
from attention_audit.data.sources import Document
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

SPECIALS = ("<pad>", "<unk>")
NUMBER = "<num>"
SPLITS = ("train", "dev", "test")

_BATCH = 1000  # texts held at once
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# ---------------------------------------------------------------- tokens

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
        text = html.unescape(_TAG.sub(" ", text))
    if lowercase:
        text = text.lower()
    text = unicodedata.normalize("NFC", text.translate(_CHARACTERS))
    return [
        NUMBER if replace_digits and match.lastgroup == "number" else match.group()
        for match in _TOKEN.finditer(text)
    ]


# What of a data set's settings decides which tokens its texts have.
TOKENIZATION = ("lowercase", "replace_digits", "strip_markup")


def cut_tokens(text: str, settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """All tokens of a text, and those that a model reads: the first ``max_length``.

    ``settings`` has the keys of `TOKENIZATION` (see `tokenize`) and ``max_length``, a
    number or None.
    """
    tokens = tokenize(text, **{key: settings[key] for key in TOKENIZATION})
    return tokens, tokens[: settings["max_length"]]


def _hash(tokens: list[str]) -> bytes:
    """32 bytes that identify a text; see `_Texts` for their use.

    Tokens hold no white space, so that different sequences are different strings.
    """
    return hashlib.blake2b(" ".join(tokens).encode(), digest_size=32).digest()


def token_ids_of(tokens: list[str], ids: Mapping[str, int]) -> list[int]:
    """The ids of tokens; those that the vocabulary lacks are UNK."""
    return [ids.get(token, UNK) for token in tokens]


class Reading(NamedTuple):
    """What a model reads of one text: n tokens.

    ``notes`` says in words what it does not.
    """

    instance_id: str
    tokens: list[str]
    token_ids: np.ndarray  # (n,) int64
    notes: list[str]


@dataclass(frozen=True)
class TextReader:
    """Reads a text as the texts of a data set were read when it was prepared."""

    settings: Mapping[str, Any]  # as `cut_tokens` takes them
    ids: Mapping[str, int]  # of the tokens of the vocabulary

    @classmethod
    def of(cls, card: str | Path, vocabulary: str | Path) -> "TextReader":
        """The reader of a prepared data set, by its card and its vocabulary."""
        described = tables.read_json(card)
        if "tokenization" not in described:
            raise tables.mismatch(card, "does not say how its texts were read")
        column = tables.read_table(vocabulary, "vocabulary", ["token"])["token"]
        ids = {token: i for i, token in enumerate(column.to_pylist())}
        return cls(described["tokenization"], ids)

    def read(self, text: str) -> Reading:
        """Raises `AuditError` for what is no text, or has no token."""
        shown = repr(text if len(text) <= 40 else f"{text[:40]}...")
        try:
            tokens, cut = cut_tokens(text, self.settings)
            instance_id = _hash(tokens)[:8].hex()
        except UnicodeEncodeError as error:
            raise AuditError(f"{shown}: no valid Unicode ({error}).") from error
        if not tokens:
            raise AuditError(
                f"{shown}: holds no word and no mark. Give a text that has some."
            )
        token_ids = np.array(token_ids_of(cut, self.ids), dtype=np.int64)
        notes = []
        if len(cut) < len(tokens):
            notes.append(
                f"cut to the first {len(cut)} of {len(tokens)} tokens, as the data set's "
                "max_length says"
            )
        unknown = [t for t, i in zip(cut, token_ids, strict=True) if i == UNK]
        if len(unknown) == len(cut):
            notes.append(
                "no token stands in the vocabulary: the model cannot tell one from another"
            )
        elif unknown:
            notes.append(
                f"{len(unknown)} of {len(cut)} tokens do not stand in the vocabulary: "
                f"{' '.join(dict.fromkeys(unknown))}"
            )
        return Reading(instance_id, cut, token_ids, notes)


# ---------------------------------------------------------------- reading and dropping

_SOURCE_SPLITS = ("train", "dev", "test", "all")
# The order in which a text that stands in several splits is kept: a copy of a test
# text leaves the training data, never the other way round.
_KEPT_FIRST = ("test", "dev", "train")
_DROPPED = -1

_SPOOL = pa.schema(
    [
        pa.field("split", pa.int8(), nullable=False),  # index in _SOURCE_SPLITS
        pa.field("label", pa.int32(), nullable=False),  # index in order of appearance
        pa.field("hash", pa.binary(32), nullable=False),  # of the whole text
        pa.field("cut_hash", pa.binary(32), nullable=False),  # of what is kept of it
        pa.field("length", pa.int32(), nullable=False),  # before the cut
        pa.field("tokens", pa.list_(pa.string()), nullable=False),  # after the cut
        pa.field("text", pa.string(), nullable=False),  # as it stands in the source
    ]
)


@dataclass
class _Texts:
    """What is held in memory of every text of the spool, in its order.

    ``words`` (N, 4) are the 64-bit words of the hash of all its tokens: the first two
    identify the text, the third draws its split and the fourth its turn under a cap.
    They are independent of each other, so that neither draw depends on the order of
    ids, and none depends on where texts are cut. ``cut`` (N, 2) identifies what is left
    of the text then, which is what a model reads.
    """

    split: np.ndarray  # (N,) index in _SOURCE_SPLITS
    label: np.ndarray  # (N,) index of the class
    words: np.ndarray  # (N, 4) uint64
    cut: np.ndarray  # (N, 2) uint64
    full_length: np.ndarray  # (N,) tokens before the cut


def _checked_text(text: Any, name: str, number: int) -> str:
    """``text``, of a text or a label, where UTF-8 can write it."""
    if not isinstance(text, str):
        raise AuditError(
            f"datasets.{name}: document {number} is {type(text).__name__}, not text. "
            "Name the column of texts in source.text."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise AuditError(
            f"datasets.{name}: document {number} is no valid Unicode ({error}). "
            "Store the source as UTF-8."
        ) from error
    return text


def _write_spool(
    path: Path,
    name: str,
    settings: Mapping[str, Any],
    documents: Iterable[Document],
) -> tuple[list[str], Counter]:
    """Tokenize documents into ``path``; return class names and counts of dropped."""
    classes: dict[str, int] = {}
    dropped: Counter = Counter()
    batch: dict[str, list] = {field: [] for field in _SPOOL.names}
    # No total: a stream does not know its length. Silent where there is no terminal.
    progress = tqdm(documents, desc=name, unit=" texts", disable=None)
    with tables.open_table(path, _SPOOL, {}) as spool:
        for number, (split, text, label) in enumerate(progress, 1):
            if label is None:
                dropped["unlabelled"] += 1
                continue
            text = "" if text is None else _checked_text(text, name, number)
            tokens, cut = cut_tokens(text, settings)
            if not tokens:
                dropped["empty"] += 1
                continue
            batch["split"].append(_SOURCE_SPLITS.index(split))
            if label not in classes:
                classes[_checked_text(label, name, number)] = len(classes)
            batch["label"].append(classes[label])
            batch["hash"].append(_hash(tokens))
            batch["cut_hash"].append(_hash(cut))
            batch["length"].append(len(tokens))
            batch["tokens"].append(cut)
            batch["text"].append(text)
            if len(batch["split"]) == _BATCH:
                spool.write(batch)
                batch = {field: [] for field in _SPOOL.names}
        spool.write(batch)
    return list(classes), dropped


def _hash_words(hashes: pa.ChunkedArray) -> np.ndarray:
    """The four 64-bit words of each hash: (N, 4) uint64."""
    joined = b"".join(hashes.to_pylist())
    return np.frombuffer(joined, dtype=">u8").reshape(-1, 4).astype(np.uint64)


def _read_texts(path: Path) -> _Texts:
    columns = ["split", "label", "hash", "cut_hash", "length"]
    table = tables.read_table(path, _SPOOL, columns)
    return _Texts(
        table["split"].to_numpy(),
        table["label"].to_numpy(),
        _hash_words(table["hash"]),
        _hash_words(table["cut_hash"])[:, :2].copy(),
        table["length"].to_numpy(),
    )


def _assign_splits(texts: _Texts, dev_share: float, test_share: float) -> np.ndarray:
    """The split of every text (N,): an index in `SPLITS`.

    A text's split depends on its own tokens and on which splits the source has, never
    on the other texts, so that it stays where it is when a source grows.
    """
    u = (texts.words[:, 2] >> np.uint64(11)) * 2.0**-53  # [0, 1)
    train, dev, test = range(3)
    source = {name: texts.split == i for i, name in enumerate(_SOURCE_SPLITS)}
    split = np.full(len(u), train)
    split[source["dev"]] = dev
    split[source["test"]] = test
    if not (source["dev"].any() or source["all"].any()):
        split[source["train"] & (u < dev_share)] = dev
    split[source["all"] & (u < dev_share + test_share)] = dev
    split[source["all"] & (u < test_share)] = test
    return split


def _whole_texts(spool: Path, settings: Mapping[str, Any]) -> Iterator[list[str]]:
    """All tokens of each text of the spool, uncut."""
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, ["text"]):
        for text in table["text"].to_pylist():
            yield cut_tokens(text, settings)[0]


def _parts_within(tokens: list[str], lengths: Iterable[int]) -> Iterator[str]:
    """Every run of tokens of a text that is shorter than it, of these lengths."""
    for length in lengths:
        if length < len(tokens):
            for start in range(len(tokens) - length + 1):
                yield " ".join(tokens[start : start + length])


def _keep_parts_together(
    spool: Path,
    settings: Mapping[str, Any],
    texts: _Texts,
    split: np.ndarray,
    dropped: Counter,
) -> None:
    """Move, in place, the parts of a text to its split, where splits are drawn.

    A text that is part of no other draws the split, as in `_assign_splits`. A part of
    texts that fell into several splits would tell one of them about the other, and is
    dropped. Holds the texts in memory, once.
    """
    drawn = texts.split == _SOURCE_SPLITS.index("all")
    if not (texts.split == _SOURCE_SPLITS.index("dev")).any() and not drawn.any():
        drawn = texts.split == _SOURCE_SPLITS.index("train")
    rows: dict[str, list[int]] = {}
    for row, tokens in enumerate(_whole_texts(spool, settings)):
        if drawn[row]:
            rows.setdefault(" ".join(tokens), []).append(row)
    lengths = sorted({text.count(" ") + 1 for text in rows})
    parts = {
        part
        for text in rows
        for part in _parts_within(text.split(" "), lengths)
        if part in rows
    }
    splits_of: dict[str, set[int]] = {part: set() for part in parts}
    for text in rows:
        if text not in parts:
            for part in _parts_within(text.split(" "), lengths):
                if part in parts:
                    splits_of[part].add(int(split[rows[text][0]]))
    for part, found in splits_of.items():
        if len(found) == 1:
            split[rows[part]] = found.pop()
        else:
            split[rows[part]] = _DROPPED
            dropped["part_of_several_splits"] += len(rows[part])


def _drop_copies(texts: _Texts, split: np.ndarray, dropped: Counter) -> None:
    """Drop, in place, all but one of the texts of which a model reads the same.

    Where they stand with two labels all of them go. Which one stays does not depend
    on the order of the source. Whole texts that are the same are counted apart from
    those that the cut made so.
    """
    order = np.array([_KEPT_FIRST.index(part) for part in SPLITS])
    frame = pd.DataFrame(
        {
            "cut_high": texts.cut[:, 0],
            "cut_low": texts.cut[:, 1],
            "high": texts.words[:, 0],
            "low": texts.words[:, 1],
            "source": texts.split,
            "label": texts.label,
        }
    ).iloc[np.lexsort((texts.words[:, 0], order[split]))]
    frame = frame[split[frame.index] != _DROPPED]
    same_cut = frame.groupby(["cut_high", "cut_low"], sort=False)
    same = frame.groupby(["high", "low"], sort=False)

    def contradicted(group: Any) -> pd.Series:
        return group["label"].transform("min") != group["label"].transform("max")

    conflicting = contradicted(same_cut)
    whole = contradicted(same)
    dropped["conflicting_label"] += int(whole.sum())
    dropped["conflicting_label_after_cut"] += int((conflicting & ~whole).sum())

    copy = (same_cut.cumcount() > 0) & ~conflicting
    first = same_cut[["high", "low", "source"]].transform("first")
    after_cut = (first[["high", "low"]] != frame[["high", "low"]]).any(axis=1)
    elsewhere = first["source"] != frame["source"]
    dropped["duplicate"] += int((copy & ~after_cut & ~elsewhere).sum())
    for source, number in (
        first["source"][copy & ~after_cut & elsewhere].value_counts().items()
    ):
        dropped[f"duplicate_of_{_SOURCE_SPLITS[source]}"] += int(number)
    dropped["duplicate_after_cut"] += int((copy & after_cut).sum())
    split[frame.index[copy | conflicting]] = _DROPPED


def _drop_short(
    texts: _Texts, split: np.ndarray, min_length: int, dropped: Counter
) -> None:
    """Drop, in place, the texts of fewer tokens."""
    short = (texts.full_length < min_length) & (split != _DROPPED)
    split[short] = _DROPPED
    dropped["too_short"] += int(short.sum())


def _apply_caps(
    texts: _Texts,
    split: np.ndarray,
    max_examples: Mapping[str, int | None],
    dropped: Counter,
) -> None:
    """Drop, in place, what is over the cap of its split; more is always a superset."""
    for index, name in enumerate(SPLITS):
        members = np.flatnonzero(split == index)
        cap = max_examples.get(name)
        if cap is None:
            continue
        over = members[np.argsort(texts.words[members, 3])][cap:]
        split[over] = _DROPPED
        dropped["over_cap"] += len(over)


def _check_splits(
    name: str,
    split: np.ndarray,
    label: np.ndarray,
    classes: list[str],
    dropped: Mapping[str, int],
) -> None:
    """Every split has texts, and training has every class, two at least."""
    fix = {
        "train": "Check source.files and source.where",
        "dev": "Raise split.dev or give the source a dev file",
        "test": "Name a test file in the source, or its only file 'all' to have it "
        "divided, and check split.test",
    }
    counts = ", ".join(
        f"{reason} {number}" for reason, number in dropped.items() if number
    )
    for index, part in enumerate(SPLITS):
        if not (split == index).any():
            raise AuditError(
                f"datasets.{name}: the {part} split is empty. {fix[part]}; a very "
                f"small data set may need larger shares. Dropped: {counts or 'none'}."
            )
    trained = {classes[i] for i in np.unique(label[split == 0])}
    if len(trained) == 1:
        raise AuditError(
            f"datasets.{name}: the training texts are of one class only, "
            f"'{trained.pop()}'. Check source.label, source.labels and max_examples."
        )
    for index in np.unique(label[split != _DROPPED]):
        if classes[index] not in trained:
            raise AuditError(
                f"datasets.{name}: no training text is of class '{classes[index]}', "
                "which dev or test has. Raise max_examples.train or leave the class "
                "out with source.labels."
            )


# ---------------------------------------------------------------- vocabulary


def _count_tokens(spool: Path, split: np.ndarray) -> Counter:
    """Tokens of the training texts, as cut."""
    counts: Counter = Counter()
    start = 0
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, ["tokens"]):
        training = pa.array(split[start : start + len(table)] == 0)
        counts.update(
            table["tokens"].filter(training).combine_chunks().flatten().to_pylist()
        )
        start += len(table)
    return counts


def build_vocabulary(
    counts: Mapping[str, int], min_count: int, max_size: int | None
) -> list[str]:
    """Specials, then tokens by falling count, ties in alphabetical order.

    ``max_size`` includes the specials. A token's id is its position.
    """
    known = [token for token, count in counts.items() if count >= min_count]
    known.sort(key=lambda token: (-counts[token], token))
    return [*SPECIALS, *known][:max_size]


def _vector_card(
    name: str | None,
    known: Mapping[str, np.ndarray],
    vocabulary: list[str],
    counts: Mapping[str, int],
) -> dict[str, Any]:
    types = vocabulary[len(SPECIALS) :]
    return {
        "name": name,
        "dimension": len(next(iter(known.values()))),
        "covered_types": len(known),
        "share_of_types": len(known) / len(types),
        "share_of_training_tokens": sum(counts[token] for token in known)
        / sum(counts.values()),
    }


def _write_vocabulary(
    table: tables.TableWriter,
    name: str,
    vocabulary: list[str],
    counts: Mapping[str, int],
    vectors: Mapping[str, np.ndarray],
) -> None:
    for start in range(0, len(vocabulary), _BATCH):
        tokens = vocabulary[start : start + _BATCH]
        table.write(
            {
                "dataset": name,
                "token_id": range(start, start + len(tokens)),
                "token": tokens,
                "count": [counts.get(token, 0) for token in tokens],
                "vector": [vectors.get(token) for token in tokens],
            }
        )


# ---------------------------------------------------------------- prepared data sets


def _write_examples(
    spool: Path,
    writers: Mapping[str, tables.TableWriter],
    name: str,
    texts: _Texts,
    split: np.ndarray,
    label: np.ndarray,
    vocabulary: list[str],
) -> dict[str, Counter]:
    """Write the splits from the spool; return tokens and unknown tokens a split."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    totals = {part: Counter(tokens=0, unknown=0) for part in SPLITS}
    start = 0
    for table in tables.iterate_table(spool, _SPOOL, _BATCH):
        here = split[start : start + len(table)]
        for index, part in enumerate(SPLITS):
            rows = np.flatnonzero(here == index)
            if not len(rows):
                continue
            found = table.select(["tokens", "text"]).take(pa.array(rows))
            tokens = found["tokens"].to_pylist()
            token_ids = [token_ids_of(text, ids) for text in tokens]
            instances = [f"{w:016x}" for w in texts.words[start + rows, 0]]
            writers[part].write(
                {
                    "dataset": name,
                    "instance_id": instances,
                    # a text is one decision, independent of others
                    "cluster_id": instances,
                    "tokens": tokens,
                    "token_ids": token_ids,
                    "label": label[start + rows],
                    "length": [len(text) for text in tokens],
                    "text": found["text"].to_pylist(),
                }
            )
            totals[part]["tokens"] += sum(map(len, token_ids))
            totals[part]["unknown"] += sum(text.count(UNK) for text in token_ids)
        start += len(table)
    return totals


def _length_card(lengths: np.ndarray) -> dict[str, Any]:
    return {
        "mean": float(lengths.mean()),
        "min": int(lengths.min()),
        "max": int(lengths.max()),
        "quantiles": {
            str(q): float(v)
            for q, v in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)
        },
    }


def prepare_dataset(
    name: str,
    settings: Mapping[str, Any],
    documents: Iterable[Document],
    vectors: Callable[[Container[str]], Iterator[tuple[str, np.ndarray]]] | None,
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
) -> None:
    """Write train, dev and test tables, the vocabulary and a card of a data set.

    ``settings`` is the data set's entry in the configuration with all defaults:
    ``source``; ``vectors`` (a name or None); ``lowercase``, ``replace_digits``,
    ``strip_markup`` (see `tokenize`); ``max_length`` (tokens or None); ``min_length``;
    ``max_examples`` ({split: number or None} or None); ``min_count`` and
    ``max_vocabulary`` (or None; see `build_vocabulary`); ``split`` ({"dev": share,
    "test": share, "parts": whether texts are parts of others, see
    `_keep_parts_together`}); ``note`` (for the card, or None). ``vectors`` gives pretrained vectors for the words it is asked
    for. ``outputs`` has the paths "train", "dev", "test", "vocabulary" and "card".

    Texts without tokens or label are dropped. The source's own splits stay; a source
    without splits ("all") is divided by the shares of ``split``, and training gives up
    the share of dev where there is no dev split. Both, and the choice under a cap,
    follow a hash of all tokens of a text, before it is cut, so that a text stays in its
    split when ``max_length`` changes. Of texts with the same tokens after the cut one
    is kept, from test before dev before train; with different labels, none. Texts that
    differ only in words unknown to the vocabulary stay: they differ to a reader, and
    which words are known is a result of the split. An ``instance_id`` is 16 hexadecimal
    digits of the hash of the whole text, unique in a data set. Label ids follow the
    order of ``source.labels``, else that of the sorted names.

    Outputs appear at the end, the card last, or not at all. Raises `AuditError` for
    texts that are none, an empty split, a single class, a class unseen in training,
    and vectors that cover no word.
    """
    paths = {key: Path(path) for key, path in outputs.items()}
    with tables.scratch_folder(paths["card"]) as folder:
        spool = folder / "spool.parquet"
        found, dropped = _write_spool(spool, name, settings, documents)
        texts = _read_texts(spool)

        shares = settings["split"]
        split = _assign_splits(texts, shares["dev"], shares["test"])
        if shares["parts"]:
            _keep_parts_together(spool, settings, texts, split, dropped)
        _drop_copies(texts, split, dropped)
        _drop_short(texts, split, settings["min_length"], dropped)
        _apply_caps(texts, split, settings["max_examples"] or {}, dropped)
        _check_splits(name, split, texts.label, found, dropped)
        in_use = split != _DROPPED
        if len(np.unique(texts.words[in_use, 0])) != in_use.sum():
            raise AuditError(
                f"datasets.{name}: two texts share an instance_id (a collision of "
                "64-bit hashes). Remove one of the texts from the source."
            )

        mapping = settings["source"]["labels"]
        present = {found[i] for i in np.unique(texts.label[in_use])}
        names = map(clean_label, mapping.values()) if mapping else sorted(found)
        ordered = dict.fromkeys(names)
        label_names = [label for label in ordered if label in present]
        position = {label: i for i, label in enumerate(label_names)}
        label = np.array([position.get(c, _DROPPED) for c in found])[texts.label]

        counts = _count_tokens(spool, split)
        vocabulary = build_vocabulary(
            counts, settings["min_count"], settings["max_vocabulary"]
        )
        if len(vocabulary) == len(SPECIALS):
            raise AuditError(
                f"datasets.{name}: no token is left in the vocabulary; the commonest "
                f"occurs {max(counts.values())} times. Lower min_count or raise "
                "max_vocabulary."
            )
        known = {}
        if vectors is not None:
            known = dict(vectors(frozenset(vocabulary[len(SPECIALS) :])))
            if not known:
                raise AuditError(
                    f"datasets.{name}: the vectors '{settings['vectors']}' cover no "
                    f"word of the vocabulary (such as '{vocabulary[-1]}'). Check "
                    "their language and the setting lowercase, or set vectors to null."
                )

        with contextlib.ExitStack() as stack:
            writers = {
                part: stack.enter_context(
                    tables.open_table(paths[part], "examples", provenance)
                )
                for part in SPLITS
            }
            table = stack.enter_context(
                tables.open_table(paths["vocabulary"], "vocabulary", provenance)
            )
            totals = _write_examples(
                spool, writers, name, texts, split, label, vocabulary
            )
            _write_vocabulary(table, name, vocabulary, counts, known)

    limit = settings["max_length"]
    full = texts.full_length
    cut = full if limit is None else np.minimum(full, limit)
    members = {part: split == index for index, part in enumerate(SPLITS)}
    card = {
        "name": name,
        "note": settings["note"],
        "source": settings["source"],
        "tokenization": {key: settings[key] for key in (*TOKENIZATION, "max_length")},
        "label_names": label_names,
        "counts": {
            part: {
                label_name: int((label[rows] == i).sum())
                for i, label_name in enumerate(label_names)
            }
            for part, rows in members.items()
        },
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "truncated": {
            part: int((full[rows] > cut[rows]).sum()) for part, rows in members.items()
        },
        "length": {part: _length_card(cut[rows]) for part, rows in members.items()},
        "length_before_cut": {
            part: _length_card(full[rows]) for part, rows in members.items()
        },
        "vocabulary": {
            "size": len(vocabulary),
            "types_in_train": len(counts),
            "share_unknown": {
                part: total["unknown"] / total["tokens"]
                for part, total in totals.items()
            },
        },
        "vectors": (
            _vector_card(settings["vectors"], known, vocabulary, counts)
            if known
            else None
        ),
        "provenance": provenance,
    }
    tables.write_json(paths["card"], card)
