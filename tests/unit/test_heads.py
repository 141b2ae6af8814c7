"""Heads of self-attention: hand values, a plain loop, and the way to the figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from attention_audit.attribution.heads import describe_heads, write_heads
from attention_audit.figures import head_diversity
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.head_summary import head_table
from tests.unit.grids import order_of
from tests.unit.models import text_batch, tiny_batch, tiny_model

RUN = {
    "dataset": "d",
    "encoder": "transformer",
    "scorer": "s",
    "normalizer": "n",
    "seed": 0,
}


def test_heads_by_hand():
    # one text of two tokens, padded to three; what stands at padding is not read
    weights = torch.full((1, 2, 3, 3), 9.0)
    weights[0, 0, :2, :2] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weights[0, 1, :2, :2] = torch.tensor([[0.0, 2.0], [3.0, 3.0]])
    mask = torch.tensor([[True, True, False]])
    got = describe_heads(weights, mask.unsqueeze(1) & mask.unsqueeze(2))
    assert got["sparsity"].tolist() == [[0.5, 0.25]]
    assert got["support"].tolist() == [[1.0, 1.5]]
    assert got["null"].tolist() == [[0.0, 0.0]]
    assert got["entropy"][0].tolist() == pytest.approx([0, np.log(2) / 2])
    # disjoint at the first query; (0, 1) and (1/2, 1/2) at the second
    first = (np.log(2) + np.log(4 / 3)) / 2
    second = (np.log(2) + (np.log(2) + np.log(2 / 3)) / 2) / 2
    assert got["divergence"][0].tolist() == pytest.approx([first, second])


def test_only_keys_that_a_query_may_attend_to_count():
    # of a decoder, each query those up to its own; of cross-attention two of three keys
    causal = torch.ones(1, 3, 3, dtype=torch.bool).tril()
    weights = torch.tensor([[[[1.0, 9, 9], [0, 1, 9], [0, 0, 0]]]])
    got = describe_heads(weights, causal)
    # of six pairs two have weight; queries have one, one and none
    assert got["sparsity"].item() == pytest.approx(4 / 6)
    assert got["support"].item() == pytest.approx(2 / 3)
    assert got["null"].item() == pytest.approx(1 / 3)
    cross = torch.tensor([[[True, True, False]] * 2 + [[False] * 3]])
    got = describe_heads(torch.tensor([[[[1.0, 1, 9], [1, 0, 9], [9, 9, 9]]]]), cross)
    assert got["sparsity"].item() == pytest.approx(1 / 4)
    assert got["support"].item() == pytest.approx(3 / 2)
    assert got["entropy"].item() == pytest.approx(np.log(2) / 2)


def test_divergence_is_that_of_scipy_for_two_heads():
    torch.manual_seed(0)
    weights = torch.rand(3, 2, 4, 4, dtype=torch.float64).softmax(-1)
    got = describe_heads(weights, torch.ones(3, 4, 4, dtype=torch.bool))["divergence"]
    expected = [
        np.mean([jensenshannon(text[0, q], text[1, q]) ** 2 for q in range(4)])
        for text in weights.numpy()
    ]
    np.testing.assert_allclose(got.mean(1), expected)


def test_heads_that_agree_do_not_diverge_and_disjoint_ones_do_most():
    same = torch.rand(1, 1, 5, 5).expand(1, 4, 5, 5)
    mask = torch.ones(1, 5, 5, dtype=torch.bool)
    assert describe_heads(same, mask)["divergence"].abs().max() < 1e-12
    apart = torch.eye(5)[:4].view(1, 4, 1, 5).expand(1, 4, 5, 5)
    torch.testing.assert_close(
        describe_heads(apart, mask)["divergence"],
        torch.full((1, 4), np.log(4), dtype=torch.float64),
    )


def test_queries_without_weight_are_left_out():
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, :2, 0] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weights[0, 0, 1, 0] = 1.0  # alone at the second query: nothing to diverge from
    got = describe_heads(weights, torch.ones(2, 2, 2, dtype=torch.bool))
    assert got["null"].tolist() == [[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]]
    assert got["sparsity"][1].tolist() == [1.0] * 3
    assert got["divergence"][0, :2].tolist() == pytest.approx([np.log(2)] * 2)
    assert got["divergence"][0, 2].isnan() and got["divergence"][1].isnan().all()
    assert got["entropy"][0].tolist()[:2] == [0, 0] and got["entropy"][1].isnan().all()


def written(tmp_path, seed, lengths=(6, 4, 1), kind="rela"):
    model = tiny_model("transformer", self_attention={"kind": kind})
    ids, mask = tiny_batch(lengths, seed)
    names = [f"{i}" for i in range(len(lengths))]
    batch = replace(text_batch(ids, mask), instance_ids=names)
    path = tmp_path / f"{kind}{seed}.parquet"
    run = {**RUN, "normalizer": kind, "seed": seed}
    with tables.open_table(path, "heads", {}) as table:
        write_heads(table, model, iter([batch]), run)
    return run, path


def test_a_row_an_instance_layer_and_head(tmp_path):
    _, path = written(tmp_path, 0)
    table = tables.read_table(path, "heads").to_pandas()
    assert len(table) == 3 * 2 * 2
    assert not table.duplicated(["instance_id", "layer", "head"]).any()
    assert set(table["kind"]) == {"encoder"}
    model = tiny_model("transformer", self_attention={"kind": "rela"})
    ids, mask = tiny_batch((6, 4, 1), 0)
    _, layers = model.encoder.with_attention(model.embed(text_batch(ids, mask)), mask)
    row = table.set_index(["instance_id", "layer", "head"]).loc[("1", 1, 0)]
    own = layers[1][1, 0, :4, :4]
    assert row["length"] == 4
    assert row["support"] == pytest.approx((own > 0).sum().item() / 4)
    assert row["sparsity"] == pytest.approx((own == 0).float().mean().item())


def test_summary_over_instances_and_seeds_and_its_figure(tmp_path):
    runs, paths = zip(
        *(written(tmp_path, s, kind=k) for k in ("rela", "softmax") for s in (0, 1)),
        strict=True,
    )
    path = tmp_path / "summary.parquet"
    settings = Settings(confidence=0.9)
    columns = {"dataset": "d", "instance_id": ["0", "1", "2"]}
    columns |= {"cluster_id": ["0", "1", "1"], "tokens": [["a"]] * 3}
    columns |= {"token_ids": [[1]] * 3, "label": 0, "length": 1, "text": "a"}
    columns["gold"] = None
    examples = tmp_path / "test.parquet"
    tables.write_table(examples, "examples", columns, {})
    head_table(runs, paths, settings, {}, path, {"d": examples})
    fewer = tmp_path / "fewer.parquet"
    first = {k: v[:1] if isinstance(v, list) else v for k, v in columns.items()}
    tables.write_table(fewer, "examples", first, {})
    with pytest.raises(AuditError, match=r"fewer\.parquet: has no instance '1'"):
        head_table(runs, paths, settings, {}, tmp_path / "no", {"d": fewer})
    summary = tables.read_table(path, "head_summary").to_pandas()
    # two normalizers, two layers of two heads and their mean, five measures
    assert len(summary) == 2 * 2 * 3 * 5
    rows = pd.concat(tables.read_table(p, "heads").to_pandas() for p in paths)
    cell = (rows["normalizer"] == "rela") & (rows["layer"] == 1)
    found = summary[(summary["normalizer"] == "rela") & (summary["layer"] == 1)]
    means = found.set_index(["head", "measure"])["mean"]
    of_layer = found[found["head"].isna()].set_index("measure")["mean"]
    assert of_layer["sparsity"] == pytest.approx(rows[cell]["sparsity"].mean())
    own = rows[cell & (rows["head"] == 1)]["null"].mean()
    assert means[1, "null"] == pytest.approx(own)
    softmax = summary[summary["normalizer"] == "softmax"].set_index("measure")
    assert (softmax.loc[["sparsity", "null"], "mean"] == 0).all()
    assert set(summary["n_clusters"]) == {2}

    order = order_of(["d"], ["transformer"], ["s"], ["softmax", "rela"])
    pages, drawn = head_diversity.draw({"head_summary": summary}, order)
    (figure,) = pages
    assert len(figure.axes) == 3 and len(drawn) == 2 * 2 * 3
