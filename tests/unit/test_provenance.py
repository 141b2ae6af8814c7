"""Digests change with what a script runs, and with nothing else."""

import shutil
import sys

import pytest

from attention_audit import provenance
from attention_audit.provenance import syntax_digest

SOURCE = '''
"""Module."""
import os

def f(x):
    """Doc."""
    # why
    return x + 1
'''


def test_comments_docstrings_and_layout_do_not_count():
    same = "import os\ndef f(x): return (x\n + 1)  # other\n"
    assert syntax_digest(SOURCE) == syntax_digest(same)


@pytest.mark.parametrize(
    "edit",
    [("x + 1", "x + 2"), ("import os", "import sys"), ("def f", "def g")],
)
def test_code_counts(edit):
    assert syntax_digest(SOURCE) != syntax_digest(SOURCE.replace(*edit))


def test_a_string_that_is_no_docstring_counts():
    assert syntax_digest("x = 'a'") != syntax_digest("x = 'b'")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the scripts whose files can be edited; digests read from there."""
    root = tmp_path / "scripts"
    shutil.copytree(
        provenance.SCRIPTS, root, ignore=shutil.ignore_patterns("__pycache__")
    )

    def digest(script, *modules):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]);"
            "from attention_audit.provenance import code_digest;"
            "print(code_digest(sys.argv[2], *sys.argv[3:]))"
        )
        import subprocess

        return subprocess.run(
            [sys.executable, "-c", code, root, script, *modules],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return root, digest


JOBS = {
    "train": ("train_model.py",),
    "attend": ("attend.py",),
    "gradient": ("attribute.py", "attribution.gradients"),
    "leave_one_out": ("attribute.py", "attribution.ablation"),
    "influence": ("trace_influence.py",),
    "measure": ("measure.py",),
    "agreement": ("draw.py", "figures.agreement"),
    "task_score": ("draw.py", "figures.task_score"),
}
MODELS = {"train", "attend", "gradient", "leave_one_out", "influence"}


@pytest.mark.parametrize(
    ("file", "affected"),
    [
        ("attention_audit/training.py", {"train"}),
        ("attention_audit/normalizers.py", MODELS),
        ("attention_audit/attribution/gradients.py", {"gradient"}),
        ("attention_audit/attribution/ablation.py", {"leave_one_out"}),
        ("attention_audit/attribution/influence.py", {"influence"}),
        ("attention_audit/figures/style.py", {"agreement", "task_score"}),
        ("attention_audit/figures/agreement.py", {"agreement"}),
        ("attention_audit/methods.py", set()),
        ("train_model.py", {"train"}),
    ],
)
def test_an_edit_reaches_exactly_the_jobs_that_run_it(copy, file, affected):
    root, digest = copy
    before = {job: digest(*what) for job, what in JOBS.items()}
    path = root / file
    path.write_text(path.read_text() + "\n# a comment\n")
    assert {job: digest(*what) for job, what in JOBS.items()} == before
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    after = {job: digest(*what) for job, what in JOBS.items()}
    assert {job for job in JOBS if after[job] != before[job]} == affected


def test_a_source_file_is_read_once_however_many_jobs_there_are(monkeypatch):
    read = []
    real = provenance._tree
    monkeypatch.setattr(provenance, "_tree", lambda s: read.append(s) or real(s))
    for cached in (provenance._parsed, provenance.code_digest):
        cached.cache_clear()
    for _ in range(3):
        for what in JOBS.values():
            provenance.code_digest(*what)
    assert len(read) == len(set(read)) > len(JOBS)


def test_a_job_depends_on_the_libraries_that_it_imports():
    versions = provenance.library_versions("train_model.py")
    assert "torch" in versions and "matplotlib" not in versions
    versions = provenance.library_versions("draw.py", "figures.agreement")
    assert "matplotlib" in versions and "torch" not in versions


def test_a_record_holds_what_made_a_file(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("abc")
    record = provenance.record("rule", {"alpha": 1.5}, [path])
    assert record["params"] == {"alpha": 1.5}
    # sha256 of "abc", from FIPS 180-2
    assert record["inputs"][str(path)].startswith("ba7816bf8f01cfea414140de5dae2223")
    assert {"python", "torch", "snakemake"} <= set(record["versions"])
