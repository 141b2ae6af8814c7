"""Sampling offsets: from a model's merging to the table over pictures and its figure."""

import numpy as np
import pandas as pd
import pytest
import torch

from attention_audit.attribution.influence import summarise, write_influence
from attention_audit.attribution.offsets import write_offsets
from attention_audit.figures import sampling_offsets
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.offset_summary import offset_table
from tests.unit.grids import order_of
from tests.unit.test_cells import CELL, GRID, RUN, M, N, pictures, pyramid, write
from tests.unit.test_figures import LONG, check_legible
from tests.unit.test_lit import STAGES

MLPS = [STAGES[0], {**STAGES[0], "width": 8}]


def moved_by(model, shifts):
    """A model each of whose mergings moves its points by (4, 2) numbers, and no others."""
    for merging in model.encoder.mergings:
        torch.nn.init.zeros_(merging.offset.weight)
        merging.offset.bias.copy_(torch.tensor(shifts).flatten())
    return model


def summary_of(tmp_path, model, batches, run=RUN):
    path, summary = tmp_path / "offsets.parquet", tmp_path / "summary.parquet"
    write(path, "offsets", write_offsets, model, iter(batches), run)
    offset_table([run], [path], {}, summary)
    return tables.read_table(summary, "offset_summary").to_pandas()


def test_points_that_have_not_moved_lie_where_strided_merging_reads(tmp_path):
    grid = (5, 4)
    stages = [*MLPS, MLPS[0]]
    model = moved_by(pyramid(grid=grid, stages=stages), np.zeros((4, 2)).tolist())
    batches = [pictures(2, grid), pictures(1, grid, seed=1)]
    rows = summary_of(tmp_path, model, batches)
    moves = ["down", "right", "distance", "sd_down", "sd_right", "sd_distance"]
    assert (rows[moves] == 0).all(axis=None) and set(rows["n_instances"]) == {3}
    for merging, (height, width) in enumerate([(5, 4), (3, 2)]):
        part = rows[rows["merging"] == merging]
        assert {*zip(part["rows"], part["columns"], strict=True)} == {(height, width)}
        # every token once, and those of the padding where a side is odd
        expected = {(r, c) for r in range(height + 1) for c in range(width)}
        assert len(part) == len(expected)
        assert {*zip(part["row"], part["column"], strict=True)} == expected
        first = part[part["cell"] == 0].sort_values("point")
        assert first["row"].tolist() == [0, 0, 1, 1]
        assert first["column"].tolist() == [0, 1, 0, 1]


def test_offsets_set_by_hand_are_reported_exactly(tmp_path):
    shifts = [[0.5, -0.25], [0.0, 1.0], [-3.0, 4.0], [0.125, 0.0]]
    model = moved_by(pyramid(), shifts)
    rows = summary_of(tmp_path, model, [pictures(2)])
    table = tables.read_table(tmp_path / "offsets.parquet", "offsets")
    assert table["length"].to_pylist() == [N] * 2
    assert table["down"].to_pylist() == [[s[0] for s in shifts] * M] * 2
    for _, row in rows.iterrows():
        down, right = shifts[row["point"]]
        assert (row["down"], row["right"]) == (down, right)
        assert row["distance"] == np.hypot(down, right)
        assert row["sd_down"] == row["sd_right"] == row["sd_distance"] == 0


