"""Text is read and written as UTF-8, whatever the locale says."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("workflow", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LABEL = "否定 Ł"

# An ASCII terminal, and no mode of Python that would hide it.
ASCII = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONPATH": str(ROOT / "workflow/scripts"),
}


def in_ascii(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess:
    """A piece of Python in a process of its own, with warnings about encodings."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("LANG", "PYTHONIOENCODING")
    }
    return subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", code, *arguments],
        cwd=folder,
        env=inherited | ASCII,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def unnamed(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the locale."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text", "FileHandler"):
        return True
    if name in ("run", "Popen", "check_output"):
        return "text" in given or "universal_newlines" in given
    if name != "open" or getattr(call.func, "value", None) is not None:
        return False
    mode = given.get("mode", call.args[1] if len(call.args) > 1 else None)
    return not (isinstance(mode, ast.Constant) and "b" in mode.value)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_encoding_is_named(path):
    # What ruff's PLW1514 cannot tell: a method called on what need not be a path.
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and unnamed(node)
    ] == []


def test_a_page_with_any_label_is_written(tmp_path):
    code = f"""
        import logging, sys
        from attention_audit.figures import report
        from attention_audit.records.errors import reported
        from attention_audit.records.tables import read_json, write_json
        counts = {{"train": {{}}, "dev": {{}}, "test": {{}}}}
        write_json("card.json", {{"name": "d", "counts": counts, "dropped": {{}},
                                  "label_names": [{LABEL!a}]}})
        with reported("page.log"):
            logging.getLogger("attention_audit").info({LABEL!a})
            table = report.data_table([read_json("card.json")])
            sources = {{}}
            for name in ("page.html", "page.css"):
                with open({str(ROOT / "workflow/report")!r} + "/" + name,
                          encoding="utf-8") as file:
                    sources[name] = file.read()
            axes = dict.fromkeys(("datasets", "encoders", "scorers", "normalizers"), [])
            about = {{"experiment": {LABEL!a}, "date": "", "commit": None, "config": ""}}
            report.write_page(sources, about, {{}}, [table], 1, axes, "index.html")
    """
    done = in_ascii(tmp_path, "\n".join(line[8:] for line in code.splitlines()))
    assert done.returncode == 0, done.stderr
    assert "attention_audit" not in done.stderr, done.stderr
    assert LABEL in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert LABEL in (tmp_path / "page.log").read_text(encoding="utf-8")


def test_an_error_with_any_letter_is_told_on_any_terminal(tmp_path):
    code = f"""
from attention_audit.records.errors import AuditError, reported
with reported("job.log"):
    raise AuditError({LABEL!a})
"""
    done = in_ascii(tmp_path, code)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "error: " + LABEL.encode("ascii", "backslashreplace").decode()
    )
    log = (tmp_path / "job.log").read_text(encoding="utf-8")
    assert log == f"error: {LABEL}\n"


def test_resources_of_any_name_are_printed_on_any_terminal(tmp_path):
    columns = ("s", "max_rss", "rule_name", "wildcards", "resources")
    values = (
        "1",
        "2",
        "train",
        str({"dataset": LABEL}),
        str({"mem_mb": 3, "runtime": 4}),
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.tsv").write_text(
        "\n".join("\t".join(row) for row in (columns, values)), encoding="utf-8"
    )
    script = ROOT / "workflow/scripts/compare_resources.py"
    done = in_ascii(tmp_path, _as_main(script))
    assert done.returncode == 0, done.stderr
    assert "\\u5426" in done.stdout


def test_lineage_of_any_name_is_printed_on_any_terminal(tmp_path):
    made = {"rule": LABEL, "inputs": {}, "params": {}}
    (tmp_path / "card.json").write_text(
        json.dumps({"provenance": made}, ensure_ascii=False), encoding="utf-8"
    )
    script = ROOT / "workflow/scripts/show_provenance.py"
    for more in ((), ("--json",)):
        done = in_ascii(tmp_path, _as_main(script), "card.json", *more)
        assert "UnicodeEncodeError" not in done.stderr, done.stderr
        assert "card.json" in done.stdout, done.stderr


def _as_main(script: Path) -> str:
    return f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
