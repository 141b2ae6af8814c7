"""A Snakemake logger that prints every planned job as a line of JSON.

``snakemake -n --logger planned`` goes through the whole of a real dry run; only what
it says of a job is printed in a form that need not be parsed out of prose.
"""

import json
import sys
from logging import Handler, LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

PREFIX = "planned job: "


class LogHandler(LogHandlerBase):
    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        # The base class of older Snakemake leaves this out.
        Handler.__init__(self)

    def emit(self, record: LogRecord) -> None:
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            job = {"rule": record.rule_name, "wildcards": record.wildcards}
            # in one write: others write there too
            print(PREFIX + json.dumps(job) + "\n", end="", file=sys.stderr, flush=True)
        elif record.levelname in ("ERROR", "CRITICAL"):
            print(record.getMessage(), file=sys.stderr, flush=True)
