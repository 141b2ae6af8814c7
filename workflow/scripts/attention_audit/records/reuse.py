"""What one experiment takes over from another that made the same.

Experiments of one working folder often share data and models. What two of them would make
alike is made by the first, and copied by the second.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_audit.records.experiments import DEFAULT, EXPERIMENTS, results_of, split
from attention_audit.records.metadata import is_whole, read_record
from attention_audit.records.provenance import file_digest
from attention_audit.records.tables import atomic_path

logger = logging.getLogger(__name__)


def twins(path: str | Path) -> Iterator[Path]:
    """Where the other experiments of the working folder have the same result, or would."""
    found = split(path)
    if found is None:
        return
    own, inner = found
    others = Path(EXPERIMENTS)
    names = sorted(p.name for p in others.iterdir()) if others.is_dir() else []
    for name in [DEFAULT, *names]:
        if name != own:
            yield Path(results_of(name), inner)


def take_over(outputs: Iterable[str | Path], record: Mapping[str, Any]) -> bool:
    """Copy a job's outputs from an experiment that made the same; whether one had.

    The same is what has an equal ``record`` (`provenance.record`): the same settings,
    code, library versions and contents of inputs. It is what the job would have made,
    byte for byte. A damaged file is passed over.
    """
    outputs = list(map(Path, outputs))
    for files in zip(*map(twins, outputs), strict=True):
        if not all(_made_by(file, record) for file in files):
            continue
        if not all(map(is_whole, files)):
            logger.info("not taken over from %s: damaged", files[0].parent)
            continue
        for source, target in zip(files, outputs, strict=True):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        logger.info("taken over from %s, which made the same", files[0].parent)
        return True
    return False


def _made_by(file: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file's record, which may say more, says all that ``record`` says."""
    found = read_record(file) or {}
    return {key: found.get(key) for key in record} == record


def take_over_archive(path: str | Path, sha256: str) -> bool:
    """Link an archive that another experiment has fetched; whether one had."""
    for twin in twins(path):
        if twin.is_file() and file_digest(twin) == sha256:
            with atomic_path(path) as temporary:
                try:
                    os.link(twin, temporary)
                # Some disks know no links.
                except OSError:
                    shutil.copyfile(twin, temporary)
            return True
    return False
