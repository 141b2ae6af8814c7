"""A change reruns exactly what it affects: the table of changes.

Each row edits a copy of the finished tiny grid and asks Snakemake, in a real dry run,
which jobs it plans. The right-hand side says which it has to plan: no more, no fewer.
"""

import ast
import os
import subprocess
import time
from pathlib import Path

import pytest

from attention_audit.figures.catalogue import figures_of
from tests.workflow import project
from tests.workflow.conftest import made_once
from tests.workflow.project import config, planned, replace_in, set_key, write_config

PACKAGE = "workflow/scripts/attention_audit"
METHODS = ("input_gradient", "hidden_leave_one_out")


def runs(
    normalizers=("softmax", "entmax15"),
    seeds=(0, 1),
    dataset="reviews",
    encoder="bilstm",
) -> set[str]:
    return {f"{dataset}/{encoder}/additive/{n}/{s}" for n in normalizers for s in seeds}


def of_methods(runs: set[str], methods=METHODS) -> set[str]:
    return {f"{run}/{method}" for run in runs for method in methods}


def once(*rules: str) -> dict[str, set[str]]:
    return {rule: {""} for rule in rules}


def controls(runs: set[str]) -> dict[str, set[str]]:
    """The reference has no controls, and what changes there changes those of others."""
    others = {run for run in runs if "/softmax/" not in run}
    return {"measure_controls": others} if others else {}


def audit(runs: set[str]) -> dict[str, set[str]]:
    """Everything about some runs after their training."""
    return {
        "attend": runs,
        "attribute": of_methods(runs),
        "trace_influence": runs,
        "measure": runs,
    } | controls(runs)


ALL = runs()
MEASURED = {"measure": ALL} | controls(ALL)
FIGURES = figures_of([])
REPORT = once("report_page")
# A table of statistics, and what says when and from what it was made.
OF_TABLE = once("experiment") | REPORT
FIGURE = {name: once(f"figure_{name}") for name in FIGURES}
OF_TASK = once("task") | FIGURE["task_score"] | OF_TABLE


def of_table(table: str) -> dict[str, set[str]]:
    """A table of statistics and all that shows it."""
    figures = (f"figure_{f}" for f, tables in FIGURES.items() if table in tables)
    return once(table, *figures) | OF_TABLE


OF_CLAIMS = of_table("claims")
# Claims rest on both of these.
OF_COMPARISON = of_table("comparison") | OF_CLAIMS
OF_STATISTICS = of_table("summary") | OF_COMPARISON
OF_EXAMPLES = once("examples") | REPORT
# Instances to be browsed, with what was measured of each.
EXPLORED = once("explorer") | REPORT
OF_MEASURES = OF_STATISTICS | OF_EXAMPLES | EXPLORED
ALL_FIGURES = once(*(f"figure_{name}" for name in FIGURES)) | REPORT
TABLES = OF_TASK | OF_MEASURES
OF_GRID = once("runs") | TABLES
TRAINED = {"train": ALL} | audit(ALL) | TABLES
PREPARED = {"prepare": {"reviews"}} | TRAINED


def whole_runs(new: set[str]) -> dict[str, set[str]]:
    return {"train": new} | audit(new) | TABLES


def more_runs(new: set[str]) -> dict[str, set[str]]:
    """What a grid plans that has some runs more."""
    return whole_runs(new) | OF_GRID


# --- edits: each changes one thing in a copy of the finished grid ----------------


def text(path: str, old: str, new: str):
    return lambda folder: replace_in(folder / path, old, new)


def function(module: str, name: str):
    """A statement more in a function of the package."""

    def edit(folder: Path) -> None:
        path = folder / PACKAGE / module
        lines = path.read_text().splitlines()
        (found,) = (
            node
            for node in ast.parse("\n".join(lines)).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        )
        last = found.body[-1]
        lines.insert(last.lineno - 1, " " * last.col_offset + "assert True")
        path.write_text("\n".join(lines) + "\n")

    return edit


