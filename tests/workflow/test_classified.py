"""A finished classifier of one's own, audited without training, from its folder on."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer

from attention_audit.records.tables import read_table
from tests.workflow import project
from tests.workflow.conftest import CLASSIFIED

RUN = "own/done/own/softmax"


def test_a_finished_classifier_is_audited_as_the_library_has_it(classified):
    found = classified / f"results/attributions/{RUN}/seed0/attention.parquet"
    rows = {
        row["instance_id"]: row for row in read_table(found, "attention").to_pylist()
    }
    examples = read_table(classified / "results/data/own/test.parquet", "examples")
    folder = classified / "classifier"
    library = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    texts = {row["instance_id"]: row["text"] for row in examples.to_pylist()}
    for name, row in rows.items():
        ids = torch.tensor([tokenizer.encode(texts[name]).ids])
        with torch.no_grad():
            expected = library(ids).logits.softmax(-1)[0]
        assert row["probabilities"] == pytest.approx(expected.tolist(), abs=1e-4)
    metrics = json.loads(
        (classified / f"results/models/{RUN}/seed0/metrics.json").read_text("utf-8")
    )
    assert metrics["epochs"] == 0
    for path in CLASSIFIED:
        assert read_table(classified / path, "measures").num_rows


def test_another_classifier_in_its_folder_is_audited_anew(classified, tmp_path):
    folder = project.copy(classified, tmp_path / "project")
    assert project.planned(folder, *CLASSIFIED) == {}
    run = {f"{RUN}/0"}
    expected = {
        "fetch_pretrained": {"done"},
        # which has its words
        "prepare": {"own"},
        "train": run,
        "attend": run,
        "attribute": {f"{RUN}/0/hidden_leave_one_out"},
        "trace_influence": run,
        "measure": run,
        "permutation": run,
        "measure_explanations": run,
    }
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        path = folder / "classifier" / name
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        assert project.planned(folder, *CLASSIFIED) == expected, name
        path.write_bytes(whole)
    assert project.planned(folder, *CLASSIFIED) == {}
