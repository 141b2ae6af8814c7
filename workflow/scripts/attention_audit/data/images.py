"""From pictures to pixels: colours, sizes, splits, statistics of train.

`prepare_dataset` writes what training reads. It goes over the source once, keeps the
pictures as a model reads them in a temporary Parquet file and holds in memory only hashes
and a few integers a picture, so that the size of a data set is bounded by the disk.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps
from tqdm import tqdm

from attention_audit.data.image_sources import Picture
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
    hash_words,
    label_ids,
)
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

_BATCH = 256  # pictures held at once
_WHITE = 255

# ---------------------------------------------------------------- one picture


def _hash(pixels: np.ndarray) -> bytes:
    """32 bytes that identify a picture, (height, width, channels) uint8.

    A grey picture that is stored in three channels is the same as in one.
    """
    if pixels.shape[-1] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    shape = " ".join(map(str, pixels.shape)).encode()
    return hashlib.blake2b(shape + b"\n" + pixels.tobytes(), digest_size=32).digest()


def read_as(
    pixels: np.ndarray, colour: bool, size: Sequence[int] | None, fit: str
) -> np.ndarray:
    """A picture as a model reads it: (height, width, 3 or 1) uint8.

    ``colour`` says whether in red, green and blue or in grey (luma of ITU-R 601-2).
    ``size`` is (height, width), or None for the picture's own. A picture of other
    proportions is scaled and its edges cut off evenly (``fit`` "crop"), or is deformed
    ("stretch"). Scaling is bilinear, over all pixels that fall into one.
    """
    if pixels.shape[-1] == (3 if colour else 1) and (
        size is None or pixels.shape[:2] == tuple(size)
    ):
        return pixels
    picture = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    picture = picture.convert("RGB" if colour else "L")
    if size is not None:
        wanted = (size[1], size[0])
        if fit == "crop":
            picture = ImageOps.fit(picture, wanted, Image.Resampling.BILINEAR)
        else:
            picture = picture.resize(wanted, Image.Resampling.BILINEAR)
    found = np.asarray(picture)
    return found.reshape(*found.shape[:2], -1)


def n_patches(shape: Sequence[int], side: int, name: str) -> int:
    """The patches of ``side`` pixels that a picture of (height, width, ...) is cut into."""
    height, width = shape[:2]
    if height % side or width % side:
        raise AuditError(
            f"datasets.{name}: pictures of {_size(shape)} pixels cannot be cut into patches "
            f"of {side} x {side}. Set patch to a divisor of both, or size to multiples of it."
        )
    return (height // side) * (width // side)


def foreground(pixels: np.ndarray, shade: str, level: int) -> np.ndarray:
    """Which pixels lie above the background: (..., height, width) bool.

    ``pixels`` are (..., height, width, channels) uint8. The background is all that is no
    brighter than ``level`` where its ``shade`` is "dark", and no darker than 255 -
    ``level`` where it is "light"; a pixel of colour belongs to it in all channels.
    """
    if shade == "light":
        pixels = _WHITE - pixels
    return (pixels > level).any(-1)


# ---------------------------------------------------------------- reading the source

_SPOOL = pa.schema(
    [
        pa.field("split", pa.int8(), nullable=False),  # index in SOURCE_SPLITS
        pa.field("label", pa.int32(), nullable=False),  # index in order of appearance
        pa.field("hash", pa.binary(32), nullable=False),  # as the source has it
        pa.field("read_hash", pa.binary(32), nullable=False),  # as a model reads it
        pa.field("height", pa.int32(), nullable=False),  # in the source
        pa.field("width", pa.int32(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("pixels", pa.binary(), nullable=False),  # as a model reads them
    ]
)


def _write_spool(
    path: Path, name: str, settings: Mapping[str, Any], pictures: Iterable[Picture]
) -> tuple[list[str], tuple[int, int, int], Counter]:
    """Write pictures as they are read to ``path``.

    Returns class names, the shape that all pictures have, and counts of dropped ones.
    """
    reading = {key: settings[key] for key in ("colour", "size", "fit")}
    classes: dict[str, int] = {}
    dropped: Counter = Counter()
    shape, first = None, None
    batch: dict[str, list] = {field: [] for field in _SPOOL.names}
    # No total: a stream does not know its length. Silent where there is no terminal.
    progress = tqdm(pictures, desc=name, unit=" pictures", disable=None)
    with tables.open_table(path, _SPOOL, {}) as spool:
        for picture in progress:
            if picture.label is None:
                dropped["unlabelled"] += 1
                continue
            pixels = read_as(picture.pixels, **reading)
            if shape is None:
                shape, first = pixels.shape, picture.origin
            if pixels.shape != shape:
                raise AuditError(
                    f"{picture.origin}: is {_size(pixels.shape)} pixels high and wide, "
                    f"and {first} is {_size(shape)}. A model reads pictures of one size: "
                    f"set datasets.{name}.size, to which all are scaled."
                )
            whole = _hash(picture.pixels)
            unchanged = pixels is picture.pixels
            height, width, _ = picture.pixels.shape
            row = {
                "split": SOURCE_SPLITS.index(picture.split),
                "label": classes.setdefault(picture.label, len(classes)),
                "hash": whole,
                "read_hash": whole if unchanged else _hash(pixels),
                "height": height,
                "width": width,
                "origin": picture.origin,
                "pixels": pixels.tobytes(),
            }
            for key, value in row.items():
                batch[key].append(value)
            if len(batch["split"]) == _BATCH:
                spool.write(batch)
                batch = {field: [] for field in _SPOOL.names}
        spool.write(batch)
    if shape is None:
        raise AuditError(
            f"datasets.{name}: no picture has a label. Check source.files and "
            "source.label."
        )
    return list(classes), shape, dropped


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


@dataclass
class _Index:
    """What is held in memory of every picture of the spool, in its order.

    ``texts`` is what splits, copies and caps are decided by.
    """

    texts: Texts
    height: np.ndarray  # (N,) in the source
    width: np.ndarray  # (N,)


def _read_index(path: Path) -> _Index:
    columns = ["split", "label", "hash", "read_hash", "height", "width"]
    table = tables.read_table(path, _SPOOL, columns)
    height, width = (table[name].to_numpy() for name in ("height", "width"))
    texts = Texts(
        table["split"].to_numpy(),
        table["label"].to_numpy(),
        hash_words(table["hash"]),
        hash_words(table["read_hash"])[:, :2].copy(),
        height * width,
    )
    return _Index(texts, height, width)


def _pictures_of(
    spool: Path, shape: tuple[int, int, int]
) -> Iterator[tuple[int, np.ndarray, list[str]]]:
    """Yield (first row, pixels (rows, *shape) uint8, origins) of the spool."""
    start = 0
    columns = ["origin", "pixels"]
    for table in tables.iterate_table(spool, _SPOOL, _BATCH, columns):
        joined = b"".join(table["pixels"].to_pylist())
        pixels = np.frombuffer(joined, np.uint8).reshape(-1, *shape)
        yield start, pixels, table["origin"].to_pylist()
        start += len(table)


# ---------------------------------------------------------------- statistics of train


@dataclass
class _Sums:
    """Sums over the training pictures, in integers: no order of them changes a digit."""

    counts: np.ndarray  # (channels, 256) pixels of each value
    picture: np.ndarray  # (height, width, channels) sum over pictures

    @classmethod
    def of(cls, spool: Path, shape: tuple[int, int, int], train: np.ndarray) -> "_Sums":
        """Sums over the rows of the spool that ``train`` (N,) names."""
        channels = shape[-1]
        sums = cls(np.zeros((channels, 256), np.int64), np.zeros(shape, np.int64))
        for start, pixels, _ in _pictures_of(spool, shape):
            pixels = pixels[train[start : start + len(pixels)]]
            sums.picture += pixels.sum(0, dtype=np.int64)
            for channel in range(channels):
                values = pixels[..., channel].ravel()
                sums.counts[channel] += np.bincount(values, minlength=256)
        return sums

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel (channels,), 255 being 1."""
        values = np.arange(256) / _WHITE
        shares = self.counts / self.counts.sum(1, keepdims=True)
        mean = shares @ values
        variance = (shares * (values - mean[:, None]) ** 2).sum(1)
        return mean, np.sqrt(variance)

    def mean_picture(self) -> np.ndarray:
        """(height, width, channels), 255 being 1."""
        pictures = self.counts[0].sum() // (self.picture.size // len(self.counts))
        return self.picture / (_WHITE * pictures)


