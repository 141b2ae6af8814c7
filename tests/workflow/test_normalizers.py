"""Every kind of normalizer, in pooling and in self-attention, through all the stages.

A job of Snakemake is a process of its own that loads torch. There are too many here,
so the rules' scripts run in this process, one after the other, on real sentences that
the workflow prepared.
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from attention_audit.config import validate
from attention_audit.methods import EFFECTS, method_function
from attention_audit.models.normalizers import build_normalizer
from attention_audit.records.tables import read_json, read_table
from tests.workflow import project

SCRIPTS = project.CHECKOUT / "workflow/scripts"
CONFIG = validate(
    yaml.safe_load((project.CHECKOUT / "config.yaml").read_text(encoding="utf-8")),
    project.CHECKOUT / "workflow/schemas/config.schema.yaml",
)
# An instance of every kind, and of every setting that is more than a number.
NORMALIZERS = {
    tuple(
        v for v in settings.values() if not isinstance(v, float | int) or v is True
    ): n
    for n, settings in CONFIG["normalizers"].items()
}
ENCODERS = {
    "bilstm": {"kind": "bilstm", "hidden_size": 8},
    "transformer": {
        "kind": "transformer",
        "hidden_size": 8,
        "heads": 2,
        "layers": 2,
        "feedforward_size": 8,
        "self_attention": "run",
    },
}
METHODS = {
    "input_gradient": {"kind": "gradient", "of": "inputs", "attention": "attached"},
    "hidden_leave_one_out": {"kind": "leave_one_out", "of": "hidden_states"},
}
TRAINING = {**CONFIG["training"], "max_epochs": 2, "device": "cpu"}
AUDIT = {"instances": 12}


class Named(dict):
    """What Snakemake gives a script: names as attributes, and files one by one."""

    __getattr__ = dict.__getitem__

    def __iter__(self):
        for value in self.values():
            yield from value if isinstance(value, list) else [value]


def run_script(name: str, folder: Path, inputs: dict, outputs: dict, **params) -> None:
    """Run a rule's script as Snakemake would, but in this process."""
    for path in outputs.values():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    told = SimpleNamespace(
        rule=name,
        input=Named(inputs),
        output=Named(outputs),
        params=Named(params),
        log=[str(folder / f"{name}.log")],
        threads=1,
    )
    runpy.run_path(str(SCRIPTS / f"{name}.py"), {"snakemake": told})


@pytest.fixture(scope="module")
def data(unstarted, offline, tmp_path_factory) -> Path:
    """The folder of the prepared sentences."""
    folder = project.copy(unstarted, tmp_path_factory.mktemp("normalizers") / "project")
    project.run(folder, "--cores", "1", "results/data/reviews/card.json", **offline)
    return folder / "results/data/reviews"


def pipeline(data: Path, folder: Path, encoder: str, normalizer: str) -> Path:
    """Train, audit and measure one run; its folder."""
    run = {
        "dataset": "reviews",
        "encoder": encoder,
        "scorer": "additive",
        "normalizer": normalizer,
        "seed": 0,
    }
    out = folder / encoder / normalizer
    splits = {s: data / f"{s}.parquet" for s in ("train", "dev", "test")}
    model = {
        "model": out / "model.safetensors",
        "settings": out / "settings.json",
    }
    run_script(
        "train_model",
        folder,
        {
            **splits,
            "reading": data / "reading.parquet",
            "card": data / "card.json",
        },
        {**model, "history": out / "history.parquet", "metrics": out / "metrics.json"},
        run=run,
        modality="text",
        encoder={**ENCODERS[encoder], "embedding_size": 8, "freeze_vectors": False},
        scorer=CONFIG["scorers"]["additive"],
        normalizer=CONFIG["normalizers"][normalizer],
        training=TRAINING,
        checkpoint=str(out / "checkpoint.pt"),
    )
    reading = data / "reading.parquet"
    audited = {**model, "examples": splits["test"], "reading": reading}
    common = {"run": run, "modality": "text", "device": "cpu"}
    attention, influence = out / "attention.parquet", out / "influence.parquet"
    run_script(
        "attend", folder, audited, {"attention": attention}, audit=AUDIT, **common
    )
    importances = []
    for method, settings in METHODS.items():
        importances.append(out / f"{method}.parquet")
        run_script(
            "attribute",
            folder,
            audited,
            {"importance": importances[-1]},
            method=method,
            function=method_function(settings["kind"]),
            settings={k: v for k, v in settings.items() if k != "kind"},
            audit=AUDIT,
            **common,
        )
    run_script(
        "trace_influence",
        folder,
        audited,
        {"influence": influence},
        audit={"instances": 2},
        matrices=1,
        estimation={"method": "auto", "error": 0.05, "probes": 64},
        **common,
    )
    if encoder == "transformer":
        run_script(
            "trace_heads",
            folder,
            audited,
            {"heads": out / "heads.parquet"},
            audit=AUDIT,
            **common,
        )
    run_script(
        "measure",
        folder,
        {"attention": attention, "importances": importances, "influence": influence},
        {"measures": out / "measures.parquet"},
        run=run,
        methods=list(METHODS),
        effects={m: EFFECTS[settings["kind"]] for m, settings in METHODS.items()},
        lexicon=None,
    )
    return out


def test_every_kind_is_among_those_tested():
    kinds = {settings["kind"] for settings in CONFIG["normalizers"].values()}
    assert {key[0] for key in NORMALIZERS} == kinds
    assert ("entmax", "learned") in NORMALIZERS
    assert {("rela", True, "joined"), ("rela", "per_head")} <= set(NORMALIZERS)


@pytest.mark.parametrize("normalizer", NORMALIZERS.values())
@pytest.mark.parametrize("encoder", ENCODERS)
def test_it_goes_through_every_stage(data, tmp_path, encoder, normalizer):
    settings = CONFIG["normalizers"][normalizer]
    out = pipeline(data, tmp_path, encoder, normalizer)
    attention = read_table(out / "attention.parquet", "attention").to_pandas()
    mass = attention["attention"].map(np.sum)
    on_simplex = build_normalizer(settings, size=1).on_simplex
    if not on_simplex:
        assert (mass >= 0).all()
        assert (attention["entropy"].isna() == (mass == 0)).all()
    else:
        np.testing.assert_allclose(mass, 1, atol=1e-5)

    path = out / "hidden_leave_one_out.parquet"
    importance = read_table(path, "importance").to_pandas()["importance"]
    for weights, importances in zip(attention["attention"], importance, strict=True):
        assert (importances[weights == 0] == 0).all()

    measures = read_table(out / "measures.parquet", "measures").to_pandas()
    values = measures[measures["subject"] == "attention"].set_index("measure")["value"]
    np.testing.assert_allclose(values["mass"], mass, rtol=1e-5)
    np.testing.assert_array_equal(values["null"], mass == 0)

    learned = settings.get("alpha") == "learned"
    history = read_table(out / "history.parquet", "history")["alpha"].to_pylist()
    metrics = read_json(out / "metrics.json")
    named = [name for name in metrics if name.startswith("alpha.")]
    # two layers of two heads, and the pooling
    expected = {"bilstm": 1, "transformer": 5}[encoder] if learned else 0
    assert [len(alphas or []) for alphas in history] == [expected] * 2
    assert len(named) == expected

    if encoder == "transformer":
        heads = read_table(out / "heads.parquet", "heads").to_pandas()
        assert len(heads) == len(attention) * 2 * 2
        dense = settings["kind"] in ("softmax", "uniform")
        assert (heads["sparsity"] == 0).all() or not dense
        assert (heads["null"] == 0).all() or not on_simplex
