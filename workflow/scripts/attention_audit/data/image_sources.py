"""Where pictures come from: scikit-learn's digits, idx files, folders, the hub.

Every source is read as a stream of `Picture`, so that memory does not grow with the size
of a data set. A picture is read as it stands or is an error that names its file; none is
skipped.
"""

import contextlib
import gzip
import io
import math
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from attention_audit.data.columns import (
    as_label,
    class_name,
    clean_label,
    label_mapping,
)
from attention_audit.data.formats import readable
from attention_audit.data.sources import in_batches, some_rows
from attention_audit.records import tables
from attention_audit.records.errors import AuditError, suggestion

_BATCH = 100  # encoded pictures held at once
_SHOWN = 10  # labels that an error message lists at most


class Picture(NamedTuple):
    """One picture of a source, before any change of its size or colours.

    ``split`` is "train", "dev" or "test" where the source has its own splits and "all"
    where it has none. ``pixels`` are (height, width, 1) of grey or (height, width, 3) of
    red, green and blue, uint8. ``label`` is None where the source has none. ``origin``
    says where the picture stands: its file, or its place in one.
    """

    split: str
    pixels: np.ndarray
    label: str | None
    origin: str


_Pictures = Iterator[Picture]

# ---------------------------------------------------------------- encoded pictures

_GREY = ("1", "L")
_COLOUR = ("RGB", "P", "CMYK", "YCbCr")
_TRANSPARENT = {"LA": "L", "La": "L", "PA": "RGB", "RGBA": "RGB", "RGBa": "RGB"}


def decode_picture(stream: IO[bytes], where: str) -> np.ndarray:
    """The pixels of an encoded picture, upright: (height, width, 1 or 3) uint8.

    Raises `AuditError` for what Pillow cannot read, several frames, more than 8 bits a
    channel, and transparency, whose colours depend on what is behind it.
    """
    try:
        with warnings.catch_warnings():
            # A file of a few kilobytes can unpack to gigabytes.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream) as picture:
                frames = getattr(picture, "n_frames", 1)
                picture.load()
                upright = ImageOps.exif_transpose(picture)
    # A reader raises whatever a damaged file makes it stumble over, each its own errors.
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: not a picture that can be read ({type(error).__name__}: {reason}). "
            "Replace the file, or take it out."
        ) from error
    if frames > 1:
        raise AuditError(
            f"{where}: holds {frames} frames, and a picture is one. Store the frame that "
            "is meant."
        )
    mode = upright.mode
    if "transparency" in upright.info and mode not in _TRANSPARENT:
        upright = upright.convert("RGBA")
    if upright.mode in _TRANSPARENT:
        opaque = _TRANSPARENT[upright.mode]
        upright = upright.convert("LA" if opaque == "L" else "RGBA")
        if upright.getchannel("A").getextrema()[0] < 255:
            raise AuditError(
                f"{where}: is transparent in places. Lay it over the background that is "
                "meant, and store it without an alpha channel."
            )
        upright = upright.convert(opaque)
    elif mode in _GREY:
        upright = upright.convert("L")
    elif mode in _COLOUR:
        upright = upright.convert("RGB")
    else:
        raise AuditError(
            f"{where}: its pixels are of Pillow's mode '{mode}', expected 8 bits a "
            "channel of grey or colour. Store it so, as PNG for example."
        )
    pixels = np.asarray(upright)
    return pixels.reshape(*pixels.shape[:2], -1)


# ---------------------------------------------------------------- digits


def _digits(source: Mapping[str, Any], files: Mapping[str, Any]) -> _Pictures:
    """scikit-learn's 1,797 digits of 8 x 8 (Alpaydin & Kaynak 1998), grey 0 to 16."""
    # Takes more than a second, and no other source needs it.
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    for number, (picture, label) in enumerate(
        zip(pixels, found.target.tolist(), strict=True)
    ):
        yield Picture("all", picture, str(label), f"digits, picture {number}")


# ---------------------------------------------------------------- idx files

_UBYTE = 8


