"""Write docs/study.md: `collect` its tables from finished experiments, `render` the page.

    python workflow/scripts/write_study.py collect
    python workflow/scripts/write_study.py render

`collect` wants the three experiments of `make study`; `render` reads docs/study alone.
"""

import argparse
import sys
from pathlib import Path

from attention_audit.figures.study import PRESETS, collect
from attention_audit.figures.study_page import page
from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import results_of

WORKFLOW = Path(__file__).parents[1]
TEMPLATE = WORKFLOW / "report/study.md.jinja"
TABLES = WORKFLOW.parent / "docs/study"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("collect", "render"))
    for role, experiment in PRESETS.items():
        parser.add_argument(
            f"--{role}",
            metavar="FOLDER",
            default=results_of(experiment),
            help="its results; left out: %(default)s",
        )
    parser.add_argument(
        "--tables",
        metavar="FOLDER",
        type=Path,
        default=TABLES,
        help="of tables and pictures; the page stands beside it",
    )
    arguments = parser.parse_args()
    try:
        if arguments.step == "collect":
            collect({role: vars(arguments)[role] for role in PRESETS}, arguments.tables)
        else:
            written = page(arguments.tables, TEMPLATE)
            path = arguments.tables.with_suffix(".md")
            path.write_text(written, encoding="utf-8")
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