# ---------------------------------------------------------------- prepared data sets


def _lists(values: np.ndarray) -> pa.ListArray:
    """Rows of ``values`` (rows, n) as lists."""
    rows, n = values.shape
    offsets = np.arange(0, (rows + 1) * n, n, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))


def _marked(mask: np.ndarray) -> np.ndarray:
    """Which masks (rows, height, width) tell pixels apart, being neither all nor none."""
    flat = mask.reshape(len(mask), -1)
    return flat.any(1) & ~flat.all(1)


def _write_examples(
    spool: Path,
    writers: Mapping[str, tables.TableWriter],
    name: str,
    index: _Index,
    split: np.ndarray,
    label: np.ndarray,
    shape: tuple[int, int, int],
    background: Mapping[str, Any] | None,
) -> dict[str, Counter]:
    """Write the splits from the spool.

    Returns, a split, foreground pixels and pictures with and without a mask.
    """
    height, width, channels = shape
    totals = {part: Counter() for part in SPLITS}
    for start, pixels, origins in _pictures_of(spool, shape):
        for place, part in enumerate(SPLITS):
            rows = np.flatnonzero(split[start : start + len(pixels)] == place)
            if not len(rows):
                continue
            chosen = pixels[rows]
            words = index.texts.words[start + rows, 0]
            instances = [f"{word:016x}" for word in words]
            gold = pa.nulls(len(rows), pa.list_(pa.bool_()))
            if background is not None:
                masks = foreground(chosen, **background)
                marked = _marked(masks)
                gold = pc.if_else(
                    pa.array(marked), _lists(masks.reshape(len(rows), -1)), None
                )
                totals[part]["foreground"] += int(masks[marked].sum())
                totals[part]["with"] += int(marked.sum())
                totals[part]["without"] += int((~marked).sum())
            columns = {
                "dataset": name,
                "instance_id": instances,
                # a picture is one decision, independent of others
                "cluster_id": instances,
                "pixels": _lists(chosen.reshape(len(rows), -1)),
                "height": height,
                "width": width,
                "channels": channels,
                "label": label[start + rows],
                "gold": gold,
                "origin": [origins[row] for row in rows],
            }
            writers[part].write(columns)
    return totals


