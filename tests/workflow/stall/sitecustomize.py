"""Stop a process just before it puts a certain file in its place.

Python imports this at start-up where this folder is on PYTHONPATH. Every result is
written under a temporary name and then renamed, so that a process stopped here is
in the middle of its work: nothing of it depends on how fast the machine is.

STALL_BEFORE is the end of the file's path, STALL_AFTER how many times it may be put in
its place before, STALL_MARKER a file that then receives the process's id.
"""

import os
import time
from pathlib import Path

_replace = os.replace
_before = os.environ["STALL_BEFORE"]
_left = int(os.environ.get("STALL_AFTER", "0"))


def _stalling(source, target, **options):
    global _left
    if str(target).endswith(_before):
        if _left == 0:
            marker = Path(os.environ["STALL_MARKER"])
            marker.with_suffix(".new").write_text(str(os.getpid()), encoding="utf-8")
            _replace(marker.with_suffix(".new"), marker)
            time.sleep(600)
        _left -= 1
    _replace(source, target, **options)


os.replace = _stalling
