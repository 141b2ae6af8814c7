"""From sentence pairs to token ids: splits, copies, pieces, vocabularies, links.

`prepare_dataset` writes what training reads. It goes over the source once, keeps the
pairs in a temporary Parquet file and holds in memory hashes, a few integers a pair, and
the word triples of held-out pairs.

Pairs of one group, such as a chapter, are in one split, so that a sentence is not held
out from between those that continue it. That does not keep apart what is told several
times: three of the Gospels share whole sentences, epistles their greetings, and many
books the same quotations. A pair of training is therefore left out, too, where it holds
more than a share of the word triples of a held-out pair, on either side (`near_copies`).
"""

import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from attention_audit.data.batches import UNK
from attention_audit.data.pair_sources import Link, Pair
from attention_audit.data.splits import (
    DROPPED,
    SOURCE_SPLITS,
    SPLITS,
    Texts,
    apply_caps,
    assign_splits,
    check_ids,
    check_splits,
    drop_copies,
    hash_words,
    length_card,
)
from attention_audit.data.vocabulary import SPECIALS, build_vocabulary, token_ids_of
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import SCHEMAS

_BATCH = 1000  # pairs held at once
SIDES = ("source", "target")

# Tokens that a vocabulary starts with; the last two stand around a sentence.
PAIR_SPECIALS = (*SPECIALS, "<s>", "</s>")

# ---------------------------------------------------------------- copies that are not exact

_TRIPLE = 3


def word_triples(words: Sequence[str]) -> set[str]:
    """Every three words that follow each other; of fewer words, all of them as one."""
    last = max(len(words) - _TRIPLE, 0)
    return {" ".join(words[i : i + _TRIPLE]) for i in range(last + 1)}


def near_copies(
    held_out: Mapping[int, Sequence[str]], others: Iterable[tuple[int, Sequence[str]]]
) -> tuple[dict[int, float], dict[int, float]]:
    """How much of a held-out sentence stands in one other: the share of its word triples.

    Both are sentences by number. Returns, by number, the largest share that any other
    sentence holds of a held-out one, and the largest that each other holds of any; those
    of 0 are left out. In memory are the triples of ``held_out``.
    """
    places: dict[str, list[int]] = {}
    sizes = {}
    for number, words in held_out.items():
        triples = word_triples(words)
        sizes[number] = len(triples)
        for triple in triples:
            places.setdefault(triple, []).append(number)
    known: dict[int, float] = {}
    knows: dict[int, float] = {}
    for number, words in others:
        shared: Counter = Counter()
        for triple in word_triples(words) & places.keys():
            shared.update(places[triple])
        for other, count in shared.items():
            share = count / sizes[other]
            known[other] = max(known.get(other, 0.0), share)
            knows[number] = max(knows.get(number, 0.0), share)
    return known, knows


def _drop_near(
    spool: Path, split: np.ndarray, most: float, dropped: Counter
) -> dict[str, dict[str, float]]:
    """Drop, in place, pairs of dev close to test, then those of train close to either.

    Returns, a held-out split and side, the mean share of a sentence that one sentence of
    training held, and the share of sentences of which one held ``most`` or more.
    """

    def sentences(side: str, wanted: np.ndarray) -> Iterator[tuple[int, list[str]]]:
        start = 0
        for table in tables.iterate_table(spool, _SPOOL, _BATCH, [side]):
            rows = np.flatnonzero(wanted[start : start + len(table)])
            words = table[side].take(pa.array(rows)).to_pylist()
            yield from zip((start + rows).tolist(), words, strict=True)
            start += len(table)

    train, dev, test = range(3)
    found = {}
    for ours, kept in ((dev, [test]), (train, [dev, test])):
        near = np.zeros(len(split), bool)
        for side in SIDES:
            held_out = dict(sentences(side, np.isin(split, kept)))
            known, knows = near_copies(held_out, sentences(side, split == ours))
            near[[row for row, share in knows.items() if share >= most]] = True
            if ours == train:
                for place in kept:
                    shares = np.array(
                        [known.get(row, 0.0) for row in np.flatnonzero(split == place)]
                    )
                    if len(shares):
                        found[f"{SPLITS[place]}_{side}"] = {
                            "mean": float(shares.mean()),
                            "over": float((shares >= most).mean()),
                        }
        split[near] = DROPPED
        dropped["near_copy_of_held_out"] += int(near.sum())
    return found


