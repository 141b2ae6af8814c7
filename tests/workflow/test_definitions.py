"""An edit of a definition reruns every job that uses it: plan and effect compared.

The jobs of the finished grids ran in Python processes that noted which names of the
package they looked up (see `recorder/sitecustomize.py`): that is what an edit of each
definition would have had an effect on. What it plans is told by the digests of the code
with that edit.
"""

import ast
import copy
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from attention_audit.figures.catalogue import EXPERIMENT_FIGURES, FIGURES
from attention_audit.records.definitions import (
    ERRORS,
    OWN,
    PACKAGE,
    Code,
    Module,
    Node,
)
from attention_audit.records.definitions import SCHEMAS as SCHEMAS_NODES
from attention_audit.records.provenance import SCRIPTS, code_digest, digest_of
from attention_audit.records.schemas import SCHEMAS
from tests.unit.pretrained import folder_of
from tests.workflow import project
from tests.workflow.conftest import made_once
from tests.workflow.recorder.sitecustomize import bound, single

# a script and what it chooses at run time
Job = tuple[str, ...]


@pytest.fixture(scope="session")
def with_heads(shared, finished, offline) -> Path:
    """Transformers with two kinds of normalizers, one of them pretrained, and their heads."""

    def make(folder: Path) -> None:
        project.copy(finished, folder)
        settings = project.config(folder)
        shutil.copytree(folder_of("bert", longest=200), folder / "tiny_bert")
        settings["pretrained"] = {"tiny": {"kind": "folder", "path": "tiny_bert"}}
        settings["encoders"]["tiny"] = {
            "kind": "pretrained",
            "model": "tiny",
            "self_attention": "run",
            "swapped": [1],
        }
        settings["grid"] |= {"encoders": ["transformer", "tiny"], "seeds": [0]}
        # that of self-attention is softmax, in the other's first layer too
        settings["grid"]["normalizers"] = ["entmax15"]
        settings["statistics"]["reference"] = "entmax15"
        project.write_config(folder, settings)
        target = "results/figures/head_diversity.png"
        project.run(folder, "--cores", "2", target, **project.recorded(folder))

    return made_once(shared / "with_heads", make)


@pytest.fixture(scope="session")
def used(explained, with_heads, pictured, translated, reacted) -> dict[Job, set[Node]]:
    """The names that were used by all jobs with one script and choice, by these."""
    found = defaultdict(set)
    for folder in (explained, with_heads, pictured, translated, reacted):
        for path in (folder / project.RECORDED).iterdir():
            record = json.loads(path.read_text(encoding="utf-8"))
            params = record["params"]
            job = [record["script"], *params.get("chosen", [])]
            # An archive is tied to its checksum alone.
            if "code" in params:
                assert params["code"] == code_digest(*job)
                found[tuple(job)] |= set(map(tuple, record["used"]))
    return found


def reached(code: Code, job: Job) -> set[Node]:
    script, *chosen = job
    return code.reached(script, [f"{PACKAGE}.{choice}" for choice in chosen])


def edited(node: ast.stmt) -> ast.stmt:
    """A statement of other meaning that binds the same names; it need not run."""
    zero = ast.parse("0").body[0]
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            at = 1 if ast.get_docstring(node) else 0
            node.body.insert(at, zero)
        case ast.Import([alias]) | ast.ImportFrom(names=[alias]):
            alias.asname = alias.asname or alias.name.split(".")[0]
            alias.name += "_edited"
        case ast.Assign() | ast.AnnAssign() | ast.Expr():
            node.value = ast.List([node.value], ast.Load())
        case _:
            raise AssertionError(f"an edit of {ast.unparse(node)} is not defined")
    return node


def definitions() -> Iterator[tuple[str, set[Node], str]]:
    """Module and names of every definition of the package, and the source with an edit."""
    for path in sorted((SCRIPTS / PACKAGE).rglob("*.py")):
        module = ".".join(path.relative_to(SCRIPTS).with_suffix("").parts)
        lines = path.read_text(encoding="utf-8").splitlines()
        tree = ast.parse("\n".join(lines))
        for whole in tree.body:
            if isinstance(whole, ast.Expr) and isinstance(whole.value, ast.Constant):
                continue
            decorators = getattr(whole, "decorator_list", [])
            first = min(node.lineno for node in (whole, *decorators)) - 1
            for node in (nodes := single(whole)):
                names = bound(node) or [OWN]
                others = [ast.unparse(n) for n in nodes if n is not node]
                new = [*others, ast.unparse(edited(copy.deepcopy(node)))]
                yield (
                    module.removesuffix(".__init__"),
                    {(module.removesuffix(".__init__"), name) for name in names},
                    "\n".join([*lines[:first], *new, *lines[whole.end_lineno :]]),
                )


def test_all_scripts_of_the_workflow_have_run(used):
    rules = (project.CHECKOUT / "workflow/rules").glob("*.smk")
    text = "".join(rule.read_text(encoding="utf-8") for rule in rules)
    named = set(re.findall(r'"(?:\.\./scripts/)?(\w+\.py)"', text))
    # All fetch: what they bring has a checksum or a pinned revision.
    assert named - {script for script, *_ in used} == {
        "fetch_archive.py",
        "fetch_hub.py",
    }
    figures = len(FIGURES) + sum(map(len, EXPERIMENT_FIGURES.values()))
    assert len([job for job in used if job[0] == "draw.py"]) == figures


def test_no_edit_of_a_definition_is_missed(used):
    code = Code(SCRIPTS)
    before = {job: digest_of(code, *job) for job in used}
    planned = {job: reached(code, job) for job in used}
    for module, names, source in definitions():
        # Nothing depends on how a job ends that fails. Schemas are tested below.
        if module == ERRORS or names & SCHEMAS_NODES:
            continue
        other = Code(SCRIPTS)
        edit = Module(source, code.module(module).package)
        other.modules = code.modules | {module: edit}
        jobs = [job for job in used if names & used[job]]
        for job in jobs:
            assert names & planned[job], (names, job)
        # A digest is over all that is reached: one job's shows that the edit counts, and
        # that of the job which reaches least does so soonest.
        for job in sorted(jobs, key=lambda job: len(planned[job]))[:1]:
            assert digest_of(other, *job) != before[job], (names, job)


def test_no_edit_of_a_schema_is_missed(used, monkeypatch):
    code = Code(SCRIPTS)
    for name in SCHEMAS:
        jobs = [job for job in used if ("schema", name) in used[job]]
        before = [digest_of(code, *job) for job in jobs]
        with monkeypatch.context() as patch:
            patch.setitem(SCHEMAS, name, pa.schema([("more", pa.int8())]))
            after = [digest_of(code, *job) for job in jobs]
        assert not set(before) & set(after), name


def test_little_more_is_planned_than_is_used(used):
    """What is planned in vain: branches not taken, such as other kinds of a registry."""
    code = Code(SCRIPTS)
    planned = {job: reached(code, job) for job in used}
    needless = sum(
        name != OWN and module.startswith(PACKAGE)
        for job in used
        for module, name in planned[job] - used[job]
    )
    assert needless < 0.22 * sum(map(len, used.values()))
