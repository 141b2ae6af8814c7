"""A sheet of example pictures of each class, to see what a data set holds."""

import heapq
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attention_audit.records import tables

_MOST_CLASSES = 20
_A_CLASS = 8  # pictures
_TILE = 64  # pixels: the longer side of a picture
_GAP = 4
_AT_ONCE = 256  # pictures
_MOST_LETTERS = 16  # of a name
_BEHIND = np.array([200, 80, 60])  # laid over the background of what has gold


class ContactSheet:
    """Collects example pictures, those with the smallest ids, and draws them.

    ``gold`` says whether pictures come with a mask.
    """

    def __init__(self, gold: bool):
        self._gold = gold
        self._best: dict[int, list[tuple[int, np.ndarray, np.ndarray | None]]] = {}

    def offer(
        self, label: int, word: int, pixels: np.ndarray, mask: np.ndarray | None
    ) -> None:
        """Show a picture, unless others of its class have smaller ids, or the class is not
        among the first.

        ``word`` is the number that its id stands for, ``pixels`` (h, w, 1 or 3) are uint8,
        and ``mask`` (h, w) says which belong to what matters.
        """
        if label >= _MOST_CLASSES:
            return
        kept = self._best.setdefault(label, [])
        if len(kept) == _A_CLASS and -word < kept[0][0]:
            return
        # Copies, for both are a part of what is read at once.
        heapq.heappush(
            kept, (-word, pixels.copy(), None if mask is None else mask.copy())
        )
        if len(kept) > _A_CLASS:
            heapq.heappop(kept)

    def draw(self, label_names: Sequence[str]) -> Image.Image:
        """A line a class, and with gold one below it in which the background is red."""
        shown = [
            name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
            for name in label_names[:_MOST_CLASSES]
        ]
        font = ImageFont.load_default(12)
        start = 2 * _GAP + round(max(map(font.getlength, shown)))
        step = _TILE + _GAP
        a_class = 2 * step if self._gold else step
        foot = step // 3 if len(shown) < len(label_names) else 0
        size = (start + _A_CLASS * step, _GAP + len(shown) * a_class + foot)
        sheet = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(sheet)
        for place, name in enumerate(shown):
            top = _GAP + place * a_class
            draw.text((_GAP, top + _TILE // 2 - 7), name, "black", font)
            kept = sorted(self._best.get(place, []), key=lambda entry: -entry[0])
            for column, (_, pixels, mask) in enumerate(kept):
                left = start + column * step
                colours = np.repeat(pixels, 3 // pixels.shape[-1], axis=-1)
                sheet.paste(_tile(colours), (left, top))
                if self._gold:
                    mask = np.ones(pixels.shape[:2], bool) if mask is None else mask
                    behind = (colours // 3 + 2 * _BEHIND // 3).astype(np.uint8)
                    over = np.where(mask[..., None], colours, behind)
                    sheet.paste(_tile(over), (left, top + step))
        if foot:
            note = f"the first {len(shown)} of {len(label_names)} classes"
            draw.text((start, size[1] - foot), note, "black", font)
        return sheet


def _tile(colours: np.ndarray) -> Image.Image:
    """(h, w, 3) uint8 at most _TILE high and wide; small pictures show their pixels."""
    picture = Image.fromarray(colours)
    scale = _TILE / max(picture.size)
    size = [max(1, round(side * scale)) for side in picture.size]
    resampling = Image.Resampling
    return picture.resize(
        size, resampling.NEAREST if scale >= 1 else resampling.BILINEAR
    )


def draw_sheet(train: str | Path, card: str | Path, path: str | Path) -> None:
    """Write the sheet of a prepared data set, of its training pictures, as a PNG."""
    described = tables.read_json(card)
    sheet = ContactSheet(described["gold"] is not None)
    shape = tuple(described["shape"][key] for key in ("height", "width", "channels"))
    columns = ["instance_id", "pixels", "label", "gold"]
    for table in tables.iterate_table(train, "pictures", _AT_ONCE, columns):
        for row in table.to_pylist():
            pixels = np.array(row["pixels"], dtype=np.uint8).reshape(shape)
            mask = row["gold"] and np.array(row["gold"]).reshape(shape[:2])
            sheet.offer(row["label"], int(row["instance_id"], 16), pixels, mask)
    with tables.atomic_path(path) as temporary:
        sheet.draw(described["label_names"]).save(temporary, "PNG")
