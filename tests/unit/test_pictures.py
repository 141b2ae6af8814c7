"""Pictures with what models attend to laid over: the table, and the figure of it."""

import numpy as np
import pandas as pd
import pytest

from attention_audit.figures import pictures
from attention_audit.records import tables
from attention_audit.statistics.picture_examples import (
    SHOWN,
    Files,
    picture_example_table,
)
from tests.unit.grids import order_of

RUN = {"encoder": "lit", "scorer": "additive", "normalizer": "softmax", "seed": 0}
# two rows and two columns of hidden states over four by four patches of two pixels
CELL = [2 * (row // 2) + column // 2 for row in range(4) for column in range(4)]


@pytest.fixture
def given(tmp_path):
    """Six pictures, and the attention and importance of one model on them."""
    rng = np.random.default_rng(0)
    run = {"dataset": "d", **RUN}
    ids = [f"{i:016x}" for i in (5, 3, 9, 1, 7, 2)]
    written = {}

    def write(name, schema, columns):
        written[name] = tmp_path / f"{name}.parquet"
        tables.write_table(written[name], schema, columns, {})

    write(
        "test",
        "pictures",
        {
            "dataset": "d",
            "instance_id": ids,
            "cluster_id": ids,
            "pixels": list(rng.integers(0, 256, (6, 64), dtype=np.uint8)),
            "height": 8,
            "width": 8,
            "channels": 1,
            "label": [0, 1] * 3,
            "gold": None,
            "origin": "o",
        },
    )
    attention = rng.dirichlet(np.ones(4), 6).astype(np.float32)
    write(
        "attention",
        "attention",
        {
            **run,
            "instance_id": ids,
            "length": 16,
            "label": [0, 1] * 3,
            "predicted": [0] * 6,
            "targets": None,
            "probabilities": [[1.0, 0.0]] * 6,
            "scores": list(attention),
            "attention": list(attention),
            "support": 4,
            "entropy": 1.0,
            "cell": [CELL] * 6,
            "gold": [[i < 8 for i in range(16)]] * 6,
            "guess": None,
            "times": None,
        },
    )
    importance = rng.random((6, 16)).astype(np.float32)
    write(
        "input_gradient",
        "importance",
        {
            **run,
            "method": "input_gradient",
            "instance_id": ids,
            "length": 16,
            "importance": list(importance),
            "completeness_error": None,
        },
    )
    card = tmp_path / "card.json"
    tables.write_json(card, {"reading": {"patch": 2}, "label_names": ["a", "b"]})
    path = tmp_path / "picture_examples.parquet"
    files = Files(written["attention"], {"input_gradient": written["input_gradient"]})
    picture_example_table([run], [files], {"d": written["test"]}, {"d": card}, {}, path)
    rows = tables.read_table(path, "picture_examples").to_pandas()
    return rows, dict(zip(ids, attention, strict=True)), importance


def test_the_pictures_with_the_smallest_ids_are_shown_with_all_weights(given):
    rows, attention, _ = given
    shown = sorted(rows["instance_id"].unique())
    assert shown == [f"{i:016x}" for i in (1, 2, 3, 5)] and len(shown) == SHOWN
    assert len(rows) == 2 * SHOWN
    of_attention = rows[rows["subject"] == "attention"].set_index("instance_id")
    for instance in shown:
        # a state's weight, a quarter for each patch of its cell
        expected = attention[instance][CELL] / 4
        weights = of_attention.loc[instance, "weights"]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
        assert of_attention.loc[instance, "gold"].sum() == 8
    assert {*rows["predicted"]} == {"a"} and {*rows["label"]} == {"a", "b"}


def test_a_page_shows_each_picture_by_each_normalizer(given):
    rows, _, importance = given
    order = order_of(["d"], ["lit"], ["additive"], ["softmax"], ["input_gradient"])
    pages, drawn = pictures.draw({"picture_examples": rows}, order)
    (figure,) = pages
    assert len(drawn) == len(rows)
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles == ["picture", "attention", "input\ngradient"]
    assert len(figure.axes) == 3 * SHOWN
    # the last panel of the first line: importance of the picture with the smallest id
    over = figure.axes[2].images[1].get_array()
    np.testing.assert_allclose(over[::2, ::2].ravel(), importance[3], rtol=1e-6)


def test_many_normalizers_go_on_on_the_next_page(given):
    rows, *_ = given
    names = [f"n{i}" for i in range(5)]
    many = [rows.assign(normalizer=name) for name in names]
    order = order_of(["d"], ["lit"], ["additive"], names, ["input_gradient"])
    pages, _ = pictures.draw({"picture_examples": pd.concat(many)}, order)
    sizes = [len(figure.axes) // 3 for figure in pages]
    assert sizes == [7, 7, 6]
