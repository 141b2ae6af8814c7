"""From documents to token ids: the tables, vocabulary and card of a data set of texts.

`prepare_dataset` writes what training reads. It goes over the source once, keeps the
texts and their tokens in a temporary Parquet file and holds in memory only a hash and a
few integers a text, so that the size of a data set is bounded by the disk. `TextReader`
reads any other text in the same way.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from attention_audit.data.batches import UNK
from attention_audit.data.sources import Document, MarkedDocument
from attention_audit.data.splits import (
    DROPPED,
    SOURCE_SPLITS,
    SPLITS,
    Texts,
    apply_caps,
    assign_splits,
    check_classes,
    check_ids,
    check_splits,
    class_counts,
    drop_copies,
    drop_short,
    hash_words,
    keep_parts_together,
    label_ids,
    length_card,
)
from attention_audit.data.tokens import (
    TOKENIZATION,
    Words,
    cut_tokens,
    marked_tokens,
    text_hash,
    words_of,
)
from attention_audit.data.vocabulary import (
    SPECIALS,
    build_vocabulary,
    token_ids_of,
    vector_card,
    write_vocabulary,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

_BATCH = 1000  # texts held at once

# ---------------------------------------------------------------- any other text


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
    words: Words | None = None  # of a pretrained model's tokenizer

    @classmethod
    def of(cls, card: str | Path, vocabulary: str | Path) -> "TextReader":
        """The reader of a prepared data set, by its card and its vocabulary."""
        described = tables.read_json(card)
        if "tokenization" not in described:
            raise tables.mismatch(card, "does not say how its texts were read")
        column = tables.read_table(vocabulary, "vocabulary", ["token"])["token"]
        ids = {token: i for i, token in enumerate(column.to_pylist())}
        settings = described["tokenization"]
        if (name := settings.get("tokenizer")) is None:
            return cls(settings, ids)
        inner = Path("raw", "pretrained", name, "tokenizer.json")
        for above in (Path.cwd() / card).parents:
            if (above / inner).is_file():
                return cls(settings, ids, words_of(above / inner))
        raise AuditError(
            f"{card}: its texts were read by {inner}, which is in no folder above it. Put "
            "it back, or run snakemake to fetch it."
        )

    def read(self, text: str) -> Reading:
        """Raises `AuditError` for what is no text, or has no token."""
        shown = repr(text if len(text) <= 40 else f"{text[:40]}...")
        try:
            tokens, cut = cut_tokens(text, self.settings, self.words)
            instance_id = text_hash(tokens)[:8].hex()
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


# ---------------------------------------------------------------- the spool
_SPOOL = pa.schema(
    [
        pa.field("split", pa.int8(), nullable=False),  # index in SOURCE_SPLITS
        pa.field("label", pa.int32(), nullable=False),  # index in order of appearance
        pa.field("hash", pa.binary(32), nullable=False),  # of the whole text
        pa.field("cut_hash", pa.binary(32), nullable=False),  # of what is kept of it
        pa.field("length", pa.int32(), nullable=False),  # before the cut
        pa.field("tokens", pa.list_(pa.string()), nullable=False),  # after the cut
        pa.field("text", pa.string(), nullable=False),  # as it stands in the source
        pa.field("gold", pa.list_(pa.bool_())),  # which of the tokens are marked
    ]
)


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


def _gold(
    text: str, settings: Mapping[str, Any], marks: list[Any], name: str, number: int
) -> list[bool] | None:
    """Which tokens that a model reads are marked; None where none is, or nobody says."""
    if not any(marks):
        return None
    try:
        gold = marked_tokens(text, settings, *marks)
    except ValueError as error:
        raise AuditError(
            f"datasets.{name}: what is marked in document {number} cannot be placed: "
            f"{error}. Leave its marks out."
        ) from error
    return gold if any(gold) else None


def _write_spool(
    path: Path,
    name: str,
    settings: Mapping[str, Any],
    documents: Iterable[Document | MarkedDocument],
    words: Words | None,
) -> tuple[list[str], Counter]:
    """Tokenize documents into ``path``; return class names and counts of dropped."""
    classes: dict[str, int] = {}
    dropped: Counter = Counter()
    batch: dict[str, list] = {field: [] for field in _SPOOL.names}
    # No total: a stream does not know its length. Silent where there is no terminal.
    progress = tqdm(documents, desc=name, unit=" texts", disable=None)
    with tables.open_table(path, _SPOOL, {}) as spool:
        for number, (split, text, label, *marks) in enumerate(progress, 1):
            if label is None:
                dropped["unlabelled"] += 1
                continue
            text = "" if text is None else _checked_text(text, name, number)
            tokens, cut = cut_tokens(text, settings, words)
            if not tokens:
                dropped["empty"] += 1
                continue
            batch["split"].append(SOURCE_SPLITS.index(split))
            if label not in classes:
                classes[_checked_text(label, name, number)] = len(classes)
            batch["label"].append(classes[label])
            batch["hash"].append(text_hash(tokens))
            batch["cut_hash"].append(text_hash(cut))
            batch["length"].append(len(tokens))
            batch["tokens"].append(cut)
            batch["text"].append(text)
            batch["gold"].append(_gold(text, settings, marks, name, number))
            if len(batch["split"]) == _BATCH:
                spool.write(batch)
                batch = {field: [] for field in _SPOOL.names}
        spool.write(batch)
    return list(classes), dropped


def _read_texts(path: Path) -> Texts:
    columns = ["split", "label", "hash", "cut_hash", "length"]
    table = tables.read_table(path, _SPOOL, columns)
    return Texts(
        table["split"].to_numpy(),
        table["label"].to_numpy(),
        hash_words(table["hash"]),
        hash_words(table["cut_hash"])[:, :2].copy(),
        table["length"].to_numpy(),
    )


def _whole_texts(
    spool: Path, settings: Mapping[str, Any], words: Words | None
) -> Iterator[list[str]]:
    """All tokens of each text of the spool, uncut."""
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, ["text"]):
        for text in table["text"].to_pylist():
            yield cut_tokens(text, settings, words)[0]


def _count_tokens(spool: Path, chosen: np.ndarray) -> Counter:
    """Tokens of the ``chosen`` texts (N,) bool, as cut."""
    counts: Counter = Counter()
    start = 0
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, ["tokens"]):
        here = pa.array(chosen[start : start + len(table)])
        counts.update(
            table["tokens"].filter(here).combine_chunks().flatten().to_pylist()
        )
        start += len(table)
    return counts


# ---------------------------------------------------------------- prepared data sets


def _write_examples(
    spool: Path,
    writers: Mapping[str, tables.TableWriter],
    name: str,
    texts: Texts,
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
            found = table.select(["tokens", "text", "gold"]).take(pa.array(rows))
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
                    "gold": found["gold"].to_pylist(),
                }
            )
            totals[part]["tokens"] += sum(map(len, token_ids))
            totals[part]["unknown"] += sum(text.count(UNK) for text in token_ids)
        start += len(table)
    return totals


def prepare_dataset(
    name: str,
    settings: Mapping[str, Any],
    documents: Iterable[Document | MarkedDocument],
    vectors: Callable[[Container[str]], Iterator[tuple[str, np.ndarray]]] | None,
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    words: Words | None = None,
) -> None:
    """Write train, dev and test tables, the vocabulary and a card of a data set.

    ``settings`` is the data set's entry in the configuration with all defaults:
    ``source``; ``vectors`` (a name or None); ``lowercase``, ``replace_digits``,
    ``strip_markup`` (see `tokenize`); ``max_length`` (tokens or None); ``min_length``;
    ``max_examples`` ({split: number or None} or None); ``min_count`` and
    ``max_vocabulary`` (or None; see `build_vocabulary`); ``split`` ({"dev": share,
    "test": share, "parts": whether texts are parts of others, see
    `keep_parts_together`}); ``note`` (for the card, or None). ``vectors`` gives pretrained vectors for the words it is asked
    for. ``words`` cuts texts where the setting ``tokenizer`` names a pretrained model.
    Its vocabulary is open: pieces make any word readable, and every word of all splits has an
    id. ``outputs`` has the paths "train", "dev", "test", "vocabulary" and "card".

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
        found, dropped = _write_spool(spool, name, settings, documents, words)
        texts = _read_texts(spool)

        shares = settings["split"]
        split = assign_splits(texts, shares["dev"], shares["test"])
        if shares["parts"]:
            whole = _whole_texts(spool, settings, words)
            keep_parts_together(whole, texts, split, dropped)
        drop_copies(texts, split, dropped)
        drop_short(texts, split, settings["min_length"], dropped)
        apply_caps(texts, split, settings["max_examples"] or {}, dropped)
        check_splits(name, split, dropped)
        check_classes(name, split, texts.label, found)
        in_use = split != DROPPED
        check_ids(name, texts, in_use, "text")
        mapping = settings["source"]["labels"]
        label_names, label = label_ids(texts, in_use, found, mapping)

        counts = _count_tokens(spool, split == 0)
        if words is None:
            vocabulary = build_vocabulary(
                counts, settings["min_count"], settings["max_vocabulary"]
            )
        else:
            everywhere = _count_tokens(spool, in_use)
            vocabulary = build_vocabulary(everywhere, min_count=1, max_size=None)
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
            write_vocabulary(table, name, vocabulary, counts, known)

    limit = settings["max_length"]
    full = texts.full_length
    cut = full if limit is None else np.minimum(full, limit)
    members = {part: split == index for index, part in enumerate(SPLITS)}
    card = {
        "name": name,
        "note": settings["note"],
        "source": settings["source"],
        "tokenization": {
            key: settings[key]
            for key in (*TOKENIZATION, "max_length", "tokenizer")
            if key in settings
        },
        "label_names": label_names,
        "counts": class_counts(split, label, label_names),
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "truncated": {
            part: int((full[rows] > cut[rows]).sum()) for part, rows in members.items()
        },
        "length": {part: length_card(cut[rows]) for part, rows in members.items()},
        "length_before_cut": {
            part: length_card(full[rows]) for part, rows in members.items()
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
            vector_card(settings["vectors"], known, vocabulary, counts)
            if known
            else None
        ),
        "provenance": provenance,
    }
    tables.write_json(paths["card"], card)
