"""Write a page of docs: `collect` its tables from finished experiments, `render` it.

    python workflow/scripts/write_page.py study collect
    python workflow/scripts/write_page.py study render

`collect` wants the experiments of `make study`, `make vision`, `make translation`,
`make reactions` or `make attribution`; `render` reads the folder of the page alone.
"""

import argparse
import sys
from pathlib import Path

from attention_audit.figures import (
    attribution,
    attribution_page,
    reactions,
    reactions_page,
    study,
    study_page,
    translation,
    translation_page,
    vision,
    vision_page,
)
from attention_audit.figures.published import collect
from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import results_of

WORKFLOW = Path(__file__).parents[1]
DOCS = WORKFLOW.parent / "docs"
PAGES = {
    "study": (study.KEPT, study_page.page),
    "vision": (vision.KEPT, vision_page.page),
    "translation": (translation.KEPT, translation_page.page),
    "attribution": (attribution.KEPT, attribution_page.page),
    "reactions": (reactions.KEPT, reactions_page.page),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("step", choices=("collect", "render"))
    parser.add_argument(
        "--results",
        metavar="ROLE=FOLDER",
        action="append",
        default=[],
        help="where the results of a part of the page are; left out: where its preset "
        "puts them",
    )
    parser.add_argument(
        "--tables",
        metavar="FOLDER",
        type=Path,
        help="of tables and pictures, the page stands beside it; left out: docs/PAGE",
    )
    arguments = parser.parse_args()
    kept, page = PAGES[arguments.page]
    tables = arguments.tables or DOCS / arguments.page
    folders = {role: results_of(experiment) for role, experiment in kept.roles.items()}
    for one in arguments.results:
        role, _, folder = one.partition("=")
        if role not in folders:
            parser.error(f"--results {one}: the parts are {', '.join(folders)}")
        folders[role] = folder
    try:
        if arguments.step == "collect":
            collect(kept, folders, tables)
        else:
            template = WORKFLOW / f"report/{arguments.page}.md.jinja"
            written = page(tables, template)
            tables.with_suffix(".md").write_text(written, encoding="utf-8")
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
