"""Experiments: what one config makes, in a folder of its own.

The default's results stand in ``results/``, those of any other experiment in
``results/experiments/{name}/``, laid out in the same way, so that none ever overwrites
what another made. In records a path below ``results/`` means the folder of the experiment
that the record belongs to: what two experiments make alike has the same bytes.
"""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

DEFAULT = "default"
RESULTS = "results"
EXPERIMENTS = f"{RESULTS}/experiments"


def results_of(experiment: str) -> str:
    """The folder of an experiment's results, relative to the working folder."""
    return RESULTS if experiment == DEFAULT else f"{EXPERIMENTS}/{experiment}"


def logs_of(experiment: str) -> str:
    """The folder of its logs and benchmarks."""
    return "logs" if experiment == DEFAULT else f"logs/experiments/{experiment}"


def split(path: str | Path) -> tuple[str, PurePosixPath] | None:
    """The experiment that a result belongs to, and its path within that folder.

    None for a path that is no result of any experiment.
    """
    path = PurePosixPath(path)
    match path.parts:
        case (str(results), "experiments", name, _, *_) if results == RESULTS:
            return name, path.relative_to(results_of(name))
        case (str(results), _, *_) if results == RESULTS:
            return DEFAULT, path.relative_to(RESULTS)
    return None


def in_default(path: str | Path) -> str:
    """A result's path as records have it: where the default would have it."""
    return in_experiment(str(path), DEFAULT)


def in_experiment(path: str, experiment: str) -> str:
    """Where the path of a record leads that belongs to ``experiment``."""
    found = split(path)
    return path if found is None else f"{results_of(experiment)}/{found[1]}"


# --- what an experiment says of itself --------------------------------------------


def made_now(checkout: str | Path) -> dict[str, Any]:
    """When and from which commit results are made: ``date``, ``commit``, ``changed``.

    ``date`` is in UTC; SOURCE_DATE_EPOCH sets it, as for any build that has to come out
    the same twice. ``commit`` is null where the code stands in no git repository, and
    ``changed`` lists the tracked files that differ from it.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = (
        datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    )
    commit = _git(checkout, "rev-parse", "HEAD")
    changed = _git(checkout, "diff", "--name-only", "HEAD") or ""
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "changed": sorted(changed.splitlines()) if commit else [],
    }


def _git(folder: str | Path, *arguments: str) -> str | None:
    """What git answers, without the last line's end; None where it cannot."""
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        ).stdout.rstrip("\n")
    except (OSError, subprocess.CalledProcessError):
        return None
