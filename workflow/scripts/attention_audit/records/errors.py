"""Errors that a user can act on, and how a job reports them.

No result depends on this module, so that an edit of it reruns nothing (`definitions`):
it may do no more than end a job with words.
"""

import contextlib
import difflib
import errno
import gc
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


class AuditError(Exception):
    """A fault of input or configuration.

    The message names the file or key, what was expected and found, and the fix.
    Anything else that is raised is a fault of the program and keeps its traceback.
    """


# Faults of the system that a user can mend, and how.
_FIXES = {
    errno.ENOSPC: "The disk is full: make room and run snakemake again.",
    errno.EDQUOT: "The disk quota is used up: make room and run snakemake again.",
    errno.EROFS: "The results must be writable: remount them and run snakemake again.",
    errno.EACCES: "The results must be writable: check their rights and run "
    "snakemake again.",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` where a known name is close, else the known names."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(known)}."


@contextlib.contextmanager
def reported(log: str | Path) -> Iterator[None]:
    """Log a job's progress to ``log``; end it on an `AuditError` with one message.

    The package's log records go to the file. An `AuditError` is printed once, on
    stderr and in the log, and the process exits with status 1; every other
    exception is logged with its traceback and raised again.
    """
    # What the script has imported stays until the end, where Python would go through it
    # object by object to free it: a fifth of a short job's time, where torch is in it.
    gc.freeze()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    # What a file name holds that is no text is escaped, as on stderr.
    handler = logging.FileHandler(
        log, mode="w", encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("attention_audit")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except AuditError as error:
        logger.error("error: %s", error)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FIXES:
            logger.exception("unexpected error")
            raise
        message = f"{error}. {_FIXES[error.errno]}"
        logger.error("error: %s", message)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        logger.exception("unexpected error")
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
