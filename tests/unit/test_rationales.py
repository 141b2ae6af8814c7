"""What people marked in texts: read from files and the hub, placed on tokens, measured."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from attention_audit.attribution.weights import write_attention
from attention_audit.data import sources
from attention_audit.data.modalities.text import audited
from attention_audit.data.sources import MarkedDocument, read_documents
from attention_audit.data.tokens import marked_tokens, token_spans, tokenize
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.run_measures import measure_run
from tests.unit.models import tiny_model
from tests.unit.test_text import prepare

TEXT = "It's <b>a triumph</b>, 7 times &amp; more"
TOKENIZED = {"lowercase": True, "replace_digits": True, "strip_markup": True}

SOURCE = {
    "kind": "local",
    "format": None,
    "delimiter": None,
    "text": "text",
    "label": "label",
    "rationale": "marks",
    "labels": None,
}


def marks_of(folder, marks, text=TEXT, suffix=".jsonl", **changes):
    """What is read of one text with ``marks``, of a file of a format."""
    path = folder / f"texts{suffix}"
    row = {"text": text, "label": "a", "marks": marks}
    if suffix == ".jsonl":
        path.write_text(json.dumps(row))
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    (found,) = read_documents(SOURCE | changes, {"all": path})
    assert found[:3] == ("all", text, "a")
    return found.rationale if isinstance(found, MarkedDocument) else "none asked for"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([[10, 17]], [(10, 17)]),
        ([[0, 4], [23, 24]], [(0, 4), (23, 24)]),
        (["triumph", "more"], [(10, 17), (37, 41)]),
        (["times\n &amp;"], [(25, 36)]),
        ([0, 0, 1, 0, 0, 0, 0], [(10, 22)]),
        ([False, False, False, False, True, False, True], [(25, 30), (37, 41)]),
        ([0, 0, 0, 0, 0, 0, 0], None),
        ([], None),
        (None, None),
    ],
)
def test_marks_are_read_as_spans(tmp_path, marks, expected, suffix):
    assert marks_of(tmp_path, marks, suffix=suffix) == expected


def test_without_the_key_nothing_is_asked_for(tmp_path):
    assert marks_of(tmp_path, [[0, 4]], rationale=None) == "none asked for"


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([0, 1], "has 2 flags, and the text 7 words"),
        ([[0, 99]], "of 41 characters"),
        ([[5, 2]], r"found list '\[\[5, 2\]\]'"),
        (["disaster"], "'disaster' of column 'marks' does not stand"),
        ("1 0 1", "Expected a list"),
        ([0.5], "Expected a list"),
    ],
)
def test_marks_that_cannot_be_read_are_an_error(tmp_path, marks, message):
    with pytest.raises(AuditError, match=message):
        marks_of(tmp_path, marks)


def test_trees_have_no_rationale(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("(3 (2 A) (4 triumph))\n")
    with pytest.raises(AuditError, match=r"line 1: .* no column 'marks'"):
        list(read_documents(SOURCE | {"format": "trees"}, {"all": path}))


def test_marks_of_the_hub_go_through_its_copy(tmp_path, monkeypatch):
    rows = [
        ("here", ["one two", "a", [0, 1]]),
        ("here", ["three", "b", None]),
    ]
    monkeypatch.setattr(sources, "hub_records", lambda *_: iter(rows))
    source = SOURCE | {"kind": "hub", "path": "who/what", "splits": {"train": "train"}}
    path = tmp_path / "documents.parquet"
    sources.fetch_hub(source, path, {})
    found = list(read_documents(source, {"documents": path}))
    assert [list(map(list, d.rationale or [])) for d in found] == [[[4, 7]], []]


@pytest.mark.parametrize("options", [{}, *({key: False} for key in TOKENIZED)])
@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "İstanbul and ΣΊΣΥΦΟΣ don't e\u0301gale; caf\u00e9\u00ad-bar &eacute;t &#233;!",
        "\ufb01ne<br/>\u1100\u1161 1,000.5 \U0001f468\u200d\U0001f469 a\u200eb...",
        "",
    ],
)
def test_tokens_stand_where_their_spans_say(text, options):
    settings = TOKENIZED | options
    tokens, spans = tokenize(text, **settings), token_spans(text, **settings)
    assert len(spans) == len(tokens)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    for token, (start, end) in zip(tokens, spans, strict=True):
        # what stands there is that token and nothing else, but for a sigma at an end
        assert [t.replace("ς", "σ") for t in tokenize(text[start:end], **settings)] == [
            token.replace("ς", "σ")
        ]


def test_a_token_is_marked_where_a_character_of_it_is():
    settings = TOKENIZED | {"max_length": None}
    # it 's a triumph , <num> times & more
    assert np.flatnonzero(marked_tokens(TEXT, settings, [(10, 12)])).tolist() == [3]
    spans = [(2, 3), (31, 36)]
    assert np.flatnonzero(marked_tokens(TEXT, settings, spans)).tolist() == [1, 7]
    assert len(marked_tokens(TEXT, settings | {"max_length": 2}, [(0, 1)])) == 2


def test_marks_reach_the_measures_of_a_model(tmp_path):
    documents = [
        MarkedDocument(
            split,
            f"{split} w{i} good and x{i} y{i} never read",
            "ab"[i % 2],
            # within what is read, behind it, none
            [[(len(f"{split} w{i} "), len(f"{split} w{i} good"))], [(40, 45)], None][
                i % 3
            ],
        )
        for split in ("train", "dev", "test")
        for i in range(12)
    ]
    outputs = prepare(tmp_path, documents, max_length=6)
    wanted = audited(outputs["vocabulary"])
    rows = tables.read_table(outputs["test"], "examples", list(wanted.columns))
    batch = wanted.batch(rows, outputs["test"], torch.device("cpu"))
    marked = [gold for gold in batch.gold if gold is not None]
    assert len(marked) == 4 and len(batch.gold) == 12
    assert all(gold.tolist() == [False, False, True, *[False] * 3] for gold in marked)
    model = tiny_model()
    model.embedding = torch.nn.Embedding(200, 5).double()
    run = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
    path = tmp_path / "attention.parquet"
    with tables.open_table(path, "attention", {}) as table, torch.no_grad():
        write_attention(table, model, iter([batch]), run)
    found = pa.concat_tables(measure_run(run, path, {})).to_pandas()
    found = found[found["measure"].str.startswith("gold")]
    assert set(found["subject"]) == {"attention"} and len(found) == 4 * 4
    assert found["value"].between(0, 1).all()
