"""Digests change with what a script runs, and with nothing else."""

import pytest

from attention_audit.records import definitions, provenance
from attention_audit.records.definitions import PACKAGE, Code, Module
from attention_audit.records.provenance import code_digest, digest_of, library_versions

SOFTMAX, ENTMAX, SPARSEGEN = (
    f"models.normalizers.{kind}:NORMALIZER"
    for kind in ("softmax", "entmax", "sparsegen")
)
# What the workflow tells jobs beside these: encoder and modality.
TRAINS = (
    "models.encoders:BiLSTMEncoder",
    "data.modalities.text:read_examples",
    "models.modalities.text:declare",
)
AUDITS = (
    "models.encoders:BiLSTMEncoder",
    "data.modalities.text:audited",
    "models.modalities.text:SETTINGS",
)
GRADIENT, LEFT_OUT, LEFT_TO_READ = (
    "attribution.gradients:gradient_importance",
    "attribution.ablation:leave_one_out",
    "attribution.removals.bilstm:left",
)
JOBS = {
    "train": ("train_model.py", SOFTMAX, *TRAINS),
    "train_sparse": ("train_model.py", SPARSEGEN, *TRAINS),
    # entmax over the hidden states, sparsegen in self-attention
    "train_both": ("train_model.py", ENTMAX, SPARSEGEN, *TRAINS),
    "attend": ("attend.py", SOFTMAX, *AUDITS),
    "gradient": ("attribute.py", GRADIENT, SOFTMAX, *AUDITS),
    "leave_one_out": ("attribute.py", LEFT_OUT, SOFTMAX, *AUDITS),
    "words_left_out": ("attribute.py", LEFT_OUT, LEFT_TO_READ, SOFTMAX, *AUDITS),
    "influence": ("trace_influence.py", SOFTMAX, *AUDITS),
    "measure": ("measure.py",),
    "agreement": ("draw.py", "figures.agreement:draw"),
    "task_score": ("draw.py", "figures.task_score:draw"),
}
TRAINING = {"train", "train_sparse", "train_both"}
LEAVING = {"leave_one_out", "words_left_out"}
MODELS = TRAINING | LEAVING | {"attend", "gradient", "influence"}


@pytest.fixture(scope="module")
def code() -> Code:
    """The code as it stands, with all modules that jobs reach."""
    code = Code(provenance.SCRIPTS)
    for what in JOBS.values():
        digest_of(code, *what)
    return code


@pytest.mark.parametrize(
    ("file", "definition", "affected"),
    [
        ("models/training.py", "train", TRAINING),
        ("data/batches.py", "length_bucketed_batches", TRAINING),
        ("data/text_batches.py", "pad_batch", MODELS),
        ("data/modalities/text.py", "prepare", set()),
        ("data/modalities/images.py", "audited", set()),
        ("models/lit.py", "Stage", set()),
        ("models/simplex.py", "entmax", MODELS),
        ("models/normalizers/__init__.py", "build_normalizer", MODELS),
        (
            "models/normalizers/softmax.py",
            "softmax",
            MODELS - {"train_sparse", "train_both"},
        ),
        ("models/normalizers/entmax.py", "alpha_entmax", {"train_both"}),
        # which sparsegen is made of
        (
            "models/normalizers/sparsemax.py",
            "sparsemax",
            {"train_sparse", "train_both"},
        ),
        (
            "models/normalizers/sparsegen.py",
            "sparsegen",
            {"train_sparse", "train_both"},
        ),
        ("models/normalizers/rela.py", "ReLA", set()),
        ("models/decisions.py", "ragged", {"attend", "gradient", *LEAVING}),
        ("attribution/gradients.py", "gradient_importance", {"gradient"}),
        ("attribution/ablation.py", "leave_one_out", LEAVING),
        ("attribution/removals/bilstm.py", "bilstm_left", {"words_left_out"}),
        ("attribution/removals/transformer.py", "transformer_left", set()),
        # influence is found by what the encoder is
        ("models/encoders.py", "TransformerEncoder", {"influence"}),
        ("attribution/influence.py", "write_influence", {"influence"}),
        ("figures/pages.py", "save_pages", {"agreement", "task_score"}),
        ("figures/panels.py", "lines_by_sparsity", {"agreement"}),
        ("figures/agreement.py", "draw", {"agreement"}),
        ("records/provenance.py", "record", {*JOBS}),
        ("records/provenance.py", "code_digest", set()),
        ("methods.py", "method_function", set()),
        ("kinds.py", "check_kinds", set()),
        ("records/errors.py", "reported", set()),
    ],
)
def test_an_edit_reaches_exactly_the_jobs_that_run_it(code, file, definition, affected):
    path = provenance.SCRIPTS / PACKAGE / file
    parts = path.relative_to(provenance.SCRIPTS).with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    source = path.read_text(encoding="utf-8")

    def digests(more=""):
        other = Code(code.folder)
        edited = Module(source + more, code.module(name).package)
        other.modules = code.modules | {name: edited}
        return {job: digest_of(other, *what) for job, what in JOBS.items()}

    before = digests()
    assert digests("\n\n# a comment\ndef of_no_use(): pass\n") == before
    after = digests(f"\n\ndef {definition}(): pass\n")
    assert {job for job in JOBS if after[job] != before[job]} == affected


def test_a_source_file_is_read_once_however_many_jobs_there_are(monkeypatch):
    read = []
    real = definitions.Module
    monkeypatch.setattr(
        definitions,
        "Module",
        lambda source, package: read.append(source) or real(source, package),
    )
    for cached in (provenance.code_of, code_digest, library_versions):
        cached.cache_clear()
    for _ in range(3):
        for what in JOBS.values():
            code_digest(*what), library_versions(*what)
    assert len(JOBS) < len(read) == len(set(read))


def test_a_job_depends_on_the_libraries_that_it_imports():
    versions = library_versions(*JOBS["train"])
    assert "torch" in versions and "matplotlib" not in versions
    versions = library_versions("draw.py", "figures.agreement:draw")
    assert "matplotlib" in versions and "torch" not in versions


def test_errors_take_nothing_from_elsewhere_that_could_change_a_result():
    code = Code(provenance.SCRIPTS)
    node = (definitions.ERRORS, definitions.OWN)
    assert not code.libraries(node) & {
        *provenance.RECORDED_LIBRARIES,
        "attention_audit",
    }


def test_a_record_holds_what_made_a_file(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("abc")
    record = provenance.record("rule", {"alpha": 1.5}, [path])
    assert record["params"] == {"alpha": 1.5}
    # sha256 of "abc", from FIPS 180-2
    assert record["inputs"][str(path)].startswith("ba7816bf8f01cfea414140de5dae2223")
    assert {"python", "torch", "snakemake"} <= set(record["versions"])
