"""A run on pictures: fewer hidden states than inputs, gold, and what shows them."""

import pandas as pd
from PIL import Image

from attention_audit.records.tables import read_table

RUN = "digits/lit/additive/softmax/seed0"


def test_states_of_a_pyramid_are_fewer_than_the_patches(pictured):
    path = pictured / f"results/attributions/{RUN}/attention.parquet"
    for row in read_table(path, "attention").to_pylist():
        assert row["length"] == len(row["cell"]) == len(row["gold"]) == 16
        assert len(row["attention"]) == len(row["scores"]) == 4
        assert sorted(row["cell"]) == sorted(list(range(4)) * 4)
    of_inputs, of_states = (
        read_table(
            path.with_name("importance") / f"{method}.parquet", "importance"
        ).to_pylist()
        for method in ("input_gradient", "hidden_leave_one_out")
    )
    assert {len(row["importance"]) for row in of_inputs} == {16}
    assert {len(row["importance"]) for row in of_states} == {4}


def test_what_is_marked_is_held_against_attention_importance_and_a_guess(pictured):
    measures = read_table(pictured / f"results/measures/{RUN}.parquet", "measures")
    found = {
        (row["measure"], row["subject"])
        for row in measures.to_pylist()
        if row["measure"].startswith("gold") and row["value"] is not None
    }
    assert found == {
        (measure, subject)
        for measure in (
            "gold_average_precision",
            "gold_f1",
            "gold_iou",
            "gold_reciprocal_rank",
        )
        for subject in (
            "attention",
            "input_gradient",
            "hidden_leave_one_out",
            "guess",
        )
    }


def test_offsets_of_the_sampling_points_are_drawn_as_they_are_learned(pictured):
    path = pictured / f"results/attributions/{RUN}/offsets.parquet"
    rows = read_table(path, "offsets").to_pylist()
    assert {(row["rows"], row["columns"], row["merging"]) for row in rows} == {
        (4, 4, 0)
    }
    assert {len(row["down"]) for row in rows} == {16}
    numbers = pd.read_parquet(pictured / "results/figures/sampling_offsets.parquet")
    assert len(numbers) == 16 and {*numbers["n_instances"]} == {len(rows)}
    assert (numbers["distance"] > 0).all() and (numbers["magnified"] > 1).all()
    measures = read_table(pictured / f"results/measures/{RUN}.parquet", "measures")
    distances = [
        row["value"]
        for row in measures.to_pylist()
        if row["measure"] == "influence_distance"
    ]
    assert len(distances) == 4 and min(distances) > 0


def test_pictures_are_shown_with_what_the_model_uses(pictured):
    with Image.open(pictured / "results/figures/pictures.png") as page:
        assert page.width > 300 and page.height > 400
    with Image.open(pictured / "results/data/digits/sheet.png") as sheet:
        assert sheet.height > sheet.width
    rows = pd.read_parquet(pictured / "results/figures/pictures.parquet")
    assert {*rows["subject"]} == {"attention", "input_gradient", "hidden_leave_one_out"}
    assert {len(weights) for weights in rows["weights"]} == {16}
