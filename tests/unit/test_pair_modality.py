"""A data set of sentence pairs, from a config and files to what its readers make of it."""

import json
from pathlib import Path

import pytest
import yaml

from attention_audit.config import validate
from attention_audit.data import own_files
from attention_audit.data.modality import of_data
from attention_audit.data.rehearsal import rehearse
from attention_audit.data.sizes import size_of
from attention_audit.figures.report import data_table
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.provenance import library_versions
from attention_audit.runs import load_run
from attention_audit.statistics.matrices import cluster_ids

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
BASE = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SPLITS = ("train", "dev", "test")


def settings_of(source, **more):
    """The settings of a data set as the workflow completes them."""
    mine = {"modality": "translation", "source": source, **more}
    config = BASE | {"datasets": BASE["datasets"] | {"mine": mine}}
    return validate(config, SCHEMA)["datasets"]["mine"]


def sentences(count=40):
    """Sentences without a word in common but the first, word by word in capitals."""
    rows = [
        ["the", *(f"{word}{n:02d}" for word in "abc"[: 1 + n % 3])]
        for n in range(count)
    ]
    return [" ".join(row) for row in rows], [" ".join(row).upper() for row in rows]


def links(sentence):
    return " ".join(f"{i}-{i}" for i in range(len(sentence.split())))


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def aligned(tmp_path):
    """Files that belong together line by line, of which the last three lack links."""
    source, target = sentences()
    lines = [links(sentence) for sentence in source[:-3]] + [""] * 3
    files = {
        "source": write(tmp_path / "a.de", source),
        "target": write(tmp_path / "a.en", target),
        "alignment": write(tmp_path / "a.align", lines),
    }
    return {"kind": "aligned_files", "files": {"all": files}}


@pytest.fixture
def columns(tmp_path):
    """The same as columns of one file, with no links."""
    rows = map("\t".join, zip(*sentences(), strict=True))
    path = write(tmp_path / "a.tsv", ["de\ten", *rows])
    return {"kind": "local", "files": {"all": path}, "source": "de", "target": "en"}


def prepared(folder, settings):
    """Prepare as the rule does; return the outputs."""
    source = settings["source"]
    files = own_files.with_paths(source, own_files.own_files(source))
    outputs = {k: folder / f"{k}.parquet" for k in (*SPLITS, "reading")}
    outputs["card"] = folder / "card.json"
    provenance = {"params": {"dataset": settings}}
    prepare = of_data(settings["modality"], "prepare")
    prepare("mine", settings, files, outputs, provenance, None)
    return outputs


@pytest.mark.parametrize("kind", ["aligned", "columns"])
def test_a_data_set_of_ones_own_files(kind, tmp_path, request):
    settings = settings_of(request.getfixturevalue(kind), min_count=1)
    outputs = prepared(tmp_path, settings)
    rows = {s: tables.read_table(outputs[s], "sentence_pairs") for s in SPLITS}
    counts = {split: {"pairs": len(rows[split])} for split in SPLITS}
    card = json.loads(outputs["card"].read_text(encoding="utf-8"))
    assert card["counts"] == counts and sum(map(len, rows.values())) == 40
    assert card["dropped"] == {} and "label_names" not in card
    gold = [row["sure"] for split in SPLITS for row in rows[split].to_pylist()]
    aligned = 37 if kind == "aligned" else 0
    assert sum(sure is not None for sure in gold) == aligned
    for row in rows["train"].to_pylist():
        # case is folded
        assert row["source_tokens"] == row["target_tokens"]
        for place, link in enumerate(row["sure"] or []):
            assert link == {"source": place, "target": place}

    # what reads a card or a split
    size = size_of(outputs["card"], settings)
    assert size.of(*SPLITS) == 40 and size.longest == 4
    (told,) = data_table([card])["rows"]
    assert told == ["mine", *(str(len(rows[s])) for s in SPLITS), "words", "nothing"]
    decisions = sum(n + 1 for n in rows["test"]["target_length"].to_pylist())
    assert len(cluster_ids(outputs["test"])) == decisions


def test_an_edit_of_the_config_is_tried_before_it_costs_anything(aligned, tmp_path):
    source = aligned | {"first_word": 1}
    files = own_files.with_paths(source, own_files.own_files(source))
    with pytest.raises(
        AuditError, match=r"a\.align, line 1: the link '0-0' .* counted"
    ):
        rehearse("mine", settings_of(source), files)
    rehearse("mine", settings_of(aligned, min_count=1), files)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.align",
        "a.de",
        "a.en",
    ]


def changed(path, line, text):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    write(Path(path), lines)


@pytest.mark.parametrize(("side", "key"), [("source", "a.de"), ("target", "a.en")])
def test_an_empty_side_is_counted_or_told(aligned, tmp_path, side, key):
    files = aligned["files"]["all"]
    changed(files[side], 12, " ")
    changed(files["alignment"], 12, "")
    told = rf"{key}, line 12: the {side} side is empty\..*datasets\.mine\.incomplete"
    with pytest.raises(AuditError, match=told):
        prepared(tmp_path, settings_of(aligned, min_count=1, incomplete="refuse"))
    outputs = prepared(tmp_path, settings_of(aligned, min_count=1))
    assert tables.read_json(outputs["card"])["dropped"] == {f"empty_{side}": 1}


@pytest.mark.parametrize(
    ("key", "line", "text", "told"),
    [
        (
            "alignment",
            7,
            "0-0 1-9",
            r"a\.align, line 7: the link '1-9' names the target",
        ),
        ("alignment", 7, "0-0 1-", r"a\.align, line 7: '1-' is no link"),
        (
            "target",
            40,
            "THE A39\nMORE",
            r"a\.de: ends after line 40, and .*a\.en goes on",
        ),
        ("source", 40, "\0", r"a\.de, line 40: cannot be read"),
    ],
)
def test_files_that_do_not_fit_are_told_by_file_and_line(
    aligned, tmp_path, key, line, text, told
):
    changed(aligned["files"]["all"][key], line, text)
    with pytest.raises(AuditError, match=told):
        prepared(tmp_path, settings_of(aligned))
    assert not (tmp_path / "card.json").exists()


def test_pieces_of_words_are_the_tokens_where_they_are_asked_for(aligned, tmp_path):
    pytest.importorskip("sentencepiece")
    outputs = prepared(
        tmp_path, settings_of(aligned, min_count=1, subwords={"size": 20})
    )
    assert tables.read_json(outputs["card"])["reading"]["subwords"] == {
        "kind": "unigram",
        "size": 20,
    }
    # another version of it may choose others
    job = "prepare.py", "data.modalities.translation:prepare"
    assert "sentencepiece" in library_versions(*job)
    row = tables.read_table(outputs["train"], "sentence_pairs").to_pylist()[0]
    assert row["source_length"] > len("".join(row["source_tokens"]).split("▁")) - 1


def test_a_run_on_anything_but_texts_is_not_explained_one_by_one(tmp_path):
    tables.write_json(tmp_path / "settings.json", {"modality": "translation"})
    with pytest.raises(AuditError, match=r"of modality translation, and texts alone"):
        load_run(tmp_path)