# ---------------------------------------------------------------- pieces of words

Cut = Callable[[str], list[str]]


def train_pieces(
    sentences: Iterable[Sequence[str]], kind: str, size: int, where: str
) -> bytes:
    """A sentencepiece model of ``size`` pieces or fewer, of words as they stand.

    ``kind`` is "unigram" or "bpe". The same sentences make the same model. Raises
    `AuditError`, naming ``where``, for a size that the words do not allow.
    """
    # Most data sets are read by words.
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=map(" ".join, sentences),
            model_writer=model,
            model_type=kind,
            vocab_size=size,
            hard_vocab_limit=False,
            # Words come normalized, with every character that training has.
            normalization_rule_name="identity",
            character_coverage=1.0,
            # in bytes; a longer one would be left out
            max_sentence_length=1 << 24,
            num_threads=1,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise AuditError(
            f"{where}: sentencepiece cannot make {size} pieces ({reason}). Set another "
            "size: at least as many as there are characters, at most as many as words "
            "have parts."
        ) from error
    return model.getvalue()


def cutter(model: bytes | None) -> Cut:
    """Cuts a word into pieces, the first of which starts with "▁"; None leaves it whole."""
    if model is None:
        return lambda word: [word]
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    known: dict[str, list[str]] = {}

    def cut(word: str) -> list[str]:
        if word not in known:
            known[word] = processor.encode(word, out_type=str)
        return known[word]

    return cut


def joined(tokens: Iterable[str], pieces: bool) -> str:
    """Words between spaces, of tokens that are words or, with ``pieces``, such parts of them."""
    if pieces:
        return "".join(tokens).replace("▁", " ").strip()
    return " ".join(tokens)


def carry_links(
    links: Iterable[Link], pieces: tuple[Sequence[int], Sequence[int]]
) -> list[Link]:
    """Links of pieces of words: each piece has those of its word.

    ``pieces`` are the numbers of pieces of every word, of both sides.
    """
    starts = [np.cumsum([0, *numbers]).tolist() for numbers in pieces]
    return sorted(
        (i, j)
        for word, other in links
        for i in range(starts[0][word], starts[0][word + 1])
        for j in range(starts[1][other], starts[1][other + 1])
    )


# ---------------------------------------------------------------- the spool