def appended(module: str, text: str):
    """More at the end of a module of the package."""

    def edit(folder: Path) -> None:
        path = folder / PACKAGE / module
        path.write_text(f"{path.read_text()}\n\n{text}\n")

    return edit


def key(name: str, value):
    return lambda folder: set_key(folder, name, value)


def column(table: str):
    """A column more in the schema of one table."""
    return text(
        f"{PACKAGE}/records/schemas.py",
        f'"{table}": _schema(\n',
        f'"{table}": _schema(\n        ("more", pa.int64()),\n',
    )


def reordered(*sections: str):
    """The keys of a section, or of the whole config, in another order."""

    def edit(folder: Path) -> None:
        settings = config(folder)
        outer = settings
        for section in sections[:-1]:
            outer = outer[section]
        inner = outer[sections[-1]] if sections else settings
        turned = dict(reversed(inner.items()))
        assert len(turned) > 1
        if sections:
            outer[sections[-1]] = turned
        write_config(folder, settings if sections else turned)

    return edit


def touched(path: str):
    """A newer time and the same bytes."""

    def edit(folder: Path) -> None:
        os.utime(folder / path)

    return edit


def touched_everything(folder: Path) -> None:
    """New times in which what was made first is newest."""
    paths = [p for p in (folder / "results").rglob("*") if p.is_file()]
    newest_first = sorted(paths, key=lambda path: -path.stat().st_mtime_ns)
    now = time.time()
    for seconds, path in enumerate(newest_first):
        os.utime(path, (now + seconds, now + seconds))


def deleted(path: str):
    return lambda folder: (folder / path).unlink()


