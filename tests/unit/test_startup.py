"""What a job imports before it starts: nothing that it does not use and waits for."""

import ast
from pathlib import Path

import pytest

from tests.unit.programs import output_of

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"

# Each takes 0.3 to 1.5 s of processor time to import.
COMPILER = {"torch._dynamo", "sympy", "transformers", "tokenizers"}
TABLES = {"pandas", "scipy", "statsmodels", "matplotlib", "seaborn", "datasets"}
NEEDLESS = {
    "attend.py": COMPILER | TABLES,
    "attribute.py": COMPILER | TABLES,
    "trace_heads.py": COMPILER | TABLES,
    "trace_offsets.py": COMPILER | TABLES,
    "trace_influence.py": COMPILER | TABLES,
    "train_model.py": COMPILER | TABLES,
    "measure.py": {"torch", "numba", *TABLES},
    "measure_controls.py": {"torch", "numba", *TABLES},
    "prepare.py": {"torch", "scipy", "statsmodels", "datasets", "tokenizers"},
    "fetch_pretrained.py": COMPILER | TABLES | {"torch", "huggingface_hub"},
    "fetch_archive.py": {"torch", "scipy", "statsmodels", "matplotlib", "datasets"},
    "summarise.py": {"torch", "matplotlib", "datasets"},
    "compare.py": {"torch", "matplotlib", "datasets"},
    "summarise_offsets.py": {"torch", *TABLES},
    "pick_examples.py": {"torch", "scipy", "statsmodels", "matplotlib", "datasets"},
    "draw.py": {"torch", "datasets"},
    "write_report.py": {"torch", "datasets"},
}


def imports_of(script):
    """The import statements of a script, as a program."""
    tree = ast.parse((SCRIPTS / script).read_text(encoding="utf-8"))
    found = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return ast.unparse(ast.Module(found, []))


ALIKE: dict[frozenset[str], list[str]] = {}
for script, needless in NEEDLESS.items():
    ALIKE.setdefault(frozenset(needless), []).append(script)


@pytest.mark.parametrize("scripts", ALIKE.values(), ids=" ".join)
def test_a_job_does_not_wait_for_what_it_does_not_use(scripts):
    # In one process: what none of them may import, none imports for the others.
    program = "import sys\n" + "".join(
        f"{imports_of(script)}\nprint(*sys.modules)\n" for script in scripts
    )
    loaded = output_of(program).splitlines()
    for script, modules in zip(scripts, loaded, strict=True):
        assert not NEEDLESS[script] & set(modules.split()), script


def test_what_a_job_imported_is_not_searched_for_garbage(tmp_path):
    program = f"""
import gc
from attention_audit.records.errors import reported
with reported({str(tmp_path / "log")!r}):
    print(gc.get_freeze_count())
"""
    assert int(output_of(program)) > 1000
