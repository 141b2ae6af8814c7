"""A data set of recordings, from a config and files to what its readers make of it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from attention_audit.config import validate
from attention_audit.data import own_files
from attention_audit.data.audit import audited
from attention_audit.data.modality import of_data
from attention_audit.data.recording_batches import read_all
from attention_audit.data.rehearsal import rehearse
from attention_audit.data.sizes import SECONDS, Size, expected_size, size_of
from attention_audit.figures.report import data_table
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_source
from tests.unit.instances import ROOT

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
BASE = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SPLITS = ("train", "dev", "test")
EPISODES, LINES = 9, 12


def settings_of(source, **more):
    """The settings of a data set as the workflow completes them."""
    mine = {"modality": "reactions", "source": source}
    mine |= {"sampling": {"rate": 1, "span": 4}, "train_every": 3} | more
    config = BASE | {"datasets": BASE["datasets"] | {"mine": mine}}
    return validate(config, SCHEMA)["datasets"]["mine"]


def prepared(folder, settings, files=None):
    """Prepare as the rule does; return the outputs."""
    source = settings["source"]
    files = files or own_files.with_paths(source, own_files.own_files(source))
    outputs = {k: folder / f"{k}.parquet" for k in (*SPLITS, "reading")}
    outputs["card"] = folder / "card.json"
    provenance = {"params": {"dataset": settings}}
    prepare = of_data(settings["modality"], "prepare")
    prepare("mine", settings, files, outputs, provenance, None)
    return outputs


@pytest.fixture
def laughs(tmp_path):
    """An archive of episodes in which every other line is laughed at."""
    members = {}
    for number in range(EPISODES):
        rows = [f"# {'AB'[number % 2]}"]
        for line in range(LINES):
            start = 5 * line + 0.25
            rows += [f"{start}", f"So {number} {line}.", f"{start + 2}"]
            rows += [f"{start + 2.5}", "**LOL**"] if line % 2 else []
        name = f"Show.S{number // 3 + 1:02d}E{number:02d}.A.merged"
        members[f"show/the_corpus/{name}"] = "\n".join(rows)
    return {"archive": make_source(tmp_path / "show-1.0.tar.gz", members)}


@pytest.fixture
def reactions(tmp_path):
    """Files of one's own: reactions and features of a recording a split, 6 s each."""
    files = {}
    for split in SPLITS:
        rows = [f"{split},{t * 1_000_000},{t / 6},0.5" for t in range(6)]
        path = tmp_path / f"{split}.csv"
        path.write_text("\n".join(["Video ID,Timestamp (milliseconds),joy,awe", *rows]))
        seen = [
            {"recording": split, "time": t / 2, "x": [t, 1.0], "y": [1.0]}
            for t in range(12)
        ]
        pq.write_table(pa.Table.from_pylist(seen), tmp_path / f"{split}-x.parquet")
        files[split] = {
            "labels": str(path),
            "features": str(tmp_path / f"{split}-x.parquet"),
        }
    return {
        "kind": "reaction_tables",
        "files": files,
        "reactions": ["joy", "awe"],
        "features": {"streams": {"image": "x", "sound": "y"}},
    }


def test_episodes_from_their_archive_to_batches(laughs, tmp_path):
    held_out = {"dev": ["S02"], "test": ["S03"]}
    source = {"kind": "sitcom_laughs", "archive": "sitcom_laughs", "held_out": held_out}
    settings = settings_of(source, smoothing={"kind": "gaussian", "sigma": 1})
    outputs = prepared(tmp_path, settings, laughs)
    rows = {s: tables.read_table(outputs[s], "recordings") for s in SPLITS}
    assert [set(rows[s]["group"].to_pylist()) for s in SPLITS] == [
        {"S01"},
        {"S02"},
        {"S03"},
    ]
    card = tables.read_json(outputs["card"])
    seconds = len(rows["test"]["seconds"][0])
    assert card["counts"]["test"] == {"recordings": 3}
    assert card["decisions"] == {
        "train": 3 * -(-seconds // 3),
        "dev": 3 * -(-seconds // 3),
        "test": 3 * -(-seconds // 10),
    }

    # one second in three is learned from, and all may be read
    paths = outputs["train"], outputs["reading"]
    learned = of_data("reactions", "read_examples")(*paths)
    every = read_all(*paths)
    assert len(learned) == card["decisions"]["train"] and len(every) == 3 * seconds
    place = {name: row for row, name in enumerate(every.instance_ids)}
    same = np.array([place[name] for name in learned.instance_ids])
    one = learned.batch(np.arange(len(learned)), torch.device("cpu"))
    other = every.batch(same, torch.device("cpu"))
    assert torch.equal(one.streams["silence"], other.streams["silence"])
    assert torch.equal(one.labels, other.labels)

    # audited are some seconds of two recordings, whole recordings at a time
    chosen = list(
        audited(
            outputs["test"], outputs["reading"], "reactions", 2, torch.device("cpu")
        )
    )
    ids = [name for batch in chosen for name in batch.instance_ids]
    assert len(ids) == 2 * -(-seconds // 10)

    # what reads a card
    size = size_of(outputs["card"], settings)
    assert size == Size(card["decisions"] | {"test": 3}, 4, 4, -(-seconds // 10))
    assert data_table([card])["rows"][0][:4] == ["mine", "3", "3", "3"]


def test_tables_of_ones_own(reactions, tmp_path):
    settings = settings_of(reactions, optional=True)
    assert own_files.own_files(reactions)["dev.features"].endswith("dev-x.parquet")
    outputs = prepared(tmp_path, settings)
    row = tables.read_table(outputs["test"], "recordings").to_pylist()[0]
    assert row["seconds"] == [0, 1, 2, 3, 4, 5] and row["events"] is None
    # on the scale of train
    assert row["targets"] == pytest.approx([x for t in range(6) for x in (t / 5, 1)])
    card = tables.read_json(outputs["card"])
    assert card["streams"] == {"image": 2, "sound": 1}
    # a fault of an edit is told before what was prepared goes
    files = own_files.with_paths(reactions, own_files.own_files(reactions))
    rehearse("mine", settings, files)
    edited = settings_of(reactions | {"reactions": ["joy", "sorrow"]})
    with pytest.raises(AuditError, match=r"train\.csv.*'sorrow'"):
        rehearse("mine", edited, files)


def test_a_table_that_is_not_utf8_is_told_with_its_line(reactions, tmp_path):
    path = tmp_path / "train.csv"
    text = path.read_text(encoding="utf-8").replace("train,2", "señor,2")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AuditError, match=r"train\.csv, line 4"):
        prepared(tmp_path, settings_of(reactions))


def test_a_size_is_guessed_before_anything_is_prepared(reactions):
    source = {"kind": "sitcom_laughs", "archive": "sitcom_laughs"}
    size = expected_size(settings_of(source, max_examples={"test": 5}), 4000)
    assert size == Size(
        {"train": 40 * SECONDS // 3, "dev": 40 * SECONDS // 3, "test": 5}, 4, 4, 100
    )
    # of small files, one recording a split
    assert expected_size(settings_of(reactions)).of("test") == 1
