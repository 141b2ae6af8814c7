"""What a stranger finds at the top level, and that it is true."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def settings(name: str) -> dict:
    return yaml.safe_load(read(name))


def test_the_workflow_stands_at_the_top():
    for name in ("Snakefile", "config.yaml", "README.md", "LICENSE", "CONTRIBUTING.md"):
        assert (ROOT / name).is_file(), name
    for name in ("workflow/rules", "workflow/scripts", "profiles/default", "envs"):
        assert (ROOT / name).is_dir(), name


def test_licence_and_version_are_the_same_everywhere():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    citation = settings("CITATION.cff")
    assert citation["license"] == project["license"] == "MIT"
    assert citation["version"] == project["version"]
    assert f"## {project['version']}" in read("CHANGELOG.md")
    assert read("LICENSE").startswith("MIT License")


def test_the_data_of_the_config_have_their_terms_told():
    told = read("docs/data.md")
    config = settings("config.yaml")
    named = set(re.findall(r"`([^`]+)`", told))
    assert set(config["datasets"]) | set(config["vectors"]) <= named
    for archive in config["archives"].values():
        assert f"`{archive['package']}` {archive['version']}" in told
    for dataset in config["datasets"].values():
        if dataset["source"]["kind"] == "hub":
            assert dataset["source"]["path"] in named


def test_public_checks_run_what_the_readme_says():
    job = settings(".github/workflows/test.yaml")["jobs"]["test"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert "make test" in commands
    assert "make test" in read(".ci/run") and "make test" in read("README.md")


def test_the_catalogue_entry_says_what_a_user_must_pass():
    usage = settings(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["mandatory-flags"]["flags"] == ""
    # one environment for all: no rule brings its own
    assert usage["software-stack-deployment"]["conda"] is False
    rules = "".join(
        p.read_text(encoding="utf-8") for p in ROOT.glob("workflow/rules/*")
    )
    assert not re.search(r"^ +conda:", rules, re.M)


def test_links_between_documents_lead_somewhere():
    listed = subprocess.run(
        ["git", "ls-files", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for page in listed.stdout.splitlines():
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(page)):
            if "://" not in target:
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_contributors_guide_names_files_that_exist():
    package = ROOT / "workflow/scripts/attention_audit"
    for name in re.findall(r"`?([\w/]+\.py)\b", read("CONTRIBUTING.md")):
        assert (package / name).is_file() or (ROOT / name).is_file(), name


def test_no_rule_is_asked_for_by_a_name_that_is_given_when_it_is_made():
    """The oldest Snakemake that will do knows such rules by their outputs alone."""
    rules = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    )
    named = {*re.findall(r"^\s*rule (\w+):", rules, flags=re.M)}
    asked = {*re.findall(r"\brules\.(\w+)", rules)}
    assert "train" in asked and asked <= named


def test_no_module_takes_what_another_keeps_to_itself():
    """Names with an underscore stay in their module."""
    taken = []
    for path in sorted(ROOT.glob("workflow/scripts/**/*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        ours = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and "attention_audit" in node.module:
                for alias in node.names:
                    ours[alias.asname or alias.name] = alias.name
        taken += [f"{path.name}: {name}" for name in ours.values() if name[0] == "_"]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.attr[0] == "_" and node.attr[:2] != "__"
                if private and node.value.id in ours:
                    taken.append(f"{path.name}: {node.value.id}.{node.attr}")
    assert taken == []
