"""Which split each text of a data set is in, and which texts are dropped.

A text is known here by its hashes (`Texts`), and its split by an index in `SPLITS`, or
`DROPPED`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attention_audit.data.columns import clean_label
from attention_audit.records.errors import AuditError

SPLITS = ("train", "dev", "test")
SOURCE_SPLITS = ("train", "dev", "test", "all")

# The order in which a text that stands in several splits is kept: a copy of a test
# text leaves the training data, never the other way round.
_KEPT_FIRST = ("test", "dev", "train")
DROPPED = -1

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Texts:
    """What is held in memory of every text of the spool, in its order.

    ``words`` (N, 4) are the 64-bit words of the hash of all its tokens: the first two
    identify the text, the third draws its split and the fourth its turn under a cap.
    They are independent of each other, so that neither draw depends on the order of
    ids, and none depends on where texts are cut. ``cut`` (N, 2) identifies what is left
    of the text then, which is what a model reads.
    """

    split: np.ndarray  # (N,) index in SOURCE_SPLITS
    label: np.ndarray  # (N,) index of the class
    words: np.ndarray  # (N, 4) uint64
    cut: np.ndarray  # (N, 2) uint64
    full_length: np.ndarray  # (N,) tokens before the cut


def hash_words(hashes: pa.ChunkedArray) -> np.ndarray:
    """The four 64-bit words of each hash: (N, 4) uint64."""
    joined = b"".join(hashes.to_pylist())
    return np.frombuffer(joined, dtype=">u8").reshape(-1, 4).astype(np.uint64)


def assign_splits(texts: Texts, dev_share: float, test_share: float) -> np.ndarray:
    """The split of every text (N,): an index in `SPLITS`.

    A text's split depends on its own tokens and on which splits the source has, never
    on the other texts, so that it stays where it is when a source grows.
    """
    u = (texts.words[:, 2] >> np.uint64(11)) * 2.0**-53  # [0, 1)
    train, dev, test = range(3)
    source = {name: texts.split == i for i, name in enumerate(SOURCE_SPLITS)}
    split = np.full(len(u), train)
    split[source["dev"]] = dev
    split[source["test"]] = test
    if not (source["dev"].any() or source["all"].any()):
        split[source["train"] & (u < dev_share)] = dev
    split[source["all"] & (u < dev_share + test_share)] = dev
    split[source["all"] & (u < test_share)] = test
    return split


def _parts_within(tokens: list[str], lengths: Iterable[int]) -> Iterator[str]:
    """Every run of tokens of a text that is shorter than it, of these lengths."""
    for length in lengths:
        if length < len(tokens):
            for start in range(len(tokens) - length + 1):
                yield " ".join(tokens[start : start + length])


def keep_parts_together(
    whole: Iterable[list[str]],
    texts: Texts,
    split: np.ndarray,
    dropped: Counter,
) -> None:
    """Move, in place, the parts of a text to its split, where splits are drawn.

    A text that is part of no other draws the split, as in `assign_splits`. A part of
    texts that fell into several splits would tell one of them about the other, and is
    dropped. ``whole`` are all tokens of each text, uncut; they are held in memory, once.
    """
    drawn = texts.split == SOURCE_SPLITS.index("all")
    if not (texts.split == SOURCE_SPLITS.index("dev")).any() and not drawn.any():
        drawn = texts.split == SOURCE_SPLITS.index("train")
    rows: dict[str, list[int]] = {}
    for row, tokens in enumerate(whole):
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
            split[rows[part]] = DROPPED
            dropped["part_of_several_splits"] += len(rows[part])


def drop_copies(texts: Texts, split: np.ndarray, dropped: Counter) -> None:
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
    frame = frame[split[frame.index] != DROPPED]
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
        dropped[f"duplicate_of_{SOURCE_SPLITS[source]}"] += int(number)
    dropped["duplicate_after_cut"] += int((copy & after_cut).sum())
    split[frame.index[copy | conflicting]] = DROPPED


def drop_short(
    texts: Texts, split: np.ndarray, min_length: int, dropped: Counter
) -> None:
    """Drop, in place, the texts of fewer tokens."""
    short = (texts.full_length < min_length) & (split != DROPPED)
    split[short] = DROPPED
    dropped["too_short"] += int(short.sum())


def apply_caps(
    texts: Texts,
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
        split[over] = DROPPED
        dropped["over_cap"] += len(over)


def check_splits(name: str, split: np.ndarray, dropped: Mapping[str, int]) -> None:
    """Raise an `AuditError` where a split is empty."""
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


def check_classes(
    name: str, split: np.ndarray, label: np.ndarray, classes: list[str]
) -> None:
    """Raise an `AuditError` unless training has every class, two at least."""
    trained = {classes[i] for i in np.unique(label[split == 0])}
    if len(trained) == 1:
        raise AuditError(
            f"datasets.{name}: the training split is of one class only, "
            f"'{trained.pop()}'. Check source.label, source.labels and max_examples."
        )
    for index in np.unique(label[split != DROPPED]):
        if classes[index] not in trained:
            raise AuditError(
                f"datasets.{name}: training has nothing of class '{classes[index]}', "
                "which dev or test has. Raise max_examples.train or leave the class "
                "out with source.labels."
            )


def check_ids(name: str, texts: Texts, in_use: np.ndarray, what: str) -> None:
    """Raise an `AuditError` where two of the ``in_use`` (N,) share an id."""
    if len(np.unique(texts.words[in_use, 0])) != in_use.sum():
        raise AuditError(
            f"datasets.{name}: two {what}s share an instance_id (a collision of 64-bit "
            f"hashes). Remove one of the {what}s from the source."
        )


def label_ids(
    texts: Texts,
    in_use: np.ndarray,
    found: Sequence[str],
    mapping: Mapping[str, str] | None,
) -> tuple[list[str], np.ndarray]:
    """The names of the classes that are left, and the place of each text's (N,).

    ``found`` are the classes by `Texts.label`. The order is that of ``mapping``, the
    source's ``labels``, else that of the sorted names; a class that is gone is `DROPPED`.
    """
    present = {found[i] for i in np.unique(texts.label[in_use])}
    names = map(clean_label, mapping.values()) if mapping else sorted(found)
    label_names = [label for label in dict.fromkeys(names) if label in present]
    position = {label: i for i, label in enumerate(label_names)}
    return label_names, np.array([position.get(c, DROPPED) for c in found])[texts.label]


def class_counts(
    split: np.ndarray, label: np.ndarray, label_names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many of each class every split has, for the card."""
    return {
        part: {
            name: int((label[split == place] == i).sum())
            for i, name in enumerate(label_names)
        }
        for place, part in enumerate(SPLITS)
    }


def length_card(lengths: np.ndarray) -> dict[str, Any]:
    """What the card says of the lengths (n,) of texts."""
    return {
        "mean": float(lengths.mean()),
        "min": int(lengths.min()),
        "max": int(lengths.max()),
        "quantiles": {
            str(q): float(v)
            for q, v in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)
        },
    }
