"""Heads of translators, and whose queries attend to nothing: by hand and by loops."""

import numpy as np
import pytest

from attention_audit.attribution.heads import write_heads, write_null
from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.null_queries import (
    word_classes,
    write_null_queries,
)
from attention_audit.statistics.null_summary import null_table
from tests.unit.test_alignment_tables import RUN, sentence_pairs
from tests.unit.translators import pair_batch, tiny_translator

SETTINGS = Settings(confidence=0.95)
RELA = {"kind": "rela"}


def written(path, schema, write, *arguments):
    with tables.open_table(path, schema, {}) as table:
        write(table, *arguments)
    return tables.read_table(path, schema).to_pandas()


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_every_layer_of_every_kind_has_its_heads(tmp_path, kind):
    layers = 2 if kind == "transformer" else 1
    model, batch = tiny_translator(kind, RELA, layers=layers), pair_batch()
    rows = written(
        tmp_path / "heads.parquet", "heads", write_heads, model, iter([batch]), RUN
    )
    found = rows.groupby(["kind", "layer"])["head"].nunique().to_dict()
    of_self = {("encoder", 0): 2, ("decoder", 0): 2, ("decoder", 1): 2}
    expected = (
        of_self | {("cross", 0): 2, ("cross", 1): 1}
        if kind == "transformer"
        else {("cross", 0): 1}
    )
    assert found == expected
    firsts = [name for name in batch.instance_ids if name.endswith(".000")]
    assert set(rows["instance_id"]) == set(firsts) and len(firsts) == 4
    # the last cross-attention, of a pair whose source is shorter than the longest
    row = int(np.flatnonzero(batch.source_mask.sum(1) < batch.source_mask.shape[1])[0])
    n = int(batch.source_mask[row].sum())
    attention = model.read_pairs(batch).attention[row, : n + 1, :n]
    own = rows[(rows["kind"] == "cross") & (rows["layer"] == layers - 1)]
    own = own.set_index("instance_id").loc[firsts[row]]
    assert own["length"] == n
    assert own["sparsity"] == pytest.approx((attention == 0).float().mean().item())
    assert own["null"] == pytest.approx((attention == 0).all(1).float().mean().item())
    if kind == "transformer":
        own = rows[rows["kind"].eq("decoder") & rows["layer"].eq(0)]
        # softmax leaves out what comes later, and that alone
        assert (own["sparsity"] == 0).all()
        steps = np.arange(1, n + 2)
        of_row = own[own["instance_id"] == firsts[row]]
        assert of_row["support"].tolist() == pytest.approx([steps.mean()] * 2)


def test_classes_of_target_words_are_those_they_are_linked_to(tmp_path):
    # sources are a noun, a verb and a noun, of which two verses lack the last
    found = word_classes(sentence_pairs(tmp_path / "test.parquet"))
    assert found["john"] == (["noun", "verb", "noun"], ["noun", "noun", "end"])
    # "at", "all" and "times" have one word in common
    assert found["rejoice"][1] == ["verb", "noun", "noun", "noun", "end"]
    # what is possible alone is not sure
    assert found["pray"][1] == ["verb", "unaligned", "noun", "end"]
    assert not word_classes(sentence_pairs(tmp_path / "none.parquet", gold=False))


def test_shares_by_class_by_hand(tmp_path):
    classes = word_classes(sentence_pairs(tmp_path / "test.parquet"))
    ids = [decision_id(pair, 0) for pair in ("john", "pray", "another")]
    nothing = np.zeros((3, 2, 5), bool)
    # a head: in John the step of "wept", in Pray those of "without" and of the end
    nothing[0, 0, 1] = nothing[1, 0, 1] = nothing[1, 0, 3] = True
    # what stands at padding, and a pair without classes, do not count
    nothing[0, 1, 3:] = nothing[2] = True
    runs, paths = [], []
    for seed in (0, 1):
        runs.append({**RUN, "seed": seed})
        paths.append(tmp_path / f"{seed}.parquet")
        rows = written(
            paths[-1],
            "null_queries",
            write_null_queries,
            runs[-1],
            "cross",
            0,
            ids,
            nothing,
            classes,
        )
    own = rows.set_index(["instance_id", "head", "word_class"])
    assert own.loc[("john", 0, "noun"), ["queries", "null"]].tolist() == [2, 1]
    assert own.loc[("pray", 0, "end"), ["queries", "null"]].tolist() == [1, 1]
    assert not own.loc[("john", 1), "null"].any() and "another" not in own.index
    path = tmp_path / "summary.parquet"
    null_table(runs, paths, SETTINGS, {}, path)
    summary = tables.read_table(path, "null_summary").to_pandas()
    # two layers, all and the only one, of all words and five classes
    assert len(summary) == 2 * 5
    found = summary[summary["layer"].isna()].set_index("word_class")
    # of two heads: three nouns, two of John and one of Pray
    assert found.loc["noun", "mean"] == pytest.approx(1 / 6)
    assert found.loc["noun", "n_queries"] == 6 and found.loc["noun", "n_seeds"] == 2
    assert found.loc["unaligned", "mean"] == pytest.approx(1 / 2)
    assert found["mean"][found.index.isna()].tolist() == pytest.approx([3 / 14])


def test_queries_of_a_model_that_attend_to_nothing(tmp_path):
    model, batch = tiny_translator("transformer", RELA, layers=2), pair_batch()
    reading = model.read_pairs(batch)
    pairs = dict.fromkeys(batch.cluster_ids)
    lengths = batch.source_mask.sum(1).tolist()
    classes = {
        pair: (["word"] * n, ["word"] * (n + 1))
        for pair, n in zip(pairs, lengths, strict=True)
    }
    rows = written(
        tmp_path / "null.parquet",
        "null_queries",
        write_null,
        model,
        iter([batch]),
        RUN,
        classes,
    )
    own = rows[(rows["kind"] == "cross") & (rows["layer"] == 1)]
    for i, (pair, n) in enumerate(zip(pairs, lengths, strict=True)):
        row = own[own["instance_id"] == pair]
        expected = (reading.attention[i, : n + 1] == 0).all(-1).sum().item()
        assert row["null"].tolist() == [expected] and row["queries"].tolist() == [n + 1]
    encoder = rows[rows["kind"] == "encoder"]
    assert encoder["queries"].tolist() == np.repeat(lengths, 2).tolist()
    assert not encoder["null"].any()
