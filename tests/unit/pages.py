"""What is true of every page of findings, for tests."""

import re
from collections.abc import Callable
from pathlib import Path

from attention_audit.figures import published, published_page
from attention_audit.statistics.verdicts import VERDICTS

ROOT = Path(__file__).parents[2]


def check_page(name: str, page: Callable[[Path, Path], str]) -> dict[str, int]:
    """The page ``name`` in the repository is made of its tables; their sizes by name."""
    kept = ROOT / "docs" / name
    template = ROOT / f"workflow/report/{name}.md.jinja"
    written = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    assert page(kept, template) == written, (
        f"run workflow/scripts/write_page.py {name} render"
    )
    made = published_page.read(kept).made
    sizes = {path.name: path.stat().st_size for path in kept.iterdir()}
    assert set(sizes) == {published.PROVENANCE, *made["files"]}
    return sizes


def check_template(template: Path, *names: str) -> None:
    """It has no number of its own but those in ``names``, and says no verdict."""
    text = template.read_text(encoding="utf-8")
    made = "|".join((r"\{%.*?%\}", r"\{\{.*?\}\}", r"\]\(.*?\)", *names))
    words = re.sub(made, "", text, flags=re.S)
    assert re.findall(r"\d", words) == []
    said = words.split("## What was run")[1]
    assert not [v for v in VERDICTS[:2] if re.search(rf"\b{v}\b", said)]
