"""Show what a trained run makes of a text of one's own, and what mattered to it.

    python workflow/scripts/explain.py results/models/{run} "a text"
    python workflow/scripts/explain.py results/models/{run} --file texts.txt

Prints the prediction and, as a heatmap, attention and every importance over the words,
and writes both as a table and as a page. A file holds a text a line, in UTF-8.
"""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import DEFAULT, results_of, split
from attention_audit.runs import load_run, read_lines, write_explanations


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="the folder of a trained model")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("text", nargs="?", help="one text, in quotes")
    given.add_argument("--file", help="a text a line")
    parser.add_argument(
        "--out",
        help="a folder for table and page (default: explained/{run} in the results)",
    )
    arguments = parser.parse_args()
    # A terminal that lacks a letter of a word gets its code.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        run = load_run(arguments.run)
        if arguments.file is None:
            # The locale may lack a letter of it.
            text = os.fsencode(arguments.text).decode(errors="surrogateescape")
            explanations = [run.explain(text)]
            name = explanations[0].instance_id
        else:
            explanations = list(map(run.explain, read_lines(arguments.file)))
            name = Path(arguments.file).stem
        experiment, _ = split(os.path.relpath(arguments.run)) or (DEFAULT, None)
        explained = Path(results_of(experiment), "explained", run.name)
        folder = arguments.out or explained
        paths = write_explanations(explanations, run, folder, name)
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # Lines are whole in a file or a pipe, which have no width of their own.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    for explanation in explanations:
        console.print(explanation)
    for path in paths:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