_words_type = pa.list_(pa.string())
_links_type = SCHEMAS["sentence_pairs"].field("sure").type
_SPOOL = pa.schema(
    [
        pa.field("split", pa.int8(), nullable=False),  # index in SOURCE_SPLITS
        pa.field("hash", pa.binary(32), nullable=False),  # of the words of both sides
        pa.field("draw", pa.binary(32), nullable=False),  # of what draws the split
        pa.field("source", _words_type, nullable=False),
        pa.field("target", _words_type, nullable=False),
        pa.field("sure", _links_type),
        pa.field("possible", _links_type),
        pa.field("classes", _words_type),
        pa.field("group", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
    ]
)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


def _fault_of(pair: Pair) -> str | None:
    """Why a pair is none: a side that the source lacks, or that has no words."""
    for side in SIDES:
        words = getattr(pair, side)
        if not words:
            return f"{'missing' if words is None else 'empty'}_{side}"
    return None


def _write_spool(
    path: Path, name: str, settings: Mapping[str, Any], pairs: Iterable[Pair]
) -> Counter:
    """Write pairs as they are read to ``path``; return counts of dropped ones."""
    dropped: Counter = Counter()
    most = settings["max_length"]
    batch: dict[str, list] = {field: [] for field in _SPOOL.names}
    # No total: a stream does not know its length. Silent where there is no terminal.
    progress = tqdm(pairs, desc=name, unit=" pairs", disable=None)
    with tables.open_table(path, _SPOOL, {}) as spool:
        for pair in progress:
            if fault := _fault_of(pair):
                if settings["incomplete"] == "refuse":
                    what, side = fault.split("_")
                    raise AuditError(
                        f"{pair.origin}: the {side} side is {what}. Give it words, take "
                        f"the pair out, or set datasets.{name}.incomplete to drop, which "
                        "counts such pairs in the card."
                    )
                dropped[fault] += 1
                continue
            sides = {side: getattr(pair, side) for side in SIDES}
            if settings["lowercase"]:
                sides = {k: [word.lower() for word in v] for k, v in sides.items()}
            if most is not None and max(map(len, sides.values())) > most:
                dropped["too_long"] += 1
                continue
            whole = _digest("\t".join(map(" ".join, sides.values())))
            row = {
                **pair._asdict(),
                **sides,
                "split": SOURCE_SPLITS.index(pair.split),
                "hash": whole,
                "draw": whole if pair.group is None else _digest(pair.group),
            }
            for field, values in batch.items():
                value = row[field]
                if field in ("sure", "possible") and value is not None:
                    value = [dict(zip(SIDES, link, strict=True)) for link in value]
                values.append(value)
            if len(batch["split"]) == _BATCH:
                spool.write(batch)
                batch = {field: [] for field in _SPOOL.names}
        spool.write(batch)
    return dropped


def _read_index(path: Path) -> Texts:
    """What splits, copies and caps are decided by; a pair is of no class."""
    table = tables.read_table(path, _SPOOL, ["split", "hash", "draw"])
    words = hash_words(table["hash"])
    cut = words[:, :2].copy()
    words[:, 2] = hash_words(table["draw"])[:, 2]
    zeros = np.zeros(len(words), np.int64)
    return Texts(table["split"].to_numpy(), zeros, words, cut, zeros)


def _rows_of(
    spool: Path, split: np.ndarray, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, row) of the pairs of the spool that are in a split."""
    start = 0
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, list(columns)):
        kept = np.flatnonzero(split[start : start + len(table)] != DROPPED)
        rows = table.take(pa.array(kept)).to_pylist()
        yield from zip((start + kept).tolist(), rows, strict=True)
        start += len(table)


# ---------------------------------------------------------------- prepared data sets


class _Side(NamedTuple):
    """How the words of one side are read."""

    model: bytes | None
    cut: Cut
    vocabulary: list[str]
    counts: Counter
    ids: Mapping[str, int]


def _reading_of(
    spool: Path, split: np.ndarray, side: str, name: str, settings: Mapping[str, Any]
) -> _Side:
    """Pieces and vocabulary of one side, by its training sentences alone."""
    train = np.where(split == SPLITS.index("train"), split, DROPPED)

    def sentences() -> Iterator[list[str]]:
        return (row[side] for _, row in _rows_of(spool, train, [side]))

    model, subwords = None, settings["subwords"]
    if subwords is not None:
        where = f"datasets.{name}.subwords, {side} side"
        model = train_pieces(sentences(), subwords["kind"], subwords["size"], where)
    cut = cutter(model)
    counts: Counter = Counter()
    for words in sentences():
        counts.update(piece for word in words for piece in cut(word))
    vocabulary = build_vocabulary(
        counts, settings["min_count"], settings["max_vocabulary"], PAIR_SPECIALS
    )
    if len(vocabulary) <= len(PAIR_SPECIALS):
        raise AuditError(
            f"datasets.{name}: no token is left in the vocabulary of the {side} side; the "
            f"commonest occurs {max(counts.values())} times. Lower min_count or raise "
            "max_vocabulary."
        )
    ids = {token: i for i, token in enumerate(vocabulary)}
    return _Side(model, cut, vocabulary, counts, ids)


def _links(column: list[dict[str, int]]) -> list[Link]:
    return [(link["source"], link["target"]) for link in column]


def _write_examples(
    spool: Path,
    writers: Mapping[str, tables.TableWriter],
    name: str,
    words: np.ndarray,
    split: np.ndarray,
    sides: Mapping[str, _Side],
) -> dict[str, dict[str, list[int]]]:
    """Write the splits; return, a split, a list of counts of each of its pairs."""
    schema = SCHEMAS["sentence_pairs"]
    batches = {part: {field: [] for field in schema.names} for part in SPLITS}
    totals: dict[str, dict[str, list[int]]] = {part: {} for part in SPLITS}
    for number, row in _rows_of(spool, split, _SPOOL.names):
        part = SPLITS[split[number]]
        instance = f"{words[number, 0]:016x}"
        found: dict[str, Any] = {
            "dataset": name,
            "instance_id": instance,
            "cluster_id": instance,
            "group": row["group"],
            "origin": row["origin"],
            "sure": None,
            "possible": None,
            "source_classes": row["classes"],
        }
        counts = {"aligned": int(row["sure"] is not None)}
        pieces = []
        for side in SIDES:
            cut = [sides[side].cut(word) for word in row[side]]
            pieces.append([len(word) for word in cut])
            tokens = [piece for word in cut for piece in word]
            token_ids = token_ids_of(tokens, sides[side].ids)
            found[f"{side}_tokens"] = tokens
            found[f"{side}_ids"] = token_ids
            found[f"{side}_length"] = len(tokens)
            counts[f"{side}_words"] = len(row[side])
            counts[f"{side}_tokens"] = len(tokens)
            counts[f"{side}_unknown"] = token_ids.count(UNK)
        if row["classes"] is not None:
            found["source_classes"] = np.repeat(row["classes"], pieces[0]).tolist()
        if counts["aligned"]:
            linked = {kind: _links(row[kind]) for kind in ("sure", "possible")}
            for kind, links in linked.items():
                counts[kind] = len(links)
                found[kind] = [
                    dict(zip(SIDES, link, strict=True))
                    for link in carry_links(links, (pieces[0], pieces[1]))
                ]
            for place, side in enumerate(SIDES):
                met = {link[place] for links in linked.values() for link in links}
                counts[f"{side}_linked"] = len(met)
                counts[f"{side}_of_aligned"] = len(row[side])
        for key, count in counts.items():
            totals[part].setdefault(key, []).append(count)
        for field, values in batches[part].items():
            values.append(found[field])
        if len(batches[part]["dataset"]) == _BATCH:
            writers[part].write(batches[part])
            batches[part] = {field: [] for field in schema.names}
    for part in SPLITS:
        writers[part].write(batches[part])
    return totals


def _alignment_card(counts: Mapping[str, list[int]]) -> dict[str, Any]:
    """Of one split: what is aligned of it, in words and not in pieces of them."""
    total = {key: sum(values) for key, values in counts.items()}
    card: dict[str, Any] = {
        "pairs": total["aligned"],
        "pairs_without": len(counts["aligned"]) - total["aligned"],
    }
    if total["aligned"]:
        card |= {"sure_links": total["sure"], "possible_links": total["possible"]}
        for side in SIDES:
            words = total[f"{side}_of_aligned"]
            card[f"links_per_{side}_word"] = (total["sure"] + total["possible"]) / words
            card[f"share_of_{side}_words_without"] = 1 - total[f"{side}_linked"] / words
    return card


def prepare_dataset(
    name: str,
    settings: Mapping[str, Any],
    pairs: Iterable[Pair],
    notes: Mapping[str, int],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
) -> None:
    """Write train, dev and test tables, the vocabularies and a card of sentence pairs.

    ``settings`` is the data set's entry in the configuration with all defaults:
    ``source``; ``lowercase``; ``incomplete``, whether a pair with a side that is empty or
    missing is an error ("refuse") or counted in the card ("drop"); ``max_length`` (words of
    a side, or None), over which a pair is dropped whole, since half of a sentence does not
    translate the whole of another; ``max_examples`` ({split: number or None} or None);
    ``min_count`` and ``max_vocabulary`` (or None) of either side (`build_vocabulary`);
    ``subwords`` ({"kind": ..., "size": ...} of either side, see `train_pieces`, or None);
    ``split`` ({"dev": share, "test": share, "near": share of a held-out sentence from
    which on a training pair that holds it is dropped, or None}); ``note`` (for the card, or
    None). ``notes`` is what `read_pairs` counted, once ``pairs`` are read. ``outputs`` has
    the paths "train", "dev", "test", "reading" and "card".

    The source's own splits stay; a source without splits is divided by the shares of
    ``split``, and training gives up the share of dev where there is no dev split. Both
    follow a hash of the pair's group, or of the pair where it has none, so that a group
    stays together and where it is when the source grows. Of pairs with the same words
    one is kept, from test before dev before train; pairs that are alike in part see the
    module. An ``instance_id`` is 16 hexadecimal digits of the hash of a pair's words, and
    its ``cluster_id``, for its words are decisions that are not independent.

    Outputs appear at the end, the card last, or not at all. Raises `AuditError` for an
    empty split, a vocabulary without words, and pieces that cannot be made.
    """
    paths = {key: Path(path) for key, path in outputs.items()}
    with tables.scratch_folder(paths["card"]) as folder:
        spool = folder / "spool.parquet"
        dropped = _write_spool(spool, name, settings, pairs)
        index, shares = _read_index(spool), settings["split"]
        split = assign_splits(index, shares["dev"], shares["test"])
        drop_copies(index, split, dropped)
        near = None
        if shares["near"] is not None:
            near = _drop_near(spool, split, shares["near"], dropped)
        apply_caps(index, split, settings["max_examples"] or {}, dropped)
        check_splits(name, split, dropped)
        check_ids(name, index, split != DROPPED, "pair")
        sides = {s: _reading_of(spool, split, s, name, settings) for s in SIDES}
        with contextlib.ExitStack() as stack:
            writers = {
                part: stack.enter_context(
                    tables.open_table(paths[part], "sentence_pairs", provenance)
                )
                for part in SPLITS
            }
            reading = stack.enter_context(
                tables.open_table(paths["reading"], "pair_vocabulary", provenance)
            )
            totals = _write_examples(spool, writers, name, index.words, split, sides)
            reading.write(
                {
                    "dataset": name,
                    "side": SIDES,
                    "tokens": [sides[side].vocabulary for side in SIDES],
                    "counts": [
                        [sides[side].counts[token] for token in sides[side].vocabulary]
                        for side in SIDES
                    ],
                    "pieces_model": [sides[side].model for side in SIDES],
                }
            )

    def lengths(what: str) -> dict[str, Any]:
        return {part: length_card(np.array(totals[part][what])) for part in SPLITS}

    card = {
        "name": name,
        "note": settings["note"],
        "source": settings["source"],
        "reading": {key: settings[key] for key in ("lowercase", "subwords")},
        "counts": {part: {"pairs": len(totals[part]["aligned"])} for part in SPLITS},
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "left_out": dict(notes),
        # before pairs near to a held-out one were dropped
        "held_out_in_train": near,
        # inputs of an instance, and its decisions
        "length": lengths("source_tokens"),
        "target_length": lengths("target_tokens"),
        "words": {side: lengths(f"{side}_words") for side in SIDES},
        "vocabulary": {
            side: {
                "size": len(sides[side].vocabulary),
                "types_in_train": len(sides[side].counts),
                "share_unknown": {
                    part: sum(total[f"{side}_unknown"]) / sum(total[f"{side}_tokens"])
                    for part, total in totals.items()
                },
            }
            for side in SIDES
        },
        "alignment": {part: _alignment_card(totals[part]) for part in SPLITS},
        "provenance": provenance,
    }
    tables.write_json(paths["card"], card)
