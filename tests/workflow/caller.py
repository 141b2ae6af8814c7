"""Calls of Snakemake, each in a fork of this process, which has imported it once.

To import Snakemake takes as long as to plan a small grid. A call's fork has the folder, the
arguments and the surroundings that ``python -m snakemake`` would have there, and imports
the package of that folder itself. Requests and replies are lines of JSON; see
`project.snakemake`.
"""

import gc
import importlib
import json
import os
import signal
import sys
from typing import NoReturn

from snakemake import cli

# of what the Snakefile's modules import, that which starts no threads
for library in ("jinja2", "jsonschema", "rich.console", "rich.table"):
    importlib.import_module(library)

# in seconds; longer, a call hangs
LONGEST = 600


def become(folder: str, arguments: list[str], surroundings: dict[str, str]) -> None:
    """Take the place of a Python that was started for this call."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(surroundings)
    sys.argv = ["snakemake", *arguments]
    searched = filter(None, surroundings.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [folder, *searched]
    signal.alarm(LONGEST)


def call_snakemake() -> NoReturn:
    """Run Snakemake as this process, and end it."""
    try:
        cli.main()
    except SystemExit as ended:
        # Of a dry run no thread is left to be waited for; the system frees its objects
        # in less time than Python takes.
        if "-n" in sys.argv and isinstance(ended.code, int):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)
        raise


def main() -> None:
    """Answer each request, ``become``'s arguments, with exit status and output."""
    # finds and imports the plugins
    cli.get_argument_parser()
    # A call is short, and a third of a dry run would go into looking for garbage.
    gc.disable()
    for line in sys.stdin:
        read, write = os.pipe()
        call = os.fork()
        if call == 0:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(write, stream.fileno())
            os.close(read)
            os.close(write)
            os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
            become(*json.loads(line))
            call_snakemake()
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as pipe:
            output = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(call, 0)[1])
        print(json.dumps([status, output]), flush=True)


if __name__ == "__main__":
    main()