def test_the_table_holds_what_the_encoder_samples_and_its_mean_and_spread(tmp_path):
    model, batch = pyramid(), pictures(3)
    rows = summary_of(tmp_path, model, [batch])
    offsets = model.encoder.read(model.embed(batch)).offsets[0].float().double()
    lengths = offsets.norm(dim=-1)
    rows = rows.set_index(["cell", "point"])
    for cell in range(M):
        for point in range(4):
            row, own = rows.loc[(cell, point)], offsets[:, cell, point]
            assert (row["row"], row["column"]) == (
                2 * (cell // 2) + point // 2,
                2 * (cell % 2) + point % 2,
            )
            expected = [*own.mean(0), lengths[:, cell, point].mean()]
            spread = [*own.std(0), lengths[:, cell, point].std()]
            found = row[["down", "right", "distance"]].tolist()
            assert found == pytest.approx([float(v) for v in expected])
            found = row[["sd_down", "sd_right", "sd_distance"]].tolist()
            assert found == pytest.approx([float(v) for v in spread])


def test_one_picture_has_no_spread(tmp_path):
    rows = summary_of(tmp_path, pyramid(), [pictures(1)])
    assert rows[["sd_down", "sd_right", "sd_distance"]].isna().all(axis=None)
    assert (rows["distance"] > 0).all()


def test_tables_that_are_not_of_a_run_are_named(tmp_path):
    path = tmp_path / "offsets.parquet"
    write(path, "offsets", write_offsets, pyramid(), iter([pictures(2)]), RUN)
    with pytest.raises(AuditError, match="holds seed '0', expected '1'"):
        offset_table([{**RUN, "seed": 1}], [path], {}, tmp_path / "no")
    rows = tables.read_table(path, "offsets").to_pylist()
    rows[1]["right"] = rows[1]["right"][:-1]
    tables.write_rows(path, "offsets", rows, {})
    with pytest.raises(
        AuditError, match=r"offsets\.parquet.*'right' has not 16 values"
    ):
        offset_table([RUN], [path], {}, tmp_path / "no")


# --- influence ------------------------------------------------------------------

PLACES = np.array([(n // 4, n % 4) for n in range(N)])


def test_distance_of_influence_by_hand():
    norms = np.zeros((M, N))
    # of its own cell alone, evenly: the middle itself
    norms[0, [0, 1, 4, 5]] = 2.0
    # three quarters at the upper right corner (0, 3), a quarter below it at (3, 3)
    norms[1, [3, 15]] = [3.0, 1.0]
    # of one far patch, (0, 3) from (2.5, 0.5)
    norms[2, 3] = 0.1
    summary = summarise(norms, CELL, PLACES)
    expected = [0, np.hypot(0.75 - 0.5, 3 - 2.5), np.hypot(2.5, 2.5)]
    np.testing.assert_allclose(summary.distance[:3], expected)
    # the last is influenced by nothing
    assert np.isnan(summary.distance[3]) and summary.distance.shape == (M,)
    # without cells a state stands at its own input
    alone = summarise(np.eye(N)[:, ::-1], None, PLACES).distance
    np.testing.assert_allclose(alone, np.hypot(*(PLACES - PLACES[::-1]).T))
    assert summarise(norms, CELL).distance is None


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.0, 1.0), (1.0, -1.0)])
def test_influence_lies_as_far_as_the_points_have_moved(tmp_path, shift):
    # MLPs alone, and points that all move the same way
    batch, path = pictures(2), tmp_path / "influence.parquet"
    found = {}
    for merging in ("deformable", "strided"):
        model = pyramid(merging, stages=MLPS)
        if merging == "deformable":
            moved_by(model, [shift] * 4)
        write(path, "influence", write_influence, model, iter([batch]), RUN, 2)
        found[merging] = tables.read_table(path, "influence").to_pylist()
    inner = int(shift[0])  # of the states, one whose points stay in the picture
    own, corner = PLACES[inner == CELL], np.hypot(0.5, 0.5)
    middle = own.mean(0)
    for moved, still in zip(*found.values(), strict=True):
        # strided merging reads nothing beyond a cell, whose corners are this far
        assert max(still["distance"]) < corner
        norms = np.array(moved["matrix"][inner])
        read = {tuple(place) for place in PLACES[norms > 0]}
        assert read == {tuple(place) for place in own + np.array(shift, dtype=int)}
        centroid = norms @ PLACES / norms.sum()
        assert np.hypot(*(centroid - middle - shift)) < corner
        expected = np.hypot(*(centroid - middle))
        assert moved["distance"][inner] == pytest.approx(expected, rel=1e-5)
        if shift == (0.0, 0.0):
            assert moved["distance"] == pytest.approx(still["distance"])


# --- the figure -----------------------------------------------------------------


def offset_rows(scale, runs, grid=GRID):
    """A table "offset_summary" of points that move at random, ``scale`` tokens or so."""
    rng = np.random.default_rng(0)
    rows = []
    for run in runs:
        for row in range(grid[0]):
            for column in range(grid[1]):
                down, right = scale * rng.standard_normal(2)
                rows.append(
                    {
                        **RUN,
                        **run,
                        "merging": 0,
                        "rows": grid[0],
                        "columns": grid[1],
                        "cell": row // 2 * (grid[1] // 2) + column // 2,
                        "point": 2 * (row % 2) + column % 2,
                        "row": row,
                        "column": column,
                        "down": down,
                        "right": right,
                        "distance": np.hypot(down, right),
                        "sd_down": scale / 4,
                        "sd_right": scale / 2,
                        "sd_distance": scale / 3,
                        "n_instances": 9,
                    }
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.003, 0.3, 8.0])
def test_shifts_are_drawn_as_many_times_larger_as_can_be_read(scale):
    rows = offset_rows(scale, [{"normalizer": "n"}])
    factor = sampling_offsets.magnification(rows)
    far = np.hypot(rows["down"], rows["right"]) + rows["sd_right"]
    drawn = factor * np.quantile(far, 0.95)
    if scale in (0.0, 8.0):  # nothing to see, or enough
        assert factor == 1
    else:
        assert 0.6 < drawn <= 1.3 and set(str(factor)[1:]) <= {"0"}


