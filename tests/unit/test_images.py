"""Pictures: sources, splits, statistics of train, patches."""

import gzip
import io
import random
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from attention_audit.data import image_sources
from attention_audit.data.contact_sheet import draw_sheet
from attention_audit.data.image_batches import (
    blur,
    cut_patches,
    join_patches,
    mark_patches,
    read_examples,
)
from attention_audit.data.image_sources import Picture, decode_picture, read_pictures
from attention_audit.data.images import foreground, prepare_dataset, read_as
from attention_audit.records import tables
from attention_audit.records.errors import AuditError

CPU = torch.device("cpu")


def noise(number: int, height: int = 4, width: int = 6, channels: int = 1):
    """Pixels that no other number has: (height, width, channels) uint8."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode=None, **settings) -> bytes:
    stream = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    picture = Image.fromarray(squeezed)
    (picture.convert(mode) if mode else picture).save(stream, kind, **settings)
    return stream.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return decode_picture(io.BytesIO(content), "a.png")


# ---------------------------------------------------------------- encoded pictures


def test_pictures_are_grey_or_colour_whatever_their_file_is():
    grey, colour = noise(0), noise(1, channels=3)
    for pixels in (grey, colour):
        np.testing.assert_array_equal(decoded(encoded(pixels)), pixels)
        np.testing.assert_array_equal(decoded(encoded(pixels, "BMP")), pixels)
    np.testing.assert_array_equal(decoded(encoded(colour, mode="RGBA")), colour)
    np.testing.assert_array_equal(decoded(encoded(grey, mode="LA")), grey)
    bits = (grey > 99).astype(np.uint8) * 255
    np.testing.assert_array_equal(decoded(encoded(bits, mode="1")), bits)
    three = np.zeros((4, 6, 3), np.uint8)
    three[1:, 2:] = (10, 20, 30)
    np.testing.assert_array_equal(decoded(encoded(three, "GIF")), three)


def test_pictures_stand_upright():
    pixels = noise(2)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by a quarter to show
    upright = decoded(encoded(pixels, exif=exif))
    np.testing.assert_array_equal(upright, np.rot90(pixels, -1))


def animation() -> bytes:
    frames = [Image.fromarray(noise(i)[..., 0]) for i in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def deep() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((3, 3), 4000, np.uint16)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture that can be read"),
        (b"name,label\n", "not a picture that can be read"),
        (encoded(noise(0, 40, 40))[:900], "not a picture that can be read"),
        (encoded(noise(0, 40, 40), "JPEG")[:700], "not a picture that can be read"),
        (animation(), "holds 2 frames"),
        (deep(), "mode 'I;16', expected 8 bits"),
        (encoded(noise(3, channels=4)), "transparent in places"),
        (encoded(noise(3), "GIF", transparency=int(noise(3)[0, 0, 0])), "transparent"),
    ],
)
def test_what_is_no_plain_picture_is_named(content, message):
    with pytest.raises(AuditError, match=rf"^a\.png: .*{message}"):
        decoded(content)


@pytest.mark.filterwarnings("ignore")  # of tags, which are none of the pixels
def test_no_damage_of_a_file_raises_anything_but_the_one_error():
    rng = random.Random(0)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = encoded(noise(0, 16, 16, 3), kind)
        for _ in range(30):
            content = bytearray(whole)
            for _ in range(3):
                content[rng.randrange(len(content))] = rng.randrange(256)
            try:
                decoded(bytes(content[: rng.randrange(1, len(content) + 1)]))
            except AuditError:
                continue


# ---------------------------------------------------------------- idx files


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


PIXELS = np.stack([noise(i)[..., 0] for i in range(5)])
LABELS = np.array([3, 1, 3, 1, 0])
IDX = {"kind": "idx", "labels": None}


def idx_files(folder, images=None, labels=None, suffix=""):
    pair = {}
    for key, content, values in (
        ("images", images, PIXELS),
        ("labels", labels, LABELS),
    ):
        pair[key] = folder / f"{key}-idx{values.ndim}-ubyte{suffix}"
        content = idx(values) if content is None else content
        pair[key].write_bytes(gzip.compress(content) if suffix else content)
    return {"train": pair}


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_packed_or_not(tmp_path, suffix):
    read = list(read_pictures(IDX, idx_files(tmp_path, suffix=suffix)))
    assert [p.label for p in read] == ["3", "1", "3", "1", "0"]
    assert {p.split for p in read} == {"train"}
    np.testing.assert_array_equal([p.pixels[..., 0] for p in read], PIXELS)
    assert read[4].origin.endswith(f"images-idx3-ubyte{suffix}, picture 4")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("which", "content", "message"),
    [
        ("images", idx(LABELS), "00 00 08 01; pictures in idx format start with 00 00"),
        ("labels", idx(PIXELS), "00 00 08 03; labels in idx format start with 00 00"),
        ("images", b"", "the bytes of an empty file"),
        ("images", b"\0\0\x0d\x03" + bytes(12), "starts with the bytes 00 00 0d 03"),
        ("images", idx(PIXELS)[:9], "ends in its header"),
        ("images", idx(PIXELS)[:-1], "ends in row 4 of the 5"),
        ("labels", idx(LABELS)[:-2], "ends in row 3 of the 5"),
        ("images", idx(PIXELS) + b"\0", "goes on after the 5 rows"),
        ("labels", idx(LABELS) + b"\0", "goes on after the 5 rows"),
        ("labels", idx(LABELS[:4]), "4 labels for the 5 pictures of .*images-idx3"),
        ("labels", idx(LABELS.repeat(2)), "10 labels for the 5 pictures"),
        ("images", idx(PIXELS[:0]), "says 0 x 4 x 6, which holds no pictures"),
    ],
)
def test_idx_files_that_are_none_are_named(tmp_path, suffix, which, content, message):
    files = idx_files(tmp_path, **{which: content}, suffix=suffix)
    with pytest.raises(AuditError, match=rf"{which}-idx\d-ubyte{suffix}: .*{message}"):
        list(read_pictures(IDX, files))


def test_missing_and_damaged_idx_files_are_named(tmp_path):
    files = idx_files(tmp_path, suffix=".gz")
    path = files["train"]["images"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(AuditError, match=r"images-idx3-ubyte.gz: cannot be read \(EOF"):
        list(read_pictures(IDX, files))
    path.write_bytes(idx(PIXELS))
    with pytest.raises(AuditError, match=r"images-idx3-ubyte.gz: cannot be read \(Bad"):
        list(read_pictures(IDX, files))
    path.unlink()
    with pytest.raises(
        AuditError, match=r"no such file. Correct source.files.train.im"
    ):
        list(read_pictures(IDX, files))


def test_labels_name_classes_and_leave_others_out(tmp_path):
    files = idx_files(tmp_path)
    source = {"kind": "idx", "labels": {"3": "boot", "0": "coat"}}
    read = list(read_pictures(source, files))
    assert [p.label for p in read] == ["boot", "boot", "coat"]
    source["labels"]["7"] = "hat"
    with pytest.raises(
        AuditError, match=r"no picture has the label '7'.*found: 0, 1, 3"
    ):
        list(read_pictures(source, files))


# ---------------------------------------------------------------- folders

FOLDER = {"kind": "folder", "labels": None}


def folder_of(root, **classes):
    for name, contents in classes.items():
        (root / name).mkdir(parents=True)
        for number, content in enumerate(contents):
            (root / name / f"{number}.png").write_bytes(content)
    return {"all": root}


def test_a_folder_a_class(tmp_path):
    files = folder_of(
        tmp_path / "own",
        fox=[encoded(noise(i)) for i in range(2)],
        **{"cafe\u0301": [encoded(noise(2, channels=3))]},
    )
    (tmp_path / "own/.DS_Store").write_bytes(b"hidden")
    (tmp_path / "own/fox/.thumbs").write_bytes(b"hidden")
    read = list(read_pictures(FOLDER, files))
    assert [p.label for p in read] == ["caf\u00e9", "fox", "fox"]
    assert read[1].origin == str(tmp_path / "own/fox/0.png")
    np.testing.assert_array_equal(read[2].pixels, noise(1))


def test_folders_that_hold_something_else_are_named(tmp_path):
    def fault(name, message, change):
        files = folder_of(tmp_path / name, fox=[encoded(noise(0))])
        change(tmp_path / name)
        with pytest.raises(AuditError, match=rf"/{message}"):
            list(read_pictures(FOLDER, files))

    fault("a", "a/fox: holds no picture", lambda p: (p / "fox/0.png").unlink())
    fault("b", "b/note.txt: a file beside", lambda p: (p / "note.txt").write_text(""))
    fault("c", "c/fox/deep: a folder inside", lambda p: (p / "fox/deep").mkdir())
    fault("d", "d/fox/1.txt: not a pic", lambda p: (p / "fox/1.txt").write_text("a"))
    fault("e", "e: no such folder.*files.all", lambda p: p.rename(p.with_name("f")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AuditError, match="empty: the folder is empty"):
        list(read_pictures(FOLDER, {"train": tmp_path / "empty"}))


# ---------------------------------------------------------------- the hub


@pytest.mark.parametrize("embedded", [True, False])
def test_pictures_of_the_hub_come_through_its_loader(tmp_path, monkeypatch, embedded):
    import datasets

    whole = tmp_path / "whole.png"
    whole.write_bytes(encoded(noise(0)))
    pictures = [{"bytes": whole.read_bytes(), "path": None}]
    if not embedded:
        pictures = [{"bytes": None, "path": str(whole)}]
    classes = datasets.ClassLabel(names=["n", "p"])
    features = datasets.Features({"image": datasets.Image(), "label": classes})
    rows = {"image": pictures * 3, "label": [1, 0, -1]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "a.parquet")
    load, asked = datasets.load_dataset, []

    def stand_in(path, name, *, split, revision, streaming):
        asked.append((path, name, split, revision))
        files = {split: str(tmp_path / "a.parquet")}
        return load("parquet", data_files=files, split=split, streaming=streaming)

    monkeypatch.setattr(datasets, "load_dataset", stand_in)
    monkeypatch.setattr(image_sources, "_BATCH", 2)
    source = {
        "kind": "hub",
        "path": "some/pictures",
        "name": None,
        "revision": "abc",
        "splits": {"train": "train", "test": "validation"},
        "image": "image",
        "label": "label",
        "labels": {"n": "negative", "p": "positive"},
    }
    path = tmp_path / "documents.parquet"
    image_sources.fetch_pictures(source, path, {"made": "here"})
    assert asked[1] == ("some/pictures", None, "validation", "abc")
    assert tables.read_metadata(path) == {"made": "here"}
    read = list(read_pictures(source, {"documents": path}))
    assert [(p.split, p.label) for p in read] == [
        (split, label)
        for split in ("train", "test")
        for label in ("positive", "negative", None)
    ]
    assert read[4].origin == "some/pictures, split 'validation', row 1"
    for picture in read:
        np.testing.assert_array_equal(picture.pixels, noise(0))
    for key, message in (
        ("image", "no column 'scan'.*source.image"),
        ("label", "no column 'scan'.*source.label"),
    ):
        with pytest.raises(AuditError, match=message):
            image_sources.fetch_pictures(source | {key: "scan"}, path, {})
    with pytest.raises(AuditError, match="'label' should hold pictures, found int"):
        image_sources.fetch_pictures(source | {"image": "label"}, path, {})


# ---------------------------------------------------------------- preparing

SETTINGS = {
    "source": {"kind": "folder", "labels": None},
    "colour": False,
    "size": None,
    "fit": "crop",
    "max_examples": None,
    "patch": 2,
    "split": {"dev": 0.2, "test": 0.3},
    "gold": None,
    "background": {"shade": "dark", "level": 0},
    "note": None,
}
TABLES = ("train", "dev", "test", "reading")
SPLITS = TABLES[:3]


def pictures(count, split="all", start=0, **shape):
    return [
        Picture(split, noise(i, **shape), "ab"[i % 2], f"{i}.png")
        for i in range(start, start + count)
    ]


def prepare(folder, given, **changes):
    outputs = {key: folder / f"{key}.parquet" for key in TABLES}
    outputs["card"] = folder / "card.json"
    prepare_dataset("toy", SETTINGS | changes, given, outputs, {"code": "x"})
    return outputs


def sheet_of(outputs):
    path = outputs["card"].with_name("sheet.png")
    draw_sheet(outputs["train"], outputs["card"], path)
    return path


def splits_of(outputs) -> dict[str, str]:
    """The split of each instance."""
    return {
        instance: split
        for split in SPLITS
        for instance in tables.read_table(outputs[split], "pictures")[
            "instance_id"
        ].to_pylist()
    }


def test_pictures_come_back_as_they_were(tmp_path):
    given = pictures(60, channels=3)
    outputs = prepare(tmp_path, given, colour=True)
    origins = {p.origin: p for p in given}
    found = 0
    for split in SPLITS:
        table = tables.read_table(outputs[split], "pictures")
        assert table["cluster_id"] == table["instance_id"]
        for row in table.to_pylist():
            picture = origins[row["origin"]]
            shape = tuple(row[key] for key in ("height", "width", "channels"))
            assert shape == (4, 6, 3) and "ab"[row["label"]] == picture.label
            pixels = np.array(row["pixels"]).reshape(shape)
            np.testing.assert_array_equal(pixels, picture.pixels)
            assert row["gold"] is None
            found += 1
    card = tables.read_json(outputs["card"])
    assert found == 60 == sum(sum(c.values()) for c in card["counts"].values())
    assert card["shape"] == {"height": 4, "width": 6, "channels": 3}
    assert card["provenance"] == {"code": "x"} and card["dropped"] == {}
    assert tables.read_metadata(outputs["train"]) == {"code": "x"}


def test_a_split_depends_on_the_picture_alone(tmp_path):
    given = pictures(200, height=8, width=8)
    whole = splits_of(prepare(tmp_path, given))
    assert {"train", "dev", "test"} == set(whole.values())
    shuffled = random.Random(1).sample(given, len(given))
    again = [p._replace(origin=f"other/{i}.png") for i, p in enumerate(shuffled)]
    assert splits_of(prepare(tmp_path, again)) == whole
    stored = [p._replace(pixels=p.pixels.repeat(3, -1)) for p in given]
    for changed in (
        {"given": given[:150]},
        {"given": given, "size": [4, 4]},
        {"given": given, "colour": True},
        {"given": stored},
        {"given": given, "max_examples": {"train": 50, "dev": 10, "test": None}},
    ):
        found = splits_of(prepare(tmp_path, **changed))
        assert found.items() <= whole.items() and len(found) > 50
    capped = [
        set(splits_of(prepare(tmp_path, given, max_examples={"train": n})))
        for n in (20, 40)
    ]
    assert capped[0] < capped[1]


def test_the_order_of_a_source_changes_no_byte(tmp_path):
    given = pictures(80)
    outputs = prepare(tmp_path, given, gold="foreground")
    same = ("reading", "card")
    before = [outputs[key].read_bytes() for key in same]
    prepare(tmp_path, given[::-1], gold="foreground")
    assert [outputs[key].read_bytes() for key in same] == before
    again = prepare(tmp_path, given, gold="foreground")["train"].read_bytes()
    assert prepare(tmp_path, given, gold="foreground")["train"].read_bytes() == again


def test_no_picture_stands_in_two_splits_or_with_two_labels(tmp_path):
    given = pictures(100, "train") + pictures(40, "test", start=100)
    copies = [
        given[0]._replace(origin="again.png"),
        # a copy of a test picture leaves the training data
        given[100]._replace(split="train"),
        given[2]._replace(pixels=given[2].pixels.repeat(3, -1)),
        given[3]._replace(label="a"),
        given[4]._replace(label=None),
    ]
    outputs = prepare(tmp_path, given + copies)
    found = [
        (split, tuple(row["pixels"]), row["label"])
        for split in SPLITS
        for row in tables.read_table(outputs[split], "pictures").to_pylist()
    ]
    assert len({pixels for _, pixels, _ in found}) == len(found) == 139
    split_of = {pixels: split for split, pixels, _ in found}
    assert split_of[tuple(given[100].pixels.ravel().tolist())] == "test"
    assert tuple(given[3].pixels.ravel().tolist()) not in split_of
    assert tables.read_json(outputs["card"])["dropped"] == {
        "conflicting_label": 2,
        "duplicate": 2,
        "duplicate_of_test": 1,
        "unlabelled": 1,
    }


def test_pictures_that_become_the_same_are_kept_once(tmp_path):
    given = pictures(60, height=8, width=8)
    # every pixel of the small picture is the mean of four: one more or less is lost
    nearly = given[0].pixels.copy()
    nearly[0, 0] += 1 if nearly[0, 0] < 255 else -1
    given.append(given[0]._replace(pixels=nearly, origin="nearly.png"))
    small = read_as(nearly, False, [2, 2], "crop")
    np.testing.assert_array_equal(
        small, read_as(given[0].pixels, False, [2, 2], "crop")
    )
    card = tables.read_json(prepare(tmp_path, given, size=[2, 2])["card"])
    assert card["dropped"] == {"duplicate_after_resize": 1}
    assert card["size_in_source"]["train"]["height"] == {
        "min": 8,
        "median": 8.0,
        "max": 8,
    }
    assert card["shape"]["height"] == 2


def test_pictures_of_several_sizes_are_named_or_scaled(tmp_path):
    given = [*pictures(40), *pictures(20, start=40, height=9, width=5)]
    with pytest.raises(
        AuditError,
        match=r"40\.png: is 9 x 5 pixels.*0\.png is 4 x 6.*datasets\.toy\.size",
    ):
        prepare(tmp_path, given)
    assert list(tmp_path.iterdir()) == []
    card = tables.read_json(prepare(tmp_path, given, size=[4, 4])["card"])
    assert card["shape"] == {"height": 4, "width": 4, "channels": 1}
    height = card["size_in_source"]["train"]["height"]
    assert (height["min"], height["max"]) == (4, 9)


def test_a_crop_keeps_proportions_and_a_stretch_keeps_edges():
    wide = np.zeros((4, 12, 1), np.uint8)
    wide[:, 4:8] = 200
    assert (read_as(wide, False, [4, 4], "crop") == 200).all()
    stretched = read_as(wide, False, [4, 6], "stretch")
    assert stretched[0, 0, 0] == 0 and stretched[0, 2, 0] > 150
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert (read_as(red, False, None, "crop") == 76).all()  # .299 * 255
    np.testing.assert_array_equal(read_as(red, True, None, "crop"), red)


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        ([p._replace(label=None) for p in pictures(3)], {}, "no picture has a label"),
        ([p._replace(label="a") for p in pictures(60)], {}, "of one class only, 'a'"),
        (pictures(60, "train"), {}, "the test split is empty"),
        (
            [*pictures(60), *(p._replace(label="c") for p in pictures(9, "test", 60))],
            {},
            "training has nothing of class 'c'",
        ),
        (
            [
                p._replace(pixels=np.concatenate([p.pixels] * 2 + [p.pixels * 0], -1))
                for p in pictures(60)
            ],
            {"colour": True},
            "of one shade in channel 2",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_named_and_leaves_nothing(
    tmp_path, given, changes, message
):
    with pytest.raises(AuditError, match=f"datasets.toy: .*{message}"):
        prepare(tmp_path, given, **changes)
    assert list(tmp_path.iterdir()) == []


def test_classes_stand_in_the_order_of_the_labels(tmp_path):
    source = {"kind": "folder", "labels": {"1": "b", "0": "a"}}
    card = tables.read_json(prepare(tmp_path, pictures(60), source=source)["card"])
    assert card["label_names"] == ["b", "a"]


def test_statistics_are_those_of_train_alone(tmp_path):
    given = pictures(90, channels=3)
    # dev and test are whole splits of their own, much brighter
    bright = [
        Picture(split, 255 - noise(i, channels=3) // 4, "ab"[i % 2], f"{i}")
        for split, first in (("dev", 200), ("test", 300))
        for i in range(first, first + 20)
    ]
    outputs = prepare(
        tmp_path, [*(p._replace(split="train") for p in given), *bright], colour=True
    )
    train = read_examples(outputs["train"], outputs["reading"])
    assert len(train) == 90
    normalized = train.normalization.apply(train.pixels).astype(float)
    np.testing.assert_allclose(normalized.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std((0, 1, 2)), 1, atol=1e-6)
    np.testing.assert_allclose(
        train.normalization.mean_picture(), normalized.mean(0), atol=1e-5
    )
    card = tables.read_json(outputs["card"])["normalization"]
    np.testing.assert_allclose(card["mean"], (train.pixels / 255.0).mean((0, 1, 2)))
    np.testing.assert_allclose(card["sd"], (train.pixels / 255.0).std((0, 1, 2)))
    test = read_examples(outputs["test"], outputs["reading"])
    assert (test.normalization.apply(test.pixels).mean((0, 1, 2)) > 0.5).all()


# ---------------------------------------------------------------- gold


def test_the_foreground_is_what_the_background_is_not():
    grey = np.array([[[0], [10], [11], [255]]], np.uint8)
    assert foreground(grey, "dark", 10).tolist() == [[False, False, True, True]]
    assert foreground(255 - grey, "light", 10).tolist() == [[False, False, True, True]]
    blue = np.array([[[0, 0, 90]]], np.uint8)
    assert foreground(blue, "dark", 10).all()


def test_gold_is_a_pixel_mask_and_null_where_it_tells_nothing(tmp_path):
    given = pictures(60)
    for picture in given:
        picture.pixels[:, :3] = 0
    given[0].pixels[:] = 0
    given[1].pixels[:] = 7
    outputs = prepare(tmp_path, given, gold="foreground")
    origins = {p.origin: p for p in given}
    for split in SPLITS:
        for row in tables.read_table(outputs[split], "pictures").to_pylist():
            expected = (origins[row["origin"]].pixels > 0).ravel()
            if row["origin"] in ("0.png", "1.png"):
                expected = None
            np.testing.assert_array_equal(row["gold"], expected)
    card = tables.read_json(outputs["card"])["gold"]
    assert sum(card["without"].values()) == 2
    assert sum(card["pictures"].values()) == 58
    assert all(0.45 < share <= 0.5 for share in card["share_of_pixels"].values())


def test_a_patch_is_marked_where_half_of_its_pixels_are():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2, :2] = True
    masks[0, 0, 2:] = True  # half of the second patch
    masks[0, 2, 2] = True  # a quarter of the fourth
    masks[1] = True
    first, full, empty = mark_patches(masks, 2)
    assert first.tolist() == [True, True, False, False]
    assert full is None and empty is None
    assert mark_patches(masks[1:], 2) is None


# ---------------------------------------------------------------- contact sheet


def test_the_sheet_shows_training_pictures_of_each_class(tmp_path):
    given = []
    for picture in pictures(120, height=8, width=8):
        picture.pixels[:] = picture.pixels // 8 + (200 if picture.label == "b" else 0)
        given.append(picture)
    outputs = prepare(tmp_path, given)
    with Image.open(sheet_of(outputs)) as sheet:
        plain = np.asarray(sheet)
    height, width, _ = plain.shape
    # a line a class, dark ones above bright ones, eight of them
    assert height < 150 and 500 < width < 600
    top, bottom = (plain[rows, width - 400 : -8] for rows in (40, height - 40))
    assert np.median(top) < 40 and 190 < np.median(bottom) < 240
    prepare(tmp_path, given, gold="foreground")
    first = sheet_of(outputs).read_bytes()
    assert sheet_of(outputs).read_bytes() == first
    with Image.open(sheet_of(outputs)) as sheet:
        assert sheet.height > 1.9 * height


def test_a_sheet_of_many_classes_stays_small(tmp_path):
    given = [
        p._replace(label=f"class {i % 50:02} with a long name")
        for i, p in enumerate(pictures(1500))
    ]
    outputs = prepare(tmp_path, given)
    with Image.open(sheet_of(outputs)) as sheet:
        assert sheet.height < 1500 and sheet.width < 800


# ---------------------------------------------------------------- patches


def test_patches_are_cut_row_by_row_and_joined_again():
    pictures = torch.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    patches = cut_patches(pictures, 2)
    assert patches.shape == (2, 6, 12)
    for b in range(2):
        for place in range(6):
            row, column = divmod(place, 3)
            part = pictures[b, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(patches[b, place], part.flatten())
    assert torch.equal(join_patches(patches, (4, 6, 3), 2), pictures)
    with pytest.raises(
        AuditError, match="4 x 6 pixels cannot be cut into patches of 4"
    ):
        cut_patches(pictures, 4)


def test_blur_is_gaussian():
    pictures = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9, 7, 3)))
    expected = ndimage.gaussian_filter(
        pictures.numpy(), (0, 2, 2, 0), mode="nearest", truncate=3
    )
    np.testing.assert_allclose(blur(pictures, 2), expected, atol=1e-12)
    flat = torch.full((1, 4, 4, 1), 3.0)
    torch.testing.assert_close(blur(flat, 8), flat)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    given = pictures(60)
    for picture in given:
        picture.pixels[:, :3] = 0
    outputs = prepare(tmp_path_factory.mktemp("pictures"), given, gold="foreground")
    return read_examples(outputs["train"], outputs["reading"])


def test_a_batch_holds_normalized_patches(examples):
    rows = np.array([3, 0])
    batch = examples.batch(rows, CPU)
    assert batch.instance_ids == [examples.instance_ids[3], examples.instance_ids[0]]
    assert batch.cluster_ids == batch.instance_ids
    assert batch.labels.tolist() == examples.labels[rows].tolist()
    assert batch.lengths.tolist() == [6, 6] == examples.lengths[rows].tolist()
    assert batch.mask.shape == (2, 6) and batch.mask.all()
    assert batch.patches.shape == (2, 6, 4) and batch.patches.dtype == torch.float32
    pixels = join_patches(batch.patches, batch.shape, batch.side).numpy()
    expected = examples.normalization.apply(examples.pixels[rows])
    np.testing.assert_array_equal(pixels, expected)
    # the left half is background, and half of the middle patches
    for gold in batch.gold:
        assert (
            gold[[0, 3]].tolist() == [False] * 2 and gold[[2, 5]].tolist() == [True] * 2
        )
    one = batch.take(np.array([1]))
    assert one.instance_ids == [examples.instance_ids[0]]
    assert torch.equal(one.patches, batch.patches[1:])
    assert one.gold == batch.gold[1:] and one.labels.tolist() == [examples.labels[0]]


def test_a_patch_is_removed_by_the_mean_or_a_blur(examples):
    one = examples.batch(np.array([0]), CPU)
    removed = torch.eye(6, dtype=torch.bool)[:4]
    removed[3] = False
    removed[3, [1, 4]] = True
    blurred = blur(join_patches(one.patches, one.shape, 2), 2)
    for removal, stand_in in (("mean", one.mean), ("blur", cut_patches(blurred, 2)[0])):
        batch = one.without(removed, removal)
        assert batch.instance_ids == one.instance_ids * 4 and len(batch.gold) == 4
        assert batch.labels.tolist() == one.labels.tolist() * 4
        assert batch.lengths.tolist() == [6] * 4 and batch.mask.shape == (4, 6)
        for row, gone in enumerate(removed):
            assert torch.equal(batch.patches[row, ~gone], one.patches[0, ~gone])
            assert torch.equal(batch.patches[row, gone], stand_in[gone])
            assert not torch.equal(batch.patches[row, gone], one.patches[0, gone])
    assert torch.equal(
        one.without(removed).patches, one.without(removed, "mean").patches
    )
    with pytest.raises(AuditError, match=r"'delete' is no way.*mean or blur"):
        one.without(removed, "delete")


def test_a_table_of_several_sizes_is_named(tmp_path):
    outputs = prepare(tmp_path, pictures(60))
    rows = tables.read_table(outputs["train"], "pictures").to_pylist()
    rows[1]["height"], rows[1]["width"] = 6, 4
    tables.write_rows(outputs["train"], "pictures", rows, {})
    with pytest.raises(
        AuditError, match=r"train.*other sizes.*4 x 6 x 1: \[\(6, 4, 1\)\]"
    ):
        read_examples(outputs["train"], outputs["reading"])


# ---------------------------------------------------------------- digits


def test_the_digits_of_scikit_learn(tmp_path):
    source = {"kind": "digits", "labels": None}
    given = list(read_pictures(source, {}))
    assert len(given) == 1797 and {p.pixels.shape for p in given} == {(8, 8, 1)}
    assert len({int(v) for p in given for v in np.unique(p.pixels)}) == 17
    outputs = prepare(tmp_path, given, source=source, gold="foreground")
    card = tables.read_json(outputs["card"])
    assert card["label_names"] == list("0123456789")
    assert sum(sum(c.values()) for c in card["counts"].values()) == 1797
    splits = {s: read_examples(outputs[s], outputs["reading"]) for s in SPLITS}
    normalized = splits["train"].normalization.apply(splits["train"].pixels)
    assert abs(normalized.mean()) < 1e-6 and abs(normalized.std() - 1) < 1e-6
    seen = [p.tobytes() for examples in splits.values() for p in examples.pixels]
    assert len(set(seen)) == 1797
    assert [round(len(e) / 1797, 1) for e in splits.values()] == [0.5, 0.2, 0.3]
