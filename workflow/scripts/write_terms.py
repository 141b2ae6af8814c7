"""Write docs/terms.md anew: `make docs`, after a change of what it is made from."""

from pathlib import Path

from attention_audit.terms import page

WORKFLOW = Path(__file__).parents[1]
TEMPLATE = WORKFLOW / "report/terms.md.jinja"
SCHEMA = WORKFLOW / "schemas/config.schema.yaml"
PAGE = WORKFLOW.parent / "docs/terms.md"

if __name__ == "__main__":
    PAGE.write_text(page(SCHEMA, TEMPLATE), encoding="utf-8")
