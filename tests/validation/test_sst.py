"""Real SST with the papers' settings, beside the numbers that they recorded."""

from pathlib import Path

import numpy as np
import pytest

from tests.validation.sst import RECORDED, audit, prepare

TREES = Path(__file__).parents[3] / "shared/data/sst"


@pytest.mark.slow
def test_agreement_on_sst_is_near_the_recorded_one(tmp_path):
    if not TREES.is_dir():
        pytest.skip(f"the SST trees are not at {TREES}")
    paths = prepare(TREES, tmp_path, None)
    runs = [audit(paths, seed, 300, instances=300) for seed in range(3)]
    found = {name: np.mean([run[name] for run in runs]) for name in RECORDED}
    for name in ("accuracy", "tau_gradient", "tau_loo"):
        assert found[name] == pytest.approx(RECORDED[name], abs=0.08), name
    # Gradient and leave-one-out agree less with each other than recorded where vectors
    # are learned: what docs/explanations.md has, from all of the test split.
    assert found["tau_gradient_loo"] == pytest.approx(0.413, abs=0.08)