def test_each_point_has_an_arrow_from_where_it_rests_to_where_it_lies():
    runs = [{"normalizer": "n", "seed": s} for s in (3, 1)] + [{"normalizer": "o"}]
    rows = offset_rows(0.01, runs)
    order = order_of(["d"], ["e"], ["s"], ["n", "o"])
    pages, drawn = sampling_offsets.draw({"offset_summary": rows}, order)
    (figure,) = pages
    # of two seeds the smaller one
    assert len(drawn) == 2 * N and set(drawn["seed"]) == {0, 1}
    (factor,) = set(drawn["magnified"])
    first, second = figure.axes
    assert f"drawn {factor} times as long" in first.get_title()
    own = drawn[drawn["normalizer"] == "n"]
    arrows = [c for c in first.collections if hasattr(c, "U")]
    assert len(arrows) == 4
    for point, arrow in enumerate(arrows):
        part = own[own["point"] == point]
        np.testing.assert_array_equal(arrow.X, part["column"])
        np.testing.assert_array_equal(arrow.Y, part["row"])
        np.testing.assert_allclose(arrow.U, factor * part["right"])
        np.testing.assert_allclose(arrow.V, factor * part["down"])
    # rows go downwards, as in a picture
    assert first.get_ylim()[0] > first.get_ylim()[1] and second.get_title()[0] == "o"


def test_the_figure_can_be_read_with_long_names_and_with_gaps():
    axes = ("dataset", "encoder", "scorer", "normalizer")
    names = {axis: [f"{LONG}{axis}{i}" for i in range(2)] for axis in axes}
    runs = [
        {axis: names[axis][i] for axis, i in zip(axes, places, strict=True)}
        for places in [(0, 0, 0, 0), (0, 0, 0, 1), (1, 1, 1, 1)]
    ]
    order = order_of(*names.values())
    pages, _ = sampling_offsets.draw({"offset_summary": offset_rows(0.01, runs)}, order)
    for page in pages:
        check_legible(page)


def test_no_offsets_are_an_empty_page():
    rows = offset_rows(0.1, [{}]).iloc[:0]
    pages, drawn = sampling_offsets.draw({"offset_summary": rows}, order_of())
    assert len(list(pages)) == 1 and drawn.empty
