"""A copy of the project in a folder of its own, with real text and a tiny grid."""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from attention_audit.data.sources import Document

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "plugins"
CALLER = Path(__file__).parent / "caller.py"
TINY = Path(__file__).parent / "tiny.yaml"
RECORDER = Path(__file__).parent / "recorder"
# where the jobs of a recorded run say what they used
RECORDED = "recorded"

# Zip files carry times, which must not change a wheel's checksum.
_TIME = (1980, 1, 1, 0, 0, 0)


def _project_files() -> list[Path]:
    """What a clone of the checkout would hold, with what is not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout
    paths = (Path(name) for name in listed.split("\0") if name)
    return [path for path in paths if (CHECKOUT / path).is_file()]


def clone(folder: Path) -> Path:
    """The project's files in ``folder``, without any results."""
    for path in _project_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / path, folder / path)
    return folder


def copy(project: Path, folder: Path) -> Path:
    """A copy of a project with its results, as Snakemake left them."""
    # Times and .snakemake come along, so that Snakemake sees the same state there.
    return Path(shutil.copytree(project, folder))


def config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))


def write_config(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def set_key(folder: Path, key: str, value: Any) -> None:
    """Set a dotted ``key`` of the folder's config.yaml."""
    settings = config(folder)
    *parents, last = key.split(".")
    inner = settings
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    write_config(folder, settings)


def replace_in(path: Path, old: str, new: str) -> None:
    """Replace the only occurrence of ``old`` in a text file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def describe_kind(folder: Path, kind: str, line: str, branch: str) -> None:
    """Give the folder's schema one kind of normalizer more."""
    path = folder / "workflow/schemas/config.schema.yaml"
    text = path.read_text(encoding="utf-8")
    listed = re.search(
        r"The map from scores to weights\..*enum: \[.*(?=\])", text
    ).end()
    text = f"{text[:listed]}, {kind}{text[listed:]}"
    last = [*re.finditer(r"- \{if: .*/normalizer_\w+\"\}\}\n", text)][-1].end()
    text = text[:last] + textwrap.indent(line, "      ") + text[last:]
    path.write_text(text + textwrap.indent(branch, "  "), encoding="utf-8")


def environment(**more: str | Path) -> dict[str, str]:
    """The surroundings of a call of Snakemake; a relative path stays out of them."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # The date is the one thing that differs between two runs of the same.
    inherited["SOURCE_DATE_EPOCH"] = "1700000000"
    return {**inherited, **{key: str(value) for key, value in more.items()}}


def start(folder: Path, *arguments: str | Path, **more: str | Path) -> subprocess.Popen:
    """Start Snakemake in ``folder``, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--nocolor", *map(str, arguments)],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        encoding="utf-8",
    )


@functools.cache
def _caller(python: str) -> subprocess.Popen:
    """The process whose forks are calls of Snakemake; it ends with this one."""
    return subprocess.Popen(
        [python, CALLER],
        env=environment(PYTHONPATH=PLUGINS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def _called(
    folder: Path, *arguments: str | Path, **more: str | Path
) -> tuple[int, str]:
    words = ["--nocolor", *map(str, arguments)]
    caller = _caller(sys.executable)
    request = json.dumps([str(folder), words, environment(**more)])
    print(request, file=caller.stdin, flush=True)
    return tuple(json.loads(caller.stdout.readline()))


def snakemake(
    folder: Path, *arguments: str | Path, **more: str | Path
) -> tuple[int, str]:
    """Exit status and output of Snakemake in ``folder``; ``more`` is environment."""
    # what Python itself reads, it reads when it starts
    if not any(key == "LC_ALL" or key.startswith("PYTHON") for key in more):
        return _called(folder, *arguments, **more)
    process = start(folder, *arguments, **more)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def run(folder: Path, *arguments: str | Path, **more: str | Path) -> str:
    """Output of a run of Snakemake that has to succeed."""
    status, output = snakemake(folder, *arguments, **more)
    assert status == 0, output
    return output


def recorded(folder: Path) -> dict[str, Path]:
    """The surroundings in which a run records what its jobs use of the package."""
    return {"PYTHONPATH": RECORDER, "RECORDED": folder / RECORDED}


def planned(
    folder: Path, *arguments: str | Path, **more: str | Path
) -> dict[str, set[str]]:
    """The jobs that a dry run plans: rule -> its wildcards' values, joined by "/"."""
    status, output = _called(folder, "--logger", "planned", "-n", *arguments, **more)
    assert status == 0, output
    jobs = defaultdict(set)
    for line in output.splitlines():
        if line.startswith("planned job: "):
            job = json.loads(line.removeprefix("planned job: "))
            jobs[job["rule"]].add("/".join(job["wildcards"].values()))
    # The target of the whole run makes nothing.
    jobs.pop("all", None)
    return dict(jobs)


def results(folder: Path, *stages: str) -> dict[str, bytes]:
    """Contents of the results, or of some stages of them, by path."""
    roots = [folder / "results" / stage for stage in stages or ("",)]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def partial_files(folder: Path) -> list[str]:
    """Hidden files and folders below the results: what an unfinished write leaves."""
    return [str(p) for p in (folder / "results").rglob(".*") if p.name[0] == "."]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digits(number: int) -> str:
    """Digits that no archive makes much shorter, the same for the same number."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def short_reviews(documents: list[Document], a_class: int) -> list[Document]:
    """The first ``a_class`` sentences of each class that have 6 to 12 words."""
    kept: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        words = len(document.text.split())
        if 6 <= words <= 12 and len(kept[document.label]) < a_class:
            kept[document.label].append(document)
    return [document for label in sorted(kept) for document in kept[label]]


def write_wheel(path: Path, package: str, version: str, files: dict[str, str]) -> None:
    """A wheel that pip accepts and that holds ``files``; the same bytes every time."""
    info = f"{package}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**files, **metadata}.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), text)
