"""Shared by all tests."""

import pytest
import torch
from hypothesis import settings

# Examples from a fixed seed: a red run can be repeated.
settings.register_profile("steady", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Results and speed of small tensors are steadier on one thread."""
    torch.set_num_threads(1)