@contextlib.contextmanager
def _open_idx(path: Path, axes: int) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """A file in idx format, after its header, and its shape, of ``axes`` numbers.

    The format is that of MNIST (http://yann.lecun.com/exdb/mnist, LeCun, Cortes &
    Burges): two zeros, the type of the values, the number of axes, the length of each.
    """
    what = "labels" if axes == 1 else "pictures"
    with (
        readable(str(path), "Check the file, or fetch it again."),
        (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream,
    ):
        magic = stream.read(4)
        expected = bytes([0, 0, _UBYTE, axes])
        if magic != expected:
            raise AuditError(
                f"{path}: starts with the bytes {magic.hex(' ') or 'of an empty file'}; "
                f"{what} in idx format start with {expected.hex(' ')}. Check which file "
                f"source.files names as {what}."
            )
        header = stream.read(4 * axes)
        if len(header) < 4 * axes:
            raise AuditError(
                f"{path}: ends in its header. Fetch the file again, it is cut short."
            )
        shape = struct.unpack(f">{axes}I", header)
        if not all(shape):
            raise AuditError(
                f"{path}: its header says {' x '.join(map(str, shape))}, which holds no "
                f"{what}. Name another file."
            )
        yield stream, shape


def _idx_rows(path: Path, axes: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (rows of the file, row) of an idx file: uint8 of the shape of a row."""
    with _open_idx(path, axes) as (stream, (rows, *shape)):
        size = math.prod(shape)
        for number in range(rows):
            values = stream.read(size)
            if len(values) < size:
                raise AuditError(
                    f"{path}: ends in row {number} of the {rows} that its header says. "
                    "Fetch the file again, it is cut short."
                )
            yield rows, np.frombuffer(values, np.uint8).reshape(shape)
        if stream.read(1):
            raise AuditError(
                f"{path}: goes on after the {rows} rows that its header says. Fetch the "
                "file again, or correct its header."
            )


def _idx(
    source: Mapping[str, Any], files: Mapping[str, Mapping[str, str | Path]]
) -> _Pictures:
    for split, pair in files.items():
        path, labelled = Path(pair["images"]), Path(pair["labels"])
        for key, file in (("images", path), ("labels", labelled)):
            if not file.is_file():
                raise AuditError(
                    f"{file}: no such file. Correct source.files.{split}.{key}; a "
                    "relative path starts at the working directory."
                )
        labels = [int(label) for _, label in _idx_rows(labelled, 1)]
        for number, (count, pixels) in enumerate(_idx_rows(path, 3)):
            if count != len(labels):
                raise AuditError(
                    f"{labelled}: {len(labels)} labels for the {count} pictures of "
                    f"{path}. Name the two files that belong together in "
                    f"source.files.{split}."
                )
            origin = f"{path}, picture {number}"
            yield Picture(split, pixels[..., None], str(labels[number]), origin)


# ---------------------------------------------------------------- folders


def _shown(path: Path) -> str:
    """A path as text that UTF-8 can write, whatever bytes its name has."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _visible(folder: Path) -> list[Path]:
    """What a folder holds, by name; what systems hide there is of no source."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folder(source: Mapping[str, Any], files: Mapping[str, str | Path]) -> _Pictures:
    """A folder a split, in it a folder a class, in that the pictures.

    Not through `datasets`' imagefolder, which copies the pictures into a cache, guesses
    splits from the names of folders, and does not name a file that it cannot decode.
    """
    layout = "Expected a folder a class, named as the class, and pictures in each"
    for split, root in files.items():
        root = Path(root)
        if not root.is_dir():
            raise AuditError(
                f"{root}: no such folder. Correct source.files.{split}; a relative path "
                "starts at the working directory."
            )
        folders = _visible(root)
        if not folders:
            raise AuditError(f"{root}: the folder is empty. {layout}.")
        for folder in folders:
            if not folder.is_dir():
                raise AuditError(
                    f"{_shown(folder)}: a file beside the folders of the classes, which "
                    f"has no class. {layout}; move it there, or out."
                )
            label = clean_label(folder.name)
            if label != _shown(Path(label)):
                raise AuditError(
                    f"{_shown(folder)}: its name is no valid Unicode, and names a class. "
                    "Rename the folder."
                )
            paths = _visible(folder)
            if not paths:
                raise AuditError(
                    f"{folder}: holds no picture. {layout}; remove the folder, or fill it."
                )
            for path in paths:
                where = _shown(path)
                if path.is_dir():
                    raise AuditError(
                        f"{where}: a folder inside that of a class. {layout}; move its "
                        "pictures up."
                    )
                with (
                    readable(where, "Check the rights of the file."),
                    path.open("rb") as stream,
                ):
                    pixels = decode_picture(stream, where)
                yield Picture(split, pixels, label, where)


# ---------------------------------------------------------------- the hub


def _encoded(value: Any, where: str, column: str) -> bytes:
    """The bytes of a picture of the hub, which a row holds or names."""
    import fsspec

    if not isinstance(value, Mapping) or not {"bytes", "path"} <= set(value):
        raise AuditError(
            f"{where}: column '{column}' should hold pictures, found "
            f"{type(value).__name__} {str(value)[:40]!r}. Name the column of pictures in "
            "source.image."
        )
    if value["bytes"] is not None:
        return value["bytes"]
    with fsspec.open(value["path"], "rb") as stream:
        return stream.read()


def _hub_stream(
    source: Mapping[str, Any], split: str, where: str
) -> Iterator[tuple[str, bytes, str | None]]:
    """Yield (origin, encoded picture, label) of a split of the hub."""
    # Imported here because it takes seconds, and most data sets come from files.
    import datasets

    image, label = source["image"], source["label"]
    # Network, file system, pandas and Arrow errors all come through these.
    expected = (
        OSError,
        ValueError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    )
    try:
        rows = datasets.load_dataset(
            source["path"],
            source["name"],
            split=split,
            revision=source["revision"],
            streaming=True,
        )
        features = rows.features or {}
        if isinstance(features.get(image), datasets.Image):
            rows = rows.cast_column(image, datasets.Image(decode=False))
        names = getattr(features.get(label), "names", None)
        for number, row in enumerate(rows):
            for column, key in ((image, "image"), (label, "label")):
                if column not in row:
                    raise AuditError(
                        f"{where}: no column '{column}' (source.{key})."
                        f"{suggestion(column, row)}"
                    )
            place = f"{source['path']}, split '{split}', row {number}"
            yield (
                place,
                _encoded(row[image], place, image),
                as_label(class_name(row[label], names), place, label),
            )
    except expected as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AuditError(
            f"{where}: cannot be read ({type(error).__name__}: {reason}). Check the "
            "network, and source.path, name, revision and splits; where there is no "
            "network use idx files or a folder."
        ) from error


def fetch_pictures(
    source: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any]
) -> None:
    """Copy pictures and labels of a hub data set to an "encoded_pictures" table.

    ``source`` is a data set's ``source`` of kind hub: ``path``, ``name`` or None,
    ``revision``, ``splits`` (ours to the hub's), ``image`` and ``label`` (columns). The
    pictures stay encoded as they came. Raises `AuditError` without network, and where a
    split, a column or all rows of a split are missing.
    """
    with tables.open_table(path, "encoded_pictures", provenance) as table:
        for split, theirs in source["splits"].items():
            where = (
                f"hub data set {source['path']} at revision {source['revision']}, "
                f"split '{theirs}'"
            )
            rows = some_rows(_hub_stream(source, theirs, where), where)
            for batch in in_batches(rows, _BATCH):
                origins, encoded, labels = zip(*batch, strict=True)
                table.write(
                    {
                        "split": split,
                        "origin": origins,
                        "label": labels,
                        "encoded": encoded,
                    }
                )


def _hub(source: Mapping[str, Any], files: Mapping[str, str | Path]) -> _Pictures:
    for table in tables.iterate_table(files["documents"], "encoded_pictures", _BATCH):
        for row in table.to_pylist():
            pixels = decode_picture(io.BytesIO(row["encoded"]), row["origin"])
            yield Picture(row["split"], pixels, row["label"], row["origin"])


# ---------------------------------------------------------------- all of them

READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], _Pictures]] = {
    "digits": _digits,
    "folder": _folder,
    "hub": _hub,
    "idx": _idx,
}


def read_pictures(
    source: Mapping[str, Any], files: Mapping[str, Any]
) -> Iterator[Picture]:
    """Stream the pictures of a data set, in the order of its files.

    ``source`` has a ``kind`` and ``labels``, {label of the source: class name} or None;
    without it labels are class names, and with it pictures of other labels are left out.
    ``files`` holds what the kind needs: nothing for digits; {split: {"images": path,
    "labels": path}} for idx, packed where the name ends in .gz; {split: folder} for
    folder, see `_folder`; {"documents": what `fetch_pictures` wrote} for hub.

    Raises `AuditError` for a missing, empty or damaged file or folder, what is no picture
    (`decode_picture`), files that do not belong together, and a label in ``labels`` that
    no picture has.
    """
    labels = label_mapping(source["labels"])
    unused, seen = dict(labels), set()
    for picture in READERS[source["kind"]](source, files):
        if labels and picture.label is not None:
            if len(seen) < _SHOWN:
                seen.add(picture.label)
            if picture.label not in labels:
                continue
            unused.pop(picture.label, None)
            picture = picture._replace(label=labels[picture.label])
        yield picture
    if unused:
        raise AuditError(
            f"source of kind {source['kind']}: no picture has the label "
            f"'{next(iter(unused))}' of source.labels; labels found: "
            f"{', '.join(sorted(seen)) or 'none'}."
        )
