"""Keys that stand twice in a YAML or JSON file, which a usual parser drops."""

from pathlib import Path

import pytest
import yaml

from attention_audit.records.errors import AuditError
from attention_audit.records.unique_keys import check_arguments, check_files, read_yaml

ROOT = Path(__file__).parents[2]
SHIPPED = [
    path
    for folder in (ROOT, *(ROOT / name for name in ("workflow", "envs", "tests")))
    for path in sorted(folder.glob("*.yaml" if folder == ROOT else "**/*.yaml"))
]

# text -> dotted key, the lines of both
REPEATED = {
    "a: 1\nb: 2\na: 3\n": ("a", 1, 3),
    "a:\n  b: 1\n  c: 2\n  b: 1\n": ("a.b", 2, 4),
    "a: [{b: 1}, {c: 1,\n c: 2}]\n": ("a[1].c", 1, 2),
    # differ in quoting, and are one key all the same
    "\"a\": 1\n'a': 2\n": ("a", 1, 2),
    "1: a\n0x1: b\n": ("0x1", 1, 2),
    # below an anchor, and told once
    "x: &x {k: 1,\n k: 2}\ny: *x\nz: {<<: *x}\n": ("x.k", 1, 2),
    "x: &x {k: 1}\ny:\n  <<: *x\n  m: 1\n  m: 2\n": ("y.m", 4, 5),
    '{"a": {"b": 1,\n"b": 2}}': ("a.b", 1, 2),
    '{\n\t"a": 1,\n\t"a": 2\n}': ("a", 2, 3),
    # another dictionary of the file
    "a: 1\nb: {a: 1}\nc: [{a: 1}, {a: 2}]\nb: 2": ("b", 2, 4),
}
UNIQUE = [
    "",
    "a: 1\nb: {a: 1}\nc: [{a: 1}, {a: 2}]\n",
    # what is merged in is meant to be replaced
    "x: &x {k: 1, l: 2}\ny: {<<: *x, k: 3}\n",
    "x: &x {k: 1}\ny: &y {k: 2}\nz: {<<: [*x, *y], k: 3}\n",
    "x: &x {k: 1}\ny: *x\nz: *x\n",
    "'1': a\n1: b\n",
    '{\n\t"a": 1,\n\t"b": "\\t/\\/"\n}',
]


def file(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", REPEATED)
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path, text):
    key, first, second = REPEATED[text]
    path = file(tmp_path, text)
    for read in (read_yaml, lambda path: check_files([path])):
        with pytest.raises(AuditError) as raised:
            read(path)
        assert str(raised.value) == (
            f"{path}: the key '{key}' stands on line {first} and again on line "
            f"{second}, and only the last would count. Join the two, or rename one."
        )


@pytest.mark.parametrize("text", UNIQUE)
def test_what_is_unique_is_read_as_ever(tmp_path, text):
    path = file(tmp_path, text)
    check_files([path])
    assert read_yaml(path) == yaml.safe_load(text.replace("\t", " "))


def test_all_files_in_play_are_read_and_a_few_faults_told(tmp_path):
    (tmp_path / "one").mkdir()
    first = file(tmp_path / "one", "a: 1\na: 2\n")
    second = file(tmp_path, "".join(f"k{i}: 1\nk{i}: 2\n" for i in range(7)))
    with pytest.raises(AuditError) as raised:
        check_files([first, second])
    lines = str(raised.value).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith(f"{first}: the key 'a' stands on line 1 and again")
    assert lines[1].startswith(f"{second}: the key 'k0' stands on line 1")
    assert lines[5] == "and 3 more keys that stand twice"


def test_what_is_no_yaml_is_shown_with_its_line(tmp_path):
    path = file(tmp_path, "a: 1\nb: c: d\n")
    with pytest.raises(AuditError) as raised:
        read_yaml(path)
    first, *shown = str(raised.value).splitlines()
    assert first == (
        f"{path}: cannot be read as YAML: mapping values are not allowed here"
    )
    assert "line 2" in shown[0] and shown[1:] == ["    b: c: d", "        ^"]


def test_dictionaries_on_the_command_line():
    check_arguments(["-n", "--config", "grid={seeds: [0, 1]}", "seed=1", "all"])
    with pytest.raises(AuditError) as raised:
        check_arguments(["--config", "grid={seeds: [0], 'seeds': [1]}"])
    assert str(raised.value) == (
        "--config grid: the key 'seeds' stands twice, and only the last would count. "
        "Join the two, or drop one."
    )


def test_shipped_files_hold_every_key_once():
    assert {"config.yaml", "config.schema.yaml", "smoke.yaml", "tiny.yaml"} <= {
        path.name for path in SHIPPED
    }
    check_files(SHIPPED)
