"""Instances of every kind of normalizer, for tests."""

from functools import cache
from pathlib import Path

import yaml

from attention_audit.config import validate
from attention_audit.kinds import normalizer_kinds

ROOT = Path(__file__).parents[2]

# More than config.yaml declares, at the edges of what a kind's parameters may be.
EDGES = {
    "entmax1.3": {"kind": "entmax", "alpha": 1.3},
    "sparsegen-4": {"kind": "sparsegen", "lam": -4.0},
    "top1": {"kind": "top_k", "k": 1},
    "top3": {"kind": "top_k", "k": 3},
}


@cache
def instances() -> dict[str, dict]:
    """Instances by name: those of config.yaml, and of each other kind its defaults."""
    config = validate(
        yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")),
        ROOT / "workflow/schemas/config.schema.yaml",
    )
    found = config["normalizers"] | EDGES
    declared = {settings["kind"] for settings in found.values()}
    return found | {k: {"kind": k} for k in normalizer_kinds() if k not in declared}