def truncated(path: str):
    def edit(folder: Path) -> None:
        whole = (folder / path).read_bytes()
        (folder / path).write_bytes(whole[: len(whole) // 2])

    return edit


def both(first, second):
    def edit(folder: Path) -> None:
        first(folder), second(folder)

    return edit


def new_kind(folder: Path) -> None:
    """A kind of normalizer more, with an instance called own."""
    (folder / PACKAGE / "models/normalizers/squares.py").write_text(
        "def squares(scores, mask):\n"
        "    weights = scores.square() * mask\n"
        "    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)\n\n\n"
        "NORMALIZER = squares\n"
    )
    project.describe_kind(
        folder,
        "squares",
        "- {if: {required: [kind], properties: {kind: {const: squares}}}, "
        'then: {$ref: "#/$defs/normalizer_squares"}}\n',
        "normalizer_squares:\n"
        "  required: [kind]\n"
        "  additionalProperties: false\n"
        "  properties:\n"
        "    kind: {description: Squares., type: string, const: squares}\n",
    )
    set_key(folder, "normalizers.own", {"kind": "squares"})


def new_claim(folder: Path) -> None:
    """One more in the list."""
    with (folder / "workflow/claims.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "one_more:\n"
            "  source: this test\n"
            "  text: Weights are spread out.\n"
            "  table: summary\n"
            "  where: {measure: dispersion, subject: attention}\n"
            "  rule: {above: 0.5}\n"
            "  because: Half of what can be.\n"
            "  figure: importance_dispersion\n"
        )


def upgraded(library: str):
    """Another version of a library, as Python finds it."""

    def edit(folder: Path) -> dict[str, str]:
        info = folder / "upgraded" / f"{library}-99.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {library}\nVersion: 99.0\n"
        )
        return {"PYTHONPATH": str(info.parent)}

    return edit


ONE = "reviews/bilstm/additive/softmax/0"
RUN = "reviews/bilstm/additive/softmax/seed0"
MEASURES = f"results/measures/{RUN}.parquet"
IMPORTANCE = f"results/attributions/{RUN}/importance/input_gradient.parquet"

CHANGES = {
    # what cannot change a result
    "nothing": (lambda folder: None, {}),
    "a comment in a script": (
        text("workflow/scripts/train_model.py", "import json\n", "import json  # so\n"),
        {},
    ),
    "a comment in a rule": (
        text("workflow/rules/train.smk", "rule train:\n", "# so\nrule train:\n"),
        {},
    ),
    "a docstring": (
        text(
            f"{PACKAGE}/models/training.py",
            '"""The training loop:',
            '"""A training loop:',
        ),
        {},
    ),
    "a module that no job runs": (function("grid.py", "grid"), {}),
    "what a measure means": (
        text(
            f"{PACKAGE}/statistics/measures.py",
            "1 - support / n, the",
            "1 - support / n: the",
        ),
        {},
    ),
    "what a column means": (
        text(
            f"{PACKAGE}/records/meanings.py", '"name of the encoder"', '"the encoder"'
        ),
        {},
    ),
    "the words of an error": (
        text(f"{PACKAGE}/records/errors.py", "The disk is full", "No room on the disk"),
        {},
    ),
    "the words of an error of training": (
        text(
            f"{PACKAGE}/models/training.py", "the training loss became", "the loss is"
        ),
        {},
    ),
    "a line of the log": (
        text(f"{PACKAGE}/models/training.py", '"epoch %d: loss', '"epoch %d, loss'),
        {},
    ),
    "a function that no job uses": (function("records/tables.py", "read_metadata"), {}),
    "a new function": (
        appended("data/batches.py", "def longest(lengths):\n    return lengths.max()"),
        {},
    ),
    "a new import": (appended("models/model.py", "import csv\n\nCSV = [csv]"), {}),
    "how code is digested": (function("records/provenance.py", "code_digest"), {}),
    "memory of a rule": (
        text("workflow/rules/train.smk", "700 + 4e-4", "900 + 4e-4"),
        {},
    ),
    "the order of the keys of the config": (reordered(), {}),
    # inputs stand before hidden states, whatever the config says
    "the order of the methods of inputs and of hidden states": (
        reordered("methods"),
        {},
    ),
    "a default written out": (key("training.learning_rate", 0.001), {}),
    "a declared instance outside the grid": (
        key("normalizers.sparsegen", {"kind": "sparsegen", "lam": 0.5}),
        {},
    ),
    "the order of the seeds": (key("grid.seeds", [1, 0]), {}),
    "where an archive is to be had": (
        both(
            key("archives.tiny_reviews.package", "sentences"),
            key("archives.tiny_reviews.version", "2.0"),
        ),
        {},
    ),
    "an archive that nothing uses": (
        key("archives.more", {"package": "p", "version": "1", "sha256": "0" * 64}),
        {},
    ),
    "a setting of an experiment that is off": (
        key("explanations.flips.random_orders", 3),
        {},
    ),
    "the rounds of a speed that is not measured": (key("efficiency.rounds", 9), {}),
    "the pairs that choose a threshold where there are none": (
        key("alignment.dev_pairs", 9),
        {},
    ),
    "the shares of a learning curve that is off": (
        key("learning_curve.shares", [0.1]),
        {},
    ),
    "a touched input": (touched("results/data/reviews/train.parquet"), {}),
    "all results touched": (touched_everything, {}),
    "a library that is recorded only": (upgraded("pandas"), {}),
    # figures and report
    "the colours of the figures": (
        text(f"{PACKAGE}/figures/style.py", '"colorblind"', '"muted"'),
        ALL_FIGURES,
    ),
    # figures have them from dense to sparse
    "the order of the normalizers": (
        key("grid.normalizers", ["entmax15", "softmax"]),
        {},
    ),
    "a notice": (key("notice", "no result"), ALL_FIGURES),
    "a helper of one figure": (
        function("figures/panels.py", "scores_by_normalizer"),
        FIGURE["task_score"] | REPORT,
    ),
    "one figure": (
        text(f"{PACKAGE}/figures/agreement.py", '"sparsity: share', '"share'),
        FIGURE["agreement"] | REPORT,
    ),
    "a caption": (
        text("workflow/report/agreement.rst", "Kendall", "Maurice Kendall"),
        REPORT,
    ),
    "the template of the report": (
        text("workflow/report/page.html", "</h1>", "!</h1>"),
        REPORT,
    ),
    "a deleted figure": (
        deleted("results/figures/agreement.pdf"),
        FIGURE["agreement"] | REPORT,
    ),
    "an upgraded matplotlib": (upgraded("matplotlib"), ALL_FIGURES),
    # statistics
    "where the intervals come from": (
        key("statistics.interval", "random_effects"),
        OF_STATISTICS,
    ),
    "the smallest effect of interest": (
        key("statistics.smallest_effect.default", 0.01),
        OF_COMPARISON,
    ),
    "the correction for many tests": (
        key("statistics.correction", "bonferroni"),
        OF_COMPARISON,
    ),
    "what the others are compared with": (
        key("statistics.reference", "entmax15"),
        {"measure_controls": runs(["softmax"])} | OF_STATISTICS | EXPLORED,
    ),
    # scores are drawn with intervals over seeds
    "the level of confidence": (
        key("statistics.confidence", 0.9),
        OF_STATISTICS | FIGURE["task_score"],
    ),
    "the table of task scores": (function("statistics/task.py", "task_table"), OF_TASK),
    "a helper of two tables": (
        function("statistics/random_effects.py", "moments"),
        OF_STATISTICS,
    ),
    "which examples are shown": (
        function("statistics/examples.py", "extremes"),
        OF_EXAMPLES,
    ),
    "how many instances can be browsed": (key("report.instances", 5), EXPLORED),
    "how an explained text is shown": (function("figures/heatmap.py", "as_html"), {}),
    "a library of one table": (
        upgraded("statsmodels"),
        OF_COMPARISON,
    ),
    "the words of a claim": (
        text("workflow/claims.yaml", "agrees only weakly", "agrees weakly"),
        OF_CLAIMS,
    ),
    "the rule of a claim": (
        text("workflow/claims.yaml", "{outside: 0.1}", "{outside: 0.2}"),
        OF_CLAIMS,
    ),
    "why a claim is decided so": (
        text("workflow/claims.yaml", "It may go either way", "It can go either way"),
        {},
    ),
    "a new claim": (new_claim, OF_CLAIMS),
    "how claims are judged": (function("statistics/verdicts.py", "pooled"), OF_CLAIMS),
    "what a claim may hold": (
        text("workflow/schemas/claims.schema.yaml", "in one sentence", "in a sentence"),
        {},
    ),
    # measures and attributions
    "a measure": (
        function("statistics/ranks.py", "rank_agreement"),
        MEASURED | OF_MEASURES,
    ),
    "a helper of some attributions": (
        function("models/decisions.py", "ragged"),
        {"attend": ALL, "attribute": of_methods(ALL)} | MEASURED | OF_MEASURES,
    ),
    "a method's code": (
        function("attribution/ablation.py", "leave_one_out"),
        {"attribute": of_methods(ALL, METHODS[1:])} | MEASURED | OF_MEASURES,
    ),
    "a method's parameter": (
        key("methods.input_gradient.attention", "attached"),
        {"attribute": of_methods(ALL, METHODS[:1])} | MEASURED | OF_MEASURES,
    ),
    "a new method": (
        key("methods.input_leave_one_out", {"kind": "leave_one_out", "of": "inputs"}),
        {"attribute": of_methods(ALL, ["input_leave_one_out"])}
        | MEASURED
        | OF_MEASURES,
    ),
    "the schema of a table": (
        column("influence"),
        {"trace_influence": ALL, "measure": ALL} | OF_MEASURES,
    ),
    "the number of kept matrices": (
        key("influence.matrices", 3),
        {"trace_influence": ALL, "measure": ALL} | OF_MEASURES,
    ),
    "how influence is found": (
        key("influence.method", "probes"),
        {"trace_influence": ALL, "measure": ALL} | OF_MEASURES,
    ),
    "the number of audited instances": (
        key("audit.instances", 14),
        {"attend": ALL, "attribute": of_methods(ALL)} | MEASURED | OF_MEASURES,
    ),
    # training
    "the training loop": (function("models/training.py", "train"), TRAINED),
    "a helper of training": (
        function("data/batches.py", "length_bucketed_batches"),
        TRAINED,
    ),
    "a constant of all models": (
        text(f"{PACKAGE}/data/batches.py", "PAD, UNK = 0, 1", "PAD, UNK = 0, 2"),
        PREPARED,
    ),
    # Which device that is, only the machine knows that runs the job.
    "the device": (key("training.device", "auto"), TRAINED),
    "a setting of training": (key("training.learning_rate", 0.01), TRAINED),
    "a learning curve": (
        key("learning_curve", {"enabled": True, "shares": [0.5]}),
        {"train_on_share": {f"{run}/0.5" for run in runs(["softmax"])}}
        | once("learning_curve", "figure_learning_curve")
        | OF_TABLE,
    ),
    "what models cost": (
        key("efficiency", {"enabled": True}),
        once("sizes", "speed", "figure_task_cost", "figure_task_speed") | OF_TABLE,
    ),
    "an encoder": (key("encoders.bilstm.hidden_size", 16), TRAINED),
    "an upgraded torch": (upgraded("torch"), TRAINED),
    "alpha of one normalizer": (
        key("normalizers.entmax15.alpha", 1.4),
        whole_runs(runs(["entmax15"])),
    ),
    "a kind of normalizer": (
        function("models/normalizers/entmax.py", "alpha_entmax"),
        whole_runs(runs(["entmax15"])),
    ),
    "a kind of normalizer outside the grid": (
        function("models/normalizers/sparsemax.py", "sparsemax"),
        {},
    ),
    "a new kind of normalizer": (new_kind, {}),
    "a new kind of normalizer in the grid": (
        both(new_kind, key("grid.normalizers", ["softmax", "entmax15", "own"])),
        more_runs(runs(["own"])),
    ),
    "how normalizers are built": (
        function("models/normalizers/__init__.py", "build_normalizer"),
        TRAINED,
    ),
    "the kinds that are known": (function("kinds.py", "check_kinds"), {}),
    "a new normalizer": (
        key("grid.normalizers", ["softmax", "entmax15", "sparsemax"]),
        more_runs(runs(["sparsemax"])),
    ),
    "a new encoder": (
        key("grid.encoders", ["bilstm", "transformer"]),
        more_runs(runs(encoder="transformer"))
        | {"trace_heads": runs(encoder="transformer")}
        | once("head_summary", "figure_head_diversity"),
    ),
    "a new seed": (key("grid.seeds", [0, 1, 2]), more_runs(runs(seeds=[2]))),
    "a seed less": (key("grid.seeds", [0]), OF_GRID),
    # data
    "a new data set": (
        key("grid.datasets", ["reviews", "raw_labels"]),
        {"prepare": {"raw_labels"}} | more_runs(runs(dataset="raw_labels")),
    ),
    "a longer max_length": (key("datasets.reviews.max_length", 14), PREPARED),
    # it rates words that are prepared, and nothing of the data hangs on it
    "another lexicon": (
        key("lexicons.felt.file", "tiny_reviews/other.tsv"),
        {"measure": ALL} | OF_MEASURES,
    ),
    "how words are rated": (
        function("data/lexicons.py", "ratings_of"),
        {"measure": ALL} | OF_MEASURES,
    ),
    "how text is prepared": (function("data/tokens.py", "tokenize"), PREPARED),
    "another archive": (
        key("archives.tiny_reviews.sha256", "0" * 64),
        {"fetch_archive": {"tiny_reviews"}} | PREPARED,
    ),
    # files
    "an archive with other bytes": (
        truncated("results/raw/tiny_reviews.whl"),
        PREPARED,
    ),
    "a deleted archive that nothing needs": (
        deleted("results/raw/tiny_reviews.whl"),
        {},
    ),
    "a deleted intermediate that nothing needs": (deleted(IMPORTANCE), {}),
    "a deleted intermediate that something needs": (
        both(deleted(MEASURES), key("statistics.interval", "random_effects")),
        {"measure": {ONE}} | OF_MEASURES,
    ),
    # Who reads it says that it is damaged; see test_faults.py for what follows.
    "a truncated table": (truncated(MEASURES), OF_MEASURES),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_exactly_what_it_affects(done, change):
    edit, expected = CHANGES[change]
    surroundings = edit(done) or {}
    assert planned(done, **surroundings) == expected


def test_a_copied_folder_is_finished(done, tmp_path):
    assert (done / "results/raw/tiny_reviews.whl").stat().st_size > 1_000_000
    subprocess.run(["cp", "-r", done, tmp_path / "copy"], check=True)
    assert planned(tmp_path / "copy") == {}


# --- the user's own files -----------------------------------------------------------

OWN = "results/data/own/card.json"


@pytest.fixture(scope="session")
def own_data(shared, unstarted) -> Path:
    """A data set and word vectors from local files, prepared."""

    def make(folder: Path) -> None:
        project.copy(unstarted, folder)
        (folder / "vectors.txt").write_text("the 1 2\na 3 4\n")
        set_key(folder, "vectors", {"mine": {"kind": "file", "path": "vectors.txt"}})
        set_key(folder, "datasets.own.vectors", "mine")
        project.run(folder, "--cores", "1", OWN)

    return made_once(shared / "own_data", make)


@pytest.mark.parametrize("file", ["reviews.csv", "vectors.txt"])
def test_a_file_of_ones_own_counts_by_its_bytes(own_data, tmp_path, file):
    folder = project.copy(own_data, tmp_path / "project")
    path = folder / file
    whole = path.read_bytes()
    for seconds in (0, 2_000_000_000):  # older and newer than what was made
        path.write_bytes(whole + whole[-6:])
        os.utime(path, (seconds, seconds))
        assert planned(folder, OWN) == {"prepare": {"own"}}
        path.write_bytes(whole)
        os.utime(path, (seconds, seconds))
        assert planned(folder, OWN) == {}
    other = path.rename(folder / f"other_{file}")
    status, output = project.snakemake(folder, "-n", OWN)
    assert status != 0 and file in output and "Traceback" not in output
    other.rename(path)
    assert planned(folder, OWN) == {}


@pytest.mark.parametrize(
    ("key", "wrong", "words"),
    [
        ("source.text", "txt", "txt"),
        ("source.labels", {"0": "negative", "9": "positive"}, "9"),
        ("min_count", 10_000, "min_count"),
    ],
)
def test_a_mistake_in_the_config_removes_no_data(own_data, tmp_path, key, wrong, words):
    folder = project.copy(own_data, tmp_path / "project")
    before = project.results(folder)
    right = (folder / "config.yaml").read_bytes()
    set_key(folder, f"datasets.own.{key}", wrong)
    status, output = project.snakemake(folder, "--cores", "1", OWN)
    assert status != 0 and words in output and "Traceback" not in output
    assert "nothing removed" in output
    assert project.results(folder) == before
    (folder / "config.yaml").write_bytes(right)
    assert planned(folder, OWN) == {}


# --- other settings and versions of Snakemake ---------------------------------------


def test_without_the_default_profile_a_comment_counts_and_nothing_is_missed(done):
    bare = ("--workflow-profile", "none")
    assert planned(done, *bare) == {}
    replace_in(done / PACKAGE / "statistics/ranks.py", "_BLOCK = 64", "_BLOCK = 32")
    assert planned(done, *bare) == MEASURED | OF_MEASURES
    replace_in(
        done / "workflow/scripts/train_model.py", "import json\n", "import json  # so\n"
    )
    assert planned(done, *bare) == TRAINED