def _side_card(sides: np.ndarray) -> dict[str, float]:
    """Of heights or widths (n,), in pixels."""
    return {
        "min": int(sides.min()),
        "median": float(np.median(sides)),
        "max": int(sides.max()),
    }


def _gold_card(
    settings: Mapping[str, Any], totals: Mapping[str, Counter], pixels: int
) -> dict[str, Any] | None:
    if settings["gold"] is None:
        return None
    return {
        "kind": settings["gold"],
        "background": settings["background"],
        "pictures": {part: total["with"] for part, total in totals.items()},
        "without": {part: total["without"] for part, total in totals.items()},
        "share_of_pixels": {
            part: total["foreground"] / (total["with"] * pixels)
            for part, total in totals.items()
            if total["with"]
        },
    }


def prepare_dataset(
    name: str,
    settings: Mapping[str, Any],
    pictures: Iterable[Picture],
    outputs: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
) -> None:
    """Write train, dev and test tables, statistics of train, and a card.

    ``settings`` is the data set's entry in the configuration with all defaults:
    ``source``; ``colour``, ``size`` and ``fit`` (see `read_as`); ``patch``, the side of a
    patch in pixels; ``max_examples``
    ({split: number or None} or None); ``split`` ({"dev": share, "test": share});
    ``gold`` ("foreground" or None) and ``background`` ({"shade": ..., "level": ...}, see
    `foreground`); ``note`` (for the card, or None). ``outputs`` has the paths "train",
    "dev", "test", "reading" and "card".

    Pictures without a label are dropped. The source's own splits stay; a source without
    splits ("all") is divided by the shares of ``split``, and training gives up the share
    of dev where there is no dev split. Both, and the choice under a cap, follow a hash of
    the pixels as the source has them, so that a picture stays in its split when ``size``
    or ``colour`` changes. Of pictures that a model reads as the same one is kept, from
    test before dev before train; with different labels, none. An ``instance_id`` is 16
    hexadecimal digits of that hash, unique in a data set. Label ids follow the order of
    ``source.labels``, else that of the sorted names. Pixels are written as they are read,
    before normalization: what it takes, mean and standard deviation of each channel over
    the training pictures that are left, stands in "reading" (a table "channels") and in the card.

    Outputs appear at the end, the card last, or not at all. Raises `AuditError` for
    pictures of several sizes without ``size``, an empty split, a single class, a class
    unseen in training, and training pictures that are all of one shade.
    """
    paths = {key: Path(path) for key, path in outputs.items()}
    with tables.scratch_folder(paths["card"]) as folder:
        spool = folder / "spool.parquet"
        found, shape, dropped = _write_spool(spool, name, settings, pictures)
        index = _read_index(spool)
        texts, shares = index.texts, settings["split"]
        split = assign_splits(texts, shares["dev"], shares["test"])
        drop_copies(texts, split, dropped)
        apply_caps(texts, split, settings["max_examples"] or {}, dropped)
        dropped = Counter(
            {
                reason.replace("after_cut", "after_resize"): n
                for reason, n in dropped.items()
            }
        )
        check_splits(name, split, dropped)
        check_classes(name, split, texts.label, found)
        in_use = split != DROPPED
        check_ids(name, texts, in_use, "picture")
        mapping = settings["source"]["labels"]
        label_names, label = label_ids(texts, in_use, found, mapping)

        patches = n_patches(shape, settings["patch"], name)
        sums = _Sums.of(spool, shape, split == SPLITS.index("train"))
        mean, sd = sums.moments()
        if not sd.all():
            raise AuditError(
                f"datasets.{name}: the training pictures are of one shade in channel "
                f"{int(np.flatnonzero(sd == 0)[0])}, so that there is nothing to tell "
                "them apart by. Check the source, or set colour to false."
            )
        gold = settings["background"] if settings["gold"] is not None else None
        with contextlib.ExitStack() as stack:
            writers = {
                part: stack.enter_context(
                    tables.open_table(paths[part], "pictures", provenance)
                )
                for part in SPLITS
            }
            channels = stack.enter_context(
                tables.open_table(paths["reading"], "channels", provenance)
            )
            totals = _write_examples(
                spool, writers, name, index, split, label, shape, gold
            )
            channels.write(
                {
                    "dataset": name,
                    "channel": range(shape[-1]),
                    "height": shape[0],
                    "width": shape[1],
                    "patch": settings["patch"],
                    "mean": mean,
                    "sd": sd,
                    "mean_picture": list(
                        sums.mean_picture().transpose(2, 0, 1).reshape(shape[-1], -1)
                    ),
                }
            )

    members = {part: split == place for place, part in enumerate(SPLITS)}
    card = {
        "name": name,
        "note": settings["note"],
        "source": settings["source"],
        "reading": {key: settings[key] for key in ("colour", "size", "fit", "patch")},
        "label_names": label_names,
        "counts": class_counts(split, label, label_names),
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "shape": dict(zip(("height", "width", "channels"), shape, strict=True)),
        # inputs of an instance
        "length": {part: {"mean": patches, "max": patches} for part in SPLITS},
        "size_in_source": {
            part: {
                "height": _side_card(index.height[rows]),
                "width": _side_card(index.width[rows]),
            }
            for part, rows in members.items()
        },
        "normalization": {"mean": mean.tolist(), "sd": sd.tolist()},
        "gold": _gold_card(settings, totals, shape[0] * shape[1]),
        "provenance": provenance,
    }
    tables.write_json(paths["card"], card)
