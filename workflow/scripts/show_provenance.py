"""Show what a result was made from, back to the raw archives, and check it.

    python workflow/scripts/show_provenance.py results/figures/agreement.png

Run where Snakemake runs. The exit status is 1 where a file of the chain is missing or
is no longer what the result was made from.
"""

import argparse
import sys

from rich.console import Console

from attention_audit.records.errors import AuditError
from attention_audit.records.lineage import as_json, as_tree, broken, trace


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", help="a figure, a table, a model or its JSON files")
    parser.add_argument(
        "--json", action="store_true", help="everything recorded, config slices too"
    )
    arguments = parser.parse_args()
    # A terminal that lacks a letter of a name gets its code.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        files = trace(arguments.result)
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    faults = list(broken(files))
    if arguments.json:
        print(as_json(files))
    else:
        # Lines are whole in a file or a pipe, which have no width of their own.
        width = None if sys.stdout.isatty() else 300
        console = Console(highlight=False, width=width)
        console.print(as_tree(files))
        console.print(f"{len(files)} files, {len(faults)} missing or changed since")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
