"""Pictures as a model reads them: normalized, cut into patches, and whole splits of them.

Shapes: B pictures of h x w pixels and c channels; n patches of d = side * side * c values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from attention_audit.records import tables
from attention_audit.records.errors import AuditError

# What stands where a patch is removed; see `PatchBatch.without`.
REMOVALS = ("mean", "blur")
# A patch counts as marked where at least this share of its pixels is.
MARKED_SHARE = 0.5
# How far from the middle of a picture what matters is guessed to be, in its sides.
GUESSED_SD = 0.25

_PIECE = 256  # pictures of a table that are unpacked at once
SIZE = ("height", "width", "channels")
# What is read of a picture.
COLUMNS = ("instance_id", "cluster_id", "pixels", *SIZE, "label", "gold")


def cut_patches(pictures: Tensor, side: int) -> Tensor:
    """(B, h, w, c) -> patches (B, n, d), row by row; a patch's values, row by row too.

    Raises `AuditError` where patches of ``side`` pixels do not fill a picture.
    """
    count, height, width, channels = pictures.shape
    if height % side or width % side:
        raise AuditError(
            f"pictures of {height} x {width} pixels cannot be cut into patches of {side} x "
            f"{side}. Set a patch size that divides both, or the data set's size to "
            f"multiples of {side}."
        )
    rows, columns = height // side, width // side
    grid = pictures.reshape(count, rows, side, columns, side, channels)
    # (B, rows, columns, side, side, c)
    grid = grid.transpose(2, 3)
    return grid.reshape(count, rows * columns, side * side * channels)


def join_patches(patches: Tensor, shape: Sequence[int], side: int) -> Tensor:
    """(B, n, d) -> pictures (B, *shape): the inverse of `cut_patches`."""
    height, width, channels = shape
    grid = patches.reshape(
        len(patches), height // side, width // side, side, side, channels
    )
    return grid.transpose(2, 3).reshape(len(patches), *shape)


def blur(pictures: Tensor, sd: float) -> Tensor:
    """Gaussian blur, with a standard deviation of ``sd`` pixels, of (B, h, w, c).

    Beyond its border a picture goes on as it ends there.
    """
    radius = math.ceil(3 * sd)
    offsets = torch.arange(-radius, radius + 1, device=pictures.device)
    kernel = torch.exp(-(offsets.to(pictures.dtype) ** 2) / (2 * sd**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    count, height, width, channels = pictures.shape
    planes = pictures.permute(0, 3, 1, 2).reshape(-1, 1, height, width)
    for weights in (kernel, kernel.transpose(2, 3)):
        across = weights.shape[3] > 1
        pads = (radius, radius, 0, 0) if across else (0, 0, radius, radius)
        planes = functional.conv2d(functional.pad(planes, pads, "replicate"), weights)
    return planes.reshape(count, channels, height, width).permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Normalization:
    """What pictures are normalized with: statistics of the training pictures.

    ``mean`` and ``sd`` (c,) are those of each channel, and ``picture`` (h, w, c) is the
    mean picture, all on a scale where 255 is 1. ``side`` is that of a patch in pixels.
    """

    mean: np.ndarray
    sd: np.ndarray
    picture: np.ndarray
    side: int

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From the table "channels" of a data set."""
        table = tables.read_table(path, "channels").sort_by("channel")
        planes = np.array(table["mean_picture"].to_pylist())  # (c, h * w)
        height, width, side = (
            table[key][0].as_py() for key in ("height", "width", "patch")
        )
        return cls(
            table["mean"].to_numpy(),
            table["sd"].to_numpy(),
            planes.reshape(-1, height, width).transpose(1, 2, 0),
            side,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width, _ = self.picture.shape
        return height // self.side, width // self.side

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(..., c) uint8 -> float32, of mean 0 and standard deviation 1 over train."""
        mean, sd = (np.float32(255 * value) for value in (self.mean, self.sd))
        return (pixels - mean) / sd

    def mean_picture(self) -> np.ndarray:
        """The mean picture, normalized as the others: (h, w, c) float32."""
        return ((self.picture - self.mean) / self.sd).astype(np.float32)


@dataclass(frozen=True)
class PatchBatch:
    """B pictures, a decision each; their inputs are patches. No picture has padding."""

    removal: ClassVar[str] = "mean"

    instance_ids: list[str]
    labels: Tensor | None  # (B,) int64
    lengths: np.ndarray  # (B,), all of them n
    patches: Tensor  # (B, n, d) float32, normalized
    mask: Tensor  # (B, n) bool, all of it True
    # The mean of the training pictures, normalized.
    mean: Tensor  # (n, d)
    shape: tuple[int, int, int]  # h, w, c of a picture
    side: int  # of a patch, in pixels
    cluster_ids: list[str] | None = None
    # Which patches are marked, (n,) bool each; None for what has no mask.
    gold: list[np.ndarray | None] | None = None
    # Patches have no times.
    times: ClassVar[None] = None
    # Each picture is a decision of its own.
    groups: ClassVar[None] = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width, _ = self.shape
        return height // self.side, width // self.side

    @property
    def places(self) -> np.ndarray:
        """Row and column of each patch, (n, 2)."""
        return np.indices(self.grid).reshape(2, -1).T

    @property
    def guess(self) -> np.ndarray:
        """How much each patch is to matter by a guess, the middle: (n,) float32.

        A Gaussian around the centre of the picture, at the centre of a patch, with a
        standard deviation of GUESSED_SD sides.
        """
        down, right = self.grid
        # In sides from the centre. Patches as far from it have the same value exactly.
        rows, columns = (np.arange(1 - k, k, 2) / (2 * k) for k in (down, right))
        squares = rows[:, None] ** 2 + columns**2
        return np.exp(-squares.ravel() / (2 * GUESSED_SD**2)).astype(np.float32)

    def take(self, rows: np.ndarray) -> Self:
        """The pictures of some rows."""
        chosen = torch.as_tensor(rows, device=self.mask.device)
        return replace(
            self,
            instance_ids=[self.instance_ids[row] for row in rows],
            labels=None if self.labels is None else self.labels[chosen],
            lengths=self.lengths[rows],
            patches=self.patches[chosen],
            mask=self.mask[chosen],
            cluster_ids=self.cluster_ids and [self.cluster_ids[row] for row in rows],
            gold=self.gold and [self.gold[row] for row in rows],
        )

    def without(self, removed: Tensor, removal: str = "mean") -> Self:
        """The one picture of a batch R times, without the patches at ``removed`` (R, n).

        In their place stands, by ``removal``, the "mean" of the training pictures at that
        place, or a "blur" of the picture itself, so wide (a standard deviation of one
        side) that nothing of a patch's size is left. As many patches as before are read.
        """
        stand_in = self.mean
        if removal == "blur":
            (picture,) = join_patches(self.patches, self.shape, self.side)
            (stand_in,) = cut_patches(blur(picture[None], self.side), self.side)
        elif removal != "mean":
            raise AuditError(
                f"'{removal}' is no way to remove a patch: choose {' or '.join(REMOVALS)}."
            )
        copies = len(removed)
        return replace(
            self,
            instance_ids=self.instance_ids * copies,
            labels=None if self.labels is None else self.labels.expand(copies),
            lengths=self.lengths.repeat(copies),
            patches=torch.where(removed[..., None], stand_in, self.patches),
            mask=self.mask.expand(copies, -1),
            cluster_ids=self.cluster_ids and self.cluster_ids * copies,
            gold=self.gold and self.gold * copies,
        )


@dataclass(frozen=True)
class PictureExamples:
    """One split, as `read_examples` reads it: N pictures, to be cut into patches.

    ``pixels`` are (N, h, w, c) uint8; ``labels`` (N,) are int64 indices into the card's
    ``label_names``; ``gold`` (N, h, w) is True at marked pixels, and nowhere in a picture
    that has no mask.
    """

    instance_ids: list[str]
    cluster_ids: list[str]
    pixels: np.ndarray
    labels: np.ndarray
    gold: np.ndarray
    normalization: Normalization

    def __len__(self) -> int:
        return len(self.instance_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Patches of each picture, (N,)."""
        return np.full(len(self), math.prod(self.normalization.grid))

    def take(self, rows: Sequence[int]) -> Self:
        """The pictures of some rows, in that order."""
        return replace(
            self,
            instance_ids=[self.instance_ids[row] for row in rows],
            cluster_ids=[self.cluster_ids[row] for row in rows],
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            gold=self.gold[rows],
        )

    def batch(self, rows: np.ndarray, device: torch.device) -> PatchBatch:
        """Some rows, normalized and cut into patches."""
        chosen = self.take(rows)
        pictures = torch.from_numpy(self.normalization.apply(chosen.pixels)).to(device)
        mean = torch.from_numpy(self.normalization.mean_picture()).to(device)
        side = self.normalization.side
        patches = cut_patches(pictures, side)
        return PatchBatch(
            chosen.instance_ids,
            torch.from_numpy(chosen.labels).to(device),
            chosen.lengths,
            patches,
            torch.ones(patches.shape[:2], dtype=torch.bool, device=device),
            cut_patches(mean[None], side)[0],
            tuple(self.pixels.shape[1:]),
            side,
            chosen.cluster_ids,
            mark_patches(chosen.gold, side),
        )


def mark_patches(masks: np.ndarray, side: int) -> list[np.ndarray | None] | None:
    """Which patches (n,) are marked in each of (B, h, w) pixel masks; see MARKED_SHARE.

    None for a picture in which no patch is or all are, which tells none apart, and in
    place of a list of nothing else.
    """
    pixels = cut_patches(torch.from_numpy(masks)[..., None].float(), side)
    marked = (pixels.mean(-1) >= MARKED_SHARE).numpy()
    rows = [row if row.any() and not row.all() else None for row in marked]
    return rows if any(row is not None for row in rows) else None


def read_examples(path: str | Path, reading: str | Path) -> PictureExamples:
    """Read one split that `prepare_dataset` wrote, in its order.

    ``reading`` is the data set's table "channels". Raises `AuditError` for pictures that
    are not of the size that it says, which none that the pipeline wrote are.
    """
    # A piece at a time: the lists of a whole table may hold more values than a list of
    # Arrow can count.
    normalization = Normalization.read(reading)
    pieces = [
        unpacked(table, normalization, path)
        for table in tables.iterate_table(path, "pictures", _PIECE, COLUMNS)
    ]
    return PictureExamples(
        [i for piece in pieces for i in piece.instance_ids],
        [i for piece in pieces for i in piece.cluster_ids],
        *(
            np.concatenate([getattr(piece, name) for piece in pieces])
            for name in ("pixels", "labels", "gold")
        ),
        normalization,
    )


def unpacked(
    table: pa.Table, normalization: Normalization, path: str | Path
) -> PictureExamples:
    """Rows of a table "pictures", which ``path`` names, with their `COLUMNS`."""
    height, width, channels = shape = normalization.picture.shape
    flat = table["pixels"].combine_chunks().flatten().to_numpy()
    sizes = zip(*(table[key].to_pylist() for key in SIZE), strict=True)
    others = sorted({*sizes} - {shape})
    if others or len(flat) != len(table) * math.prod(shape):
        raise tables.mismatch(
            path,
            f"holds pictures of other sizes than {height} x {width} x {channels}: {others}",
        )
    masks = table["gold"].combine_chunks()
    known = masks.is_valid().to_numpy(zero_copy_only=False)
    marked = np.zeros((len(table), height, width), dtype=bool)
    found = masks.drop_null().flatten().to_numpy(zero_copy_only=False)
    marked[known] = found.reshape(-1, height, width)
    return PictureExamples(
        table["instance_id"].to_pylist(),
        table["cluster_id"].to_pylist(),
        flat.reshape(-1, *shape),
        table["label"].to_numpy().astype(np.int64),
        marked,
        normalization,
    )
